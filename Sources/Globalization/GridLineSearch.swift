import OptimizationCore

/// The best of the steps α₀·ratioᵏ, k = 0 … count − 1: with ratio ½ and 31 steps, the grid line search of energy natural gradients.
///
/// The lowest finite value below φ(0) is taken: no model of φ is trusted, which is what a truncated Gauss–Newton direction far from the
/// solution needs. Values only. All `count` steps are tried, or coarse to fine: every `stride`-th step first, then around the lowest with
/// half the distance again and again. That finds the same step where φ falls and then rises over the grid, with ⌈count/stride⌉ +
/// 2·log₂ stride trials: 10 of 31 for a stride of 8, which came as far with a third of the evaluations on Poisson's equation (docs/results.md). By
/// default all are tried, as the published methods do.
/// Source: Müller & Zeinhofer, ICML 2023, arXiv:2302.13163 (their code: argmin over 0.5⁰ … 0.5³⁰).
public struct GridLineSearch: LineSearch, Hashable {
    /// The ratio of neighbouring steps, in (0, 1).
    public var ratio = 0.5
    /// The number of steps.
    public var count = 31
    /// The distance of the steps that are tried first; 1 tries all.
    public var stride = 1

    public init() {}

    public static let identifier = "grid"
    public static let summary = "The best of a geometric grid of steps: 1, ½, ¼, …"
    public static var fields: [Field<Self>] {
        [
            .number("ratio", \.ratio, in: .openUnit, meaning: "the ratio of neighbouring steps"),
            .integer("count", \.count, atLeast: 1, meaning: "the number of steps"),
            .integer("stride", \.stride, atLeast: 1, meaning: "every which step is tried first, before those around the best; 1 tries all"),
        ]
    }

    public func search<Point>(along ray: Ray<Point>, from initial: Double) throws -> LineSearchResult<Point> {
        precondition(ratio > 0 && ratio < 1 && count > 0 && stride > 0, "a grid of \(count) steps with ratio \(ratio), stride \(stride)")
        if let obstacle = obstacle(of: ray, initial: initial, descending: false) {
            return LineSearchResult(.failed(obstacle, best: nil), trials: 0)
        }
        var steps = [initial]
        for _ in 1..<count { steps.append(steps[steps.count - 1] * ratio) }
        var tried = [Bool](repeating: false, count: count)
        var best: (k: Int, sample: RaySample<Point>)?
        var (lowest, trials, anyFinite) = (0, 0, false)
        var lowestValue = Double.infinity
        func attempt(_ k: Int) throws {
            guard steps.indices.contains(k), !tried[k] else { return }
            (tried[k], trials) = (true, trials + 1)
            let sample = try ray.sample(at: steps[k], needsSlope: false)
            guard sample.value.isFinite else { return }
            anyFinite = true
            // The lowest above φ(0) too: near it may lie one below.
            if sample.value < lowestValue { (lowest, lowestValue) = (k, sample.value) }
            if sample.value < best?.sample.value ?? ray.value { best = (k, sample) }
        }
        for k in Swift.stride(from: 0, to: count, by: stride) { try attempt(k) }
        var distance = stride
        while distance > 1 {
            distance = (distance + 1) / 2
            let centre = anyFinite ? lowest : count - 1  // nothing is finite yet: shorter steps are what is left
            try attempt(centre - distance)
            try attempt(centre + distance)
        }
        if let best { return LineSearchResult(.found(best.sample), trials: trials) }
        return LineSearchResult(.failed(anyFinite ? .noDecrease : .noFiniteTrial, best: nil), trials: trials)
    }
}
