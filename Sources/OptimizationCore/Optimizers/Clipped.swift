import LinearAlgebra

/// A first-order method whose gradient is shortened to a greatest norm before the method sees it.
///
/// g ← g · min(1, c/‖g‖₂) with g = ∇L(θ) ∈ ℝᴾ over all parameters at once and c = `norm`; its direction is kept. 2P flops a step
/// beyond the base's. A zero gradient stays zero. The report's gradient norm is the unclipped one.
/// Variant: by the global norm (PyTorch's `clip_grad_norm_`, Optax's `clip_by_global_norm`), not by each entry's value.
/// Source: Pascanu, Mikolov & Bengio, ICML 2013, arXiv:1211.5063, algorithm 1.
public struct Clipped<Base: FirstOrderMethod>: FirstOrderMethod {
    public var base: Base
    /// c > 0.
    public var norm: Double

    public init(_ base: Base, norm: Double) {
        precondition(norm > 0 && norm.isFinite, "a gradient cannot be clipped to the norm \(norm); it must be positive and finite")
        (self.base, self.norm) = (base, norm)
    }

    public func check(_ problem: any DifferentiableProblem) throws { try base.check(problem) }

    public func start(count n: Int) -> ClippedMemory<Base.Memory> { ClippedMemory(base: base.start(count: n)) }

    public func start(layout: ParameterLayout) -> ClippedMemory<Base.Memory> { ClippedMemory(base: base.start(layout: layout)) }

    public func update(_ g: inout Vector, at θ: Vector, step: Int, memory: inout ClippedMemory<Base.Memory>) {
        let length = g.norm
        if length > norm {
            g.scale(by: norm / length)
            memory.clippings += 1
        }
        base.update(&g, at: θ, step: step, memory: &memory.base)
    }

    public func gradientPoint(from θ: Vector, memory: ClippedMemory<Base.Memory>) -> Vector? {
        base.gradientPoint(from: θ, memory: memory.base)
    }

    public func scaleSteps(by factor: Double, memory: inout ClippedMemory<Base.Memory>) -> Bool {
        base.scaleSteps(by: factor, memory: &memory.base)
    }

    public func revise(_ memory: inout ClippedMemory<Base.Memory>) { base.revise(&memory.base) }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        base.workingMemory(parameters: parameters, residuals: residuals)
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        var cost = base.stepCost(parameters: parameters, residuals: residuals)
        cost?.flops += 2 * Double(parameters)
        return cost
    }
}

/// What a clipped method remembers: its base's memory, and how often it has clipped.
public struct ClippedMemory<Base: Checkpointable>: Checkpointable {
    public var base: Base
    /// Steps whose gradient was longer than the bound.
    public var clippings: Int

    public init(base: Base, clippings: Int = 0) { (self.base, self.clippings) = (base, clippings) }

    public func encode(into archive: inout Archive) {
        archive.set("base", base)
        archive.set("clippings", clippings)
    }

    public init(from archive: Archive) throws {
        self.init(base: try archive.value("base"), clippings: try archive.count("clippings"))
    }
}

enum ClippedKey {
    static let norm = "clipNorm"
}

/// Written as its base with one setting more: `{name: adam, clipNorm: 1}`.
extension Clipped: Configurable where Base: Configurable {
    public init() { self.init(Base(), norm: 1) }

    public static var identifier: String { Base.identifier }
    public static var summary: String { Base.summary }
    public static var fields: [Field<Self>] {
        Base.fields.map { $0.lifted(to: \.base) } + [
            .number(ClippedKey.norm, \.norm, in: .positive, meaning: "the greatest norm of the gradient that a step is made from")
        ]
    }

    public func validate() throws { try base.validate() }
}
