import Globalization
import LinearAlgebra
import OptimizationCore

/// What a Newton-like method with a line search holds beside where it stands.
protocol NewtonLikeState: OptimizerState {
    var standpoint: Standpoint { get set }
    /// Of this version of the problem.
    var history: SearchHistory { get set }
}

/// Where a Newton-like method stands, and what its forcing term remembers.
public struct NewtonState: NewtonLikeState, Equatable {
    public var standpoint: Standpoint
    public internal(set) var history = SearchHistory()
    /// Of the last step, where that followed an inner iteration.
    public internal(set) var forcing: ForcingMemory?

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("history", history)
        if let forcing { archive.set("forcing", forcing) }
    }

    public init(from archive: Archive) throws {
        (standpoint, history) = (try archive.value("standpoint"), try archive.value("history"))
        forcing = try archive.groupIfPresent("forcing")?.decoded()
    }
}

/// A Newton-like direction, whose natural step length is one.
struct NewtonDirection {
    var p: Vector
    /// r = g + B·p, where an inner iteration knows it.
    var residual: Vector?
    var iterations = 0
    var details: [StepReport.Detail] = []
}

/// What one step of a Newton-like method led to; `moved` where it was taken.
struct NewtonStep {
    var report: StepReport
    var moved: (step: DescentStep, direction: NewtonDirection)?
}

/// One step of every method here: a direction from the curvature where it stands, then a line search along it (``Descent``).
struct NewtonSearch {
    let lineSearch: any LineSearch
    let problem: any TwiceDifferentiableProblem
    /// What the method does where a direction led nowhere, in words.
    var consequence: String?

    func step<State: NewtonLikeState>(
        _ state: inout State, direction: (Standpoint) throws -> Result<NewtonDirection, Breakdown>
    ) throws -> NewtonStep {
        let here = state.standpoint
        func ended(_ verdict: StepVerdict, floor: Finding? = nil, iterations: Int = 0) -> NewtonStep {
            NewtonStep(
                report: StepReport(
                    loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, floor: floor, linearIterations: iterations))
        }
        guard here.isFinite else { return ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        if here.hasVanishingGradient { return ended(.stationary, floor: .vanishingGradient(here.gradient.norm)) }
        let found: NewtonDirection
        switch try direction(here) {
        case .failure(let breakdown): return ended(.brokeDown(breakdown))
        case .success(let direction): found = direction
        }
        switch try Descent(lineSearch, on: problem).advance(from: here, along: found.p, history: state.history, first: { _ in 1 }) {
        case .ended(let verdict, let floor): return ended(verdict, floor: floor, iterations: found.iterations)
        case .moved(let step):
            (state.history, state.standpoint) = (step.history, step.standpoint)
            let report = StepReport(
                loss: step.standpoint.loss, gradientNorm: step.standpoint.gradient.norm, stepLength: step.stepLength,
                details: [.init("trials", Double(step.trials))] + found.details, linearIterations: found.iterations,
                recoveries: step.recoveries(consequence))
            return NewtonStep(report: report, moved: (step, found))
        }
    }
}

extension NewtonStep {
    /// What a forcing term is told of the step that was taken from `here` with η: nil where that was not along the direction.
    func memory(of η: Double, from here: Standpoint) -> ForcingMemory? {
        guard let (step, direction) = moved, !step.fellBack, let r = direction.residual else { return nil }
        // g + B·αp = (1 − α)·g + α·r
        var left = (1 - step.stepLength) * here.gradient
        left.add(r, scaledBy: step.stepLength)
        return ForcingMemory(forcing: η, gradientNorm: here.gradient.norm, residualNorm: left.norm)
    }
}

extension Breakdown {
    /// A product with the model's matrix held a NaN or an infinity.
    static func nonFiniteCurvature(at θ: Vector, on problem: any DifferentiableProblem) -> Breakdown {
        Breakdown(.nonFinite, "a product with the curvature matrix is not finite", lookingAt: [θ], on: problem)
    }
}

/// What is done where the inner iteration meets a direction along which the model curves down.
public enum NegativeCurvature: String, CaseIterable, Sendable, Hashable {
    /// The direction itself is followed.
    case direction
    /// The last iterate before it is taken, or −∇L where there was none.
    case lastIterate = "last-iterate"
}

extension Standpoint {
    /// A direction of descent d, of curvature dᵀBd ≤ 0, as long as the model's mirror image proposes: τd with τ = |gᵀd|/|dᵀBd|, and no
    /// longer than max(1, ‖θ‖), since a curvature near zero proposes any length.
    func mirrored(_ d: Vector, curvature: Double) -> Vector {
        let (length, farthest) = (d.norm, Swift.max(1, parameters.values.norm))
        let τ = abs(gradient.dot(d)) / abs(curvature)
        return (τ * length < farthest ? τ : farthest / length) * d
    }
}
