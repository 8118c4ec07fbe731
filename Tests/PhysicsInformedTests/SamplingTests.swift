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

@Suite struct HaltonTests {
    private func sequence(_ dimension: Int, seed: UInt64 = 5) -> HaltonSequence {
        var random = RandomStream(seed: seed, name: "scramble")
        return HaltonSequence(dimension: dimension, scrambledBy: &random)
    }

    /// Of bᵐ successive points from a multiple of bᵐ on, each interval of length b⁻ᵐ has one: for the first and for a later stretch.
    @Test(arguments: [(0, 2, 9), (1, 3, 6), (2, 5, 4), (3, 7, 3), (7, 19, 2), (19, 71, 1)])
    func oneDimensionalStratification(coordinate: Int, base: Int, m: Int) {
        let sequence = sequence(20)
        let count = (0..<m).reduce(1) { power, _ in power * base }
        for first in [0, 3 * count] {
            let cells = (first..<(first + count)).map { Int(sequence.coordinate(coordinate, of: $0) * Double(count)) }
            #expect(cells.sorted() == Array(0..<count))
        }
    }

    /// Over many scrambles any one point is uniform: χ² over 9 × 9 cells stays within six standard deviations √(2·80) of its mean,
    /// and independent in two coordinates. Point 0, whose digits are all zero, and one in the middle.
    @Test(arguments: [0, 12_345]) func eachPointIsUniform(point: Int) {
        let (seeds, cells) = (6000, 9)
        var counts = Array(repeating: 0, count: cells * cells)
        var mean = 0.0
        for seed in 0..<seeds {
            let sequence = sequence(8, seed: UInt64(seed))
            let (x, y) = (sequence.coordinate(1, of: point), sequence.coordinate(7, of: point))
            counts[Int(x * Double(cells)) * cells + Int(y * Double(cells))] += 1
            mean += y / Double(seeds)
        }
        let expected = Double(seeds) / Double(cells * cells)
        let χ² = counts.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
        let freedom = Double(cells * cells - 1)
        #expect(abs(χ² - freedom) < 6 * (2 * freedom).squareRoot(), "\(χ²)")
        // The mean of n uniform numbers has the standard deviation 1/√(12n).
        #expect(abs(mean - 0.5) < 6 / (12 * Double(seeds)).squareRoot(), "\(mean)")
    }

    /// Unscrambled, the first 17 points in the bases 17 and 19 are (i/17, i/19): their correlation is 1. Scrambled, the digits are
    /// independent: r has the variance 1/16, its mean over 200 scrambles the standard deviation 1/√(16·200).
    @Test func patternsOfLargeBasesAreBroken() {
        var mean = 0.0
        for seed in 0..<200 {
            let sequence = sequence(8, seed: UInt64(seed))
            let (x, y) = ((0..<17).map { sequence.coordinate(6, of: $0) }, (0..<17).map { sequence.coordinate(7, of: $0) })
            let (a, b) = (x.reduce(0, +) / 17, y.reduce(0, +) / 17)
            let xy = zip(x, y).reduce(0.0) { $0 + ($1.0 - a) * ($1.1 - b) }
            let (xx, yy) = (x.reduce(0.0) { $0 + ($1 - a) * ($1 - a) }, y.reduce(0.0) { $0 + ($1 - b) * ($1 - b) })
            mean += xy / (xx * yy).squareRoot() / 200
        }
        #expect(abs(mean) < 6 / (16.0 * 200).squareRoot(), "\(mean)")
    }

    @Test func scramblingFollowsItsStream() {
        func points(_ seed: UInt64) -> [Double] { (0..<50).map { sequence(3, seed: seed).coordinate(2, of: $0) } }
        #expect(points(1) == points(1))
        #expect(points(1) != points(2))
        #expect(points(1).allSatisfy { $0 >= 0 && $0 < 1 })
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
