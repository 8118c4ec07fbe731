import LinearAlgebra

/// A method on parameters between bounds, whatever it is: it steps on φ without bounds, and the run sees θ(φ) (``BoundedProblem``).
///
///     Bounded(LevenbergMarquardt(), ParameterBounds(["coefficients.conductivity": 0...10]))
///
/// A start on a bound or outside is moved inside. Gradient norms and radii are those in φ, where the gradient vanishes at a minimiser on a
/// bound. Cost: the base's, and the reflection's few flops a parameter. Where no block is bounded the steps are the base's, bit for bit.
/// Variant: by reflection, which any method can do; `l-bfgs-b` holds the set of active bounds itself and is free of the curvature that a
/// reflection adds near a bound.
public struct Bounded<Base: Optimizer>: Optimizer {
    public typealias Samples = Base.Samples

    public var base: Base
    public var bounds: ParameterBounds

    public init(_ base: Base, _ bounds: ParameterBounds) { (self.base, self.bounds) = (base, bounds) }

    public func check(_ problem: Base.Objective) throws { try base.check(try bounded(problem).problem) }

    public func start(on problem: Base.Objective, from parameters: Parameters) throws -> BoundedState<Base.State> {
        let (inner, place) = try bounded(problem)
        let start = place.unbounded(parameters.values)
        let state = try base.start(on: inner, from: parameters.with(start))
        return BoundedState(base: state, parameters: state.parameters.with(place.parameters(start)))
    }

    public func step(_ state: inout BoundedState<Base.State>, on problem: Base.Objective) throws -> StepReport {
        let (inner, place) = try bounded(problem)
        let report = try base.step(&state.base, on: inner)
        state.parameters.values = place.parameters(state.base.parameters.values)
        return report
    }

    public func adapt(_ state: inout BoundedState<Base.State>, to problem: Base.Objective) throws {
        try base.adapt(&state.base, to: try bounded(problem).problem)
    }

    public var evaluatesAhead: Bool { base.evaluatesAhead }

    public func adapt(_ state: inout BoundedState<Base.State>, toBatch batch: Base.Objective) throws {
        try base.adapt(&state.base, toBatch: try bounded(batch).problem)
    }

    public func shortenSteps(_ state: inout BoundedState<Base.State>) -> Bool { base.shortenSteps(&state.base) }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        base.workingMemory(parameters: parameters, residuals: residuals).map { $0 + bytes(ofNumbers: 4 * Double(parameters)) }
    }

    public func workingMemory(on problem: Base.Objective) -> Int? {
        guard let (inner, _) = try? bounded(problem), let parameters = (problem as? any Problem)?.layout.count else { return nil }
        return base.workingMemory(on: inner).map { $0 + bytes(ofNumbers: 4 * Double(parameters)) }
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? { base.stepCost(parameters: parameters, residuals: residuals) }

    /// From and to φ.
    private struct Place {
        var parameters: (Vector) -> Vector
        var unbounded: (Vector) -> Vector
    }

    private func bounded(_ problem: Base.Objective) throws -> (problem: Base.Objective, place: Place) {
        guard let whole = problem as? any Problem else { preconditionFailure("\(type(of: problem)) is no problem") }
        func open<P: Problem>(_ whole: P) throws -> (Base.Objective, Place) {
            let box = try bounds.box(for: whole.layout)
            if let i = box.lower.indices.first(where: { box.lower[$0] >= box.upper[$0] }) {
                throw ConfigurationError(
                    path: ParameterBounds.key,
                    reason: "[\(box.lower[i]), \(box.upper[i])] leaves nothing to move; give two different bounds")
            }
            let view = BoundedProblem(whole, lower: box.lower, upper: box.upper)
            guard let inner = view as? Base.Objective else {
                throw ConfigurationError(
                    path: ParameterBounds.key,
                    reason: "bounds do not go with what this method asks of the problem, a \(needed(by: Base.self)); take another method")
            }
            return (inner, Place(parameters: { view.parameters(at: $0) }, unbounded: { view.unbounded($0) }))
        }
        return try open(whole)
    }
}

/// A base's state in φ, and θ.
public struct BoundedState<Base: OptimizerState>: OptimizerState {
    public var base: Base
    public var parameters: Parameters

    public init(base: Base, parameters: Parameters) { (self.base, self.parameters) = (base, parameters) }

    public func encode(into archive: inout Archive) {
        archive.set("base", base)
        archive.set("parameters", parameters)
    }

    public init(from archive: Archive) throws {
        self.init(base: try archive.value("base"), parameters: try archive.value("parameters"))
    }
}

/// Written as its base with one setting more: `{name: levenberg-marquardt, bounds: {conductivity: [0, inf]}}`.
extension Bounded: Configurable where Base: Configurable {
    public init() { self.init(Base(), ParameterBounds()) }

    public static var identifier: String { Base.identifier }
    public static var summary: String { Base.summary }
    public static var fields: [Field<Self>] { Base.fields.map { $0.lifted(to: \.base) } + [.bounds(\.bounds)] }

    public func validate() throws { try base.validate() }
}
