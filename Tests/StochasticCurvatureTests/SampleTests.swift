import Globalization
import LinearAlgebra
import OptimizationCore
import StochasticCurvature
import Testing

@Suite struct SampleDrawTests {
    private let sets = [SampleSet(name: "a", count: 50), SampleSet(name: "b", count: 3)]

    private func draw(_ size: Int, groups: Int = 1, seed: Int = 0, stream: String = "s") throws -> SampleDraw {
        try SampleDraw(BatchSettings(size: size, seed: seed), of: sets, stream: stream, path: "batch", groups: groups)
    }

    @Test func samplesAreDrawnWithoutReplacementAndApart() throws {
        var sample = try draw(20)
        var seen: [[Int]] = []
        for _ in 0..<5 {
            let batch = sample.batch
            #expect(batch.indices[0].count == 20 && Set(batch.indices[0]).count == 20)
            #expect(batch.indices[0].allSatisfy((0..<50).contains) && batch.indices[1] == [0, 1, 2])
            seen.append(batch.indices[0])
            sample.leave()
        }
        #expect(Set(seen).count == 5)
        // Other seeds and other streams draw other samples; the same ones the same.
        #expect(try draw(20, seed: 1).batch != draw(20).batch && draw(20, stream: "t").batch != draw(20).batch)
        #expect(try draw(20).batch.indices[0] == seen[0])
        #expect(try draw(20).fraction == 23.0 / 53 && draw(20).openFraction == 20.0 / 50 && !draw(20).isWhole)
    }

    /// Each sample is as likely as another: of 4 000 draws of 5 of 50 each is in 400 ± 5√360.
    @Test func everySampleIsAsLikely() throws {
        var (sample, counts) = (try draw(5), Array(repeating: 0, count: 50))
        for _ in 0..<4_000 {
            for i in sample.batch.indices[0] { counts[i] += 1 }
            sample.leave()
        }
        #expect(counts.allSatisfy { abs(Double($0) - 400) <= 5 * 360.0.squareRoot() }, "\(counts)")
    }

    @Test func aLargerSampleBeginsWithTheSmallerOne() throws {
        #expect(try Array(draw(40).batch.indices[0].prefix(12)) == draw(12).batch.indices[0])
    }

    @Test func theWholeIsInOrder() throws {
        var sample = try draw(60)
        #expect(sample.isWhole && sample.fraction == 1 && sample.openFraction == 1)
        #expect(sample.batch.indices == [Array(0..<50), [0, 1, 2]])
        let moved = sample.step(holding: 1)
        #expect(!moved)
    }

    @Test func sizesAreMultiplesOfTheGroupsAndGrowFromTheNextSampleOn() throws {
        var sample = try draw(10, groups: 4)
        #expect(sample.sizes == [12, 3])
        sample.grow(by: 1.5, groups: 4)
        #expect(sample.sizes == [12, 3] && sample.nextSizes == [20, 3])
        var moved = sample.step(holding: 2)
        #expect(!moved && sample.age == 1)
        moved = sample.step(holding: 2)
        #expect(moved && sample.sizes == [20, 3] && sample.number == 1 && sample.age == 0)
        sample.grow(by: 1e300, groups: 4)
        sample.leave()
        #expect(sample.sizes == [50, 3] && sample.isWhole)
    }

    @Test func storedItGoesOnAlike() throws {
        var sample = try draw(7, groups: 2, seed: 5)
        for _ in 0..<3 { _ = sample.step(holding: 2) }
        sample.grow(by: 2, groups: 2)
        var restored: SampleDraw = try Archive(of: sample).decoded()
        #expect(restored == sample)
        for _ in 0..<4 {
            _ = (sample.step(holding: 1), restored.step(holding: 1))
            #expect(restored.batch == sample.batch)
        }
        var damaged = Archive(of: sample)
        damaged.set("sizes", [51, 3])
        #expect(throws: ArchiveError.self) { try damaged.decoded(as: SampleDraw.self) }
    }

    @Test func aSizeForASetThatIsNotThereIsRefusedInItsPlace() throws {
        let settings = BatchSettings(size: 2, sizes: [SampleSet(name: "c", count: 2)])
        let error = #expect(throws: ConfigurationError.self) {
            try SampleDraw(settings, of: sets, stream: "s", path: "curvatureBatch")
        }
        #expect(error?.path == "curvatureBatch.sizes.c" && error?.reason.contains("a, b") == true)
    }

    @Test func aRevisionOfTheSetsKeepsTheSizeReached() throws {
        var sample = try draw(10)
        sample.grow(by: 2, groups: 1)
        sample.leave()
        let settings = BatchSettings(size: 10)
        #expect(try sample.revised(settings, of: sets, path: "batch") == sample)
        let grown = try sample.revised(settings, of: [SampleSet(name: "a", count: 70), sets[1]], path: "batch")
        #expect(grown.sizes == [20, 3] && grown.number == 2)
        let shrunk = try sample.revised(settings, of: [SampleSet(name: "a", count: 15), sets[1]], path: "batch")
        #expect(shrunk.sizes == [15, 3] && shrunk.isWhole)
    }
}

@Suite struct SampleSizeTests {
    /// Over all ordered samples of 4 of 6 the estimate's mean is the variance of the samples' gradients, exactly.
    @Test(arguments: [2, 4]) func theVarianceIsUnbiased(groups: Int) throws {
        let problem = Bowls.random(6, dimension: 3, uneven: true)
        let θ: Vector = [0.3, -1, 2]
        let gradients = (0..<6).map { problem.gradient($0, at: θ) }
        let whole = problem.lossAndGradient(at: θ).gradient
        var (estimates, variance, count) = (0.0, 0.0, 0.0)
        func visit(_ chosen: [Int]) {
            guard chosen.count == 4 else {
                for i in 0..<6 where !chosen.contains(i) { visit(chosen + [i]) }
                return
            }
            let size = 4 / groups
            let parts = (0..<groups).map { part in
                (1 / Double(size)) * chosen[(part * size)..<((part + 1) * size)].reduce(Vector.zeros(3)) { $0 + gradients[$1] }
            }
            let mean = 0.25 * chosen.reduce(Vector.zeros(3)) { $0 + gradients[$1] }
            estimates += (1 - 4.0 / 6) * scatter(parts, about: mean)
            variance += (mean - whole).dot(mean - whole)
            count += 1
        }
        visit([])
        #expect(count == 360)
        #expect(abs(estimates - variance) <= 1e-12 * variance, "\(estimates / count), not \(variance / count)")
    }

    /// With groups of one sample each: m′ = S²/(θ²‖g‖² + S²/n), by the samples' own variance.
    @Test func theNormTestsSizeIsItsFormula() throws {
        let (n, m, θ²) = (400.0, 20, 0.25)
        let problem = Bowls.random(Int(n), dimension: 5)
        let rule = NormTest(tolerance: 0.5, groups: m, maximumGrowth: 1e6)
        let sampling = Sampling(BatchSettings(size: m), rule, stream: "test")
        var grew = 0
        for scale in [3.0, 0.3, 0.1, 0.03, 0.01] {
            let parameters = Parameters(Vector(repeating: scale, count: 5))
            let point = try sampling.start(on: problem, from: parameters)
            let sample = point.sample.batch.indices[0].map { problem.gradient($0, at: parameters.values) }
            let mean = (1 / Double(m)) * sample.reduce(Vector.zeros(5), +)
            let spread = sample.reduce(0) { $0 + ($1 - mean).dot($1 - mean) } / Double(m - 1)
            #expect(abs(point.variance - spread / Double(m) * (1 - Double(m) / n)) <= 1e-12 * point.variance)
            let wished = spread / (θ² * mean.dot(mean) + spread / n)
            let expected = wished <= Double(m) ? m : Int(min((wished / Double(m)).rounded(.up) * Double(m), n))
            // Rounded up to a multiple of the groups.
            #expect(point.sample.nextSizes == [expected], "\(scale): \(point.sample.nextSizes), not \(wished)")
            #expect((point.standpoint.gradient - mean).norm <= 1e-14 * mean.norm)
            if expected > m { grew += 1 }
        }
        #expect(grew >= 2 && grew <= 4, "the test should not always say the same")
    }

    @Test func theInnerProductTestsSizeIsItsFormula() {
        var random = RandomStream(seed: 3, name: "gradients")
        let gradients = (0..<8).map { _ in random.normalVector(4) + [1, 0, 0, 0] }
        let mean = 0.125 * gradients.reduce(Vector.zeros(4), +)
        let (square, f, pairs) = (mean.dot(mean), 0.2, 56.0)
        let T1 = gradients.reduce(0) { $0 + ($1.dot(mean) - square) * ($1.dot(mean) - square) } / pairs
        let T2 = gradients.reduce(0) { sum, g in
            let across = g - (g.dot(mean) / square) * mean
            return sum + across.dot(across)
        }
        func growth(_ θ: Double, _ ν: Double) -> Double {
            InnerProductTest(tolerance: θ, orthogonality: ν, debiased: false, maximumGrowth: 1e9)
                .growth(gradients: gradients, mean: mean, fraction: f)
        }
        func expected(_ T: Double, _ allowed: Double) -> Double { max(1, T / (allowed + f * T)) }
        #expect(abs(growth(0.1, 1e9) - expected(T1, 0.01 * square * square)) <= 1e-12 * growth(0.1, 1e9))
        #expect(abs(growth(1e9, 0.1) - expected(T2 / pairs, 0.01 * square)) <= 1e-12 * growth(1e9, 0.1))
        #expect(growth(0.1, 1e9) > 1.5 && growth(1e9, 0.1) > 1.5 && growth(1e9, 1e9) == 1)
        let signal = square - (1 - f) * scatter(gradients, about: mean)
        let debiased = InnerProductTest(tolerance: 0.1, orthogonality: 1e9, maximumGrowth: 1e9)
            .growth(gradients: gradients, mean: mean, fraction: f)
        #expect(signal > 0 && abs(debiased - expected(T1, 0.01 * signal * signal)) <= 1e-12 * debiased)
        #expect(NormTest(tolerance: 1e-9, maximumGrowth: 3).growth(gradients: gradients, mean: mean, fraction: f) == 3)
        #expect(NormTest(tolerance: 1e-9).growth(gradients: gradients, mean: .zeros(4), fraction: 0.25) == 4)
    }

    @Test func aFixedSizeMeasuresNothingAndTheWholeNeedsNoTest() throws {
        let problem = Counted(Bowls.random(40, dimension: 2))
        _ = try Sampling(BatchSettings(size: 10), stream: "test").start(on: problem, from: Parameters([1, 1]))
        #expect(problem.counter.counts.calls(.gradient) == 1)
        let point = try Sampling(BatchSettings(size: 16), NormTest(tolerance: 1, groups: 8), stream: "test")
            .start(on: problem, from: Parameters([1, 1]))
        #expect(problem.counter.counts.calls(.gradient) == 9 && abs(problem.counter.counts[.gradient] - 26.0 / 40) < 1e-12)
        #expect(point.variance > 0)
        let whole = try Sampling(BatchSettings(size: 40), NormTest(tolerance: 1, groups: 8), stream: "test")
            .start(on: problem, from: Parameters([1, 1]))
        #expect(problem.counter.counts.calls(.gradient) == 10 && whole.variance == 0)
    }

    /// Every set whose samples are all taken is in every part, so that the parts' gradients have the sample's as their mean.
    @Test func partsOfSeveralSetsHaveTheSamplesGradientAsTheirMean() throws {
        let sets = [SampleSet(name: "a", count: 30), SampleSet(name: "b", count: 2), SampleSet(name: "c", count: 9)]
        let sample = try SampleDraw(
            BatchSettings(size: 8, sizes: [SampleSet(name: "c", count: 3)]), of: sets, stream: "s", path: "batch", groups: 4)
        #expect(sample.sizes == [8, 2, 4])
        let parts = sample.parts([1, 1, 1, 1])
        #expect(parts.map { $0.indices.map(\.count) } == Array(repeating: [2, 2, 1], count: 4))
        #expect(parts.flatMap { $0.indices[0] } == sample.batch.indices[0] && parts.flatMap { $0.indices[2] } == sample.batch.indices[2])
    }
}
