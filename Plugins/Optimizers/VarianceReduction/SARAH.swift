import LinearAlgebra
import OptimizationCore

/// SARAH: an estimate that follows the gradient from step to step by what a batch says of the last one.
///
///     v₀ = ∇L(θ₀);   vₜ = ∇L_b(θₜ) − ∇L_b(θₜ₋₁) + vₜ₋₁;   begun anew after m steps, or where ‖vₜ‖² ≤ γ‖v₀‖²
///
/// vₜ is biased, E vₜ = ∇L(θₜ) − ∇L(θₜ₋₁) + vₜ₋₁, but nothing older than the last step is remembered and the steps themselves shrink within
/// a loop, for η up to about 1/(2ℓ). m = ⌈c·B⌉ with c = `snapshotEvery` and B the batches of an epoch; γ = `restartRatio`, 0 for loops of
/// m steps. Two gradients of a batch a step and one of all samples a loop, 4 P flops, memory 6P. Common settings and failure:
/// ``VarianceReducedMethod``.
/// Variant: SARAH+ of the paper with γ = 1/8 by default, a loop begins at the last iterate (the paper's theory for plain SARAH takes a random
/// one), batches of several samples, drawn without replacement within a batch.
/// Source: Nguyen, Liu, Scheinberg & Takáč, ICML 2017, arXiv:1703.00102.
public struct SARAH: VarianceReducedMethod {
    public var learningRate = 1e-2
    /// c > 0.
    public var snapshotEvery = 1.0
    /// γ ∈ [0, 1).
    public var restartRatio = 0.125
    public var schedule: any Schedule = Constant()
    public var batch = RandomBatchSettings()

    public init() {}

    public init(
        learningRate: Double, snapshotEvery: Double = 1, restartRatio: Double = 0.125, schedule: any Schedule = Constant(),
        batch: RandomBatchSettings = .init()
    ) {
        (self.learningRate, self.snapshotEvery, self.restartRatio) = (learningRate, snapshotEvery, restartRatio)
        (self.schedule, self.batch) = (schedule, batch)
    }

    public static let identifier = "sarah"
    public static let summary = "Batch gradients summed up from step to step, begun anew with a whole gradient."
    public static var fields: [Field<Self>] {
        commonFields + [
            .number("snapshotEvery", \.snapshotEvery, in: .positive, meaning: "c, the epochs of a loop at most: m = ⌈c·B⌉ steps"),
            .number("restartRatio", \.restartRatio, in: .fraction, meaning: "γ: a loop ends where ‖v‖² ≤ γ‖v₀‖²"),
        ]
    }

    /// Where a loop stands.
    public struct Loop: Checkpointable, Equatable {
        /// ‖v₀‖.
        public var startNorm: Double
        /// t.
        public var step: Int

        init(startNorm: Double, step: Int = 0) { (self.startNorm, self.step) = (startNorm, step) }

        public func encode(into archive: inout Archive) {
            archive.set("startNorm", startNorm)
            archive.set("step", step)
        }

        public init(from archive: Archive) throws {
            self.init(startNorm: try archive.double("startNorm"), step: try archive.count("step"))
        }
    }

    public func begin(at θ: Vector, on problem: SampledObjective, draws: inout RandomBatches) throws -> (GradientEstimate, Loop) {
        let whole = GradientEstimate(whole: try problem.lossAndGradient(at: θ))
        return (whole, Loop(startNorm: whole.direction.norm))
    }

    public func estimate(
        at candidate: Vector, after state: VarianceReducedState<Loop>, on problem: SampledObjective, draws: inout RandomBatches
    ) throws -> (GradientEstimate, Loop) {
        let (loop, norm) = (state.memory, state.direction.norm)
        // Norms, not squares, which may underflow; v₀ itself does not end the loop that it begins.
        let hasShrunk = loop.step > 0 && norm <= restartRatio.squareRoot() * loop.startNorm
        if hasShrunk || loop.step + 1 >= draws.steps(inEpochs: snapshotEvery) {
            return try begin(at: candidate, on: problem, draws: &draws)
        }
        let pair = try BatchPair(at: candidate, and: state.parameters.values, on: problem, draws: &draws)
        return (pair.estimate(correcting: state.direction), Loop(startNorm: loop.startNorm, step: loop.step + 1))
    }

    public func commit(_ change: Loop, to memory: inout Loop) { memory = change }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 6 * Double(parameters)) }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 2 + 1 / snapshotEvery)], flops: 4 * Double(parameters), isOnBatch: true)
    }
}
