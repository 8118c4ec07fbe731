import LinearAlgebra
import OptimizationCore

/// Lion: steps of one size in every parameter, by the sign of an interpolated momentum.
///
///     θ ← θ − ηₖ(sign(β₁m + (1 − β₁)g) + λθ)      m ← β₂m + (1 − β₂)g
///
/// β₁ = `momentum`, β₂ = `longMomentum`, λ = `weightDecay`. Rates are 3 to 10 times smaller than Adam's. Steps do not shrink near a minimum:
/// without a falling schedule it ends in a ball of radius η. One gradient a step, 6 P flops, one vector of memory. Breaks down where
/// loss or gradient is not finite. Variant: the paper's; sign(0) = 0. Source: Chen et al., NeurIPS 2023, arXiv:2302.06675.
public struct Lion: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 1e-4
    /// β₁ ∈ [0, 1).
    public var momentum = 0.9
    /// β₂ ∈ [0, 1).
    public var longMomentum = 0.99
    /// λ ≥ 0.
    public var weightDecay = 0.0
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    public static let identifier = "lion"
    public static let summary = "Steps of one size, by the sign of a momentum."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the size of a step in each parameter"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β₁, the part of the memory in the step's sign"),
            .number("longMomentum", \.longMomentum, in: .fraction, meaning: "β₂, how long gradients are remembered"),
            .number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull of each parameter to zero"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    public func start(count n: Int) -> VectorMemory { VectorMemory(.zeros(n)) }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout VectorMemory) {
        let (β1, β2, η) = (momentum, longMomentum, learningRate * schedule.factor(at: step))
        forEachEntry(&gradient, &memory.vector) { g, m in
            let direction = β1 * m + (1 - β1) * g
            m = β2 * m + (1 - β2) * g
            g = direction > 0 ? η : direction < 0 ? -η : 0
        }
        gradient.add(parameters, scaledBy: η * weightDecay)
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 4 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 6 * Double(parameters))
    }
}

/// Adan: Adam with Nesterov's look-ahead written as the difference of gradients.
///
///     m ← β₁m + (1 − β₁)g     d ← β₂d + (1 − β₂)(g − g₋)     v ← β₃v + (1 − β₃)(g + β₂(g − g₋))²
///     θ ← (θ − ηₖ(m̂ + β₂d̂)/(√v̂ + ε)) / (1 + ηₖλ)
///
/// g₋ is the last gradient, g itself at the first step. On batches it is that of another batch. One gradient a step, 16 P flops, four
/// vectors of memory. Breaks down where loss or gradient is not finite. Variant: the authors' code, with β the kept part (the paper
/// writes 1 − β) and bias corrections; no restart.
/// Source: Xie et al., IEEE TPAMI 46 (2024) 9508–9520, arXiv:2208.06677.
public struct Adan: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 1e-3
    /// β₁ ∈ [0, 1).
    public var momentum = 0.98
    /// β₂ ∈ [0, 1).
    public var differenceMomentum = 0.92
    /// β₃ ∈ [0, 1).
    public var squareMomentum = 0.99
    /// ε ≥ 0.
    public var epsilon = 1e-8
    /// λ ≥ 0.
    public var weightDecay = 0.0
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    /// What Adan remembers: m, v, d and g₋.
    public struct Memory: Checkpointable, Equatable {
        public var moments: AdamMemory
        /// d ∈ ℝᴾ.
        public var difference: Vector
        /// g₋ ∈ ℝᴾ.
        public var last: Vector

        public init(moments: AdamMemory, difference: Vector, last: Vector) {
            (self.moments, self.difference, self.last) = (moments, difference, last)
        }

        public func encode(into archive: inout Archive) {
            archive.set("moments", moments)
            archive.set("difference", difference)
            archive.set("last", last)
        }

        public init(from archive: Archive) throws {
            self.init(
                moments: try archive.value("moments"), difference: try archive.vector("difference"), last: try archive.vector("last"))
            guard difference.count == moments.mean.count, last.count == moments.mean.count else {
                throw ArchiveError(
                    entry: "difference", reason: "\(difference.count) and \(last.count) values for \(moments.mean.count) parameters")
            }
        }
    }

    public static let identifier = "adan"
    public static let summary = "Adam with Nesterov's look-ahead from differences of gradients."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the size of a step in each parameter"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β₁, the memory of the gradient's mean"),
            .number("differenceMomentum", \.differenceMomentum, in: .fraction, meaning: "β₂, the memory of the differences' mean"),
            .number("squareMomentum", \.squareMomentum, in: .fraction, meaning: "β₃, the memory of the mean square"),
            .number("epsilon", \.epsilon, in: .nonNegative, meaning: "ε, added to the root mean square"),
            .number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull of each parameter to zero"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    public func start(count n: Int) -> Memory {
        Memory(moments: AdamMemory(mean: .zeros(n), meanSquare: .zeros(n)), difference: .zeros(n), last: .zeros(n))
    }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout Memory) {
        let (β1, β2, β3, ε, λ) = (momentum, differenceMomentum, squareMomentum, epsilon, weightDecay)
        let η = learningRate * schedule.factor(at: step)
        let (c1, c2, c3) = (correction(β1, after: step), correction(β2, after: step), correction(β3, after: step))
        let current = gradient
        if step == 1 { memory.last = gradient }
        // g₋ ← g − g₋ in place, until the end.
        forEachEntry(&gradient, &memory.last, &memory.difference) { g, change, d in
            change = g - change
            d = β2 * d + (1 - β2) * change
        }
        forEachEntry(&gradient, &memory.last, &memory.moments.meanSquare) { g, change, v in
            let ahead = g + β2 * change
            v = β3 * v + (1 - β3) * ahead * ahead
        }
        forEachEntry(&gradient, &memory.moments.mean, &memory.difference) { g, m, d in
            m = β1 * m + (1 - β1) * g
            g = m * c1 + β2 * d * c2
        }
        forEachEntry(&gradient, &memory.moments.meanSquare) { g, v in g = scaled(η * g, byRootOf: v * c3, ε) }
        memory.last = current
        // θ − Δ is to be (θ − step)/(1 + ηλ).
        gradient.add(parameters, scaledBy: η * λ)
        gradient.scale(by: 1 / (1 + η * λ))
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 7 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 16 * Double(parameters))
    }
}
