import OptimizationCore

/// How a trust region's radius Δ follows the gain ratio ρ = (actual decrease)/(decrease that the model predicts).
///
///     ρ < `poor`: Δ ← σ·‖p‖      ρ > `good` and ‖p‖ ≥ 0.8·Δ: Δ ← `growth`·Δ      a step is taken where ρ > `acceptance`
///
/// σ = `shrink`, or by interpolation the minimiser of the parabola through L(θ), gᵀp and L(θ + p), between 0.1 and `shrink`:
///
///     σ = −½·gᵀp / (L(θ + p) − L(θ) − gᵀp)
///
/// Sources: Nocedal & Wright, *Numerical Optimization*, 2nd ed., alg. 4.1 and 6.2; Dennis & Schnabel, *Numerical Methods for Unconstrained
/// Optimization and Nonlinear Equations*, alg. A6.4.5 (interpolation).
public struct TrustRadius: Configurable, Hashable {
    /// By how much a poor step shrinks the radius.
    public enum Shrinking: String, CaseIterable, Sendable, Hashable {
        /// To `shrink`·‖p‖.
        case fixed
        /// To where a parabola through what was seen has its minimum.
        case interpolated
    }

    /// A step is taken where ρ exceeds this: small, so that a quasi-Newton model learns from places that it goes to.
    public var acceptance = 1e-4
    public var poor = 0.1
    public var good = 0.75
    public var shrinking = Shrinking.fixed
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
            .choice("shrinking", \.shrinking, meaning: "how the factor of a poor step's length is found"),
            .number("shrink", \.shrink, in: .openUnit, meaning: "the factor of a poor step's length, the greatest interpolated one"),
            .number("growth", \.growth, in: .atLeast(1), meaning: "the factor of the radius after a good step"),
        ]
    }

    public func validate() throws {
        if poor < acceptance { throw ConfigurationError(path: "poor", reason: "\(poor) must not be below acceptance, \(acceptance)") }
        if good < poor { throw ConfigurationError(path: "good", reason: "\(good) must not be below poor, \(poor)") }
    }

    /// The radius after a step p: its length, its slope gᵀp and the change L(θ + p) − L(θ); pass −∞ as ρ for a step that was not finite.
    public func updated(_ Δ: Double, gainRatio ρ: Double, stepNorm: Double, slope: Double, change: Double) -> Double {
        if !(ρ >= poor) { return factor(slope: slope, change: change) * stepNorm }
        return ρ > good && stepNorm >= 0.8 * Δ ? growth * Δ : Δ
    }

    private func factor(slope: Double, change: Double) -> Double {
        guard shrinking == .interpolated, slope < 0, change > slope, change.isFinite else { return shrink }
        return Swift.min(shrink, Swift.max(0.1, -0.5 * slope / (change - slope)))
    }
}
