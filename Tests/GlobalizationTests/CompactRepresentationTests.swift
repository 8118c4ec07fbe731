import LinearAlgebra
import OptimizationCore
import Globalization
import Testing

@Suite struct CompactRepresentationTests {
    /// Pairs of a positive definite matrix, so that all have curvature.
    private func pairs(_ count: Int, order n: Int, seed: UInt64) -> [SecantPair] {
        var random = RandomStream(seed: seed, name: "pairs")
        var a = Matrix(rows: n, columns: n, elements: random.normalVector(n * n).elements).gram
        a.addDiagonal(Vector(repeating: 0.5, count: n))
        return (0..<count).map { _ in
            let s = random.normalVector(n)
            return SecantPair(step: s, change: a.times(s))
        }
    }

    /// B of the compact form is the inverse of the two-loop recursion's H.
    @Test(arguments: [1, 3, 8]) func isTheInverseOfTheTwoLoopRecursion(count: Int) throws {
        let pairs = pairs(count, order: 12, seed: 3)
        let compact = CompactRepresentation(pairs)
        let σ = try #require(compact.scale)
        var random = RandomStream(seed: 5, name: "v")
        let v = random.normalVector(12)
        let back = pairs.direction(for: try #require(compact.times(v)), initialScale: 1 / σ)
        #expect((back + v).norm <= 1e-9 * v.norm)
        // The secant equation of the newest pair.
        let newest = pairs[count - 1]
        #expect((try #require(compact.times(newest.step)) - newest.change).norm <= 1e-9 * newest.change.norm)
    }

    /// What is dropped leaves nothing behind: the products kept from pair to pair are those of the pairs that are left.
    @Test func droppedPairsAreForgotten() throws {
        let pairs = pairs(9, order: 10, seed: 1)
        var rolling = CompactRepresentation()
        for pair in pairs { rolling.append(pair, keeping: 4) }
        #expect(rolling == CompactRepresentation(Array(pairs.suffix(4))))
    }

    /// Powell's damping by hand: sᵀy = −1, sᵀBs = 1: θ = 0.8/2, ŷ = 0.4y + 0.6Bs, and sᵀŷ = 0.2·sᵀBs.
    @Test func dampingKeepsAFifthOfTheModelsCurvature() {
        let (s, y, Bs): (Vector, Vector, Vector) = ([1, 0], [-1, 2], [1, 0.5])
        let mixed = damped(y, along: s, image: Bs)
        #expect(abs(mixed[0] - 0.2) < 1e-15 && abs(mixed[1] - (0.4 * 2 + 0.6 * 0.5)) < 1e-15)
        #expect(damped([0.5, 2], along: s, image: Bs) == [0.5, 2])
    }

    /// The self-scaled recursion against its dense matrices: H ← (I − ρsyᵀ)H(I − ρysᵀ)/τ + ρssᵀ.
    @Test func selfScaledPairsAreThoseOfTheDenseMatrix() {
        let n = 7
        let pairs = zip(pairs(4, order: n, seed: 8), [0.5, 0.9, 0.25, 1]).map {
            SecantPair(step: $0.step, change: $0.change, scaling: $1)
        }
        var h = Matrix.identity(n)
        for i in 0..<n { h[i, i] = 0.3 }
        for pair in pairs {
            let (s, y) = (pair.step, pair.change)
            let ρ = 1 / s.dot(y)
            var left = Matrix.identity(n)
            for i in 0..<n { for j in 0..<n { left[i, j] -= ρ * s[i] * y[j] } }
            h = Matrix.product(Matrix.product(left, h), left, transposingSecond: true)
            for i in 0..<n { for j in 0..<n { h[i, j] = h[i, j] / pair.scaling + ρ * s[i] * s[j] } }
        }
        var random = RandomStream(seed: 2, name: "g")
        let g = random.normalVector(n)
        let expected = -h.times(g)
        #expect((pairs.direction(for: g, initialScale: 0.3) - expected).norm <= 1e-10 * expected.norm)
    }
}
