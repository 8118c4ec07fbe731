import OptimizationCore

/// How a trust region's radius Δ follows the gain ratio ρ = (actual decrease)/(decrease that the model predicts).
///
///     ρ < `poor`: Δ ← `shrink`·‖p‖      ρ > `good` and ‖p‖ ≥ 0.8·Δ: Δ ← `growth`·Δ      a step is taken where ρ > `acceptance`
///
/// Source: Nocedal & Wright, *Numerical Optimization*, 2nd ed., alg. 4.1 and 6.2.
public struct TrustRadius: Configurable, Hashable {
    /// A step is taken where ρ exceeds this: small, so that a quasi-Newton model learns from places that it goes to.
    public var acceptance = 1e-4
    public var poor = 0.1
    public var good = 0.75
    public var shrink = 0.5
    public var growth = 2.0

    public init() {}

    public static let identifier = "radius"
    public static let summary = "A trust region's radius that follows the gain ratio."
    public static var fields: [Field<Self>] {
        [
            .number("acceptance", \.acceptance, in: .fraction, meaning: "a step is taken when its gain ratio exceeds this"),
            .number("poor", \.poor, in: .openUnit, meaning: "the gain ratio below which the radius shrinks"),
            .number("good", \.good, in: .openUnit, meaning: "the gain ratio above which the radius grows"),
            .number("shrink", \.shrink, in: .openUnit, meaning: "the factor of a poor step's length"),
            .number("growth", \.growth, in: .atLeast(1), meaning: "the factor of the radius after a good step"),
        ]
    }

    public func validate() throws {
        if poor < acceptance { throw ConfigurationError(path: "poor", reason: "\(poor) must not be below acceptance, \(acceptance)") }
        if good < poor { throw ConfigurationError(path: "good", reason: "\(good) must not be below poor, \(poor)") }
    }

    /// The radius after a step of length ‖p‖; pass −∞ for a step that was not finite.
    public func updated(_ Δ: Double, gainRatio ρ: Double, stepNorm: Double) -> Double {
        if !(ρ >= poor) { return shrink * stepNorm }
        return ρ > good && stepNorm >= 0.8 * Δ ? growth * Δ : Δ
    }
}
