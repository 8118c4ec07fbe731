import Curvature

/// Signum: every parameter moves by the same amount, in the direction that the gradient's momentum says.
///
/// With g = ∇L(θ) and entrywise operations:
///
///     m ← βm + (1 − β)g
///     θ ← θ − η·(sign m + λθ)
///
/// θ, g, m ∈ ℝᴾ; η = `learningRate`; β = `momentum`; λ = `weightDecay`. sign 0 = 0.
/// One gradient a step, 6P flops, one vector of memory (Adam: two). Breaks down where loss or gradient is not finite. Its steps do not
/// shrink near a minimiser: the loss falls to a level that η decides, so it explores, and another method finishes.
/// Variant: the paper's algorithm 2 for one worker, with a decoupled decay. `lion`, a built-in, takes another mixture for the sign.
/// Source: Bernstein et al., ICML 2018, arXiv:1802.04434.
public struct Signum: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 1e-4
    /// β ∈ [0, 1).
    public var momentum = 0.9
    /// λ ≥ 0.
    public var weightDecay = 0.0

    public init() {}

    public init(learningRate: Double, momentum: Double = 0.9, weightDecay: Double = 0) {
        (self.learningRate, self.momentum, self.weightDecay) = (learningRate, momentum, weightDecay)
    }

    public static let identifier = "signum"
    public static let summary = "The sign of the gradient's momentum: every parameter moves by the learning rate."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, how far every parameter moves"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β, the memory of the momentum"),
            .number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull towards zero"),
        ]
    }

    /// What Signum remembers.
    public struct Memory: Checkpointable {
        /// m ∈ ℝᴾ.
        public var average: Vector

        public func encode(into archive: inout Archive) { archive.set("average", average) }
        public init(from archive: Archive) throws { average = try archive.vector("average") }
        init(average: Vector) { self.average = average }
    }

    public func start(count n: Int) -> Memory { Memory(average: .zeros(n)) }

    public func update(_ g: inout Vector, at θ: Vector, step: Int, memory: inout Memory) {
        let (η, β, λ) = (learningRate, momentum, weightDecay)
        for i in g.indices {
            memory.average[i] = β * memory.average[i] + (1 - β) * g[i]
            let m = memory.average[i]
            let sign = m == 0 ? 0 : m > 0 ? 1.0 : -1.0
            g[i] = η * (sign + λ * θ[i])
        }
    }
}

/// Registers the optimizer `signum`.
public enum SignumPlugin: Plugin {
    public static let identifier = "signum"
    public static func register(in registry: inout Registry) throws { try registry.register(optimizer: Signum.self) }
}
