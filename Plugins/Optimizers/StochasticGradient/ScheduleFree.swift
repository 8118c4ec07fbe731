import LinearAlgebra
import OptimizationCore

/// Schedule-free gradient descent: an average of the iterates in place of a falling rate, with gradients taken between the two.
///
///     y = (1 − β)z + βx      z ← z − ηₖ(∇L(y) + λy)      x ← (1 − cₖ)x + cₖz,   cₖ = wₖ/Σⱼ≤ₖwⱼ,  wₖ = maxⱼ≤ₖ ηⱼ²
///
/// x, y, z ∈ ℝᴾ, all at the start at first; η = `learningRate` times the schedule's factor, β = `momentum`, λ = `weightDecay`. **x, the
/// average, is what is reported and handed on**; z is the iterate and y where gradients are taken, which are of no other use. β = 0 is
/// Polyak and Ruppert's average of gradient descent, β = 1 primal averaging. No schedule is needed and no number of steps to be known, but
/// a warm-up where first steps are too long; rates are larger than those that fall. One gradient at y and one loss at x a step, 8P flops,
/// two vectors of memory.
/// Breaks down where one of them is not finite. A report has no gradient norm: rules on it measure it at x.
/// Variant: the authors' code, with their weights wₖ of constant r = 0; z, not y, is stored, so that any β goes. Where steps are shortened,
/// on plateaus and in recoveries, η is. Source: Defazio et al., NeurIPS 2024, arXiv:2405.15682.
public struct ScheduleFreeSGD: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 0.1
    /// β ∈ [0, 1].
    public var momentum = 0.9
    /// λ ≥ 0.
    public var weightDecay = 0.0
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    public init(learningRate: Double, momentum: Double = 0.9, weightDecay: Double = 0, schedule: any Schedule = Constant()) {
        (self.learningRate, self.momentum, self.weightDecay, self.schedule) = (learningRate, momentum, weightDecay, schedule)
    }

    public static let identifier = "schedule-free-sgd"
    public static let summary = "Gradient descent whose iterates are averaged instead of its rate lowered."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the step per unit of the gradient"),
            .number("momentum", \.momentum, in: .within(0...1), meaning: "β, how near to the average gradients are taken"),
            .number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull of each parameter to zero"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    public func start(count n: Int) -> ScheduleFreeMemory { ScheduleFreeMemory(count: n) }

    public func update(_ gradient: inout Vector, at x: Vector, step: Int, memory: inout ScheduleFreeMemory) {
        memory.descend(&gradient, at: x, rate: learningRate * schedule.factor(at: step), momentum, weightDecay)
    }

    public func gradientPoint(from x: Vector, memory: ScheduleFreeMemory) -> Vector? { memory.gradientPoint(from: x, momentum) }

    public func scaleSteps(by factor: Double, memory: inout ScheduleFreeMemory) -> Bool {
        memory.scale *= factor
        return true
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 6 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1), .init(.loss, 1)], flops: 8 * Double(parameters))
    }
}

/// Schedule-free AdamW: ``ScheduleFreeSGD`` along gradients divided by the root of their running mean square.
///
///     v ← β₂v + (1 − β₂)g²,  g = ∇L(y)      z ← z − ηₖ(g/(√(v/(1 − β₂ᵏ)) + ε) + λy)      y, x, cₖ as there
///
/// β = `momentum` stands in for Adam's mean of gradients; β₂ = `squareMomentum`. One gradient at y and one loss at x a step, 14P flops,
/// three vectors of memory. All else, the point that is handed on and when it breaks down: ``ScheduleFreeSGD``.
/// Variant: the authors' code, in which the weight decay pulls y. Source: Defazio et al., NeurIPS 2024, arXiv:2405.15682.
public struct ScheduleFreeAdamW: FirstOrderMethod, Configurable {
    /// η > 0.
    public var learningRate = 2.5e-3
    /// β ∈ [0, 1].
    public var momentum = 0.9
    /// β₂ ∈ [0, 1).
    public var squareMomentum = 0.999
    /// ε ≥ 0.
    public var epsilon = 1e-8
    /// λ ≥ 0.
    public var weightDecay = 0.0
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    /// What the method remembers: x's companion z, and v.
    public struct Memory: Checkpointable, Equatable {
        public var iterate: ScheduleFreeMemory
        /// v ∈ ℝᴾ.
        public var meanSquare: Vector

        public init(iterate: ScheduleFreeMemory, meanSquare: Vector) { (self.iterate, self.meanSquare) = (iterate, meanSquare) }

        public func encode(into archive: inout Archive) {
            archive.set("iterate", iterate)
            archive.set("meanSquare", meanSquare)
        }

        public init(from archive: Archive) throws {
            self.init(iterate: try archive.value("iterate"), meanSquare: try archive.vector("meanSquare"))
            guard meanSquare.count == iterate.iterate.count else {
                throw ArchiveError(entry: "meanSquare", reason: "\(meanSquare.count) values for \(iterate.iterate.count) parameters")
            }
        }
    }

    public static let identifier = "schedule-free-adamw"
    public static let summary = "Steps scaled as Adam's, whose iterates are averaged instead of the rate lowered."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the size of a step in each parameter"),
            .number("momentum", \.momentum, in: .within(0...1), meaning: "β, how near to the average gradients are taken"),
            .number("squareMomentum", \.squareMomentum, in: .fraction, meaning: "β₂, the memory of the gradient's mean square"),
            .number("epsilon", \.epsilon, in: .nonNegative, meaning: "ε, added to the root mean square"),
            .number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull of each parameter to zero"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    public func start(count n: Int) -> Memory { Memory(iterate: ScheduleFreeMemory(count: n), meanSquare: .zeros(n)) }

    public func update(_ gradient: inout Vector, at x: Vector, step: Int, memory: inout Memory) {
        let (β2, ε, c2) = (squareMomentum, epsilon, correction(squareMomentum, after: step))
        forEachEntry(&gradient, &memory.meanSquare) { g, v in
            v = β2 * v + (1 - β2) * g * g
            g = scaled(g, byRootOf: v * c2, ε)
        }
        memory.iterate.descend(&gradient, at: x, rate: learningRate * schedule.factor(at: step), momentum, weightDecay)
    }

    public func gradientPoint(from x: Vector, memory: Memory) -> Vector? { memory.iterate.gradientPoint(from: x, momentum) }

    public func scaleSteps(by factor: Double, memory: inout Memory) -> Bool {
        memory.iterate.scale *= factor
        return true
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 7 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1), .init(.loss, 1)], flops: 14 * Double(parameters))
    }
}

/// What a schedule-free method remembers beside its average x.
public struct ScheduleFreeMemory: Checkpointable, Equatable {
    /// z ∈ ℝᴾ; zero before the first step, where z = x.
    public var iterate: Vector
    /// Σ wⱼ.
    public var weights = 0.0
    /// maxⱼ ηⱼ.
    public var largestRate = 0.0
    /// The factor of η.
    public var scale = 1.0

    init(count n: Int) { iterate = .zeros(n) }

    /// y, once there has been a step.
    func gradientPoint(from x: Vector, _ β: Double) -> Vector? { weights > 0 ? (β * x).adding(iterate, scaledBy: 1 - β) : nil }

    /// Moves z along −(d + λy) and turns the direction d into x's update.
    mutating func descend(_ direction: inout Vector, at x: Vector, rate: Double, _ β: Double, _ λ: Double) {
        if λ > 0 { direction.add(gradientPoint(from: x, β) ?? x, scaledBy: λ) }
        if weights == 0 { iterate = x }
        let η = scale * rate
        iterate.add(direction, scaledBy: -η)
        largestRate = max(largestRate, η)
        weights += largestRate * largestRate
        guard weights > 0 else {
            direction = .zeros(x.count)
            return
        }
        direction = (largestRate * largestRate / weights) * (x - iterate)
    }

    public func encode(into archive: inout Archive) {
        archive.set("iterate", iterate)
        archive.set("weights", weights)
        archive.set("largestRate", largestRate)
        archive.set("scale", scale)
    }

    public init(from archive: Archive) throws {
        iterate = try archive.vector("iterate")
        (weights, largestRate) = (try archive.double("weights"), try archive.double("largestRate"))
        scale = try archive.double("scale")
    }
}
