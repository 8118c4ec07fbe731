#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Quadrature by Gauss and Legendre's rule of q nodes in each element of a mesh a = x₀ < x₁ < … < xₙ = b.
///
///     ∫ₐᵇ f dx ≈ Σᵢ wᵢ f(xᵢ),   exact for polynomials of degree ≤ 2q − 1 on each element.
///
/// The error falls as h²ᑫ for smooth f. All weights are positive and no node is an end of an element.
/// The rule on [−1, 1]: its nodes are the zeros of the Legendre polynomial P_q, by Newton's method from Tricomi's estimate
/// cos(π(i − ¼)/(q + ½)); wᵢ = 2 / ((1 − xᵢ²) P′_q(xᵢ)²). Accurate to a few units of rounding for q ≤ 100.
/// Reference: P. J. Davis, P. Rabinowitz, *Methods of Numerical Integration*, 2nd ed. (1984), §2.7.
public struct CompositeGaussLegendre: Sendable, Hashable {
    /// x₀ … xₙ.
    public let mesh: [Double]
    /// q.
    public let nodesPerElement: Int
    /// xᵢ, ascending.
    public let nodes: [Double]
    /// wᵢ.
    public let weights: [Double]

    /// Throws where the mesh does not ascend, has no element, or q is not in 1…100.
    public init(mesh: [Double], nodesPerElement: Int) throws {
        guard mesh.count >= 2, mesh.allSatisfy(\.isFinite), zip(mesh, mesh.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw QuadratureError("a mesh must have two points or more, each greater than the one before")
        }
        guard (1...100).contains(nodesPerElement) else {
            throw QuadratureError("\(nodesPerElement) nodes in an element: a Gauss–Legendre rule here has 1 to 100")
        }
        let reference = Self.reference(nodesPerElement)
        (self.mesh, self.nodesPerElement) = (mesh, nodesPerElement)
        var (nodes, weights) = ([Double](), [Double]())
        for (low, high) in zip(mesh, mesh.dropFirst()) {
            let (center, half) = (0.5 * (low + high), 0.5 * (high - low))
            for (x, w) in reference {
                nodes.append(center + half * x)
                weights.append(half * w)
            }
        }
        (self.nodes, self.weights) = (nodes, weights)
    }

    /// The rule on `elements` equal elements.
    public init(elements: Int, nodesPerElement: Int, on range: ClosedRange<Double> = 0...1) throws {
        guard elements > 0 else { throw QuadratureError("a mesh of \(elements) elements: at least one is needed") }
        let length = range.upperBound - range.lowerBound
        let mesh = (0...elements).map { k in
            k == elements ? range.upperBound : range.lowerBound + length * (Double(k) / Double(elements))
        }
        try self.init(mesh: mesh, nodesPerElement: nodesPerElement)
    }

    /// Σᵢ wᵢ f(xᵢ).
    public func integral(of f: (Double) -> Double) -> Double { zip(nodes, weights).reduce(0) { $0 + $1.1 * f($1.0) } }

    /// The nodes, ascending, and weights of the rule of q nodes on [−1, 1].
    private static func reference(_ q: Int) -> [(node: Double, weight: Double)] {
        (0..<q).map { i in
            var x = -cos(.pi * (Double(i) + 0.75) / (Double(q) + 0.5))
            // Newton's method doubles the digits of an estimate good to O(q⁻⁴): five rounds are more than any q needs.
            for _ in 0..<5 {
                let (value, slope) = legendre(q, at: x)
                x -= value / slope
            }
            let slope = legendre(q, at: x).slope
            return (x, 2 / ((1 - x * x) * slope * slope))
        }
    }

    /// P_q and its derivative at x in (−1, 1), by the recurrence k P_k = (2k − 1) x P_{k−1} − (k − 1) P_{k−2}.
    private static func legendre(_ q: Int, at x: Double) -> (value: Double, slope: Double) {
        var (before, value) = (1.0, x)
        for k in stride(from: 2, through: q, by: 1) {
            let n = Double(k)
            (before, value) = (value, ((2 * n - 1) * x * value - (n - 1) * before) / n)
        }
        return (value, Double(q) * (x * value - before) / (x * x - 1))
    }
}

/// A quadrature rule that cannot be made as asked.
public struct QuadratureError: Error, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
