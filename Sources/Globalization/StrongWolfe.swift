import OptimizationCore

/// A step that satisfies the strong Wolfe conditions:
/// φ(α) ≤ φ(0) + c₁·α·φ′(0) and |φ′(α)| ≤ c₂·|φ′(0)|.
///
/// Bracketing and zooming with cubic interpolation (Nocedal & Wright, *Numerical Optimization*, 2nd ed., alg. 3.5 and 3.6), with
/// Moré and Thuente's safeguard (doi:10.1145/192115.192132): an interval that two trials have not shrunk to 0.66 of itself is halved.
/// Near convergence φ(α) and φ(0) agree to rounding error and the first condition can no longer be judged; there, as in Hager
/// and Zhang's approximate Wolfe conditions (doi:10.1137/030601880), a value within `roundingAllowance`·|φ(0)| of φ(0)
/// counts as sufficient if |φ′(α)| ≤ min(c₂, 1 − 2c₁)·|φ′(0)|, and intervals are cut by slopes alone. Hager and Zhang allow 1e-6,
/// accept any lower value so, and do not bound positive slopes by c₂; an allowance of zero gives the textbook search.
/// A non-finite trial bounds the step from above. Cost: a value and a slope a trial, usually one or two.
public struct StrongWolfe: LineSearch, Hashable {
    /// c₁ ∈ (0, ½).
    public var sufficientDecrease = 1e-4
    /// c₂ ∈ (c₁, 1).
    public var curvature = 0.9
    /// How many trials are allowed.
    public var maximumTrials = 30
    /// The longest step, as a multiple of the first trial.
    public var maximumExpansion = 1e10
    /// Differences of φ below this multiple of |φ| are taken for rounding error. 1e-10: a residual of 1e-6 that is a difference of
    /// terms of size one carries a relative error of 1e-10.
    public var roundingAllowance = 1e-10

    public init() {}

    /// With c₂ = 0.1: for directions without a step length of their own, such as gradients and conjugate ones.
    public static var almostExact: StrongWolfe {
        var search = StrongWolfe()
        search.curvature = 0.1
        return search
    }

    public static let identifier = "strong-wolfe"
    public static let summary = "Bracketing and zooming with cubic interpolation to the strong Wolfe conditions."
    public static var fields: [Field<Self>] {
        [
            .number("sufficientDecrease", \.sufficientDecrease, in: .openUnit, meaning: "c₁ in φ(α) ≤ φ(0) + c₁·α·φ′(0)"),
            .number("curvature", \.curvature, in: .openUnit, meaning: "c₂ in |φ′(α)| ≤ c₂·|φ′(0)|"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "trials allowed"),
            .number("maximumExpansion", \.maximumExpansion, in: .atLeast(1), meaning: "the longest step in first trials"),
            .number(
                "roundingAllowance", \.roundingAllowance, in: .fraction,
                meaning: "relative differences of the loss below this count as rounding; 0 for the textbook search"),
        ]
    }

    public func validate() throws {
        if sufficientDecrease >= curvature {
            throw ConfigurationError(path: "curvature", reason: "\(curvature) must exceed sufficientDecrease, \(sufficientDecrease)")
        }
    }

    public func search<Point>(along ray: Ray<Point>, from initial: Double) throws -> LineSearchResult<Point> {
        if let obstacle = obstacle(of: ray, initial: initial) { return LineSearchResult(.failed(obstacle, best: nil), trials: 0) }
        precondition(sufficientDecrease > 0 && sufficientDecrease < curvature && curvature < 1, "Wolfe constants out of order")
        var search = WolfeSearch(rule: self, ray: ray)
        return try search.run(from: initial)
    }
}

/// An end of a bracketing interval; `sample` is nil at zero.
private struct Endpoint<Point> {
    var α: Double
    var value: Double
    var slope: Double
    var sample: RaySample<Point>?
}

/// One search in progress. α is the trial; lo and hi as in Nocedal and Wright: lo has the lowest value with sufficient decrease
/// seen so far, and φ′(lo)·(hi − lo) < 0.
private struct WolfeSearch<Point> {
    let rule: StrongWolfe
    let ray: Ray<Point>
    var trials = 0
    var best: RaySample<Point>?
    var anyFinite = false

    init(rule: StrongWolfe, ray: Ray<Point>) {
        (self.rule, self.ray) = (rule, ray)
    }

    mutating func run(from initial: Double) throws -> LineSearchResult<Point> {
        let longest = initial * rule.maximumExpansion
        var previous = Endpoint<Point>(α: 0, value: ray.value, slope: ray.slope, sample: nil)
        var α = initial
        var nonFiniteAt: Double?
        while trials < rule.maximumTrials {
            guard let here = try trial(at: α) else {
                nonFiniteAt = α
                // A tenth while nothing but the origin is known to be finite; a bisection once something is.
                α = previous.sample == nil ? 0.1 * α : 0.5 * (previous.α + α)
                if !(α > previous.α) { return failed(.noFiniteTrial) }
                continue
            }
            if !decreasesEnough(here) || (previous.sample != nil && isWorse(here.value, than: previous.value)) {
                return try zoom(lo: previous, hi: here)
            }
            if isFlat(here) { return found(here) }
            if here.slope >= 0 { return try zoom(lo: here, hi: previous) }
            if α >= longest { return failed(.unbounded(stepLength: α)) }
            let farther: Double
            if let bound = nonFiniteAt {
                farther = 0.5 * (α + bound)
                if bound - α <= 1e-3 * α { return failed(.intervalTooSmall) }
            } else {
                let wish = cubicMinimiser(previous, here) ?? 10 * α
                farther = Swift.min(Swift.max(wish, α + 1.1 * (α - previous.α), 2 * α), 10 * α, longest)
            }
            previous = here
            α = farther
        }
        return failed(anyFinite ? .trialsExhausted : .noFiniteTrial)
    }

    private mutating func zoom(lo: Endpoint<Point>, hi: Endpoint<Point>) throws -> LineSearchResult<Point> {
        var (lo, hi) = (lo, hi)
        var (width, widthBefore) = (Double.infinity, Double.infinity)
        while trials < rule.maximumTrials {
            let span = hi.α - lo.α
            if abs(span) <= 4 * Double.ulpOfOne * Swift.max(lo.α, hi.α) { return failed(.intervalTooSmall) }
            var α = interpolate(lo, hi)
            if abs(span) > 0.66 * widthBefore { α = lo.α + 0.5 * span }
            (widthBefore, width) = (width, abs(span))
            guard let here = try trial(at: α) else {
                hi = Endpoint(α: α, value: .infinity, slope: .nan, sample: nil)
                continue
            }
            if !decreasesEnough(here) || isWorse(here.value, than: lo.value) {
                hi = here
            } else {
                if isFlat(here) { return found(here) }
                if here.slope * (hi.α - lo.α) >= 0 { hi = lo }
                lo = here
            }
        }
        return failed(.trialsExhausted)
    }

    private mutating func trial(at α: Double) throws -> Endpoint<Point>? {
        trials += 1
        let sample = try ray.sample(at: α, needsSlope: true)
        guard sample.isFinite, let slope = sample.slope else { return nil }
        anyFinite = true
        if sample.value <= ray.value + rule.sufficientDecrease * α * ray.slope, sample.value < best?.value ?? ray.value { best = sample }
        return Endpoint(α: α, value: sample.value, slope: slope, sample: sample)
    }

    private func decreasesEnough(_ here: Endpoint<Point>) -> Bool {
        if here.value <= ray.value + rule.sufficientDecrease * here.α * ray.slope { return true }
        return rule.roundingAllowance > 0 && areAlike(here.value, ray.value)
            && abs(here.slope) <= (1 - 2 * rule.sufficientDecrease) * abs(ray.slope)
    }

    /// Whether two values differ by no more than rounding error.
    private func areAlike(_ a: Double, _ b: Double) -> Bool {
        abs(a - b) <= rule.roundingAllowance * Swift.max(abs(a), abs(b))
    }

    private func isWorse(_ value: Double, than other: Double) -> Bool {
        rule.roundingAllowance > 0 ? value > other && !areAlike(value, other) : value >= other
    }

    private func isFlat(_ here: Endpoint<Point>) -> Bool { abs(here.slope) <= rule.curvature * abs(ray.slope) }

    /// The cubic's minimiser, or the secant's zero of the slope where values differ by rounding error only; else the midpoint. Kept
    /// a tenth of the interval away from its ends.
    private func interpolate(_ lo: Endpoint<Point>, _ hi: Endpoint<Point>) -> Double {
        let span = hi.α - lo.α
        guard hi.value.isFinite else { return lo.α + 0.5 * span }
        let wish: Double?
        if areAlike(lo.value, hi.value), lo.slope * hi.slope < 0 {
            wish = lo.α - lo.slope * span / (hi.slope - lo.slope)
        } else {
            wish = cubicMinimiser(lo, hi)
        }
        guard let wish, wish.isFinite else { return lo.α + 0.5 * span }
        let fraction = (wish - lo.α) / span
        return lo.α + Swift.min(Swift.max(fraction, 0.1), 0.9) * span
    }

    /// The minimiser of the cubic through two values and slopes (Nocedal & Wright, eq. 3.59), or nil where it has none.
    private func cubicMinimiser(_ a: Endpoint<Point>, _ b: Endpoint<Point>) -> Double? {
        let span = b.α - a.α
        let sum = a.slope + b.slope - 3 * (a.value - b.value) / (a.α - b.α)
        // Scaled by a power of two, so that no square overflows, and no bit depends on the scale of φ.
        let unit = powerOfTwo(above: Swift.max(abs(sum), abs(a.slope), abs(b.slope)))
        let (d1, slopeA, slopeB) = (sum / unit, a.slope / unit, b.slope / unit)
        let discriminant = d1 * d1 - slopeA * slopeB
        guard discriminant >= 0 else { return nil }
        let d2 = span > 0 ? discriminant.squareRoot() : -discriminant.squareRoot()
        let wish = b.α - span * (slopeB + d2 - d1) / (slopeB - slopeA + 2 * d2)
        return wish.isFinite ? wish : nil
    }

    private func found(_ here: Endpoint<Point>) -> LineSearchResult<Point> {
        guard let sample = here.sample else { preconditionFailure("the origin cannot be the step found") }
        return LineSearchResult(.found(sample), trials: trials)
    }

    private func failed(_ failure: LineSearchFailure) -> LineSearchResult<Point> {
        LineSearchResult(.failed(failure, best: best), trials: trials)
    }
}

/// The least power of two that is above x; 1 where x is zero or not finite.
func powerOfTwo(above x: Double) -> Double {
    x > 0 && x.isFinite ? Double(sign: .plus, exponent: Swift.min(x.exponent + 1, 1023), significand: 1) : 1
}
