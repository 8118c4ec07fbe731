import LinearAlgebra
import OptimizationCore

/// Steepest descent with halved and doubled steps: enough of a method for a callback to have a run to look at.
///
///     θ ← θ − α∇L(θ), α halved until the loss falls, then doubled for the next step.
///
/// Cost: a gradient a step and one more for each halving. No method to solve anything with.
struct PlainDescent: Optimizer {
    struct State: OptimizerState {
        var parameters: Parameters
        var value: Evaluation
        var α: Double

        init(parameters: Parameters, value: Evaluation, α: Double) { (self.parameters, self.value, self.α) = (parameters, value, α) }

        func encode(into archive: inout Archive) {
            archive.set("parameters", parameters)
            archive.set("loss", [value.loss.total] + value.loss.terms)
            archive.set("gradient", value.gradient)
            archive.set("stepLength", α)
        }

        init(from archive: Archive) throws {
            let loss = try archive.doubles("loss")
            guard let total = loss.first else { throw ArchiveError(entry: "loss", reason: "is empty") }
            self.init(
                parameters: try archive.value("parameters"),
                value: Evaluation(loss: LossValue(total: total, terms: Array(loss.dropFirst())), gradient: try archive.vector("gradient")),
                α: try archive.double("stepLength"))
        }
    }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> State {
        let value = try problem.lossAndGradient(at: parameters.values)
        return State(parameters: parameters, value: value, α: 1 / (1 + value.gradient.norm))
    }

    func step(_ state: inout State, on problem: any DifferentiableProblem) throws -> StepReport {
        var α = state.α
        for _ in 0..<60 {
            let candidate = state.parameters.values.adding(state.value.gradient, scaledBy: -α)
            let value = try problem.lossAndGradient(at: candidate)
            if value.isFinite, value.loss.total < state.value.loss.total {
                state = State(parameters: state.parameters.with(candidate), value: value, α: 2 * α)
                return StepReport(loss: value.loss, gradientNorm: value.gradient.norm, stepLength: α)
            }
            α /= 2
        }
        return StepReport(loss: state.value.loss, gradientNorm: state.value.gradient.norm, verdict: .stationary)
    }
}
