import LinearAlgebra
import OptimizationCore

/// A factorisation of J that shows its rank and gives the truncated Gauss–Newton step of any rank: what another cut-off costs is the
/// lifting V·c, not another factorisation.
protocol RankRevealing {
    /// σ₁ ≥ σ₂ ≥ …, or |R₁₁| ≥ |R₂₂| ≥ …
    var magnitudes: Vector { get }
    /// d = −J⁺r with the leading `rank` directions of J.
    func step(rank: Int) -> Result<Vector, FactorizationFailure>
    /// L − ½‖r + J·d‖² of that step.
    func decrease(rank: Int) -> Double
}

extension RankRevealing {
    /// How many directions are above `cutoff` times the first.
    func rank(above cutoff: Double) -> Int {
        guard let largest = magnitudes.first, largest > 0 else { return 0 }
        return magnitudes.prefix { $0 > cutoff * largest }.count
    }
}

/// How J is factorised.
public enum JacobianFactorization: String, CaseIterable, Sendable, Hashable {
    /// Singular values of J: the safe judge of rank, about 4NP·min(N, P) flops.
    case svd
    /// QR of J, then singular values of R: the same answer, for N ≫ P in 2NP² + 22P³ flops.
    case qrThenSVD = "qr-then-svd"
    /// QR with column pivoting: basic solutions, a cheaper and usually reliable judge of rank; 2NP² flops.
    case pivotedQR = "pivoted-qr"

    func factorize(_ model: any Linearization) -> Result<any RankRevealing, FactorizationFailure> {
        let (J, r) = (model.jacobian(), model.residual)
        switch self {
        case .qrThenSVD where J.rows > J.columns:
            return QR.factorize(J).flatMap { qr in
                SVD.factorize(qr.r).map { SingularDirections($0, Vector(qr.transposedQ(times: r).prefix(J.columns))) }
            }
        case .svd, .qrThenSVD: return SVD.factorize(J).map { SingularDirections($0, r) }
        case .pivotedQR: return PivotedQR.factorize(J).map { PivotedColumns($0, r) }
        }
    }
}

/// J = UΣVᵀ with c = Uᵀr kept: d = −Σ_{i ≤ rank} vᵢcᵢ/σᵢ, P·rank flops.
struct SingularDirections: RankRevealing {
    let svd: SVD
    /// Uᵀr.
    let coefficients: Vector

    init(_ svd: SVD, _ r: Vector) { (self.svd, coefficients) = (svd, svd.u.transposedTimes(r)) }

    var magnitudes: Vector { svd.singularValues }

    func step(rank: Int) -> Result<Vector, FactorizationFailure> {
        lifted { i, σ in i < rank ? -1 / σ : 0 }
    }

    /// Σ vᵢcᵢ·factor(i, σᵢ).
    func lifted(_ factor: (Int, Double) -> Double) -> Result<Vector, FactorizationFailure> {
        guard coefficients.isFinite else { return .failure(.nonFinite) }
        let weights = coefficients.indices.map { i in
            let factor = factor(i, svd.singularValues[i])
            return factor == 0 ? 0 : factor * coefficients[i]
        }
        return .success(svd.vTransposed.transposedTimes(Vector(weights)))
    }

    func decrease(rank: Int) -> Double { coefficients.prefix(rank).reduce(0) { $0 + 0.5 * $1 * $1 } }
}

/// JΠ = QR with Qᵀr kept: the leading `rank` columns carry the step, rank² flops.
struct PivotedColumns: RankRevealing {
    let factors: PivotedQR
    private let residual: Vector
    private let rotated: Vector
    let magnitudes: Vector

    init(_ factors: PivotedQR, _ r: Vector) {
        (self.factors, residual, rotated) = (factors, r, factors.qr.transposedQ(times: r))
        magnitudes = Vector(factors.qr.r.diagonal.map(abs))
    }

    func step(rank: Int) -> Result<Vector, FactorizationFailure> {
        guard residual.isFinite else { return .failure(.nonFinite) }
        return factors.qr.r.solvingTriangle(.upper, Vector(rotated.prefix(rank)), order: rank).map { leading in
            var d = Vector.zeros(factors.permutation.count)
            for j in 0..<rank { d[factors.permutation[j]] = -leading[j] }
            return d
        }
    }

    func decrease(rank: Int) -> Double { rotated.prefix(rank).reduce(0) { $0 + 0.5 * $1 * $1 } }
}

/// The solution for one cut-off alone, which takes half the time: see ``TruncatedLeastSquares``.
struct SingleTruncation: RankRevealing {
    let solved: TruncatedLeastSquares
    private let promised: Double

    init(_ solved: TruncatedLeastSquares, _ model: any Linearization, gradient: Vector) {
        self.solved = solved
        // With d the least-squares solution over the directions kept, ½‖r‖² − ½‖r + Jd‖² = −½gᵀd.
        promised = -0.5 * gradient.dot(solved.solution)
    }

    var magnitudes: Vector { solved.singularValues }
    func step(rank: Int) -> Result<Vector, FactorizationFailure> { .success(solved.solution) }
    func decrease(rank: Int) -> Double { promised }
}
