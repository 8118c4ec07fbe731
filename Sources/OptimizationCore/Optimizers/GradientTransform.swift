import LinearAlgebra

/// A rule that turns a gradient into an update: what first-order methods differ in.
///
/// Clipping, accumulation, schedules, momentum and per-block settings are transforms too, so they compose before they become an optimizer.
public protocol GradientTransform: Sendable {
    associatedtype Memory: Checkpointable

    /// The memory before the first step, for n parameters.
    func start(count n: Int) -> Memory

    /// The same for parameters in blocks, whose shapes a rule may go by. By default it goes by their number alone.
    func start(layout: ParameterLayout) -> Memory

    /// Replaces the gradient g ∈ ℝⁿ at θ by the update Δ; the step is θ⁺ = θ − Δ. `step` counts from 1.
    func update(_ g: inout Vector, at θ: Vector, step: Int, memory: inout Memory)

    /// Where the gradient is taken that the next update is made from, if that is another point than θ, as for a method that looks ahead:
    /// asked after an update, of the new θ and memory. By default `nil`: at θ.
    func gradientPoint(from θ: Vector, memory: Memory) -> Vector?

    /// Multiplies all steps to come by `factor` where that is more than scaling the update, and returns true; by default it does nothing
    /// and returns false, and who asks scales the update.
    func scaleSteps(by factor: Double, memory: inout Memory) -> Bool

    /// Takes out of the memory what no longer holds on another version of the problem. By default all of it is kept.
    func revise(_ memory: inout Memory)
}

extension GradientTransform {
    public func start(layout: ParameterLayout) -> Memory { start(count: layout.count) }

    public func gradientPoint(from θ: Vector, memory: Memory) -> Vector? { nil }

    public func scaleSteps(by factor: Double, memory: inout Memory) -> Bool { false }

    public func revise(_ memory: inout Memory) {}
}

/// A gradient transform that is an optimizer: it evaluates loss and gradient once a step.
///
/// The state holds the loss and the gradient at its parameters, so a report's loss belongs to the parameters after the step, a
/// breakdown's to those that it leaves in place. A revision of the problem re-evaluates both and keeps the transform's memory. Where the
/// transform has a gradient point of its own, the gradient is the one there, the loss costs an evaluation more, and a report has no
/// gradient norm.
public protocol FirstOrderMethod: GradientTransform, Optimizer
where Objective == any DifferentiableProblem, State == FirstOrderState<Memory> {}

public struct FirstOrderState<Memory: Checkpointable>: OptimizerState {
    public var parameters: Parameters
    /// L at the parameters.
    public var loss: LossValue
    /// ∇L at the parameters, or at the transform's gradient point.
    public var gradient: Vector
    /// Steps committed.
    public var step: Int
    public var memory: Memory
    /// The factor of every step: 1, halved by each recovery from a breakdown that shortens steps, lowered on plateaus (``Plateau``).
    public var stepScale = 1.0

    public static var formatVersion: Int { 3 }

    public func encode(into archive: inout Archive) {
        archive.set("parameters", parameters)
        archive.set("loss", loss.total)
        archive.set("terms", loss.terms)
        archive.set("gradient", gradient)
        archive.set("step", step)
        archive.set("memory", memory)
        archive.set("stepScale", stepScale)
    }

    public init(at parameters: Parameters, _ value: Evaluation, step: Int = 0, memory: Memory) {
        (self.parameters, loss, gradient, self.step, self.memory) = (parameters, value.loss, value.gradient, step, memory)
    }

    public init(from archive: Archive) throws {
        let loss = LossValue(total: try archive.double("loss"), terms: try archive.doubles("terms"))
        self.init(
            at: try archive.value("parameters"), Evaluation(loss: loss, gradient: try archive.vector("gradient")),
            step: try archive.count("step"), memory: try archive.value("memory"))
        stepScale = try archive.double("stepScale")
        guard gradient.count == parameters.count else {
            throw ArchiveError(entry: "gradient", reason: "\(gradient.count) values for \(parameters.count) parameters")
        }
    }
}

extension FirstOrderMethod {
    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> FirstOrderState<Memory> {
        try check(problem)
        let value = try problem.lossAndGradient(at: parameters.values)
        return FirstOrderState(at: parameters, value, memory: start(layout: parameters.layout))
    }

    public func step(_ state: inout FirstOrderState<Memory>, on problem: any DifferentiableProblem) throws -> StepReport {
        func brokeDown(at θ: Vector, _ point: Vector?) -> StepReport {
            let norm = gradientPoint(from: state.parameters.values, memory: state.memory) == nil ? state.gradient.norm : nil
            return StepReport(loss: state.loss, gradientNorm: norm, verdict: .brokeDown(.nonFinite(at: θ, or: point, on: problem)))
        }
        // As found at the start or after a revision: the fault is where the method stands, not in its step.
        guard state.gradient.isFinite else {
            let θ = state.parameters.values
            return brokeDown(at: θ, gradientPoint(from: θ, memory: state.memory))
        }
        var (update, memory) = (state.gradient, state.memory)
        self.update(&update, at: state.parameters.values, step: state.step + 1, memory: &memory)
        let candidate = state.parameters.values.adding(update, scaledBy: -state.stepScale)
        let point = gradientPoint(from: candidate, memory: memory)
        let value = try evaluate(problem, at: candidate, gradientAt: point)
        guard value.isFinite else { return brokeDown(at: candidate, point) }
        state.parameters.values = candidate
        state.loss = value.loss
        state.gradient = value.gradient
        state.memory = memory
        state.step += 1
        return StepReport(
            loss: value.loss, gradientNorm: point == nil ? value.gradient.norm : nil, stepLength: state.stepScale * update.norm)
    }

    private func evaluate(_ problem: any DifferentiableProblem, at θ: Vector, gradientAt point: Vector?) throws -> Evaluation {
        guard let point else { return try problem.lossAndGradient(at: θ) }
        return Evaluation(loss: try problem.loss(at: θ), gradient: try problem.lossAndGradient(at: point).gradient)
    }

    /// Multiplies every step from now on by a factor.
    public func scaleSteps(of state: inout FirstOrderState<Memory>, by factor: Double) {
        if !scaleSteps(by: factor, memory: &state.memory) { state.stepScale *= factor }
    }

    /// Halves every step from now on.
    public func shortenSteps(_ state: inout FirstOrderState<Memory>) -> Bool {
        scaleSteps(of: &state, by: 0.5)
        return true
    }

    public func adapt(_ state: inout FirstOrderState<Memory>, to problem: any DifferentiableProblem) throws {
        let θ = state.parameters.values
        let value = try evaluate(problem, at: θ, gradientAt: gradientPoint(from: θ, memory: state.memory))
        (state.loss, state.gradient) = (value.loss, value.gradient)
        revise(&state.memory)
    }

    public var evaluatesAhead: Bool { true }

    /// Evaluates nothing: the gradient of the batch before, at the present parameters, drives the next step, whose evaluation at
    /// the new parameters is of the new batch. So a step costs one gradient of one batch, and each drives one step. A
    /// breakdown's loss is then that of the batch before.
    public func adapt(_ state: inout FirstOrderState<Memory>, toBatch batch: any DifferentiableProblem) {}
}

extension Breakdown {
    /// The breakdown that a non-finite objective at θ is, with the term and sample at fault.
    public static func nonFinite(at θ: Vector, on problem: any DifferentiableProblem) -> Breakdown {
        if let bad = θ.firstIndex(where: { !$0.isFinite }) {
            return Breakdown(.nonFinite, "the step makes parameter \(bad) \(θ[bad]); a smaller step is needed")
        }
        return Breakdown(.nonFinite, "the loss or its gradient is not finite", fault: problem.locateFault(at: θ))
    }

    /// The same where the objective was evaluated at θ and a gradient perhaps at another point.
    fileprivate static func nonFinite(at θ: Vector, or point: Vector?, on problem: any DifferentiableProblem) -> Breakdown {
        let breakdown = nonFinite(at: θ, on: problem)
        guard breakdown.fault == nil, let point else { return breakdown }
        return nonFinite(at: point, on: problem)
    }

    /// A breakdown with the term and sample at fault at the first of `points` where the problem finds one: a search whose trials were
    /// not finite, or a matrix that was not, may have failed for that. One search for a fault a point.
    public init(_ reason: Reason, _ detail: String, lookingAt points: [Vector], on problem: any DifferentiableProblem) {
        self.init(reason, detail, fault: points.lazy.filter(\.isFinite).compactMap { problem.locateFault(at: $0) }.first)
    }
}
