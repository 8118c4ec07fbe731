import LinearAlgebra
import OptimizationCore

/// What methods with reduced variance ask of a problem.
public typealias SampledObjective = any DifferentiableProblem & SampledProblem

/// Methods that step along an estimate v of ∇L from a batch and from gradients remembered: θ⁺ = θ − ηₖv, where the estimate's variance
/// vanishes as θ comes to rest, so that a constant rate converges linearly on a strongly convex loss. SGD at that rate stalls.
///
/// Common settings: η = `learningRate` times the schedule's factor, and the `batch`, each drawn at random (``RandomBatches``, whose stream
/// is part of the state). L must be the mean of its batches' losses, as sums over samples and their penalties are and a
/// `lossTransform` is not.
///
/// The state holds θ and v there. A step goes along v, evaluates at the new θ what the next estimate needs and reports the loss that it
/// has then: the batch's with its share of the samples, the whole problem's where a whole gradient was taken, so that rules on L and ‖∇L‖
/// are tested there. A new version of the problem begins anew where it stands, the stream of draws going on. It breaks down where
/// a loss or a gradient is not finite.
public protocol VarianceReducedMethod: Optimizer, Configurable
where Objective == SampledObjective, State == VarianceReducedState<Memory> {
    associatedtype Memory: Checkpointable
    /// What a step makes of the memory, once it is committed.
    associatedtype Change: Sendable

    /// η > 0.
    var learningRate: Double { get set }
    /// The factor of η at each step.
    var schedule: any Schedule { get set }
    /// The samples of a batch, and the seed of the draws.
    var batch: RandomBatchSettings { get set }

    /// The estimate at θ, with nothing remembered, and the memory that it leaves.
    func begin(at θ: Vector, on problem: SampledObjective, draws: inout RandomBatches) throws -> (GradientEstimate, Memory)

    /// The estimate at θ⁺ = `candidate` after a step from `state`.
    func estimate(at candidate: Vector, after state: State, on problem: SampledObjective, draws: inout RandomBatches) throws -> (
        GradientEstimate, Change
    )

    func commit(_ change: Change, to memory: inout Memory)
}

/// An estimate of the gradient at some θ.
public struct GradientEstimate: Sendable {
    /// v ∈ ℝᴾ.
    public var direction: Vector
    /// The loss over `fraction` of the samples.
    public var loss: LossValue
    /// The gradient's norm over the same samples, where it was taken.
    public var gradientNorm: Double?
    public var fraction: Double

    public init(_ direction: Vector, loss: LossValue, gradientNorm: Double?, fraction: Double) {
        (self.direction, self.loss, self.gradientNorm, self.fraction) = (direction, loss, gradientNorm, fraction)
    }

    /// The whole problem's gradient itself.
    init(whole value: Evaluation) {
        self.init(value.gradient, loss: value.loss, gradientNorm: value.gradient.norm, fraction: 1)
    }

    var isFinite: Bool { loss.isFinite && direction.isFinite }
}

/// θ, the estimate there, and what the method remembers.
public struct VarianceReducedState<Memory: Checkpointable>: OptimizerState {
    public var parameters: Parameters
    /// v at the parameters.
    public var direction: Vector
    /// The loss at the parameters over `fraction` of the samples.
    public var loss: LossValue
    public var fraction: Double
    /// Steps committed.
    public var step: Int
    /// The factor of every step: 1, or halved by each recovery from a breakdown that shortens steps.
    public var stepScale: Double
    public var draws: RandomBatches
    public var memory: Memory

    init(at parameters: Parameters, _ estimate: GradientEstimate, draws: RandomBatches, memory: Memory) {
        (self.parameters, direction, loss, fraction) = (parameters, estimate.direction, estimate.loss, estimate.fraction)
        (step, stepScale, self.draws, self.memory) = (0, 1, draws, memory)
    }

    public func encode(into archive: inout Archive) {
        archive.set("parameters", parameters)
        archive.set("direction", direction)
        archive.set("loss", loss.total)
        archive.set("terms", loss.terms)
        archive.set("fraction", fraction)
        archive.set("step", step)
        archive.set("stepScale", stepScale)
        archive.set("draws", draws)
        archive.set("memory", memory)
    }

    public init(from archive: Archive) throws {
        (parameters, direction) = (try archive.value("parameters"), try archive.vector("direction"))
        loss = LossValue(total: try archive.double("loss"), terms: try archive.doubles("terms"))
        (fraction, step, stepScale) = (try archive.double("fraction"), try archive.count("step"), try archive.double("stepScale"))
        (draws, memory) = (try archive.value("draws"), try archive.value("memory"))
        guard direction.count == parameters.count else {
            throw ArchiveError(entry: "direction", reason: "\(direction.count) values for \(parameters.count) parameters")
        }
    }
}

extension VarianceReducedMethod {
    static var commonFields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the step per unit of the estimate"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
            .part("batch", \.batch, meaning: RandomBatchSettings.summary),
        ]
    }

    public func check(_ problem: SampledObjective) throws { _ = try RandomBatches(batch, of: problem.sampleSets) }

    public func start(on problem: SampledObjective, from parameters: Parameters) throws -> State {
        var draws = try RandomBatches(batch, of: problem.sampleSets)
        let (estimate, memory) = try begin(at: parameters.values, on: problem, draws: &draws)
        return State(at: parameters, estimate, draws: draws, memory: memory)
    }

    public func step(_ state: inout State, on problem: SampledObjective) throws -> StepReport {
        func brokeDown(at θ: Vector) -> StepReport {
            StepReport(loss: state.loss, verdict: .brokeDown(.nonFinite(at: θ, on: problem)), sampleFraction: state.fraction)
        }
        // As found at the start or after a revision: the fault is where the method stands, not in its step.
        guard state.direction.isFinite, state.loss.isFinite else { return brokeDown(at: state.parameters.values) }
        let α = state.stepScale * learningRate * schedule.factor(at: state.step + 1)
        let candidate = state.parameters.values.adding(state.direction, scaledBy: -α)
        guard candidate.isFinite else { return brokeDown(at: candidate) }
        var draws = state.draws
        let (estimate, change) = try self.estimate(at: candidate, after: state, on: problem, draws: &draws)
        guard estimate.isFinite else { return brokeDown(at: candidate) }
        let length = α * state.direction.norm
        (state.parameters.values, state.direction) = (candidate, estimate.direction)
        (state.loss, state.fraction, state.draws) = (estimate.loss, estimate.fraction, draws)
        state.step += 1
        commit(change, to: &state.memory)
        return StepReport(
            loss: estimate.loss, gradientNorm: estimate.gradientNorm, stepLength: length,
            details: [.init("estimateNorm", estimate.direction.norm)], sampleFraction: estimate.fraction)
    }

    /// Halves every step from now on.
    public func shortenSteps(_ state: inout State) -> Bool {
        state.stepScale *= 0.5
        return true
    }

    public func adapt(_ state: inout State, to problem: SampledObjective) throws {
        var draws = try state.draws.revised(batch, of: problem.sampleSets)
        let (estimate, memory) = try begin(at: state.parameters.values, on: problem, draws: &draws)
        (state.direction, state.loss, state.fraction) = (estimate.direction, estimate.loss, estimate.fraction)
        (state.draws, state.memory) = (draws, memory)
    }
}

// MARK: Estimates by a difference

/// Loss and gradient on one batch at two places.
struct BatchPair {
    var here: Evaluation
    var there: Evaluation
    var fraction: Double

    init(at θ: Vector, and other: Vector, on problem: any DifferentiableProblem & SampledProblem, draws: inout RandomBatches) throws {
        let view = try problem.restricted(to: draws.draw())
        (here, there, fraction) = (try view.lossAndGradient(at: θ), try view.lossAndGradient(at: other), draws.fraction)
    }

    /// ∇L_b(θ) − ∇L_b(θ′) + μ.
    func estimate(correcting μ: Vector) -> GradientEstimate {
        GradientEstimate(
            here.gradient.adding(there.gradient, scaledBy: -1).adding(μ), loss: here.loss, gradientNorm: here.gradient.norm,
            fraction: fraction)
    }
}

/// A place θ̃ and the whole gradient μ = ∇L(θ̃): what SVRG's methods remember.
public struct Snapshot: Checkpointable, Equatable {
    /// θ̃ ∈ ℝᴾ.
    public var place: Vector
    /// μ ∈ ℝᴾ.
    public var gradient: Vector
    /// Steps since it was taken.
    public var age = 0

    init(at place: Vector, gradient: Vector) { (self.place, self.gradient) = (place, gradient) }

    public func encode(into archive: inout Archive) {
        archive.set("place", place)
        archive.set("gradient", gradient)
        archive.set("age", age)
    }

    public init(from archive: Archive) throws {
        self.init(at: try archive.vector("place"), gradient: try archive.vector("gradient"))
        age = try archive.count("age")
        guard gradient.count == place.count else {
            throw ArchiveError(entry: "gradient", reason: "\(gradient.count) values for \(place.count) parameters")
        }
    }

    /// The snapshot after another step, or the one that took its place.
    mutating func advance(to next: Snapshot?) {
        if let next { self = next } else { age += 1 }
    }
}

extension RandomBatches {
    /// m = ⌈epochs · B⌉ steps, at least one.
    func steps(inEpochs epochs: Double) -> Int { Int(max(1, min((epochs * perEpoch).rounded(.up), Double(Int32.max)))) }
}
