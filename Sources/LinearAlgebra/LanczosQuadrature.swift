/// Gauss quadrature of the spectral measure of a symmetric A ∈ ℝⁿˣⁿ seen from a vector v of unit length, by m steps of Lanczos' recursion:
///
///     βⱼvⱼ₊₁ = A·vⱼ − αⱼvⱼ − βⱼ₋₁vⱼ₋₁        T = tridiag(β, α, β) = S·diag(τ)·Sᵀ        vᵀf(A)v ≈ Σᵢ s₁ᵢ² f(τᵢ)
///
/// The nodes are the Ritz values τᵢ, the weights s₁ᵢ² add up to 1, and the rule is exact for polynomials f of degree 2m − 1. The outermost
/// nodes converge to A's extreme eigenvalues first; for each node there is an eigenvalue of A within βₘ|sₘᵢ|.
///
/// Each vector is orthogonalised against all before it, twice, so that converged eigenvalues have no copies. Where vⱼ₊₁ vanishes to
/// rounding the space is invariant and the rule exact for v. Cost: m products with A, 8nm² flops, n(m + 1) doubles.
/// G. H. Golub, G. Meurant, *Matrices, Moments and Quadrature with Applications*, Princeton 2010, ch. 4 and 6; G. H. Golub, J. H. Welsch,
/// Math. Comp. 23 (1969) 221, doi:10.1090/S0025-5718-69-99647-1.
public struct LanczosQuadrature: Sendable, Hashable {
    /// τ₀ ≤ τ₁ ≤ …
    public let nodes: [Double]
    /// s₁ᵢ².
    public let weights: [Double]
    /// βₘ|sₘᵢ|: how far the nearest eigenvalue of A is from the node at most, rounding aside.
    public let bounds: [Double]

    /// At most `steps` steps from `start`, which is scaled to unit length; `product` is A·v.
    public static func measure(
        from start: Vector, steps: Int, product: (Vector) throws -> Vector
    ) rethrows -> Result<LanczosQuadrature, FactorizationFailure> {
        precondition(steps > 0, "a quadrature of \(steps) nodes")
        let n = start.count
        let length = start.norm
        precondition(n > 0 && length > 0 && length.isFinite, "Lanczos' recursion begins with a vector of finite length above zero")
        var basis = [(1 / length) * start]
        var (diagonal, side): ([Double], [Double]) = ([], [])
        // ‖A‖ as seen so far.
        var size = 0.0
        while true {
            let v = basis[basis.count - 1]
            var w = try product(v)
            precondition(w.count == n, "a product of length \(w.count) with a vector of \(n)")
            guard w.isFinite else { return .failure(.nonFinite) }
            let α = v.dot(w)
            diagonal.append(α)
            size = max(size, abs(α) + (side.last ?? 0))
            for _ in 0..<2 { for q in basis { w.add(q, scaledBy: -q.dot(w)) } }
            let β = w.norm
            size = max(size, β)
            side.append(β)
            let isInvariant = β <= 4 * Double(n).squareRoot() * 0x1p-52 * size
            if isInvariant || diagonal.count == min(steps, n) { break }
            basis.append((1 / β) * w)
        }
        let m = diagonal.count
        var t = Matrix.zeros(m, m)
        for i in 0..<m {
            t[i, i] = diagonal[i]
            if i > 0 { (t[i, i - 1], t[i - 1, i]) = (side[i - 1], side[i - 1]) }
        }
        return SymmetricEigen.factorize(t).map { eigen in
            LanczosQuadrature(
                nodes: eigen.values.elements, weights: (0..<m).map { eigen.vectors[0, $0] * eigen.vectors[0, $0] },
                bounds: (0..<m).map { side[m - 1] * abs(eigen.vectors[m - 1, $0]) })
        }
    }
}
