import OptimizationCore

/// A step that is neither too long nor too short, by values alone (the Armijo–Goldstein conditions):
///
///     φ(0) + (1 − c)·α·φ′(0) ≤ φ(α) ≤ φ(0) + c·α·φ′(0),   0 < c < ½
///
/// The right bound is Armijo's; the left one keeps the step from being so short that φ still follows its tangent, which Wolfe's conditions do
/// by slopes. A step too short is doubled until one is too long; then the parabola through φ(0), φ′(0) and the step too long is minimised,
/// within the middle eight tenths of the interval. A non-finite trial is too long. Near a minimiser rounding error hides the left bound: a
/// step whose value differs from φ(0) + c·α·φ′(0) by less than |φ(0)|'s last bits is taken.
/// The left bound may cut off the minimiser of φ (of a parabola with c > ½ only). Cost: a value a trial; the gradient at the step found.
/// Source: Goldstein, Numer. Math. 4 (1962); Nocedal & Wright, *Numerical Optimization*, 2nd ed., eq. 3.11.
public struct ArmijoGoldstein: LineSearch, Hashable {
    /// c ∈ (0, ½).
    public var fraction = 0.25
    /// The longest step, as a multiple of the first trial.
    public var maximumExpansion = 1e10
    /// How many trials are allowed.
    public var maximumTrials = 60

    public init() {}

    public static let identifier = "goldstein"
    public static let summary = "Steps neither too long nor too short, judged by values alone."
    public static var fields: [Field<Self>] {
        [
            .number("fraction", \.fraction, in: .openUnit, meaning: "c < ½ in φ(0) + (1 − c)·α·φ′(0) ≤ φ(α) ≤ φ(0) + c·α·φ′(0)"),
            .number("maximumExpansion", \.maximumExpansion, in: .atLeast(1), meaning: "the longest step in first trials"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "trials allowed"),
        ]
    }

    public func validate() throws {
        if fraction >= 0.5 { throw ConfigurationError(path: "fraction", reason: "\(fraction) must be below ½") }
    }

    public func search<Point>(along ray: Ray<Point>, from initial: Double) throws -> LineSearchResult<Point> {
        if let obstacle = obstacle(of: ray, initial: initial) { return LineSearchResult(.failed(obstacle, best: nil), trials: 0) }
        precondition(fraction > 0 && fraction < 0.5, "a Goldstein fraction of \(fraction)")
        let longest = initial * maximumExpansion
        var α = initial
        var (short, long) = (0.0, Double.infinity)
        var best: RaySample<Point>?
        var anyFinite = false
        for trial in 1...maximumTrials {
            let sample = try ray.sample(at: α, needsSlope: false)
            let decrease = sample.value - ray.value
            if sample.value.isFinite { anyFinite = true }
            if sample.value.isFinite, decrease <= fraction * α * ray.slope {
                if sample.value < best?.value ?? ray.value { best = sample }
                let isHidden = α * abs(ray.slope) <= Double.ulpOfOne * abs(ray.value)
                if decrease >= (1 - fraction) * α * ray.slope || isHidden { return LineSearchResult(.found(sample), trials: trial) }
                if α >= longest { return LineSearchResult(.failed(.unbounded(stepLength: α), best: best), trials: trial) }
                short = α
                α = long.isFinite ? 0.5 * (short + long) : Swift.min(2 * α, longest)
            } else {
                long = α
                // The parabola's minimiser; a tenth where the trial was not finite.
                let wish = sample.value.isFinite ? -0.5 * ray.slope * α * α / (decrease - ray.slope * α) : 0.1 * α
                α = Swift.min(Swift.max(wish, short + 0.1 * (long - short)), short + 0.9 * (long - short))
            }
            if long - short <= 4 * Double.ulpOfOne * short || !(α > 0) {
                return LineSearchResult(.failed(anyFinite ? .intervalTooSmall : .noFiniteTrial, best: best), trials: trial)
            }
        }
        return LineSearchResult(.failed(anyFinite ? .trialsExhausted : .noFiniteTrial, best: best), trials: maximumTrials)
    }
}
