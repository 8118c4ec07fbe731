import LinearAlgebra
import OptimizationCore

/// Gradient descent with a fixed rate, and momentum if asked: what is called SGD where gradients are of batches.
///
///     v ← μv + g      θ ← θ − ηₖ v,   or with `nesterov`   θ ← θ − ηₖ(g + μv)
///
/// θ, g, v ∈ ℝᴾ; η = `learningRate` times the schedule's factor; μ = `momentum`; 0 is gradient descent itself. One gradient a step, 4 P
/// flops, one vector of memory. It converges for η < 2(1 + μ)/λ_max(H) and not above: on a stiff loss that bound makes it slow, and the
/// line searches of `gradient-descent` and `heavy-ball` find it by themselves. Breaks down where loss or gradient is not finite.
/// Variant: the rate stands outside the memory, as in PyTorch and Optax (in Sutskever's form it is inside, which differs when η changes).
/// Sources: Robbins & Monro, Ann. Math. Stat. 22 (1951) 400, doi:10.1214/aoms/1177729586; Polyak 1964,
/// doi:10.1016/0041-5553(64)90137-5; Sutskever et al., ICML 2013.
public struct StochasticGradientDescent: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 1e-2
    /// μ ∈ [0, 1).
    public var momentum = 0.0
    /// Whether the step looks ahead along v.
    public var isNesterov = false
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    public init(learningRate: Double, momentum: Double = 0, isNesterov: Bool = false, schedule: any Schedule = Constant()) {
        (self.learningRate, self.momentum, self.isNesterov, self.schedule) = (learningRate, momentum, isNesterov, schedule)
    }

    public static let identifier = "sgd"
    public static let summary = "Gradient descent with a fixed rate and, if asked, momentum."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the step per unit of the gradient"),
            .number("momentum", \.momentum, in: .fraction, meaning: "μ, the part of the last direction that is kept"),
            .flag("nesterov", \.isNesterov, meaning: "whether the step looks ahead along the kept direction"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    public func start(count n: Int) -> VectorMemory { VectorMemory(.zeros(n)) }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout VectorMemory) {
        let (μ, η, looksAhead) = (momentum, learningRate * schedule.factor(at: step), isNesterov)
        forEachEntry(&gradient, &memory.vector) { g, v in
            v = μ * v + g
            g = η * (looksAhead ? g + μ * v : v)
        }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 4 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 4 * Double(parameters))
    }
}

/// AdaGrad: each entry's rate falls with the root of the sum of its squared gradients.
///
///     s ← s + g²      θ ← θ − ηₖ g/(√s + ε)
///
/// Made for sparse gradients and convex losses; on a network the sum grows for ever and steps die out, which running means mend
/// (``RMSProp``, ``Adam``). One gradient a step, 6 P flops, one vector of memory. Breaks down where loss or gradient is not finite.
/// Variant: full history, diagonal, s₀ = 0, as in PyTorch (Optax begins at 0.1).
/// Source: Duchi, Hazan & Singer, JMLR 12 (2011) 2121–2159.
public struct AdaGrad: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 1e-2
    /// ε ≥ 0.
    public var epsilon = 1e-10
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    public static let identifier = "adagrad"
    public static let summary = "Gradient descent with rates that fall with the sum of squared gradients."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the size of the first step in each parameter"),
            .number("epsilon", \.epsilon, in: .nonNegative, meaning: "ε, added to the root of the sum"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    public func start(count n: Int) -> VectorMemory { VectorMemory(.zeros(n)) }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout VectorMemory) {
        let (ε, η) = (epsilon, learningRate * schedule.factor(at: step))
        forEachEntry(&gradient, &memory.vector) { g, s in
            s += g * g
            g = scaled(η * g, byRootOf: s, ε)
        }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 4 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 6 * Double(parameters))
    }
}

/// RMSProp: the gradient divided by the root of its running mean square.
///
///     v ← βv + (1 − β)g²      m ← μm + g/(√v + ε)      θ ← θ − ηₖ m
///
/// β = `squareMomentum`, μ = `momentum`. One gradient a step, 9 P flops, two vectors of memory. Its first step is 1/√(1 − β) times the
/// rate, for v begins at zero and is not corrected. Breaks down where loss or gradient is not finite. Variant: not centred, ε outside
/// the root, momentum after the division, as in PyTorch, whose β is also the default (Hinton's lecture has 0.9).
/// Source: Tieleman & Hinton, Neural Networks for Machine Learning, lecture 6.5, 2012.
public struct RMSProp: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 1e-2
    /// β ∈ [0, 1).
    public var squareMomentum = 0.99
    /// μ ∈ [0, 1).
    public var momentum = 0.0
    /// ε ≥ 0.
    public var epsilon = 1e-8
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    public static let identifier = "rmsprop"
    public static let summary = "Gradient descent scaled by a running mean of squared gradients."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the size of a step in each parameter"),
            .number("squareMomentum", \.squareMomentum, in: .fraction, meaning: "β, the memory of the mean square"),
            .number("momentum", \.momentum, in: .fraction, meaning: "μ, the part of the last step that is kept"),
            .number("epsilon", \.epsilon, in: .nonNegative, meaning: "ε, added to the root mean square"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    public func start(count n: Int) -> AdamMemory { AdamMemory(mean: .zeros(n), meanSquare: .zeros(n)) }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout AdamMemory) {
        let (β, μ, ε, η) = (squareMomentum, momentum, epsilon, learningRate * schedule.factor(at: step))
        forEachEntry(&gradient, &memory.mean, &memory.meanSquare) { g, m, v in
            v = β * v + (1 - β) * g * g
            m = μ * m + scaled(g, byRootOf: v, ε)
            g = η * m
        }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 5 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 9 * Double(parameters))
    }
}

/// AdaDelta: a gradient scaled so that steps have the size that earlier steps had.
///
///     v ← ρv + (1 − ρ)g²      δ = √(u + ε)/√(v + ε) · g      u ← ρu + (1 − ρ)δ²      θ ← θ − ηₖ δ
///
/// ρ = `squareMomentum`; it has the parameters' units without a rate (η = 1). Its first steps are about √ε long and it needs many of them
/// to grow. One gradient a step, 12 P flops, two vectors of memory. Breaks down where loss or gradient is not finite. Variant: the
/// paper's algorithm 1, with PyTorch's defaults. Source: Zeiler, arXiv:1212.5701.
public struct AdaDelta: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 1.0
    /// ρ ∈ [0, 1).
    public var squareMomentum = 0.9
    /// ε > 0.
    public var epsilon = 1e-6
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    public static let identifier = "adadelta"
    public static let summary = "Gradients scaled by the size of earlier steps."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, a factor of every step"),
            .number("squareMomentum", \.squareMomentum, in: .fraction, meaning: "ρ, the memory of both mean squares"),
            .number("epsilon", \.epsilon, in: .positive, meaning: "ε, added under both roots; its root is the first step's size"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    /// u stands as the mean, v as the mean square.
    public func start(count n: Int) -> AdamMemory { AdamMemory(mean: .zeros(n), meanSquare: .zeros(n)) }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout AdamMemory) {
        let (ρ, ε, η) = (squareMomentum, epsilon, learningRate * schedule.factor(at: step))
        forEachEntry(&gradient, &memory.mean, &memory.meanSquare) { g, u, v in
            v = ρ * v + (1 - ρ) * g * g
            let δ = (u + ε).squareRoot() / (v + ε).squareRoot() * g
            u = ρ * u + (1 - ρ) * δ * δ
            g = η * δ
        }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 5 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 12 * Double(parameters))
    }
}

/// One vector of ℝᴾ that a method keeps between steps.
public struct VectorMemory: Checkpointable, Equatable {
    public var vector: Vector

    public init(_ vector: Vector) { self.vector = vector }

    public func encode(into archive: inout Archive) { archive.set("vector", vector) }
    public init(from archive: Archive) throws { self.init(try archive.vector("vector")) }
}
