import OptimizationCore

/// Moré and Thuente's search for the strong Wolfe conditions: φ(α) ≤ φ(0) + c₁·α·φ′(0) and |φ′(α)| ≤ c₂·|φ′(0)|.
///
/// An interval that holds such a step is kept and shrunk; its trials minimise cubics and parabolas through values and slopes, of
/// ψ(α) = φ(α) − φ(0) − c₁·α·φ′(0) until ψ(α) ≤ 0 with φ′(α) ≥ 0 was seen, and of φ from then on. In exact arithmetic it ends after finitely
/// many trials. MINPACK-2's `dcsrch` with its constants (extrapolation by 1.1 to 4, bisection at 0.66); as in ``StrongWolfe``, a value
/// within `roundingAllowance`·|φ(0)| of φ(0) counts as sufficient where the slope has become small.
/// A non-finite trial bounds the step from above. Cost: a value and a slope a trial.
/// Source: Moré & Thuente, ACM TOMS 20 (1994) 286–307, doi:10.1145/192115.192132.
public struct MoreThuente: LineSearch, Hashable {
    /// c₁ ∈ (0, c₂).
    public var sufficientDecrease = 1e-4
    /// c₂ ∈ (c₁, 1).
    public var curvature = 0.9
    /// How many trials are allowed.
    public var maximumTrials = 30
    /// The longest step, as a multiple of the first trial.
    public var maximumExpansion = 1e10
    /// Differences of φ below this multiple of |φ| are taken for rounding error.
    public var roundingAllowance = 1e-10

    public init() {}

    public static let identifier = "more-thuente"
    public static let summary = "An interval shrunk by cubics and parabolas to the strong Wolfe conditions, with proven end."
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
        try search(along: ray, from: initial, longest: initial * maximumExpansion)
    }

    /// The search with a longest step of the caller's, such as the way to a bound; the first trial may be that.
    package func search<Point>(along ray: Ray<Point>, from initial: Double, longest: Double) throws -> LineSearchResult<Point> {
        if let obstacle = obstacle(of: ray, initial: initial) { return LineSearchResult(.failed(obstacle, best: nil), trials: 0) }
        precondition(sufficientDecrease > 0 && sufficientDecrease < curvature && curvature < 1, "Wolfe constants out of order")
        let slope = sufficientDecrease * ray.slope
        // x has the lowest ψ (or φ) so far; the interval lies between x and y once there is one.
        var x = Place(α: 0, value: ray.value, slope: ray.slope)
        var y = x
        var (isBracketed, isFirstStage) = (false, true)
        var (width, widthBefore) = (Double.infinity, Double.infinity)
        var (lowest, highest) = (0.0, 5 * initial)
        var (longest, isWalled) = (longest, false)
        var α = Swift.min(initial, longest)
        var best: RaySample<Point>?
        var anyFinite = false
        for trial in 1...maximumTrials {
            let sample = try ray.sample(at: α, needsSlope: true)
            guard sample.isFinite, let slopeHere = sample.slope else {
                (longest, isWalled) = (α, true)
                α = x.α == 0 && !anyFinite ? 0.1 * α : 0.5 * (x.α + α)
                if !(α > x.α) { return LineSearchResult(.failed(.noFiniteTrial, best: best), trials: trial) }
                continue
            }
            anyFinite = true
            let here = Place(α: α, value: sample.value, slope: slopeHere)
            let bound = ray.value + α * slope
            let decreases = here.value <= bound
            if decreases, here.value < best?.value ?? ray.value { best = sample }
            if decreases || isRounding(here, on: ray), abs(here.slope) <= curvature * abs(ray.slope) {
                return LineSearchResult(.found(sample), trials: trial)
            }
            if !isBracketed, α >= longest, decreases, here.slope <= slope {
                return LineSearchResult(.failed(.unbounded(stepLength: α), best: best), trials: trial)
            }
            if isFirstStage, decreases, here.slope >= 0 { isFirstStage = false }
            let next: Double
            if isFirstStage, here.value <= x.value, !decreases {
                // ψ in place of φ, so that the interval closes in on sufficient decrease.
                var (ψx, ψy) = (x.tilted(by: slope), y.tilted(by: slope))
                next = step(&ψx, &ψy, here.tilted(by: slope), &isBracketed, lowest, highest)
                (x, y) = (ψx.tilted(by: -slope), ψy.tilted(by: -slope))
            } else {
                next = step(&x, &y, here, &isBracketed, lowest, highest)
            }
            α = next
            if isBracketed {
                if abs(y.α - x.α) >= 0.66 * widthBefore { α = x.α + 0.5 * (y.α - x.α) }
                (widthBefore, width) = (width, abs(y.α - x.α))
                (lowest, highest) = (Swift.min(x.α, y.α), Swift.max(x.α, y.α))
            } else {
                (lowest, highest) = (α + 1.1 * (α - x.α), α + 4 * (α - x.α))
            }
            α = Swift.min(α, isWalled ? x.α + 0.9 * (longest - x.α) : longest)
            // Rounding error hides what was bracketed.
            if isBracketed ? !(α > lowest && α < highest && highest - lowest > Double.ulpOfOne * highest) : !(α > 0) {
                return LineSearchResult(.failed(.intervalTooSmall, best: best), trials: trial)
            }
        }
        return LineSearchResult(.failed(anyFinite ? .trialsExhausted : .noFiniteTrial, best: best), trials: maximumTrials)
    }

    /// Whether φ is φ(0) but for rounding error, and the slope is small enough to go by.
    private func isRounding<Point>(_ here: Place, on ray: Ray<Point>) -> Bool {
        roundingAllowance > 0 && abs(here.value - ray.value) <= roundingAllowance * Swift.max(abs(here.value), abs(ray.value))
            && abs(here.slope) <= (1 - 2 * sufficientDecrease) * abs(ray.slope)
    }

    /// The next trial, and the interval that the present one leaves: the four cases of the paper's section 4 (`dcstep`).
    private func step(
        _ x: inout Place, _ y: inout Place, _ t: Place, _ isBracketed: inout Bool, _ lowest: Double, _ highest: Double
    ) -> Double {
        let sign = t.slope * (x.slope < 0 ? -1 : 1)
        let next: Double
        if t.value > x.value {
            // The value has risen: a minimum lies between. The cubic's, or halfway to the parabola's, whichever is closer to x.
            let cubic = t.cubicFromValues(with: x, forward: t.α > x.α)
            let parabola = x.α + x.slope / ((x.value - t.value) / (t.α - x.α) + x.slope) / 2 * (t.α - x.α)
            next = abs(cubic - x.α) < abs(parabola - x.α) ? cubic : cubic + (parabola - cubic) / 2
            isBracketed = true
        } else if sign < 0 {
            // The slope has changed its sign: the cubic's minimum or the secant's zero, whichever is farther from t.
            let cubic = t.cubicFromSlopes(with: x, forward: t.α < x.α)
            let secant = t.α + t.slope / (t.slope - x.slope) * (x.α - t.α)
            next = abs(cubic - t.α) > abs(secant - t.α) ? cubic : secant
            isBracketed = true
        } else if abs(t.slope) < abs(x.slope) {
            // The slope has become flatter: the cubic may have no minimum beyond t.
            let cubic = t.flatterCubic(with: x, lowest, highest)
            let secant = t.α + t.slope / (t.slope - x.slope) * (x.α - t.α)
            if isBracketed {
                let wish = abs(cubic - t.α) < abs(secant - t.α) ? cubic : secant
                let limit = t.α + 0.66 * (y.α - t.α)
                next = t.α > x.α ? Swift.min(limit, wish) : Swift.max(limit, wish)
            } else {
                let wish = abs(cubic - t.α) > abs(secant - t.α) ? cubic : secant
                next = Swift.max(lowest, Swift.min(highest, wish))
            }
        } else if isBracketed {
            next = t.cubicFromSlopes(with: y, forward: t.α < y.α)
        } else {
            next = t.α > x.α ? highest : lowest
        }
        if t.value > x.value {
            y = t
        } else {
            if sign < 0 { y = x }
            x = t
        }
        return next.isFinite ? next : 0.5 * (x.α + (isBracketed ? y.α : highest))
    }
}

/// A step with its value and slope.
private struct Place {
    var α: Double
    var value: Double
    var slope: Double

    /// The same on φ(α) − c·α.
    func tilted(by c: Double) -> Place { Place(α: α, value: value - α * c, slope: slope - c) }

    /// θ and γ of the cubic through two values and slopes, without overflow.
    private func cubic(with x: Place) -> (θ: Double, γ: Double) {
        let θ = 3 * (x.value - value) / (α - x.α) + x.slope + slope
        let scale = Swift.max(abs(θ), abs(x.slope), abs(slope))
        let discriminant = (θ / scale) * (θ / scale) - (x.slope / scale) * (slope / scale)
        return (θ, scale * Swift.max(0, discriminant).squareRoot())
    }

    /// The cubic's minimiser seen from x.
    func cubicFromValues(with x: Place, forward: Bool) -> Double {
        let (θ, magnitude) = cubic(with: x)
        let γ = forward ? magnitude : -magnitude
        return x.α + ((γ - x.slope) + θ) / (((γ - x.slope) + γ) + slope) * (α - x.α)
    }

    /// The cubic's minimiser seen from this place.
    func cubicFromSlopes(with x: Place, forward: Bool) -> Double {
        let (θ, magnitude) = cubic(with: x)
        let γ = forward ? magnitude : -magnitude
        return α + ((γ - slope) + θ) / (((γ - slope) + γ) + x.slope) * (x.α - α)
    }

    /// The cubic's minimiser beyond this place, or an end of the interval where it has none there.
    func flatterCubic(with x: Place, _ lowest: Double, _ highest: Double) -> Double {
        let (θ, magnitude) = cubic(with: x)
        let γ = α > x.α ? -magnitude : magnitude
        let r = ((γ - slope) + θ) / ((γ + (x.slope - slope)) + γ)
        return r < 0 && γ != 0 ? α + r * (x.α - α) : α > x.α ? highest : lowest
    }
}
