import OptimizationCore

/// A ray φ(α) = f(θ + α·p), α ≥ 0: all that a line search sees of a problem.
///
/// `Point` is whatever the caller wants back with the accepted step (parameters, gradient, residual): it is computed once, at
/// the trial, and never again.
public struct Ray<Point> {
    /// φ(0).
    public let value: Double
    /// φ′(0) = ∇f(θ)ᵀp.
    public let slope: Double
    /// What a search that is not monotone measures its decrease from: at least φ(0), which it is by default.
    public let reference: Double
    private let evaluate: (_ α: Double, _ needsSlope: Bool) throws -> RaySample<Point>

    /// A ray from its value and slope at zero and a function that samples it; the sample's slope may be nil where none is asked for.
    public init(
        value: Double, slope: Double, reference: Double? = nil,
        evaluate: @escaping (_ α: Double, _ needsSlope: Bool) throws -> RaySample<Point>
    ) {
        (self.value, self.slope, self.reference, self.evaluate) = (value, slope, reference ?? value, evaluate)
    }

    /// The sample at step length α, with its slope if that is needed.
    public func sample(at α: Double, needsSlope: Bool) throws -> RaySample<Point> {
        let sample = try evaluate(α, needsSlope)
        precondition(!needsSlope || sample.slope != nil || !sample.value.isFinite, "a ray that was asked for its slope gave none")
        return sample
    }
}

/// One trial of a line search: φ(α), φ′(α) where it was asked for, and what the caller computed there.
public struct RaySample<Point> {
    public let stepLength: Double
    public let value: Double
    public let slope: Double?
    public let point: Point

    public init(stepLength: Double, value: Double, slope: Double?, point: Point) {
        (self.stepLength, self.value, self.slope, self.point) = (stepLength, value, slope, point)
    }

    /// Whether the value is finite, and the slope too where there is one.
    public var isFinite: Bool { value.isFinite && (slope?.isFinite ?? true) }
}

extension RaySample: Sendable where Point: Sendable {}

/// How a line search ended, and after how many trials.
public struct LineSearchResult<Point> {
    public enum End {
        /// The sample satisfies the search's conditions.
        case found(RaySample<Point>)
        /// They were not met. `best` is the lowest trial with sufficient decrease, if there was any: usable, but with less promised.
        case failed(LineSearchFailure, best: RaySample<Point>?)
    }

    public let end: End
    /// How often φ was sampled.
    public let trials: Int

    public init(_ end: End, trials: Int) { (self.end, self.trials) = (end, trials) }

    /// The sample found, or nil where the search failed.
    public var found: RaySample<Point>? { if case .found(let sample) = end { sample } else { nil } }

    /// Why the search failed, or nil where it did not.
    public var failure: LineSearchFailure? { if case .failed(let failure, _) = end { failure } else { nil } }

    /// The sample found, else the best that a failed search leaves.
    public var usable: RaySample<Point>? {
        switch end {
        case .found(let sample): sample
        case .failed(_, let best): best
        }
    }
}

/// Why a line search found no step.
public enum LineSearchFailure: Hashable, Sendable, CustomStringConvertible {
    /// φ′(0) ≥ 0 (or not a number): the direction does not descend.
    case notDescending(slope: Double)
    /// φ(0) is not finite.
    case nonFiniteStart
    /// No trial gave a finite value.
    case noFiniteTrial
    /// No trial lowered φ.
    case noDecrease
    /// φ still descends at the longest step allowed.
    case unbounded(stepLength: Double)
    /// The bracketing interval shrank to rounding error.
    case intervalTooSmall
    /// The conditions were not met within the number of trials allowed.
    case trialsExhausted

    public var description: String {
        switch self {
        case .notDescending(let slope): "the direction does not descend (slope \(slope))"
        case .nonFiniteStart: "the value at the start is not finite"
        case .noFiniteTrial: "no trial gave a finite value"
        case .noDecrease: "no trial lowered the value"
        case .unbounded(let α): "the value still descends at the longest step allowed, \(α)"
        case .intervalTooSmall: "the bracketing interval shrank to rounding error"
        case .trialsExhausted: "the trials allowed ran out"
        }
    }
}

/// A rule that picks a step length along a ray.
public protocol LineSearch: Configurable {
    /// Searches from a first trial at `initial` > 0. Throws only what the ray's own evaluation throws.
    func search<Point>(along ray: Ray<Point>, from initial: Double) throws -> LineSearchResult<Point>

    /// The reference of a ray from `value`, which the history takes in: `value` itself for a search that is monotone.
    func reference(for value: Double, in history: inout SearchHistory) -> Double
}

extension LineSearch {
    public func reference(for value: Double, in history: inout SearchHistory) -> Double { value }
}

extension Field {
    /// A line search chosen by its name among the built-in ones; those that look back at earlier losses only for a method that keeps
    /// a ``SearchHistory``.
    public static func lineSearch(_ name: String, _ path: Path<any LineSearch>, lookingBack: Bool = false, meaning: String) -> Field {
        let kinds: [any LineSearch.Type] = [
            StrongWolfe.self, MoreThuente.self, ApproximateWolfe.self, BacktrackingArmijo.self, ArmijoGoldstein.self, GridLineSearch.self,
        ]
        return .variant(
            name, among: kinds + (lookingBack ? [NonmonotoneArmijo.self] : []), meaning: meaning,
            describe: { $0[keyPath: path].settings }
        ) { root, chosen in
            guard let search = chosen as? any LineSearch else { preconditionFailure("\(type(of: chosen)) is no line search") }
            root[keyPath: path] = search
        }
    }
}

extension LineSearch {
    /// What makes a search pointless before its first trial.
    func obstacle<Point>(of ray: Ray<Point>, initial: Double, descending: Bool = true) -> LineSearchFailure? {
        precondition(initial > 0 && initial.isFinite, "a line search starts from a positive step, not \(initial)")
        if !ray.value.isFinite { return .nonFiniteStart }
        if descending && !(ray.slope < 0) { return .notDescending(slope: ray.slope) }
        return nil
    }
}
