import LinearAlgebra
import OptimizationCore

/// Which terms' Kronecker products K-FAC keeps apart.
public enum KroneckerGroups: String, CaseIterable, Sendable, Hashable {
    /// Two: the terms with the most channels, and all others, merged as if they were one term.
    case equationAndConditions = "equation-and-conditions"
    /// One a term.
    case terms

    /// A layer's products in groups, those with the most channels first.
    func grouped(_ products: [KroneckerProduct]) -> [[KroneckerProduct]] {
        let most = products.map(\.channels).max()
        let (equations, conditions) = (products.filter { $0.channels == most }, products.filter { $0.channels != most })
        switch self {
        case .equationAndConditions: return [equations, conditions].filter { !$0.isEmpty }
        case .terms: return (equations + conditions).map { [$0] }
        }
    }
}

/// (Σ_t A_t ⊗ B_t)⁻¹ with damped factors, for any number of products.
///
/// One or two products are inverted exactly (``KroneckerSumInverse``). No basis makes three diagonal, so more are met by conjugate gradients,
/// preconditioned by the exact inverse of the first and the merged others, until the residual is `tolerance` of what it was, after at most
/// `limit` products with the sum; each takes 4ab(a + b) flops a product of the sum, and as much for the preconditioner's two. Whatever is found
/// has a positive inner product with what it is found for, so that a direction descends however early the search ends.
package struct KroneckerSumSolver: Sendable {
    private let inverse: KroneckerSumInverse
    /// The damped products; empty where the inverse is exact.
    private let pairs: [KroneckerPair]
    private let limit: Int
    private let tolerance: Double

    /// `parts` are added to the factors' diagonals.
    package static func of(
        _ pairs: [KroneckerPair], damping parts: [(input: Double, output: Double)], limit: Int = 200, tolerance: Double = 1e-10
    ) -> Result<KroneckerSumSolver, FactorizationFailure> {
        precondition(!pairs.isEmpty && parts.count == pairs.count, "the inverse of \(pairs.count) Kronecker products")
        guard pairs.count > 2 else {
            return KroneckerSumInverse.of(pairs, damping: parts).map {
                KroneckerSumSolver(inverse: $0, pairs: [], limit: limit, tolerance: tolerance)
            }
        }
        let (merged, mergedParts) = (KroneckerPair(merging: Array(pairs.dropFirst())), parts.dropFirst())
        let part = (
            input: mergedParts.reduce(0) { $0 + $1.input } / Double(mergedParts.count), output: mergedParts.reduce(0) { $0 + $1.output }
        )
        return KroneckerSumInverse.of([pairs[0], merged], damping: [parts[0], part]).map { inverse in
            let damped = zip(pairs, parts).map { pair, part in
                var pair = pair
                for i in 0..<pair.input.rows { pair.input[i, i] += part.input }
                for i in 0..<pair.output.rows { pair.output[i, i] += part.output }
                return pair
            }
            return KroneckerSumSolver(inverse: inverse, pairs: damped, limit: limit, tolerance: tolerance)
        }
    }

    /// The product of the inverse with X ∈ ℝᵇˣᵃ, and the products with the sum that it took.
    package func times(_ x: Matrix) -> (solution: Matrix, products: Int) {
        guard !pairs.isEmpty else { return (inverse.times(x), 0) }
        var (found, r) = (Matrix.zeros(x.rows, x.columns), x)
        var z = inverse.times(r)
        var (p, ρ) = (z, Self.inner(r, z))
        let target = tolerance * r.frobeniusNorm
        for k in 0..<limit {
            guard r.frobeniusNorm > target else { return (found, k) }
            let q = sum(times: p)
            let curvature = Self.inner(p, q)
            // What is left is rounding.
            guard ρ > 0, curvature > 0, ρ.isFinite, curvature.isFinite else { return (k == 0 ? z : found, k) }
            found.accumulate(p, keeping: 1, adding: ρ / curvature)
            r.accumulate(q, keeping: 1, adding: -ρ / curvature)
            z = inverse.times(r)
            let next = Self.inner(r, z)
            p.accumulate(z, keeping: next / ρ, adding: 1)
            ρ = next
        }
        return (found, limit)
    }

    /// Σ_t B_tXA_t.
    private func sum(times x: Matrix) -> Matrix {
        var total = Matrix.zeros(x.rows, x.columns)
        for pair in pairs { total.add(.product(.product(pair.output, x), pair.input), scaledBy: 1) }
        return total
    }

    private static func inner(_ x: Matrix, _ y: Matrix) -> Double { Vector(x.elements).dot(Vector(y.elements)) }
}

extension KroneckerPair {
    /// Several products as one, as if they were one term's with as many vectors each: A their mean, B the sum.
    init(merging pairs: [KroneckerPair]) {
        self = pairs[0]
        for pair in pairs.dropFirst() {
            input.add(pair.input, scaledBy: 1)
            output.add(pair.output, scaledBy: 1)
        }
        input.scale(by: 1 / Double(pairs.count))
    }
}
