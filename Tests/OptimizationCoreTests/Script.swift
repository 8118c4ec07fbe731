import LinearAlgebra
import OptimizationCore

/// A problem whose values at θ = (k) are read from a script: to drive rules and callbacks by hand.
struct Script: DifferentiableProblem, MonitoredProblem, ReferencedProblem {
    /// L, ‖∇L‖, the monitor loss and the reference error after k steps; the last value holds on.
    var losses: [Double] = [1]
    var gradients: [Double] = [1]
    var monitors: [Double]?
    var errors: [Double]?

    var name: String { "script" }
    var identity: Setting { .map([.init("name", .scalar(name))]) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([0]) }

    private func line(_ values: [Double], _ θ: Vector) -> Double { values[min(Int(θ[0]), values.count - 1)] }
    func loss(at θ: Vector) -> LossValue { LossValue(line(losses, θ)) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: [line(gradients, θ)]) }
    func monitorLoss(at θ: Vector) -> Double? { monitors.map { line($0, θ) } }
    func referenceError(at θ: Vector) -> Double? { errors.map { line($0, θ) } }
}

/// Takes θ to θ + 1 and reports what it finds; breaks down or becomes stationary at chosen steps.
struct Reader: Optimizer {
    /// Steps, counted from 1, at which the method breaks down or is stationary.
    var breaksAt: Int?
    var stationaryAt: Int?

    struct State: OptimizerState {
        var parameters: Parameters
        var step = 0

        init(parameters: Parameters) { self.parameters = parameters }
        func encode(into archive: inout Archive) {
            archive.set("parameters", parameters)
            archive.set("step", step)
        }
        init(from archive: Archive) throws {
            parameters = try archive.value("parameters")
            step = try archive.integer("step")
        }
    }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> State { State(parameters: parameters) }

    func step(_ state: inout State, on problem: any DifferentiableProblem) throws -> StepReport {
        let candidate = state.parameters.values.adding([1])
        let value = try problem.lossAndGradient(at: candidate)
        if state.step + 1 == breaksAt {
            return StepReport(loss: value.loss, verdict: .brokeDown(Breakdown(.lineSearch, "as the script says")))
        }
        state.step += 1
        if state.step == stationaryAt { return StepReport(loss: value.loss, gradientNorm: 0, verdict: .stationary) }
        state.parameters.values = candidate
        return StepReport(loss: value.loss, gradientNorm: value.gradient.norm)
    }
}

/// ½‖θ − c‖², whose centre c revisions move; it says how often an optimizer was brought to a new version.
struct Moving: LeastSquaresProblem, TwiceDifferentiableProblem, RevisableProblem, Equatable {
    var centre: Vector = [1, 2]
    var version = 0

    struct Move: Revision {
        var to: Vector
        var summary: String { "moves to \(to.elements)" }
    }

    var name: String { "moving" }
    var identity: Setting { .map([.init("name", .scalar(name))]) }
    var layout: ParameterLayout { ParameterLayout(count: 2) }
    var residualCount: Int { 2 }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(random.normalVector(2)) }

    func residual(at θ: Vector) -> Vector { θ - centre }
    func loss(at θ: Vector) -> LossValue { LossValue(0.5 * residual(at: θ).dot(residual(at: θ))) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: residual(at: θ)) }
    func linearization(at θ: Vector) -> any Linearization { Identity(residual: residual(at: θ)) }
    func hessian(at θ: Vector) -> any HessianOperator { Identity(residual: θ) }

    struct UnknownRevision: Error {}

    func revised(by revision: any Revision) throws -> Moving {
        guard let move = revision as? Move else { throw UnknownRevision() }
        return Moving(centre: move.to, version: version + 1)
    }
    func encodeRevisions(into archive: inout Archive) {
        archive.set("centre", centre)
        archive.set("version", version)
    }
    func restoringRevisions(from archive: Archive) throws -> Moving {
        Moving(centre: try archive.vector("centre"), version: try archive.integer("version"))
    }

    struct Identity: Linearization, HessianOperator {
        let residual: Vector
        var residualCount: Int { residual.count }
        var parameterCount: Int { residual.count }
        func product(_ v: Vector) -> Vector { v }
        func transposedProduct(_ w: Vector) -> Vector { w }
        func jacobian(rows: Range<Int>) -> Matrix { Matrix(rows: rows.map { $0 == 0 ? [1, 0] : [0, 1] }) }
    }
}

extension Archive {
    /// The snapshot without its clock's readings.
    var withoutClock: Archive {
        var copy = Archive()
        for entry in entries where !entry.name.hasPrefix("seconds") {
            guard case .group(let group) = entry.content else {
                copy.set(entry)
                continue
            }
            copy.set(entry.name, group.withoutClock)
        }
        return copy
    }
}
