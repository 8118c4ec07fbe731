/// An orthonormal basis V of the Krylov space span{v, A·v, A²·v, …} of a symmetric A ∈ ℝⁿˣⁿ, in which A is tridiagonal:
///
///     A·V = V·T + β·q·eₖᵀ,   T = VᵀAV = tridiag(βⱼ₋₁, αⱼ, βⱼ),   V·e₁ = v/‖v‖
///
/// grown by one product with A at a time. Each vector is orthogonalised twice against all before it, since a basis that has lost its
/// orthogonality shows converged eigenvalues again and again. Where the next vector vanishes to rounding the space is invariant:
/// ``isInvariant``.
/// Cost: a product, 8nk flops and n doubles for the k-th vector.
/// Source: Lanczos, J. Res. Nat. Bur. Standards 45 (1950) 255–282, doi:10.6028/jres.045.026; Golub & Van Loan, *Matrix Computations*, 4th
/// ed., §10.1 and §10.3.
public struct LanczosBasis: Sendable {
    /// v₁ … vₖ, of unit length.
    public private(set) var vectors: [Vector] = []
    /// α₁ … αₖ.
    public private(set) var diagonal: [Double] = []
    /// β₁ … βₖ, the last of them the length of what lies outside the space in A·vₖ.
    public private(set) var offDiagonal: [Double] = []
    /// ‖v‖.
    public let startNorm: Double
    /// Whether A maps the space into itself, to rounding.
    public private(set) var isInvariant = false

    /// vₖ₊₁, where there is one.
    private var next: Vector
    /// ‖A‖ as seen so far.
    private var size = 0.0

    /// The empty basis that begins with v, which must not be zero.
    public init(from v: Vector) {
        startNorm = v.norm
        precondition(startNorm > 0 && startNorm.isFinite, "a Krylov space begins with a vector of finite length above zero")
        next = (1 / startNorm) * v
    }

    /// k.
    public var count: Int { vectors.count }
    /// n.
    public var dimension: Int { next.count }

    /// Grows the basis by a vector, unless the space is invariant; returns false where the product is not finite.
    public mutating func extend(by product: (Vector) throws -> Vector) rethrows -> Bool {
        guard !isInvariant else { return true }
        let v = next
        var w = try product(v)
        precondition(w.count == v.count, "a product of length \(w.count) with a vector of \(v.count)")
        guard w.isFinite else { return false }
        let α = v.dot(w)
        size = Swift.max(size, abs(α) + (offDiagonal.last ?? 0))
        vectors.append(v)
        diagonal.append(α)
        for _ in 0..<2 { for q in vectors { w.add(q, scaledBy: -q.dot(w)) } }
        let β = w.norm
        size = Swift.max(size, β)
        offDiagonal.append(β)
        isInvariant = β <= 4 * Double(v.count).squareRoot() * Double.ulpOfOne * size || count == v.count
        if !isInvariant { next = (1 / β) * w }
        return true
    }

    /// T ∈ ℝᵏˣᵏ.
    public var tridiagonal: Matrix {
        var t = Matrix.zeros(count, count)
        for i in 0..<count {
            t[i, i] = diagonal[i]
            if i > 0 { (t[i, i - 1], t[i - 1, i]) = (offDiagonal[i - 1], offDiagonal[i - 1]) }
        }
        return t
    }

    /// V·c. 2nk flops.
    public func combining(_ coefficients: Vector) -> Vector {
        precondition(coefficients.count == count, "\(coefficients.count) coefficients for \(count) vectors")
        var sum = Vector.zeros(dimension)
        for (v, c) in zip(vectors, coefficients) { sum.add(v, scaledBy: c) }
        return sum
    }
}
