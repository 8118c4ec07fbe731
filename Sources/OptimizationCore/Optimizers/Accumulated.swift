import LinearAlgebra

/// A first-order method that makes one update from the mean gradient of k batches, all taken at the same parameters.
///
///     Batched(Accumulated(Clipped(Adam(), norm: 1), over: 4), size: 64)
///
///     s ← s + gⱼ   and θ stays, for j = 1 … k − 1;   then   Δ from (s + gₖ)/k,   θ ← θ − Δ,   s ← 0
///
/// gⱼ = ∇Lⱼ(θ) ∈ ℝᴾ is the gradient of batch j; k = `batches`. A step takes in one batch, so that a run can be stored between two of them;
/// a step without an update is accepted, of length 0. The base's own count, which schedules and bias corrections go by, is of updates.
/// Batches weigh alike: over the k batches of an epoch the mean is the gradient of the whole loss where the batch size divides every sample
/// set, and off by the difference of one sample a batch where it does not. A batch that is held for several steps is taken in at each.
///
/// An epoch of k batches is one update; with k = 1 the steps are the base's, bit for bit. A new version of the problem drops the gradients taken
/// in before it.
///
/// Clipping inside (above, and by name) is of the mean, as is usual; `Clipped(Accumulated(…), norm: c)` clips each batch's gradient.
/// One gradient of a batch and P flops a step, one vector of memory. Variant: the mean, as Optax's `MultiSteps`; PyTorch adds up where the
/// loss is not divided by k.
public struct Accumulated<Base: FirstOrderMethod>: FirstOrderMethod {
    public typealias Memory = AccumulatedMemory<Base.Memory>

    public var base: Base
    /// k ≥ 1.
    public var batches: Int

    public init(_ base: Base, over batches: Int) {
        precondition(batches > 0, "gradients cannot be accumulated over \(batches) batches; at least 1 is needed")
        (self.base, self.batches) = (base, batches)
    }

    public func check(_ problem: any DifferentiableProblem) throws { try base.check(problem) }

    public func start(count n: Int) -> Memory { Memory(base: base.start(count: n), sum: .zeros(n)) }

    public func start(layout: ParameterLayout) -> Memory { Memory(base: base.start(layout: layout), sum: .zeros(layout.count)) }

    public func update(_ g: inout Vector, at θ: Vector, step: Int, memory: inout Memory) {
        guard batches > 1 else {
            memory.updates += 1
            return base.update(&g, at: θ, step: memory.updates, memory: &memory.base)
        }
        memory.sum.add(g)
        memory.count += 1
        guard memory.count == batches else {
            g = .zeros(g.count)
            return
        }
        g = (1 / Double(batches)) * memory.sum
        memory.clear()
        memory.updates += 1
        base.update(&g, at: θ, step: memory.updates, memory: &memory.base)
    }

    public func gradientPoint(from θ: Vector, memory: Memory) -> Vector? { base.gradientPoint(from: θ, memory: memory.base) }

    public func scaleSteps(by factor: Double, memory: inout Memory) -> Bool { base.scaleSteps(by: factor, memory: &memory.base) }

    public func revise(_ memory: inout Memory) {
        memory.clear()
        base.revise(&memory.base)
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        base.workingMemory(parameters: parameters, residuals: residuals).map { $0 + bytes(ofNumbers: 2 * Double(parameters)) }
    }

    /// With the base's arithmetic as often as there are updates.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        var cost = base.stepCost(parameters: parameters, residuals: residuals)
        cost?.flops /= Double(batches)
        if batches > 1 { cost?.flops += Double(parameters) }
        return cost
    }
}

/// What an accumulating method remembers: its base's memory, and the gradients since the last update.
public struct AccumulatedMemory<Base: Checkpointable>: Checkpointable {
    public var base: Base
    /// s ∈ ℝᴾ.
    public var sum: Vector
    /// Gradients in s.
    public var count = 0
    /// Updates made.
    public var updates = 0

    public init(base: Base, sum: Vector) { (self.base, self.sum) = (base, sum) }

    mutating func clear() {
        sum = .zeros(sum.count)
        count = 0
    }

    public func encode(into archive: inout Archive) {
        archive.set("base", base)
        archive.set("sum", sum)
        archive.set("count", count)
        archive.set("updates", updates)
    }

    public init(from archive: Archive) throws {
        self.init(base: try archive.value("base"), sum: try archive.vector("sum"))
        (count, updates) = (try archive.count("count"), try archive.count("updates"))
    }
}

enum AccumulatedKey {
    static let batches = "accumulate"
}

/// Written as its base with one setting more: `{name: adam, batch: {size: 64}, accumulate: 4}`.
extension Accumulated: Configurable where Base: Configurable {
    public init() { self.init(Base(), over: 1) }

    public static var identifier: String { Base.identifier }
    public static var summary: String { Base.summary }
    public static var fields: [Field<Self>] {
        Base.fields.map { $0.lifted(to: \.base) } + [
            .integer(AccumulatedKey.batches, \.batches, atLeast: 1, meaning: "batches whose mean gradient an update is made from")
        ]
    }

    public func validate() throws { try base.validate() }
}
