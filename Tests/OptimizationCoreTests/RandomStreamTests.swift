import LinearAlgebra
import OptimizationCore
import Testing

@Suite struct RandomStreamTests {
    /// The known answers of philox4x32-10 in the Random123 distribution (kat_vectors).
    @Test func philoxGivesTheKnownAnswers() {
        typealias Block = (UInt32, UInt32, UInt32, UInt32)
        let ones = UInt32.max
        let cases: [(counter: Block, key: (UInt32, UInt32), answer: Block)] = [
            ((0, 0, 0, 0), (0, 0), (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)),
            ((ones, ones, ones, ones), (ones, ones), (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)),
            (
                (0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), (0xa409_3822, 0x299f_31d0),
                (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)
            ),
        ]
        for (counter, key, answer) in cases { #expect(RandomStream.philox(counter: counter, key: key) == answer) }
    }

    @Test func aStreamIsAFunctionOfSeedNameAndPosition() throws {
        func draws(_ seed: UInt64, _ name: String) -> [UInt64] {
            var stream = RandomStream(seed: seed, name: name)
            return (0..<100).map { _ in stream.next() }
        }
        #expect(draws(1, "points") == draws(1, "points"))
        let others = [draws(2, "points"), draws(1, "batches"), draws(1, "point"), draws(0, "")]
        for other in others { #expect(Set(other).isDisjoint(with: draws(1, "points"))) }
        #expect(Set(draws(1, "points")).count == 100)
    }

    @Test(arguments: [0, 1, 2, 7]) func aStoredStreamGoesOn(drawn: Int) throws {
        var stream = RandomStream(seed: 5, name: "stored")
        for _ in 0..<drawn { _ = stream.next() }
        var restored = try Archive(of: stream).decoded(as: RandomStream.self)
        #expect(restored == stream)
        #expect((0..<9).map { _ in restored.next() } == (0..<9).map { _ in stream.next() })
    }

    /// Means and variances of n draws lie within five standard errors; the seed is fixed, so this passes or fails for good.
    @Test func distributionsHaveTheirMoments() {
        var stream = RandomStream(seed: 11, name: "moments")
        let n = 100_000
        let uniform = (0..<n).map { _ in stream.uniform() }
        let normal = (0..<n).map { _ in stream.normal() }
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(n) }
        #expect(uniform.allSatisfy { $0 >= 0 && $0 < 1 })
        #expect(abs(mean(uniform) - 0.5) < 5 * (1.0 / 12 / Double(n)).squareRoot())
        #expect(abs(mean(normal)) < 5 / Double(n).squareRoot())
        #expect(abs(mean(normal.map { $0 * $0 }) - 1) < 5 * (2 / Double(n)).squareRoot())
        #expect(abs(mean(normal.map { $0 * $0 * $0 })) < 5 * (15 / Double(n)).squareRoot())
        let indices = (0..<n).map { _ in stream.index(below: 7) }
        for k in 0..<7 {
            // A binomial count with p = 1/7.
            let (expected, deviation) = (Double(n) / 7, (Double(n) * 6 / 49).squareRoot())
            #expect(abs(Double(indices.filter { $0 == k }.count) - expected) < 5 * deviation)
        }
        let interval = (0..<1000).map { _ in stream.uniform(in: -3...(-2)) }
        #expect(interval.allSatisfy { $0 >= -3 && $0 < -2 })
    }

    @Test func permutationsHoldEveryIndexOnce() {
        var stream = RandomStream(seed: 3, name: "order")
        let (one, two) = (stream.permutation(of: 50), stream.permutation(of: 50))
        #expect(one.sorted() == Array(0..<50) && two.sorted() == Array(0..<50))
        #expect(one != two)
        #expect(stream.permutation(of: 0).isEmpty && stream.permutation(of: 1) == [0])
    }
}
