import Globalization
import LinearAlgebra
import OptimizationCore

/// Gradient descent with a line search.
///
///     θ⁺ = θ − α·∇L(θ)
///
/// The first trial makes the first-order change of the last step, α = α₋·φ′₋/φ′ (Nocedal & Wright, eq. 3.60 with slopes); at the start it is
/// that of ``Descent/firstStep(from:)``. Free of scale. θ ∈ ℝᴾ. Cost: usually one or two gradients a step, a few P of memory.
/// On a loss of condition κ the error falls by (κ − 1)/(κ + 1) a step: it is the baseline that the other methods are measured by.
/// It breaks down where no search finds a step, and is stationary where rounding hides every decrease. A revision begins anew.
/// Variant: strong Wolfe steps with c₂ = 0.1, almost exact; `lineSearch` takes others.
/// Source: Cauchy 1847; Nocedal & Wright, *Numerical Optimization*, 2nd ed., §3.3 and §3.5.
public struct GradientDescent: Optimizer, Configurable {
    public var lineSearch: any LineSearch = StrongWolfe.almostExact

    public init() {}

    public init(lineSearch: any LineSearch) { self.lineSearch = lineSearch }

    public static let identifier = "gradient-descent"
    public static let summary = "Steepest descent with a line search: the baseline."
    public static var fields: [Field<Self>] {
        [.lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "how the step length is found")]
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> GradientDescentState {
        GradientDescentState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout GradientDescentState, on problem: any DifferentiableProblem) throws -> StepReport {
        let p = -state.standpoint.gradient
        return try state.advance(along: p, lineSearch, on: problem) { _ in }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 5 * Double(parameters)) }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 2)], flops: 8 * Double(parameters))
    }
}

/// Where a method of gradients stands.
public struct GradientDescentState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// Of this version of the problem.
    public internal(set) var history = SearchHistory()
    /// −α·φ′ of the last step: its first-order decrease. Nil before the first.
    public internal(set) var lastChange: Double?

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("history", history)
        archive.set("lastChange", lastChange.map { [$0] } ?? [])
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        history = try archive.value("history")
        lastChange = try archive.doubles("lastChange").first
    }

    /// One line search along p, and what follows from the step: `then` sees it before the state does.
    mutating func advance(
        along p: Vector, _ lineSearch: any LineSearch, on problem: any DifferentiableProblem, natural: Double? = nil,
        details: [StepReport.Detail] = [], then: (DescentStep) -> Void
    ) throws -> StepReport {
        let here = standpoint
        let slope = here.gradient.dot(p)
        let wish = natural ?? lastChange.map { $0 / -slope } ?? .nan
        // Where slopes underflow, a first step.
        let first = wish > 0 && wish.isFinite ? wish : Descent.firstStep(from: here)
        let descent = Descent(lineSearch, on: problem, seesCurvature: true)
        let end = try descent.advance(from: here, along: p, natural: first, history: history) { _ in first }
        switch end {
        case .ended(let verdict, let floor):
            return StepReport(loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, floor: floor)
        case .moved(let step):
            then(step)
            let taken = step.fellBack ? -here.gradient.dot(here.gradient) : slope
            (standpoint, history, lastChange) = (step.standpoint, step.history, -step.stepLength * taken)
            return StepReport(
                loss: step.standpoint.loss, gradientNorm: step.standpoint.gradient.norm, stepLength: step.stepLength,
                details: [.init("trials", Double(step.trials))] + details, recoveries: step.recoveries())
        }
    }
}
