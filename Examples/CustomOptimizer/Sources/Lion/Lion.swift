import Curvature

/// Lion: every parameter moves by the same amount, in the direction that an interpolated momentum says.
///
/// With g = ∇L(θ) and entrywise operations:
///
///     c = β₁m + (1 − β₁)g
///     θ ← θ − η·(sign c + λθ)
///     m ← β₂m + (1 − β₂)g
///
/// θ, g, m ∈ ℝᴾ; η = `learningRate`; β₁ = `interpolation`; β₂ = `momentum`; λ = `weightDecay`. sign 0 = 0.
/// One gradient a step, 8P flops, one vector of memory (Adam: two). Breaks down where loss or gradient is not finite. Its steps do not
/// shrink near a minimiser: the loss falls to a level that η decides, so it explores, and another method finishes.
/// Variant: the paper's algorithm 2, with the decoupled decay; the paper advises a rate 3 to 10 times smaller than Adam's.
/// Source: Chen et al., NeurIPS 2023, arXiv:2302.06675.
public struct Lion: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 1e-4
    /// β₁ ∈ [0, 1).
    public var interpolation = 0.9
    /// β₂ ∈ [0, 1).
    public var momentum = 0.99
    /// λ ≥ 0.
    public var weightDecay = 0.0

    public init() {}

    public init(learningRate: Double, interpolation: Double = 0.9, momentum: Double = 0.99, weightDecay: Double = 0) {
        (self.learningRate, self.interpolation, self.momentum) = (learningRate, interpolation, momentum)
        self.weightDecay = weightDecay
    }

    public static let identifier = "lion"
    public static let summary = "The sign of an interpolated momentum: every parameter moves by the learning rate."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, how far every parameter moves"),
            .number("interpolation", \.interpolation, in: .fraction, meaning: "β₁, the momentum's share in the direction"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β₂, the memory of the momentum"),
            .number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull towards zero"),
        ]
    }

    /// What Lion remembers.
    public struct Memory: Checkpointable {
        /// m ∈ ℝᴾ.
        public var average: Vector

        public func encode(into archive: inout Archive) { archive.set("average", average) }
        public init(from archive: Archive) throws { average = try archive.vector("average") }
        init(average: Vector) { self.average = average }
    }

    public func start(count n: Int) -> Memory { Memory(average: .zeros(n)) }

    public func update(_ g: inout Vector, at θ: Vector, step: Int, memory: inout Memory) {
        let (η, β1, β2, λ) = (learningRate, interpolation, momentum, weightDecay)
        for i in g.indices {
            let c = β1 * memory.average[i] + (1 - β1) * g[i]
            memory.average[i] = β2 * memory.average[i] + (1 - β2) * g[i]
            let sign = c == 0 ? 0 : c > 0 ? 1.0 : -1.0
            g[i] = η * (sign + λ * θ[i])
        }
    }
}

/// Registers the optimizer `lion`.
public enum LionPlugin: Plugin {
    public static let identifier = "lion"
    public static func register(in registry: inout Registry) throws { try registry.register(optimizer: Lion.self) }
}
