import LinearAlgebra
import OptimizationCore

/// SVRG: a batch's gradient, corrected by what the same batch says at a place whose whole gradient is known.
///
///     v = ∇L_b(θ) − ∇L_b(θ̃) + μ,   μ = ∇L(θ̃);   every m steps  θ̃ ← θ, v = μ
///
/// E v = ∇L(θ) over the draws of b, and v − ∇L(θ) vanishes as θ and θ̃ come to the same place. θ, θ̃, v, μ ∈ ℝᴾ; m = ⌈c·B⌉ with
/// c = `snapshotEvery` and B the batches of an epoch. Two gradients of a batch a step and one of all samples every m: 2 + 1/c gradients of
/// a batch a step in the mean, 6 P flops, memory 7P. Where the samples' gradients have the Lipschitz constant ℓ and the loss a curvature
/// of at least σ it converges linearly for η < 1/(4ℓ) and m well above 1/(ησ). Common settings and failure: ``VarianceReducedMethod``.
/// Variant: θ̃ is the last iterate (option I of the paper, whose proof is for a random one of them), batches of several samples, drawn
/// without replacement within a batch.
/// Source: Johnson & Zhang, *Accelerating stochastic gradient descent using predictive variance reduction*, NeurIPS 2013.
public struct SVRG: VarianceReducedMethod {
    public var learningRate = 1e-2
    /// c > 0.
    public var snapshotEvery = 2.0
    public var schedule: any Schedule = Constant()
    public var batch = RandomBatchSettings()

    public init() {}

    public init(learningRate: Double, snapshotEvery: Double = 2, schedule: any Schedule = Constant(), batch: RandomBatchSettings = .init())
    {
        (self.learningRate, self.snapshotEvery, self.schedule, self.batch) = (learningRate, snapshotEvery, schedule, batch)
    }

    public static let identifier = "svrg"
    public static let summary = "Batch gradients corrected by a whole gradient taken every few epochs."
    public static var fields: [Field<Self>] {
        commonFields + [
            .number("snapshotEvery", \.snapshotEvery, in: .positive, meaning: "c, the epochs between whole gradients: m = ⌈c·B⌉ steps")
        ]
    }

    public func begin(at θ: Vector, on problem: SampledObjective, draws: inout RandomBatches) throws -> (GradientEstimate, Snapshot) {
        let whole = try problem.lossAndGradient(at: θ)
        return (GradientEstimate(whole: whole), Snapshot(at: θ, gradient: whole.gradient))
    }

    public func estimate(
        at candidate: Vector, after state: VarianceReducedState<Snapshot>, on problem: SampledObjective, draws: inout RandomBatches
    ) throws -> (GradientEstimate, Snapshot?) {
        let snapshot = state.memory
        if snapshot.age + 1 >= draws.steps(inEpochs: snapshotEvery) {
            let (whole, next) = try begin(at: candidate, on: problem, draws: &draws)
            return (whole, next)
        }
        let pair = try BatchPair(at: candidate, and: snapshot.place, on: problem, draws: &draws)
        return (pair.estimate(correcting: snapshot.gradient), nil)
    }

    public func commit(_ change: Snapshot?, to memory: inout Snapshot) { memory.advance(to: change) }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 7 * Double(parameters)) }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 2 + 1 / snapshotEvery)], flops: 6 * Double(parameters), isOnBatch: true)
    }
}

/// Loopless SVRG: SVRG whose place of reference moves at random, with probability p at each step.
///
///     v = ∇L_b(θ) − ∇L_b(θ̃) + ∇L(θ̃);   θ⁺ = θ − ηv;   θ̃ ← θ with probability p = 1/m
///
/// The same m in the mean as ``SVRG``'s, c = `snapshotEvery` epochs of B batches, and no inner loop whose length a rate of convergence
/// hangs on: linear for every m, and for η up to about 1/(6ℓ). Cost and memory are SVRG's. The whole gradient is taken at the point that is
/// left, so that every report is a batch's. Common settings and failure: ``VarianceReducedMethod``.
/// Variant: batches of several samples, drawn without replacement within a batch.
/// Source: Kovalev, Horváth & Richtárik, ALT 2020, arXiv:1901.08689.
public struct LooplessSVRG: VarianceReducedMethod {
    public var learningRate = 1e-2
    /// c > 0.
    public var snapshotEvery = 1.0
    public var schedule: any Schedule = Constant()
    public var batch = RandomBatchSettings()

    public init() {}

    public init(learningRate: Double, snapshotEvery: Double = 1, schedule: any Schedule = Constant(), batch: RandomBatchSettings = .init())
    {
        (self.learningRate, self.snapshotEvery, self.schedule, self.batch) = (learningRate, snapshotEvery, schedule, batch)
    }

    public static let identifier = "l-svrg"
    public static let summary = "SVRG without an inner loop: the whole gradient is taken at random steps."
    public static var fields: [Field<Self>] {
        commonFields + [
            .number(
                "snapshotEvery", \.snapshotEvery, in: .positive, meaning: "c, the epochs between whole gradients in the mean: p = 1/⌈c·B⌉")
        ]
    }

    public func begin(at θ: Vector, on problem: SampledObjective, draws: inout RandomBatches) throws -> (GradientEstimate, Snapshot) {
        try SVRG().begin(at: θ, on: problem, draws: &draws)
    }

    public func estimate(
        at candidate: Vector, after state: VarianceReducedState<Snapshot>, on problem: SampledObjective, draws: inout RandomBatches
    ) throws -> (GradientEstimate, Snapshot?) {
        var moved: Snapshot?
        if draws.stream.uniform() * Double(draws.steps(inEpochs: snapshotEvery)) < 1 {
            let left = state.parameters.values
            moved = Snapshot(at: left, gradient: try problem.lossAndGradient(at: left).gradient)
        }
        let snapshot = moved ?? state.memory
        let pair = try BatchPair(at: candidate, and: snapshot.place, on: problem, draws: &draws)
        return (pair.estimate(correcting: snapshot.gradient), moved)
    }

    public func commit(_ change: Snapshot?, to memory: inout Snapshot) { memory.advance(to: change) }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        SVRG().workingMemory(parameters: parameters, residuals: residuals)
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 2 + 1 / snapshotEvery)], flops: 6 * Double(parameters), isOnBatch: true)
    }
}
