import Classification
import LinearAlgebra
import OptimizationCore
import Testing
import VarianceReduction

/// What the estimates are, over all batches that may be drawn.
@Suite struct EstimateTests {
    private let batch = RandomBatchSettings(size: 2)

    /// A state after some steps, so that what is remembered lies elsewhere than θ.
    private func state<M: VarianceReducedMethod>(_ method: M, _ problem: Sampled, steps: Int = 9) throws -> M.State {
        var random = RandomStream(seed: 2, name: "start")
        let start = Parameters(layout: problem.layout, values: random.normalVector(problem.layout.count))
        var state = try method.start(on: problem, from: start)
        for _ in 0..<steps { _ = try method.step(&state, on: problem) }
        return state
    }

    private func isUnbiased<M: VarianceReducedMethod>(
        _ method: M, on problem: Sampled, batches: Int, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let state = try state(method, problem)
        var random = RandomStream(seed: 3, name: "elsewhere")
        let θ = state.parameters.values + 0.5 * random.normalVector(problem.layout.count)
        let (mean, variance) = moments(try estimates(of: method, at: θ, after: state, on: problem, batches: batches))
        let gradient = try problem.lossAndGradient(at: θ).gradient
        #expect((mean - gradient).norm < 1e-14 * Double(batches) * (1 + gradient.norm), sourceLocation: sourceLocation)
        // There is something to average over.
        #expect(variance > 1e-6, sourceLocation: sourceLocation)
    }

    /// E v = ∇L over the 21 pairs of seven samples.
    @Test func svrgIsUnbiased() throws {
        let problem = try regression()
        try isUnbiased(SVRG(learningRate: 0.2, snapshotEvery: 20, batch: batch), on: problem, batches: 21)
        try isUnbiased(LooplessSVRG(learningRate: 0.2, snapshotEvery: 1e6, batch: batch), on: problem, batches: 21)
        // With p = 1 the place of reference is the last point, at each step.
        try isUnbiased(LooplessSVRG(learningRate: 0.2, snapshotEvery: 1e-9, batch: batch), on: problem, batches: 21)
    }

    @Test func sagaIsUnbiased() throws {
        let problem = try regression()
        try isUnbiased(SAGA(learningRate: 0.2, batch: batch), on: problem, batches: 21)
        // Four batches, of one and of two samples.
        try isUnbiased(SAGA(learningRate: 0.2, table: .batches, batch: batch), on: problem, batches: 4)
    }

    /// With sets of different sizes, one of them taken whole: every pair of draws.
    @Test func severalSetsAreDrawnApart() throws {
        let sizes = RandomBatchSettings(size: 2, sizes: [SampleSet(name: "set1", count: 1)])
        try isUnbiased(SVRG(learningRate: 0.2, snapshotEvery: 20, batch: sizes), on: WeightedClouds([5, 3, 2]), batches: 30)
        // Three batches of two and of one, and a set that is in all of them.
        try isUnbiased(SAGA(learningRate: 0.2, batch: sizes), on: WeightedClouds([6, 3, 2]), batches: 3)
    }

    /// E vₜ − vₜ₋₁ = ∇L(θₜ) − ∇L(θₜ₋₁).
    @Test func sarahFollowsTheGradientInTheMean() throws {
        let problem = try regression()
        let method = SARAH(learningRate: 0.1, snapshotEvery: 20, restartRatio: 0, batch: batch)
        let state = try state(method, problem)
        let old = state.parameters.values
        let θ = old.adding(state.direction, scaledBy: -0.7)
        let (mean, variance) = moments(try estimates(of: method, at: θ, after: state, on: problem, batches: 21))
        let expected = problem.lossAndGradient(at: θ).gradient - problem.lossAndGradient(at: old).gradient + state.direction
        #expect((mean - expected).norm < 1e-13)
        #expect(variance > 1e-6)
        #expect((mean - problem.lossAndGradient(at: θ).gradient).norm > 1e-3, "it is biased")
    }

    /// E‖v − ∇L‖² at the end of a run is nothing beside that of a batch's own gradient there, which is what SGD steps along.
    @Test func theVarianceVanishesAtTheSolution() throws {
        let problem = try regression()
        let solution = try minimiser(of: problem)
        func variance<M: VarianceReducedMethod>(_ method: M, batches: Int) throws -> Double {
            let state = try state(method, problem, steps: 1_500)
            #expect((state.parameters.values - solution).norm < 1e-9, "\(M.identifier)")
            return moments(try estimates(of: method, at: state.parameters.values, after: state, on: problem, batches: batches)).variance
        }
        var plain: [GradientEstimate] = []
        for i in 0..<7 {
            for j in (i + 1)..<7 {
                let value = try problem.restricted(to: Batch([[i, j]])).lossAndGradient(at: solution)
                plain.append(GradientEstimate(value.gradient, loss: value.loss, gradientNorm: nil, fraction: 2 / 7))
            }
        }
        let noise = moments(plain).variance
        #expect(noise > 1e-2)
        let η = 0.3
        for left in [
            try variance(SVRG(learningRate: η, batch: batch), batches: 21),
            try variance(LooplessSVRG(learningRate: η, batch: batch), batches: 21),
            try variance(SARAH(learningRate: η, restartRatio: 0, batch: batch), batches: 21),
            try variance(SAGA(learningRate: η, batch: batch), batches: 21),
            try variance(SAGA(learningRate: η, table: .batches, batch: batch), batches: 4),
        ] { #expect(left < 1e-16 * noise, "\(left)") }
    }

    // MARK: As the papers write them

    /// SVRG's two loops, written out with its own draws.
    @Test func svrgIsThePapersTwoLoops() throws {
        let problem = try regression(samples: 12)
        let (η, m) = (0.3, 6)
        var θ = Vector([0.5, -1, 2, 0.1])
        var draws = try RandomBatches(batch, of: problem.sampleSets)
        var state = try SVRG(learningRate: η, snapshotEvery: 1, batch: batch).start(
            on: problem, from: Parameters(layout: problem.layout, values: θ))
        for _ in 0..<5 {
            let (snapshot, μ) = (θ, problem.lossAndGradient(at: θ).gradient)
            for t in 0..<m {
                // The first step of a loop has v = μ whatever is drawn.
                var v = μ
                if t > 0 {
                    let view = try problem.restricted(to: draws.draw())
                    v = view.lossAndGradient(at: θ).gradient - view.lossAndGradient(at: snapshot).gradient + μ
                }
                θ = θ.adding(v, scaledBy: -η)
                let report = try SVRG(learningRate: η, snapshotEvery: 1, batch: batch).step(&state, on: problem)
                #expect((state.parameters.values - θ).norm < 1e-12)
                #expect(report.coversAllSamples == (t == m - 1))
            }
        }
    }

    /// SAGA with every sample's gradient kept whole, beside the table of factors.
    @Test func factorsAreTheTableOfAllGradients() throws {
        let problem = try regression(samples: 12)
        let (η, n) = (0.3, 12)
        let method = SAGA(learningRate: η, batch: batch)
        let start = Vector([0.5, -1, 2, 0.1])
        var draws = try RandomBatches(batch, of: problem.sampleSets)
        var state = try method.start(on: problem, from: Parameters(layout: problem.layout, values: start))
        #expect(state.memory.table.rows == 1 && state.memory.table.columns == n)
        // Without the penalty, which is the same for all.
        func gradient(_ i: Int, _ θ: Vector) throws -> Vector {
            let one = try problem.restricted(to: Batch([[i]]))
            return one.lossAndGradient(at: θ).gradient - penalty(θ)
        }
        func penalty(_ θ: Vector) -> Vector { Vector(θ.indices.map { $0 < 3 ? problem.regularization * θ[$0] : 0 }) }
        var table = try (0..<n).map { try gradient($0, start) }
        var θ = start
        var v = problem.lossAndGradient(at: θ).gradient
        for _ in 0..<60 {
            θ = θ.adding(v, scaledBy: -η)
            let drawn = draws.draw().indices[0]
            v = table.reduce(penalty(θ)) { $0.adding($1, scaledBy: 1 / Double(n)) }
            for i in drawn {
                let new = try gradient(i, θ)
                v.add(new - table[i], scaledBy: 1 / Double(drawn.count))
                table[i] = new
            }
            _ = try method.step(&state, on: problem)
            #expect((state.parameters.values - θ).norm < 1e-12)
        }
    }

    /// Where a batch is everything, every method is gradient descent.
    @Test func onWholeBatchesTheyAreGradientDescent() throws {
        let (problem, whole) = (try regression(), RandomBatchSettings(size: 100))
        let start = Vector([0.5, -1, 2, 0.1])
        var θ = start
        for _ in 0..<20 { θ = θ.adding(problem.lossAndGradient(at: θ).gradient, scaledBy: -0.2) }
        func check<M: VarianceReducedMethod>(_ method: M) throws {
            var state = try method.start(on: problem, from: Parameters(layout: problem.layout, values: start))
            for _ in 0..<20 { #expect(try method.step(&state, on: problem).coversAllSamples) }
            #expect((state.parameters.values - θ).norm < 1e-12, "\(M.identifier)")
        }
        try check(SVRG(learningRate: 0.2, snapshotEvery: 7, batch: whole))
        try check(LooplessSVRG(learningRate: 0.2, snapshotEvery: 3, batch: whole))
        try check(SARAH(learningRate: 0.2, snapshotEvery: 7, batch: whole))
        try check(SAGA(learningRate: 0.2, batch: whole))
        try check(SAGA(learningRate: 0.2, table: .batches, batch: whole))
    }
}
