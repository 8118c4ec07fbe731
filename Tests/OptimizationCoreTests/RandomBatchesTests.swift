import LinearAlgebra
import OptimizationCore
import Testing

@Suite struct RandomBatchesTests {
    private let sets = [SampleSet(name: "a", count: 5), SampleSet(name: "b", count: 3), SampleSet(name: "c", count: 2)]

    private func batches(seed: Int = 0) throws -> RandomBatches {
        try RandomBatches(RandomBatchSettings(size: 2, sizes: [SampleSet(name: "b", count: 1)], seed: seed), of: sets)
    }

    /// Each of the ten pairs of five samples, and each pair of draws of the two sets, comes as often as any other.
    @Test func everyBatchIsAsLikelyAsAnyOther() throws {
        var draws = try batches()
        var counts: [[[Int]]: Int] = [:]
        let n = 30_000
        for _ in 0..<n {
            let batch = draws.draw()
            #expect(batch.indices[2] == [0, 1])
            #expect(batch.indices[0].count == 2 && batch.indices[0][0] < batch.indices[0][1] && batch.indices[1].count == 1)
            counts[batch.indices, default: 0] += 1
        }
        #expect(counts.count == 30)
        // Binomial counts, five deviations.
        let p = 1.0 / 30
        for (batch, count) in counts {
            #expect(abs(Double(count) - p * Double(n)) < 5 * (p * (1 - p) * Double(n)).squareRoot(), "\(batch): \(count)")
        }
    }

    /// A batch is independent of the one before: each ordered pair of draws comes as often as any other.
    @Test func drawsAreIndependent() throws {
        var draws = try RandomBatches(RandomBatchSettings(size: 1), of: [SampleSet(name: "a", count: 3)])
        var counts = Array(repeating: 0, count: 9)
        var last = draws.draw().indices[0][0]
        let n = 18_000
        for _ in 0..<n {
            let next = draws.draw().indices[0][0]
            counts[3 * last + next] += 1
            last = next
        }
        for count in counts { #expect(abs(count - 2_000) < 5 * 42) }
    }

    @Test func aStoredStreamGoesOn() throws {
        var draws = try batches(seed: 3)
        for _ in 0..<7 { _ = draws.draw() }
        var restored = try Archive(of: draws).decoded(as: RandomBatches.self)
        #expect(restored == draws)
        for _ in 0..<20 { #expect(restored.draw() == draws.draw()) }
        var other = try batches(seed: 4)
        #expect((0..<20).map { _ in other.draw() } != (0..<20).map { _ in draws.draw() })
    }

    @Test func sizesAreWhatWasAsked() throws {
        let draws = try batches()
        #expect(draws.sizes == [2, 1, 2])
        #expect(draws.fraction == 0.5 && draws.perEpoch == 3)
        let revised = try draws.revised(RandomBatchSettings(size: 4), of: [SampleSet(name: "a", count: 8)])
        #expect(revised.sizes == [4] && revised.stream == draws.stream)
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let error = #expect(throws: ConfigurationError.self) {
            try RandomBatches(RandomBatchSettings(size: 2, sizes: [SampleSet(name: "aa", count: 1)]), of: sets)
        }
        #expect(error?.description.contains("batch.sizes.aa") == true && error?.description.contains("it has: a") == true)
        #expect(throws: ConfigurationError.self) { try RandomBatches(RandomBatchSettings(), of: [SampleSet(name: "a", count: 0)]) }
        var archive = Archive(of: try batches())
        archive.set("sizes", [6, 1, 2])
        #expect(throws: ArchiveError.self) { try RandomBatches(from: archive) }
    }
}
