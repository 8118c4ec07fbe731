import OptimizationCore

/// Backtracking to sufficient decrease, φ(α) ≤ φ(0) + c₁·α·φ′(0), with interpolation.
///
/// Each refused step is replaced by the minimiser of the parabola, then of the cubic, through the last samples, kept within
/// [`smallestShrink`, `largestShrink`] of it (Nocedal & Wright, *Numerical Optimization*, 2nd ed., §3.5; Dennis & Schnabel A6.3.1).
/// Values only: no slope beyond φ′(0) is asked for. A non-finite trial is refused and shrinks the step by the geometric mean of the two
/// bounds.
/// On a ray with a ``Ray/reference`` above φ(0) the decrease is measured from there.
public struct BacktrackingArmijo: LineSearch, Hashable {
    /// c₁ ∈ (0, ½).
    public var sufficientDecrease = 1e-4
    /// The least factor by which one backtrack shrinks the step.
    public var smallestShrink = 0.1
    /// The greatest factor by which one backtrack shrinks the step.
    public var largestShrink = 0.5
    /// How many trials are allowed.
    public var maximumTrials = 40

    public init() {}

    public static let identifier = "armijo"
    public static let summary = "Backtracking to sufficient decrease with quadratic and cubic interpolation."
    public static var fields: [Field<Self>] {
        [
            .number("sufficientDecrease", \.sufficientDecrease, in: .openUnit, meaning: "c₁ in φ(α) ≤ φ(0) + c₁·α·φ′(0)"),
            .number("smallestShrink", \.smallestShrink, in: .openUnit, meaning: "the least factor of one backtrack"),
            .number("largestShrink", \.largestShrink, in: .openUnit, meaning: "the greatest factor of one backtrack"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "trials allowed"),
        ]
    }

    public func validate() throws {
        if smallestShrink > largestShrink {
            throw ConfigurationError(path: "smallestShrink", reason: "\(smallestShrink) must not exceed largestShrink, \(largestShrink)")
        }
    }

    public func search<Point>(along ray: Ray<Point>, from initial: Double) throws -> LineSearchResult<Point> {
        if let obstacle = obstacle(of: ray, initial: initial) { return LineSearchResult(.failed(obstacle, best: nil), trials: 0) }
        var α = initial
        var previous: (α: Double, value: Double)?
        var anyFinite = false
        for trial in 1...Swift.max(1, maximumTrials) {
            let sample = try ray.sample(at: α, needsSlope: false)
            if sample.value.isFinite {
                anyFinite = true
                if sample.value <= ray.reference + sufficientDecrease * α * ray.slope {
                    return LineSearchResult(.found(sample), trials: trial)
                }
                let wish = minimiser(of: ray, at: α, sample.value, previous: previous)
                previous = (α, sample.value)
                α = Swift.min(Swift.max(wish, smallestShrink * α), largestShrink * α)
            } else {
                previous = nil
                α *= (smallestShrink * largestShrink).squareRoot()
            }
            if ray.value + sufficientDecrease * α * ray.slope == ray.value, α * abs(ray.slope) < abs(ray.value) * Double.ulpOfOne {
                return LineSearchResult(.failed(anyFinite ? .intervalTooSmall : .noFiniteTrial, best: nil), trials: trial)
            }
        }
        return LineSearchResult(.failed(anyFinite ? .trialsExhausted : .noFiniteTrial, best: nil), trials: Swift.max(1, maximumTrials))
    }

    /// The minimiser of the parabola through φ(0), φ′(0), φ(α), or of the cubic that also meets the previous sample.
    private func minimiser<Point>(of ray: Ray<Point>, at α: Double, _ value: Double, previous: (α: Double, value: Double)?) -> Double {
        let (φ0, slope) = (ray.value, ray.slope)
        let excess = value - φ0 - slope * α
        guard let previous else { return -slope * α * α / (2 * excess) }
        let β = previous.α
        // Scaled by a power of two, so that no square overflows, and no bit depends on the scale of φ.
        let unit = powerOfTwo(above: abs(slope))
        let dφ0 = slope / unit
        let (rest, other) = (excess / unit, (previous.value - φ0 - slope * β) / unit)
        let denominator = α * α * β * β * (α - β)
        let a = (β * β * rest - α * α * other) / denominator
        let b = (α * α * α * other - β * β * β * rest) / denominator
        let discriminant = b * b - 3 * a * dφ0
        if abs(a) < Double.leastNormalMagnitude { return -dφ0 / (2 * b) }
        guard discriminant >= 0 else { return largestShrink * α }
        // The root of 3aα² + 2bα + φ′(0) with positive curvature, without cancellation.
        let root = discriminant.squareRoot()
        let wish = b > 0 ? -dφ0 / (b + root) : (root - b) / (3 * a)
        return wish.isFinite ? wish : largestShrink * α
    }
}
