import LinearAlgebra
import OptimizationCore
import Testing

/// ½‖A(x − a)‖² with A = diag(1, 10): an analytic problem to drive the core by hand.
struct Bowl: LeastSquaresProblem {
    var name: String { "bowl" }
    var identity: Setting { .map([.init("name", .scalar(name))]) }
    var layout: ParameterLayout { ParameterLayout(count: 2) }
    var residualCount: Int { 2 }

    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([4, -3]) }
    func residual(at θ: Vector) -> Vector { [θ[0] - 1, 10 * (θ[1] - 2)] }
    func loss(at θ: Vector) -> LossValue {
        let r = residual(at: θ)
        return LossValue(0.5 * r.dot(r))
    }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        let r = residual(at: θ)
        return Evaluation(loss: loss(at: θ), gradient: [r[0], 10 * r[1]])
    }
    func linearization(at θ: Vector) -> any Linearization { BowlLinearization(residual: residual(at: θ)) }
}

struct BowlLinearization: Linearization {
    let residual: Vector
    var residualCount: Int { 2 }
    var parameterCount: Int { 2 }
    func product(_ v: Vector) -> Vector { [v[0], 10 * v[1]] }
    func transposedProduct(_ w: Vector) -> Vector { product(w) }
    func jacobian(rows: Range<Int>) -> Matrix {
        Matrix(rows: rows.map { $0 == 0 ? [1, 0] : [0, 10] })
    }
}

/// Gradient descent with a fixed step length.
struct Descent: Optimizer {
    var rate = 0.01

    struct State: OptimizerState, Equatable {
        var parameters: Parameters
        var gradient: Vector

        init(parameters: Parameters, gradient: Vector) { (self.parameters, self.gradient) = (parameters, gradient) }
        func encode(into archive: inout Archive) {
            archive.set("parameters", parameters)
            archive.set("gradient", gradient)
        }
        init(from archive: Archive) throws {
            self.init(parameters: try archive.value("parameters"), gradient: try archive.vector("gradient"))
        }
    }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> State {
        State(parameters: parameters, gradient: try problem.lossAndGradient(at: parameters.values).gradient)
    }

    func step(_ state: inout State, on problem: any DifferentiableProblem) throws -> StepReport {
        let candidate = state.parameters.values.adding(state.gradient, scaledBy: -rate)
        let value = try problem.lossAndGradient(at: candidate)
        guard value.isFinite else {
            return StepReport(loss: value.loss, verdict: .brokeDown(Breakdown(.nonFinite, "the loss is not finite")))
        }
        state = State(parameters: state.parameters.with(candidate), gradient: value.gradient)
        return StepReport(loss: value.loss, gradientNorm: value.gradient.norm, stepLength: rate)
    }
}

/// A Gauss–Newton step, to have an optimizer with another need.
struct Newton: Optimizer {
    func start(on problem: any LeastSquaresProblem, from parameters: Parameters) throws -> Descent.State {
        Descent.State(parameters: parameters, gradient: [])
    }

    func step(_ state: inout Descent.State, on problem: any LeastSquaresProblem) throws -> StepReport {
        let g = try problem.linearization(at: state.parameters.values).residual
        state.parameters.values = state.parameters.values - [g[0], g[1] / 10]
        return StepReport(loss: try problem.loss(at: state.parameters.values))
    }
}

@Suite struct PipelineTests {
    @Test func twoStagesReachTheMinimiser() throws {
        let pipeline = Pipeline(minimizing: Bowl()) {
            Stage("descend", Descent(), until: .iterations(20))
            Stage("finish", Newton(), until: .loss(below: 1e-20) || .iterations(5))
        }
        let result = try pipeline.start()
        #expect(result.stages.map(\.iterations) == [20, 1])
        #expect(result.parameters.values.elements == [1, 2])
        guard case .converged(let finding) = result.outcome else {
            Issue.record("ended with \(result.outcome)")
            return
        }
        #expect(finding.description.contains("≤"))
        #expect(result.stages[0].work[.gradient] == 21)
        #expect(result.stages[1].work[.linearization] == 1)
        #expect(result.best?.value == 0)
    }

    @Test func resumingGoesOnBitForBit() throws {
        let pipeline = Pipeline(minimizing: Bowl()) {
            Stage("descend", Descent(), until: .iterations(20))
            Stage("again", Descent(rate: 0.005), until: .stalled(over: 10, relativeDecrease: 1e-3) || .iterations(200))
        }
        let whole = try pipeline.begin(seed: 3)
        let expected = try whole.finish()
        for cut in [1, 19, 20, 21, 25, 60] {
            let first = try pipeline.begin(seed: 3)
            for _ in 0..<cut { try first.advance() }
            let resumed = try pipeline.restore(from: first.snapshot())
            let result = try resumed.finish()
            #expect(result.parameters == expected.parameters)
            #expect(result.work == expected.work)
            #expect(result.iterations == expected.iterations)
            #expect(result.outcome == expected.outcome)
            #expect(result.best == expected.best)
        }
    }

    @Test func resumeRefusesAnotherRunAndListsEveryDifference() throws {
        let one = Pipeline(minimizing: Bowl()) { Stage("descend", Descent(), until: .iterations(5)) }
        let other = Pipeline(minimizing: Bowl()) {
            Stage("fall", Descent(), until: .iterations(5))
            Stage("finish", Newton(), until: .iterations(5))
        }
        let run = try one.begin()
        _ = try run.finish()
        let error = #expect(throws: ResumeError.self) { try other.restore(from: run.snapshot()) }
        #expect(error?.differences.contains { $0.contains("stages.0.name") } == true)
        #expect(error?.differences.contains { $0.contains("stages.1.name") } == true)
    }
}
