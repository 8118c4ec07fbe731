import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Adam: steps along a running mean of the gradient, each entry divided by the root of its running mean square.
///
/// With g = ∇L(θ) at step k and entrywise operations:
///
///     m ← β₁m + (1 − β₁)g        v ← β₂v + (1 − β₂)g²
///     θ ← θ − ηₖ · m̂ / (√v̂ + ε)     m̂ = m/(1 − β₁ᵏ)   v̂ = v/(1 − β₂ᵏ)
///
/// Settings, cost and failure: ``MomentMethod``. Variant: ε stands outside the root and after the bias correction, as in the paper's
/// algorithm 1 (TensorFlow's default form has an ε that is not bias-corrected). For residual losses in double precision a tiny ε (1e-20)
/// keeps late steps from shrinking.
/// Source: Kingma & Ba, ICLR 2015, arXiv:1412.6980.
public struct Adam: MomentMethod {
    public var learningRate = 1e-3
    public var momentum = 0.9
    public var squareMomentum = 0.999
    public var epsilon = 1e-8
    public var schedule: any Schedule = Constant()

    public init() {}

    public init(
        learningRate: Double, momentum: Double = 0.9, squareMomentum: Double = 0.999, epsilon: Double = 1e-8,
        schedule: any Schedule = Constant()
    ) {
        (self.learningRate, self.momentum, self.squareMomentum) = (learningRate, momentum, squareMomentum)
        (self.epsilon, self.schedule) = (epsilon, schedule)
    }

    public static let identifier = "adam"
    public static let summary = "First-order steps scaled by running means of the gradient and of its square."

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout AdamMemory) {
        let (β1, β2, ε, η) = (momentum, squareMomentum, epsilon, rate(at: step))
        gradient.updateMoments(
            mean: &memory.mean, keeping: β1, meanSquare: &memory.meanSquare, keeping: β2, η * correction(β1, after: step),
            rootOf: correction(β2, after: step), plus: ε)
    }
}

/// Adam with decoupled weight decay: θ ← θ − ηₖ(m̂/(√v̂ + ε) + λθ).
///
/// λ = `weightDecay` pulls parameters to zero at the schedule's pace, outside the moments, so that the adaptive scale does not undo it as
/// it does for a penalty ½λ‖θ‖² in the loss. Variant: λ is multiplied by the learning rate, as in PyTorch and Optax; the paper multiplies
/// it by the schedule's factor alone. For a PINN that is to be exact λ = 0 is right: weight decay biases the minimum.
/// Settings, cost and failure: ``MomentMethod``. Source: Loshchilov & Hutter, ICLR 2019, arXiv:1711.05101.
public struct AdamW: MomentMethod {
    public var learningRate = 1e-3
    public var momentum = 0.9
    public var squareMomentum = 0.999
    public var epsilon = 1e-8
    /// λ ≥ 0.
    public var weightDecay = 1e-2
    public var schedule: any Schedule = Constant()

    public init() {}

    public static let identifier = "adamw"
    public static let summary = "Adam with weight decay outside of its moments."
    public static var fields: [Field<Self>] {
        momentFields + [.number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull of each parameter to zero")]
    }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout AdamMemory) {
        Adam(learningRate: learningRate, momentum: momentum, squareMomentum: squareMomentum, epsilon: epsilon, schedule: schedule)
            .update(&gradient, at: parameters, step: step, memory: &memory)
        gradient.add(parameters, scaledBy: rate(at: step) * weightDecay)
    }
}

/// Nesterov's look-ahead in Adam: the mean that the next step would have with this gradient once more.
///
///     θ ← θ − ηₖ · (β₁m/(1 − β₁ᵏ⁺¹) + (1 − β₁)g/(1 − β₁ᵏ)) / (√v̂ + ε)
///
/// Variant: β₁ is constant, as in Optax; PyTorch and Dozat's report let it rise by a schedule of its own.
/// Settings, cost and failure: ``MomentMethod``. Source: Dozat, Incorporating Nesterov momentum into Adam, ICLR 2016 workshop.
public struct NAdam: MomentMethod {
    public var learningRate = 1e-3
    public var momentum = 0.9
    public var squareMomentum = 0.999
    public var epsilon = 1e-8
    public var schedule: any Schedule = Constant()

    public init() {}

    public static let identifier = "nadam"
    public static let summary = "Adam with Nesterov's look-ahead."

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout AdamMemory) {
        let (β1, β2, ε, η) = (momentum, squareMomentum, epsilon, rate(at: step))
        let (now, next, c2) = (correction(β1, after: step), correction(β1, after: step + 1), correction(β2, after: step))
        gradient.updateMoments(
            mean: &memory.mean, keeping: β1, meanSquare: &memory.meanSquare, keeping: β2, η * β1 * next, η * (1 - β1) * now,
            rootOf: c2, plus: ε)
    }
}

/// Rectified Adam: plain momentum until the mean square has seen enough gradients, then Adam with a step that grows into its size.
///
///     ρ∞ = 2/(1 − β₂) − 1      ρₖ = ρ∞ − 2kβ₂ᵏ/(1 − β₂ᵏ)
///     ρₖ > 5:  θ ← θ − ηₖ r m̂/(√v̂ + ε),  r = √((ρₖ − 4)(ρₖ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρₖ));   else  θ ← θ − ηₖ m̂
///
/// So no warm-up is to be chosen. Variant: the bound is 5 as in the authors' code (the paper's text has 4), ε is added to √v̂ as in Optax
/// (PyTorch adds it to √v). Settings, cost and failure: ``MomentMethod``. Source: Liu et al., ICLR 2020, arXiv:1908.03265.
public struct RAdam: MomentMethod {
    public var learningRate = 1e-3
    public var momentum = 0.9
    public var squareMomentum = 0.999
    public var epsilon = 1e-8
    public var schedule: any Schedule = Constant()

    public init() {}

    public static let identifier = "radam"
    public static let summary = "Adam whose first steps wait for the variance of its scale to settle."

    /// r after k steps; nil while the mean square is not to be trusted.
    func rectification(after step: Int) -> Double? {
        let limit = 2 / (1 - squareMomentum) - 1
        let power = pow(squareMomentum, Double(step))
        let length = limit - 2 * Double(step) * power / (1 - power)
        guard length > 5 else { return nil }
        return ((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)).squareRoot()
    }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout AdamMemory) {
        let (β1, β2, ε, η) = (momentum, squareMomentum, epsilon, rate(at: step))
        let (c1, c2, r) = (correction(β1, after: step), correction(β2, after: step), rectification(after: step))
        forEachEntry(&gradient, &memory.mean, &memory.meanSquare) { g, m, v in
            m = β1 * m + (1 - β1) * g
            v = β2 * v + (1 - β2) * g * g
            g = η * m * c1
        }
        guard let r else { return }
        forEachEntry(&gradient, &memory.meanSquare) { g, v in g = scaled(r * g, byRootOf: v * c2, ε) }
    }
}

/// AdaBelief: Adam whose scale is the gradient's mean square about its own mean, not about zero.
///
///     v ← β₂v + (1 − β₂)(g − m)² + ε      θ ← θ − ηₖ · m̂ / (√v̂ + ε)
///
/// Steps are long where the gradient is steady. Variant: m is the new mean and ε is added in both places, as in the paper and the authors'
/// code (Optax has a second constant in place of the first ε and the old mean). Settings, cost and failure: ``MomentMethod``.
/// Source: Zhuang et al., NeurIPS 2020, arXiv:2010.07468.
public struct AdaBelief: MomentMethod {
    public var learningRate = 1e-3
    public var momentum = 0.9
    public var squareMomentum = 0.999
    public var epsilon = 1e-16
    public var schedule: any Schedule = Constant()

    public init() {}

    public static let identifier = "adabelief"
    public static let summary = "Adam scaled by how far gradients lie from their mean."

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout AdamMemory) {
        let (β1, β2, ε, η) = (momentum, squareMomentum, epsilon, rate(at: step))
        let (c1, c2) = (correction(β1, after: step), correction(β2, after: step))
        forEachEntry(&gradient, &memory.mean, &memory.meanSquare) { g, m, v in
            m = β1 * m + (1 - β1) * g
            v = β2 * v + (1 - β2) * (g - m) * (g - m) + ε
            g = scaled(η * m * c1, byRootOf: v * c2, ε)
        }
    }
}

/// AMSGrad: Adam whose scale never falls.
///
///     w ← max(w, v)      θ ← θ − ηₖ · m̂ / (√(w/(1 − β₂ᵏ)) + ε)
///
/// So steps cannot grow again where gradients vanish for a while, which is where Adam may diverge. One vector of memory more than Adam.
/// Variant: the maximum is taken of v before its correction, and m is corrected, as in PyTorch (the paper corrects neither; Optax takes the
/// maximum of v̂). Settings, cost and failure: ``MomentMethod``. Source: Reddi, Kale & Kumar, ICLR 2018, arXiv:1904.09237.
public struct AMSGrad: MomentMethod {
    public var learningRate = 1e-3
    public var momentum = 0.9
    public var squareMomentum = 0.999
    public var epsilon = 1e-8
    public var schedule: any Schedule = Constant()

    public init() {}

    /// What AMSGrad remembers: m, v and w.
    public struct Memory: Checkpointable, Equatable {
        public var moments: AdamMemory
        /// w ∈ ℝᴾ.
        public var largest: Vector

        public init(moments: AdamMemory, largest: Vector) { (self.moments, self.largest) = (moments, largest) }

        public func encode(into archive: inout Archive) {
            archive.set("moments", moments)
            archive.set("largest", largest)
        }

        public init(from archive: Archive) throws {
            self.init(moments: try archive.value("moments"), largest: try archive.vector("largest"))
            guard largest.count == moments.mean.count else {
                throw ArchiveError(entry: "largest", reason: "\(largest.count) values for \(moments.mean.count) parameters")
            }
        }
    }

    public static let identifier = "amsgrad"
    public static let summary = "Adam with a scale that never falls."

    public func start(count n: Int) -> Memory {
        Memory(moments: AdamMemory(mean: .zeros(n), meanSquare: .zeros(n)), largest: .zeros(n))
    }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout Memory) {
        let (β1, β2, ε, η) = (momentum, squareMomentum, epsilon, rate(at: step))
        let (c1, c2) = (correction(β1, after: step), correction(β2, after: step))
        forEachEntry(&gradient, &memory.moments.mean, &memory.moments.meanSquare) { g, m, v in
            m = β1 * m + (1 - β1) * g
            v = β2 * v + (1 - β2) * g * g
            g = η * m * c1
        }
        forEachEntry(&gradient, &memory.moments.meanSquare, &memory.largest) { g, v, w in
            w = max(w, v)
            g = scaled(g, byRootOf: w * c2, ε)
        }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 6 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 11 * Double(parameters))
    }
}
