import Classification
import LinearAlgebra
import OptimizationCore
import QuasiNewton
import StochasticGradient
import Testing

@Suite struct StochasticTrainingTests {
    private static let settings = SyntheticLogisticRegression(
        samples: 1_000, regularization: 1e-2, classes: TwoGaussians(features: 10, conditionNumber: 10))

    /// (L(θ) − L*) / (L(θ₀) − L*) after 40 epochs of Adam on batches of 50.
    private func gap(_ schedule: any Schedule, _ problem: LogisticRegression, minimum: Double) throws -> Double {
        let result = try Pipeline(minimizing: problem) {
            Stage("train", Batched(Adam(learningRate: 0.03, schedule: schedule), size: 50), until: .iterations(800))
        }.start()
        #expect(result.stages[0].work.calls(.gradient) == 801)
        // 20 equal batches an epoch, and the first one once more at the start.
        #expect(abs(result.stages[0].work[.gradient] - 801 / 20) < 1e-9)
        let start = problem.loss(at: .zeros(11)).total
        return (problem.loss(at: result.parameters.values).total - minimum) / (start - minimum)
    }

    @Test func adamOnBatchesNearsTheMinimumAsItsRateDecays() throws {
        let problem = try Self.settings.problem(seed: 5)
        let minimum = newton(problem.samples, λ: problem.regularization).minimum
        let (constant, decaying) = (
            try gap(Constant(), problem, minimum: minimum), try gap(CosineDecay(steps: 800), problem, minimum: minimum)
        )
        // At a constant rate Adam wanders in the batches' noise; a decaying rate ends below it by orders of magnitude.
        #expect(decaying >= 0 && decaying < 1e-4, "gap \(decaying)")
        #expect(decaying < constant / 10, "gaps \(decaying) and \(constant)")
    }

    @Test func resumedInTheMiddleOfAnEpochEqualsUninterrupted() throws {
        var settings = Self.settings
        settings.heldOut = 200
        var pipeline = Pipeline(minimizing: try settings.problem(seed: 5)) {
            Stage("train", Batched(Clipped(Adam(learningRate: 0.03), norm: 0.1), size: 64, holding: 2), until: .iterations(90))
            Stage("descend", Batched(LBFGS(memory: 5), size: 500, holding: 10), until: .iterations(40))
            Stage("finish", LBFGS(memory: 10), until: .gradientNorm(below: 1e-6) || .iterations(50))
        }
        pipeline.monitorCadence = 9
        let expected = try pipeline.start(seed: 1)
        let last = try #require(expected.stages.last)
        guard case .converged = last.outcome else {
            Issue.record("ended with \(last.outcome)")
            return
        }
        for cut in [1, 7, 33, 90, 97, 131, 140] {
            let first = try pipeline.begin(seed: 1)
            for _ in 0..<cut { try first.advance() }
            let result = try pipeline.restore(from: first.snapshot()).finish()
            #expect(result.parameters == expected.parameters)
            #expect(result.best == expected.best)
            #expect(result.work == expected.work)
            #expect(result.stages.map(\.loss) == expected.stages.map(\.loss))
            #expect(result.stages.map(\.iterations) == expected.stages.map(\.iterations))
        }
    }

    @Test func theBestPointIsByTheHeldOutLoss() throws {
        var settings = Self.settings
        settings.heldOut = 200
        let problem = try settings.problem(seed: 5)
        let best = try #require(
            try Pipeline(minimizing: problem) {
                Stage("train", Batched(Adam(learningRate: 0.03), size: 50), until: .iterations(250))
            }.start().best)
        #expect(best.value == problem.monitorLoss(at: best.parameters.values))
        #expect(best.totalIteration == 1 || best.totalIteration == 250 || best.totalIteration % 100 == 0)
    }

    @Test func byNameItIsTheSameRun() throws {
        var registry = Registry()
        try registry.install(StochasticGradientPlugin.self)
        let written = Setting.map([
            .init("name", .scalar("adam")), .init("learningRate", .number(0.03)), .init("clipNorm", .number(0.5)),
            .init("batch", .map([.init("size", .integer(50))])),
        ])
        let problem = try Self.settings.problem(seed: 5)
        func stage<O: Optimizer>(_ optimizer: O) -> Stage<LogisticRegression> {
            Stage(dynamic: "train", optimizer, until: .iterations(50))
        }
        let named = Pipeline(minimizing: problem, stages: [stage(try registry.optimizer(written))])
        let typed = Pipeline(minimizing: problem) {
            Stage("train", Batched(Clipped(Adam(learningRate: 0.03), norm: 0.5), size: 50), until: .iterations(50))
        }
        #expect(named.stages[0].optimizer == typed.stages[0].optimizer)
        #expect(try named.start().parameters == (try typed.start()).parameters)
    }
}
