import LinearAlgebra
import Testing

@Suite struct LanczosQuadratureTests {
    private func symmetric(_ n: Int, seed: UInt64) -> Matrix {
        var stream = TestStream(seed)
        let a = stream.matrix(n, n)
        return Matrix(rows: n, columns: n, elements: zip(a.elements, a.transposed.elements).map { $0 + $1 })
    }

    /// Of degree 2m − 1 exact, of degree 2m not: Σ wᵢτᵢᵖ = vᵀAᵖv.
    @Test func momentsAreExactToTheirDegree() throws {
        let (n, m) = (40, 6)
        let a = symmetric(n, seed: 5)
        var stream = TestStream(6)
        let start = stream.vector(n)
        let v = (1 / start.norm) * start
        let rule = try LanczosQuadrature.measure(from: start, steps: m, product: a.times).get()
        #expect(rule.nodes.count == m && rule.nodes == rule.nodes.sorted())
        #expect(abs(rule.weights.reduce(0, +) - 1) < 1e-14)
        var power = v
        for p in 1...(2 * m) {
            power = a.times(power)
            let expected = v.dot(power)
            let found = zip(rule.nodes, rule.weights).reduce(0) { sum, node in
                sum + node.1 * (0..<p).reduce(1.0) { product, _ in product * node.0 }
            }
            // Rounding of n products of the size ‖A‖ᵖ.
            let size = (0..<p).reduce(1.0) { product, _ in product * a.frobeniusNorm }
            let deviation = abs(found - expected) / size
            if p < 2 * m { #expect(deviation < 100 * Double.ulpOfOne, "degree \(p): \(deviation)") } else { #expect(deviation > 1e-12) }
        }
    }

    /// With n steps the nodes are the eigenvalues and the weights the squares of v's coordinates among the eigenvectors.
    @Test func theWholeSpectrum() throws {
        let n = 25
        let a = symmetric(n, seed: 7)
        var stream = TestStream(8)
        let start = stream.vector(n)
        let v = (1 / start.norm) * start
        let rule = try LanczosQuadrature.measure(from: start, steps: n, product: a.times).get()
        let eigen = try SymmetricEigen.factorize(a).get()
        #expect(rule.nodes.count == n)
        for i in 0..<n {
            #expect(abs(rule.nodes[i] - eigen.values[i]) < 1e-12 * a.frobeniusNorm)
            let coordinate = eigen.vectors.column(i).dot(v)
            #expect(abs(rule.weights[i] - coordinate * coordinate) < 1e-11)
        }
    }

    /// For every node there is an eigenvalue within its bound, and bounds of early nodes are not all trivial.
    @Test(arguments: [4, 8, 14]) func boundsHold(steps: Int) throws {
        let a = symmetric(50, seed: 9)
        var stream = TestStream(10)
        let rule = try LanczosQuadrature.measure(from: stream.vector(50), steps: steps, product: a.times).get()
        let eigenvalues = try SymmetricEigen.factorize(a).get().values
        for (node, bound) in zip(rule.nodes, rule.bounds) {
            let distance = eigenvalues.map { abs($0 - node) }.min() ?? .infinity
            #expect(distance <= bound + 1e-13 * a.frobeniusNorm, "\(node): \(distance) beyond \(bound)")
            #expect(bound > 0)
        }
        if steps == 14 { #expect((rule.bounds.last ?? 1) < 0.1 * a.frobeniusNorm) }
    }

    /// Where v lies in the span of three eigenvectors the recursion ends after three steps, and a multiple of the identity after one.
    @Test func invariantSpaces() throws {
        let a = symmetric(30, seed: 11)
        let eigen = try SymmetricEigen.factorize(a).get()
        let v = eigen.vectors.column(2) + eigen.vectors.column(17) + eigen.vectors.column(29)
        let rule = try LanczosQuadrature.measure(from: v, steps: 20, product: a.times).get()
        // Rounding of v's other coordinates may carry it on by nodes of no weight.
        let carried = zip(rule.nodes, rule.weights).filter { $0.1 > 1e-20 }
        #expect(carried.count == 3)
        for (found, index) in zip(carried, [2, 17, 29]) {
            #expect(abs(found.0 - eigen.values[index]) < 1e-12 * a.frobeniusNorm && abs(found.1 - 1.0 / 3) < 1e-12)
        }
        let one = try LanczosQuadrature.measure(from: v, steps: 20) { -3 * $0 }.get()
        #expect(one.nodes.count == 1 && abs(one.nodes[0] + 3) < 1e-14 && one.weights[0] == 1)
        let zero = try LanczosQuadrature.measure(from: v, steps: 20) { 0 * $0 }.get()
        #expect(zero.nodes == [0] && zero.bounds == [0])
    }

    /// Eigenvalues over 14 decades: the largest, found at once, gets no copies in the many steps after.
    @Test func noGhosts() throws {
        let n = 60
        let values = (0..<n).map { i in (0..<i).reduce(1.0) { product, _ in product * 0.58 } }
        var stream = TestStream(12)
        let rule = try LanczosQuadrature.measure(from: stream.vector(n), steps: n) { v in Vector(zip(values, v).map { $0 * $1 }) }.get()
        #expect(rule.nodes.count { $0 > 0.79 } == 1)
        for (found, value) in zip(rule.nodes.reversed(), values).prefix(20) { #expect(abs(found - value) < 1e-14) }
    }

    @Test func aProductThatIsNotFinite() {
        let result = LanczosQuadrature.measure(from: [1, 2], steps: 2) { _ in [.nan, 0] }
        #expect(result == .failure(.nonFinite))
    }
}
