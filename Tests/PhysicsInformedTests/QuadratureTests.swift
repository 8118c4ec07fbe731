import PhysicsInformed
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct QuadratureTests {
    static let mesh = [-0.5, 0.1, 0.25, 1.5]

    /// Exact for degree 2q − 1 on elements of uneven size, and not for 2q.
    @Test(arguments: [1, 2, 3, 5, 8]) func degreeOfExactness(q: Int) throws {
        let rule = try CompositeGaussLegendre(mesh: Self.mesh, nodesPerElement: q)
        /// |quadrature − ∫xᵈ| in units of the quadrature of |xᵈ|.
        func error(_ degree: Int) -> Double {
            let n = Double(degree + 1)
            let exact = (pow(1.5, n) - pow(-0.5, n)) / n
            return abs(rule.integral { pow($0, Double(degree)) } - exact) / rule.integral { abs(pow($0, Double(degree))) }
        }
        // Nodes good to a few units carry degree-fold into xᵈ, besides the sum's own rounding.
        func rounding(_ degree: Int) -> Double { 8 * Double(degree + 3 * q) * .ulpOfOne }
        for degree in 0..<(2 * q) { #expect(error(degree) <= rounding(degree), "degree \(degree)") }
        #expect(error(2 * q) > 100 * rounding(2 * q))
    }

    /// The rule of 100 nodes on one element: positive weights that add up, ascending nodes, symmetric about the middle.
    @Test func manyNodes() throws {
        let rule = try CompositeGaussLegendre(elements: 1, nodesPerElement: 100, on: -1...1)
        #expect(rule.weights.allSatisfy { $0 > 0 })
        #expect(abs(rule.weights.reduce(0, +) - 2) <= 200 * .ulpOfOne)
        #expect(zip(rule.nodes, rule.nodes.dropFirst()).allSatisfy { $0 < $1 })
        #expect((0..<100).allSatisfy { abs(rule.nodes[$0] + rule.nodes[99 - $0]) <= 4 * .ulpOfOne })
        // ∫ cos(30x) over [−1, 1] = sin(30)/15: degree 199 resolves it to rounding.
        #expect(abs(rule.integral { cos(30 * $0) } - sin(30) / 15) <= 400 * .ulpOfOne)
    }

    @Test func whatIsNoRuleIsRefused() {
        #expect(throws: QuadratureError.self) { try CompositeGaussLegendre(mesh: [0], nodesPerElement: 2) }
        #expect(throws: QuadratureError.self) { try CompositeGaussLegendre(mesh: [0, 0.5, 0.5, 1], nodesPerElement: 2) }
        #expect(throws: QuadratureError.self) { try CompositeGaussLegendre(mesh: [0, .nan, 1], nodesPerElement: 2) }
        #expect(throws: QuadratureError.self) { try CompositeGaussLegendre(elements: 0, nodesPerElement: 2) }
        #expect(throws: QuadratureError.self) { try CompositeGaussLegendre(elements: 4, nodesPerElement: 0) }
        #expect(throws: QuadratureError.self) { try CompositeGaussLegendre(elements: 4, nodesPerElement: 101) }
    }
}
