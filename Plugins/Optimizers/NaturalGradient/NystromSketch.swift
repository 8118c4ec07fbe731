import LinearAlgebra
import OptimizationCore

/// A randomised Nyström approximation Â = U·diag(λ̂)·Uᵀ of a positive semidefinite A ∈ ℝⁿˣⁿ, from A·Ω for one random Ω ∈ ℝⁿˣˡ.
///
///     Ω = orth(Gaussian)   Y = A·Ω + ν·Ω   C = chol(ΩᵀY)   B = Y·C⁻ᵀ = UΣVᵀ   λ̂ = max(Σ² − ν, 0)
///
/// ν = ε·‖A·Ω‖_F keeps the Cholesky factor real; where rounding still forbids it, ν grows tenfold. Costs A·Ω, about 4nl² + 22l³ flops and
/// 3nl numbers. Variant: with orthonormal Ω and singular values of B, as Frangella, Tropp and Udell have it (SIAM J. Matrix Anal. Appl. 44
/// (2023) 718–752, doi:10.1137/21M1466244, algorithm 2.1); Guzmán-Cordero et al. (arXiv:2505.12149, algorithm 2) leave out both for
/// speed on GPUs and lose the small eigenvalues.
struct NystromSketch {
    /// U, orthonormal columns.
    let vectors: Matrix
    /// λ̂₁ ≥ λ̂₂ ≥ … ≥ 0.
    let values: Vector

    /// The sketch of rank l by the product of A with l vectors at once.
    static func of(
        order n: Int, rank l: Int, from random: inout RandomStream, times A: (Matrix) -> Matrix
    ) -> Result<NystromSketch, FactorizationFailure> {
        let gaussian = Matrix(rows: n, columns: l, elements: random.normalVector(n * l).elements)
        return QR.factorize(gaussian).flatMap { qr in
            let Ω = qr.thinQ
            let product = A(Ω)
            guard product.isFinite else { return .failure(.nonFinite) }
            var ν = Double.ulpOfOne * Swift.max(product.frobeniusNorm, .leastNormalMagnitude)
            var failure = FactorizationFailure.notConverged
            for _ in 0..<12 {
                let Y = Matrix(rows: n, columns: l, elements: zip(product.elements, Ω.elements).map { $0 + ν * $1 })
                switch Cholesky.factorize(Matrix.product(Ω, Y, transposingFirst: true)) {
                case .success(let C):
                    return C.lower.solvingTriangle(.lower, Y.transposed).flatMap { SVD.factorize($0.transposed) }.map { svd in
                        NystromSketch(vectors: svd.u, values: Vector(svd.singularValues.map { Swift.max(0, $0 * $0 - ν) }))
                    }
                case .failure(let found): (failure, ν) = (found, 10 * ν)
                }
            }
            return .failure(failure)
        }
    }

    /// λ̂ₗ, below which the sketch knows nothing of A.
    var smallest: Double { values.last ?? 0 }

    /// λ̂₁.
    var largest: Double { values.first ?? 0 }

    /// (Â + λI)⁻¹·v. 4nl flops.
    func solve(_ v: Vector, damping λ: Double) -> Vector { filtered(v, rest: 1 / λ) { 1 / ($0 + λ) } }

    /// P⁻¹·v with P⁻¹ = (λ̂ₗ + λ)·U(Λ̂ + λ)⁻¹Uᵀ + (I − UUᵀ), by which A + λI is conditioned as A's part outside of the sketch.
    func precondition(_ v: Vector, damping λ: Double) -> Vector {
        let last = smallest + λ
        return filtered(v, rest: 1) { last / ($0 + λ) }
    }

    /// U·diag(f(λ̂))·Uᵀv + rest·(v − UUᵀv).
    private func filtered(_ v: Vector, rest: Double, _ f: (Double) -> Double) -> Vector {
        let c = vectors.transposedTimes(v)
        return vectors.times(Vector(zip(c, values).map { $0 * (f($1) - rest) })).adding(v, scaledBy: rest)
    }
}
