import OptimizationCore

/// Hager and Zhang's search (CG_DESCENT) for the Wolfe conditions, or for approximate ones that rounding error cannot hide:
///
///     φ(α) ≤ φ(0) + δ·α·φ′(0) and φ′(α) ≥ σ·φ′(0),   or   (2δ − 1)·φ′(0) ≥ φ′(α) ≥ σ·φ′(0) and φ(α) ≤ φ(0) + ε·|φ(0)|
///
/// δ = `sufficientDecrease`, σ = `curvature`, ε = `roundingAllowance`. Near a minimiser φ(α) − φ(0) is known to half the digits only,
/// φ′(α) to all: the second pair goes by slopes alone. An interval with φ′(a) < 0 ≤ φ′(b) and φ(a) ≤ φ(0) + ε·|φ(0)| is found by
/// expanding fivefold, and shrunk by double secant steps, by bisection where those gain less than a third.
/// A non-finite trial counts as one too high. Cost: a value and a slope a trial.
/// Variant: ε relative to φ(0) rather than to a running mean of losses; the first trial is the caller's.
/// Source: Hager & Zhang, SIAM J. Optim. 16 (2005) 170–192, doi:10.1137/030601880, section 4.
public struct ApproximateWolfe: LineSearch, Hashable {
    /// δ ∈ (0, ½), δ ≤ σ.
    public var sufficientDecrease = 0.1
    /// σ ∈ [δ, 1).
    public var curvature = 0.9
    /// ε ≥ 0.
    public var roundingAllowance = 1e-6
    /// How many trials are allowed.
    public var maximumTrials = 50

    public init() {}

    public static let identifier = "approximate-wolfe"
    public static let summary = "Double secant steps to the Wolfe conditions or, near a minimiser, to those by slopes alone."
    public static var fields: [Field<Self>] {
        [
            .number("sufficientDecrease", \.sufficientDecrease, in: .openUnit, meaning: "δ in φ(α) ≤ φ(0) + δ·α·φ′(0)"),
            .number("curvature", \.curvature, in: .openUnit, meaning: "σ in φ′(α) ≥ σ·φ′(0)"),
            .number("roundingAllowance", \.roundingAllowance, in: .fraction, meaning: "ε in φ(α) ≤ φ(0) + ε·|φ(0)|"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "trials allowed"),
        ]
    }

    public func validate() throws {
        if sufficientDecrease >= 0.5 {
            throw ConfigurationError(path: "sufficientDecrease", reason: "\(sufficientDecrease) must be below ½")
        }
        if sufficientDecrease > curvature {
            throw ConfigurationError(
                path: "curvature", reason: "\(curvature) must not be below sufficientDecrease, \(sufficientDecrease)")
        }
    }

    public func search<Point>(along ray: Ray<Point>, from initial: Double) throws -> LineSearchResult<Point> {
        if let obstacle = obstacle(of: ray, initial: initial) { return LineSearchResult(.failed(obstacle, best: nil), trials: 0) }
        var search = SecantSearch(rule: self, ray: ray)
        return LineSearchResult(try search.run(from: initial), trials: search.trials)
    }
}

/// One search in progress. `end` is set by the trial that ends it; what is done after that has no effect.
private struct SecantSearch<Point> {
    /// An end of the interval.
    struct Place {
        var α: Double
        var slope: Double
    }

    enum Kind { case rising, descending, tooHigh }

    let rule: ApproximateWolfe
    let ray: Ray<Point>
    var trials = 0
    private var end: LineSearchResult<Point>.End?
    private var best: RaySample<Point>?
    private var anyFinite = false

    init(rule: ApproximateWolfe, ray: Ray<Point>) { (self.rule, self.ray) = (rule, ray) }

    mutating func run(from initial: Double) throws -> LineSearchResult<Point>.End {
        var (a, b) = try bracket(from: initial)
        while end == nil {
            let width = b.α - a.α
            if !(width > Double.ulpOfOne * b.α) { return .failed(.intervalTooSmall, best: best) }
            (a, b) = try doubleSecant(a, b)
            if end == nil, b.α - a.α > 0.66 * width { (a, b) = try update(a, b, at: 0.5 * (a.α + b.α)) }
        }
        return end ?? .failed(.trialsExhausted, best: best)
    }

    /// B0–B3: the first interval.
    private mutating func bracket(from initial: Double) throws -> (Place, Place) {
        var a = Place(α: 0, slope: ray.slope)
        var α = initial
        while end == nil {
            let (here, kind) = try trial(at: α)
            switch kind {
            case .rising: return (a, here)
            case .tooHigh: return try shrink(a, here)
            case .descending: (a, α) = (here, 5 * α)
            }
            if !α.isFinite { end = .failed(.unbounded(stepLength: a.α), best: best) }
        }
        return (a, a)
    }

    /// U0–U3: the interval that a trial at α leaves.
    private mutating func update(_ a: Place, _ b: Place, at α: Double) throws -> (Place, Place) {
        guard α > a.α, α < b.α else { return (a, b) }
        let (here, kind) = try trial(at: α)
        switch kind {
        case .rising: return (a, here)
        case .descending: return (here, b)
        case .tooHigh: return try shrink(a, here)
        }
    }

    /// U3: bisects below a trial that is too high, until the slope rises.
    private mutating func shrink(_ lower: Place, _ upper: Place) throws -> (Place, Place) {
        var (a, b) = (lower, upper)
        while end == nil, b.α - a.α > Double.ulpOfOne * b.α {
            let (here, kind) = try trial(at: 0.5 * (a.α + b.α))
            switch kind {
            case .rising: return (a, here)
            case .descending: a = here
            case .tooHigh: b = here
            }
        }
        if end == nil { end = .failed(anyFinite ? .intervalTooSmall : .noFiniteTrial, best: best) }
        return (a, b)
    }

    /// S1–S4.
    private mutating func doubleSecant(_ a: Place, _ b: Place) throws -> (Place, Place) {
        let c = secant(a, b)
        let (A, B) = try update(a, b, at: c)
        guard end == nil else { return (A, B) }
        if c == B.α { return try update(A, B, at: secant(b, B)) }
        if c == A.α { return try update(A, B, at: secant(a, A)) }
        return (A, B)
    }

    private func secant(_ a: Place, _ b: Place) -> Double { (a.α * b.slope - b.α * a.slope) / (b.slope - a.slope) }

    private mutating func trial(at α: Double) throws -> (Place, Kind) {
        guard trials < rule.maximumTrials else {
            end = end ?? .failed(anyFinite ? .trialsExhausted : .noFiniteTrial, best: best)
            return (Place(α: α, slope: 0), .rising)
        }
        trials += 1
        let sample = try ray.sample(at: α, needsSlope: true)
        guard sample.isFinite, let slope = sample.slope else { return (Place(α: α, slope: .infinity), .tooHigh) }
        anyFinite = true
        let (δ, σ) = (rule.sufficientDecrease, rule.curvature)
        let decreases = sample.value <= ray.value + δ * α * ray.slope
        if decreases, sample.value < best?.value ?? ray.value { best = sample }
        let highest = ray.value + rule.roundingAllowance * abs(ray.value)
        let isApproximate = slope <= (2 * δ - 1) * ray.slope && sample.value <= highest
        if end == nil, slope >= σ * ray.slope, decreases || isApproximate { end = .found(sample) }
        return (Place(α: α, slope: slope), slope >= 0 ? .rising : sample.value <= highest ? .descending : .tooHigh)
    }
}
