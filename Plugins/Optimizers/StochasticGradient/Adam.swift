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
/// θ, g, m, v ∈ ℝᴾ; η = `learningRate` times the schedule's factor; β₁ = `momentum`; β₂ = `squareMomentum`; ε = `epsilon`.
/// One gradient a step, 10 P flops, two vectors of memory. Breaks down where loss or gradient is not finite.
/// Variant: ε stands outside the root and after the bias correction, as in the paper's algorithm 1 (TensorFlow's default form has
/// an ε that is not bias-corrected). For residual losses in double precision a tiny ε (1e-20) keeps late steps from shrinking.
/// A revision of the problem keeps m and v.
/// Source: Kingma & Ba, ICLR 2015, arXiv:1412.6980.
public struct Adam: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 1e-3
    /// β₁ ∈ [0, 1).
    public var momentum = 0.9
    /// β₂ ∈ [0, 1).
    public var squareMomentum = 0.999
    /// ε ≥ 0.
    public var epsilon = 1e-8
    /// The factor of η at each step.
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
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the size of a step in each parameter"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β₁, the memory of the gradient's mean"),
            .number("squareMomentum", \.squareMomentum, in: .fraction, meaning: "β₂, the memory of the gradient's mean square"),
            .number("epsilon", \.epsilon, in: .nonNegative, meaning: "ε, added to the root mean square"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    public func start(count n: Int) -> AdamMemory { AdamMemory(mean: .zeros(n), meanSquare: .zeros(n)) }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout AdamMemory) {
        precondition(memory.mean.count == gradient.count, "a memory of \(memory.mean.count) for \(gradient.count) parameters")
        let (β1, β2, ε) = (momentum, squareMomentum, epsilon)
        let η = learningRate * schedule.factor(at: step)
        let (correction1, correction2) = (1 / (1 - pow(β1, Double(step))), 1 / (1 - pow(β2, Double(step))))
        gradient.withUnsafeMutableBufferPointer { g in
            memory.mean.withUnsafeMutableBufferPointer { m in
                memory.meanSquare.withUnsafeMutableBufferPointer { v in
                    for i in g.indices {
                        m[i] = β1 * m[i] + (1 - β1) * g[i]
                        v[i] = β2 * v[i] + (1 - β2) * g[i] * g[i]
                        let scale = (v[i] * correction2).squareRoot() + ε
                        // A parameter that the loss has never felt stays where it is, with ε = 0 too.
                        g[i] = scale > 0 ? η * m[i] * correction1 / scale : 0
                    }
                }
            }
        }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 5 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 10 * Double(parameters))
    }
}

/// What Adam remembers: m and v.
public struct AdamMemory: Checkpointable, Equatable {
    /// m ∈ ℝᴾ.
    public var mean: Vector
    /// v ∈ ℝᴾ.
    public var meanSquare: Vector

    public init(mean: Vector, meanSquare: Vector) { (self.mean, self.meanSquare) = (mean, meanSquare) }

    public func encode(into archive: inout Archive) {
        archive.set("mean", mean)
        archive.set("meanSquare", meanSquare)
    }

    public init(from archive: Archive) throws {
        self.init(mean: try archive.vector("mean"), meanSquare: try archive.vector("meanSquare"))
        guard mean.count == meanSquare.count else {
            throw ArchiveError(entry: "meanSquare", reason: "\(meanSquare.count) values for \(mean.count) parameters")
        }
    }
}
