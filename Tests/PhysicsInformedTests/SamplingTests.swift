import LinearAlgebra
import OptimizationCore
import PhysicsInformed
import Testing

@Suite struct SobolTests {
    /// Points of the table `new-joe-kuo-6.21201` in Gray-code order, from SciPy 1.17's independent implementation.
    @Test func knownPoints() throws {
        let points = try SobolSequence(dimension: 21).points(64)
        func point(_ n: Int) -> [Double] { Array(points[(n * 21)..<((n + 1) * 21)]) }
        #expect(point(0) == Array(repeating: 0, count: 21))
        #expect(point(1) == Array(repeating: 0.5, count: 21))
        #expect(
            point(11) == [
                0.4375, 0.5625, 0.1875, 0.6875, 0.8125, 0.0625, 0.6875, 0.6875, 0.6875, 0.0625, 0.9375, 0.3125, 0.1875, 0.1875, 0.5625,
                0.1875, 0.5625, 0.0625, 0.6875, 0.5625, 0.9375,
            ])
        #expect(
            point(37) == [
                0.921875, 0.640625, 0.578125, 0.921875, 0.765625, 0.296875, 0.171875, 0.796875, 0.609375, 0.171875, 0.015625, 0.078125,
                0.578125, 0.859375, 0.109375, 0.484375, 0.796875, 0.421875, 0.046875, 0.140625, 0.953125,
            ])
        #expect(
            point(63) == [
                0.015625, 0.796875, 0.359375, 0.453125, 0.859375, 0.140625, 0.578125, 0.140625, 0.828125, 0.578125, 0.421875, 0.671875,
                0.546875, 0.765625, 0.328125, 0.765625, 0.078125, 0.390625, 0.953125, 0.234375, 0.234375,
            ])
    }

    @Test func aLaterStretchIsTheSameSequence() throws {
        let sequence = try SobolSequence(dimension: 5)
        let whole = sequence.points(100)
        #expect(sequence.points(37, from: 63) == Array(whole[(63 * 5)...]))
    }

    /// The first two dimensions make (0, m, 2)-nets: every elementary interval of area 2⁻ᵐ holds one of the first 2ᵐ points. Scrambling
    /// keeps that.
    @Test(arguments: [false, true]) func netsInTheFirstTwoDimensions(scrambled: Bool) throws {
        var random = RandomStream(seed: 3, name: "scramble")
        let sequence = try scrambled ? SobolSequence(dimension: 2) { random.next() } : SobolSequence(dimension: 2)
        let (m, count) = (8, 256)
        let points = sequence.points(count)
        for k in 0...m {
            var hits = Array(repeating: 0, count: count)
            for n in 0..<count {
                let i = Int(points[2 * n] * Double(1 << k))
                let j = Int(points[2 * n + 1] * Double(1 << (m - k)))
                hits[i << (m - k) | j] += 1
            }
            #expect(hits.allSatisfy { $0 == 1 })
        }
    }

    @Test func scramblingFollowsItsStream() throws {
        func points(_ seed: UInt64) throws -> [Double] {
            var random = RandomStream(seed: seed, name: "scramble")
            return try SobolSequence(dimension: 3) { random.next() }.points(50)
        }
        #expect(try points(1) == points(1))
        #expect(try points(1) != points(2))
        #expect(try points(1).allSatisfy { $0 > 0 && $0 < 1 })
    }

    @Test(arguments: [0, -1, 22]) func dimensionsOutOfReachAreRefused(dimension: Int) {
        #expect(throws: SamplingError.self) { try SobolSequence(dimension: dimension) }
    }
}

@Suite struct PointSamplingTests {
    private func points(_ sampling: PointSampling, _ count: Int, _ dimension: Int, seed: UInt64 = 1) throws -> Matrix {
        var random = RandomStream(seed: seed, name: "points")
        return try sampling.points(count, dimension: dimension, random: &random)
    }

    @Test(arguments: PointSampling.allCases) func pointsLieInsideAndFollowTheSeed(sampling: PointSampling) throws {
        for dimension in 1...4 {
            let p = try points(sampling, 81, dimension)
            #expect(p.columns == dimension)
            #expect(p.rows == (sampling == .grid && dimension == 3 ? 64 : 81))
            #expect(p.elements.allSatisfy { $0 > 0 && $0 < 1 })
            #expect(try p == points(sampling, 81, dimension))
            if sampling != .grid { #expect(try p != points(sampling, 81, dimension, seed: 2)) }
            if sampling == .grid { continue }
            // Half of the points lie in each half of every axis: the worst case is that of independent points, whose count has the
            // standard deviation √81/2 = 4.5; six of them are 27.
            for j in 0..<dimension {
                let low = (0..<p.rows).count { p[$0, j] < 0.5 }
                #expect(abs(Double(low) - Double(p.rows) / 2) <= (sampling == .uniform ? 27 : Double(p.rows) / 8))
            }
        }
    }

    @Test func latinHypercubeHasOnePointASlice() throws {
        let p = try points(.latinHypercube, 50, 3)
        for j in 0..<3 {
            #expect((0..<50).map { Int(p[$0, j] * 50) }.sorted() == Array(0..<50))
        }
    }

    @Test func gridIsMadeOfMidpoints() throws {
        let p = try points(.grid, 4, 2)
        #expect(p.elements == [0.25, 0.75, 0.25, 0.75, 0.25, 0.25, 0.75, 0.75])
    }

    /// ∫ Π (1 + (xⱼ − ½)) over the unit cube is 1. Low-discrepancy points are much better than the Monte Carlo error of 0.3/√n ≈ 0.0047.
    @Test(arguments: [PointSampling.sobol, .halton, .hammersley]) func lowDiscrepancy(sampling: PointSampling) throws {
        let p = try points(sampling, 4096, 3)
        let mean =
            (0..<p.rows).reduce(0.0) { sum, i in sum + (0..<3).reduce(1.0) { $0 * (0.5 + p[i, $1]) } } / Double(p.rows)
        #expect(abs(mean - 1) < 5e-4)
    }

    @Test func noPointsAreRefused() {
        #expect(throws: SamplingError.self) { try points(.sobol, 0, 2) }
        #expect(throws: SamplingError.self) { try points(.uniform, -5, 2) }
        #expect(throws: SamplingError.self) { try points(.halton, 10, 21) }
    }
}
