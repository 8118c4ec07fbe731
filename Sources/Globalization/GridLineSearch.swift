import OptimizationCore

/// The best of the steps α₀·ratioᵏ, k = 0 … count − 1: with ratio ½ and 31 steps, the grid line search of energy natural gradients.
///
/// All steps are tried and the lowest finite value below φ(0) is taken: no model of φ is trusted, which is what a truncated
/// Gauss–Newton direction far from the solution needs. Values only; `count` evaluations.
/// Source: Müller & Zeinhofer, ICML 2023, arXiv:2302.13163 (their code: argmin over 0.5⁰ … 0.5³⁰).
public struct GridLineSearch: LineSearch, Hashable {
    /// The ratio of neighbouring steps, in (0, 1).
    public var ratio = 0.5
    /// The number of steps.
    public var count = 31

    public init() {}

    public static let identifier = "grid"
    public static let summary = "The best of a geometric grid of steps: 1, ½, ¼, …"
    public static var fields: [Field<Self>] {
        [
            .number("ratio", \.ratio, in: .openUnit, meaning: "the ratio of neighbouring steps"),
            .integer("count", \.count, atLeast: 1, meaning: "the number of steps, all of them tried"),
        ]
    }

    public func search<Point>(along ray: Ray<Point>, from initial: Double) throws -> LineSearchResult<Point> {
        precondition(ratio > 0 && ratio < 1 && count > 0, "a grid of \(count) steps with ratio \(ratio)")
        if let obstacle = obstacle(of: ray, initial: initial, descending: false) {
            return LineSearchResult(.failed(obstacle, best: nil), trials: 0)
        }
        var best: RaySample<Point>?
        var anyFinite = false
        var α = initial
        for _ in 0..<count {
            let sample = try ray.sample(at: α, needsSlope: false)
            if sample.value.isFinite {
                anyFinite = true
                if sample.value < best?.value ?? ray.value { best = sample }
            }
            α *= ratio
        }
        if let best { return LineSearchResult(.found(best), trials: count) }
        return LineSearchResult(.failed(anyFinite ? .noDecrease : .noFiniteTrial, best: nil), trials: count)
    }
}
