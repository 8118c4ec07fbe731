import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import RunControl
import StochasticGradient
import Testing

@Suite struct EarlyStopTests {
    /// The loss of ½x² on held-out samples with another minimum, at x = 1: training on from there overfits.
    struct Overfitting: DifferentiableProblem, MonitoredProblem {
        var name: String { "overfitting" }
        var identity: Setting { .scalar(name) }
        var layout: ParameterLayout { ParameterLayout(count: 1) }
        func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([3]) }
        func loss(at θ: Vector) -> LossValue { LossValue(0.5 * θ[0] * θ[0]) }
        func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: θ) }
        func monitorLoss(at θ: Vector) -> Double? { (θ[0] - 1) * (θ[0] - 1) }
    }

    private let pipeline = Pipeline(minimizing: Overfitting()) {
        Stage("descend", Adam(learningRate: 0.01), until: .iterations(2000))
    }

    @Test func stopsSoonAfterTheHeldOutLossRises() throws {
        let result = try pipeline.start(callbacks: [EarlyStop(every: 10, patience: 3)])
        guard case .stopped(let reason) = result.outcome else {
            Issue.record("ended with \(result.outcome)")
            return
        }
        #expect(reason.contains("monitorLoss"))
        let x = result.parameters.values[0]
        #expect(x < 1 && x > 0.5, "stopped at \(x), three measurements past the minimum at 1")
        #expect(try pipeline.start().parameters.values[0] < 0.1, "without the callback training goes on")
    }

    @Test func itsCountSurvivesAResume() throws {
        let callback = EarlyStop(every: 10, patience: 3)
        let whole = try pipeline.start(callbacks: [callback])
        let first = try pipeline.begin(callbacks: [callback])
        for _ in 0..<(whole.iterations - 15) { try first.advance() }
        let resumed = try pipeline.resume(from: first.snapshot(), callbacks: [callback])
        #expect(resumed.iterations == whole.iterations)
        #expect(resumed.parameters == whole.parameters)
    }

    @Test func settingsAreChecked() {
        #expect(throws: ConfigurationError.self) { try EarlyStop(.map([.init("patience", .integer(0))]), path: "callbacks.0") }
        #expect(throws: ConfigurationError.self) { try EarlyStop(.map([.init("quantity", .scalar("loss"))]), path: "callbacks.0") }
    }
}

extension EarlyStop {
    fileprivate init(every cadence: Int, patience: Int) { self.init(.monitorLoss, every: cadence, patience: patience) }
}
