import LinearAlgebra
import OptimizationCore

/// A ⊗ B with A ∈ ℝᵃˣᵃ and B ∈ ℝᵇˣᵇ symmetric and positive semidefinite; it takes X ∈ ℝᵇˣᵃ to B·X·A.
public struct KroneckerPair: Checkpointable, Equatable {
    public var input: Matrix
    public var output: Matrix

    public init(input: Matrix, output: Matrix) {
        precondition(input.rows == input.columns && output.rows == output.columns, "Kronecker factors that are not square")
        (self.input, self.output) = (input, output)
    }

    public func encode(into archive: inout Archive) {
        archive.set("input", input)
        archive.set("output", output)
    }

    public init(from archive: Archive) throws {
        (input, output) = (try archive.matrix("input"), try archive.matrix("output"))
        guard input.rows == input.columns, output.rows == output.columns else {
            throw ArchiveError(entry: "input", reason: "a Kronecker factor is not square")
        }
    }

    /// The product of several terms' vectors taken together, as if they were one term's: A their mean, B the sum.
    init(_ products: [KroneckerProduct]) {
        let vectors = Double(products.reduce(0) { $0 + $1.vectors })
        input = .zeros(products[0].input.rows, products[0].input.rows)
        output = .zeros(products[0].output.rows, products[0].output.rows)
        for product in products {
            input.add(product.input, scaledBy: Double(product.vectors) / vectors)
            output.add(product.output, scaledBy: 1)
        }
    }
}

extension Matrix {
    mutating func add(_ x: Matrix, scaledBy α: Double) {
        precondition(rows == x.rows && columns == x.columns, "\(x.rows) × \(x.columns) added to \(rows) × \(columns)")
        for i in elements.indices { elements[i] += α * x.elements[i] }
    }

    mutating func scale(by α: Double) { for i in elements.indices { elements[i] *= α } }
}

/// How λ is shared out to the two factors of A ⊗ B.
public enum DampingSplit: String, CaseIterable, Sendable, Hashable {
    /// A + λI and B + λI.
    case same
    /// A + π√λ·I and B + √λ/π·I with π² = (tr A/a)/(tr B/b), which damps the product by about λ whatever the factors' scales.
    case traceNorm = "trace-norm"

    /// What is added to the diagonals of A and B.
    func parts(of λ: Double, for pair: KroneckerPair) -> (input: Double, output: Double) {
        guard self == .traceNorm else { return (λ, λ) }
        func mean(_ matrix: Matrix) -> Double { matrix.diagonal.reduce(0, +) / Double(Swift.max(1, matrix.rows)) }
        let square = mean(pair.input) / mean(pair.output)
        let π = square > 0 && square.isFinite ? square.squareRoot() : 1
        return (λ.squareRoot() * π, λ.squareRoot() / π)
    }
}

/// (A₁ ⊗ B₁ + A₂ ⊗ B₂)⁻¹ with damped factors, by one basis for the A and one for the B.
///
///     K_AᵀA₁K_A = D₁, K_AᵀA₂K_A = D₂; K_BᵀB₁K_B = E₁, K_BᵀB₂K_B = E₂, all diagonal:
///     X ↦ K_B[(K_BᵀXK_A) / (e₁d₁ᵀ + e₂d₂ᵀ)]K_Aᵀ
///
/// Two eigenvalue problems for each side, about 18(a³ + b³) flops; 4ab(a + b) a product. Variant: the bases come from the sum of the two matrices,
/// each scaled to a mean eigenvalue of one, where Martens & Grosse (arXiv:1503.05671, appendix B) invert the root of the first, which may be
/// close to singular where the second is not.
package struct KroneckerSumInverse: Sendable {
    private let input: CommonBasis
    private let output: CommonBasis

    /// The inverse of one or two products, whose factors have `parts` added to their diagonals.
    package static func of(
        _ pairs: [KroneckerPair], damping parts: [(input: Double, output: Double)]
    ) -> Result<KroneckerSumInverse, FactorizationFailure> {
        precondition(1...2 ~= pairs.count && parts.count == pairs.count, "the inverse of \(pairs.count) Kronecker products")
        return CommonBasis.of(pairs.map(\.input), parts.map(\.input)).flatMap { input in
            CommonBasis.of(pairs.map(\.output), parts.map(\.output)).map { KroneckerSumInverse(input: input, output: $0) }
        }
    }

    /// The product with X ∈ ℝᵇˣᵃ.
    package func times(_ x: Matrix) -> Matrix {
        var y = Matrix.product(.product(output.vectors, x, transposingFirst: true), input.vectors)
        for i in 0..<y.columns {
            for j in 0..<y.rows {
                var denominator = 0.0
                for (d, e) in zip(input.values, output.values) { denominator += d[i] * e[j] }
                y.elements[j + i * y.rows] /= denominator
            }
        }
        return .product(.product(output.vectors, y), input.vectors, transposingSecond: true)
    }
}

/// A basis K in which one or two symmetric matrices A + λI are diagonal.
private struct CommonBasis {
    var vectors: Matrix
    /// kᵢᵀ(A + λI)kᵢ of each matrix.
    var values: [Vector]

    static func of(_ matrices: [Matrix], _ dampings: [Double]) -> Result<CommonBasis, FactorizationFailure> {
        let n = matrices[0].rows
        // One for the mean eigenvalue of each.
        let scales = zip(matrices, dampings).map { matrix, λ in
            let mean = matrix.diagonal.reduce(0, +) / Double(Swift.max(n, 1)) + λ
            return mean > 0 ? 1 / mean : 0
        }
        var (sum, least) = (Matrix.zeros(n, n), 0.0)
        for (matrix, (λ, scale)) in zip(matrices, zip(dampings, scales)) {
            sum.add(matrix, scaledBy: scale)
            for i in 0..<n { sum[i, i] += scale * λ }
            least += scale * λ
        }
        return SymmetricEigen.factorize(sum).flatMap { whole in
            // No eigenvalue is below what was added but for rounding.
            let values = whole.values.map { Swift.max($0, least) }
            if let pivot = values.firstIndex(where: { !($0 > 0) }) { return .failure(.notPositiveDefinite(pivot: pivot)) }
            let whitened = whole.vectors.scalingColumns(by: Vector(values.map { 1 / $0.squareRoot() }))
            guard matrices.count > 1 else { return .success(CommonBasis(vectors: whitened, matrices, dampings)) }
            var damped = matrices[0]
            for i in 0..<n { damped[i, i] += dampings[0] }
            let first = Matrix.product(.product(whitened, damped, transposingFirst: true), whitened)
            return SymmetricEigen.factorize(first.scaled(by: scales[0])).map { part in
                CommonBasis(vectors: .product(whitened, part.vectors), matrices, dampings)
            }
        }
    }

    private init(vectors K: Matrix, _ matrices: [Matrix], _ dampings: [Double]) {
        vectors = K
        values = zip(matrices, dampings).map { matrix, λ in
            let product = Matrix.product(matrix, K)
            // Semidefinite but for rounding.
            return Vector((0..<K.columns).map { Swift.max(0, K.column($0).dot(product.column($0))) + λ * K.column($0).dot(K.column($0)) })
        }
    }
}

extension Matrix {
    fileprivate func scaled(by α: Double) -> Matrix {
        var scaled = self
        scaled.scale(by: α)
        return scaled
    }
}
