import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How accurately a Newton step is computed: the inner iteration ends where ‖g + Bp‖ ≤ η·‖g‖.
///
/// With r the residual g + B·s that the last step s left (s = α·p after a line search), and ′ for the values before it,
///
///     choice 1     η = |‖g‖ − ‖r′‖| / ‖g′‖,       no less than η′^φ where that exceeds 0.1, φ = (1 + √5)/2
///     choice 2     η = γ·(‖g‖/‖g′‖)^α,             no less than γ·η′^α where that exceeds 0.1
///     constant     η = `initial`
///
/// and in [`minimum`, `maximum`]. Far from the solution, where the model misleads, a step costs few iterations; near it η falls and the
/// steps converge superlinearly (choice 1: with order φ; choice 2: with order α). Ratios only: no scale of the loss.
/// Source: Eisenstat & Walker, SIAM J. Sci. Comput. 17 (1996) 16–32, doi:10.1137/0917003, γ = 0.9, α = 2.
/// Variant: η ≤ 0.25 and η₀ = 0.25 in place of 0.9 and 0.5, which are for nonlinear equations: where a gradient is no merit function its
/// norm rises often, and η = 0.9 then makes gradient steps of Newton's. With 0.25 in place of 0.9 Newton–CG takes 5 300 evaluations instead
/// of 11 300 on the 41 functions of the zoo, and a trust region (`gltr`) in 150 steps on a one-dimensional Poisson network ends at L = 1e-3
/// instead of 2e-2.
public struct ForcingTerm: Configurable, Hashable {
    public enum Rule: String, CaseIterable, Sendable, Hashable {
        /// By how well the linear model predicted the gradient: Eisenstat and Walker's choice 1.
        case modelAgreement = "choice-1"
        /// By how fast the gradient falls: their choice 2.
        case gradientDecrease = "choice-2"
        case constant
    }

    public var rule = Rule.gradientDecrease
    /// η of the first step, and of all for a constant one.
    public var initial = 0.25
    /// γ ∈ (0, 1].
    public var factor = 0.9
    /// α ∈ (1, 2].
    public var exponent = 2.0
    /// The least η: below it rounding is solved for.
    public var minimum = 1e-10
    /// The greatest η.
    public var maximum = 0.25

    public init() {}

    public init(_ rule: Rule, initial: Double = 0.25) { (self.rule, self.initial) = (rule, initial) }

    public static let identifier = "forcing"
    public static let summary = "How accurately a Newton step is computed."
    public static var fields: [Field<Self>] {
        [
            .choice("rule", \.rule, meaning: "how η follows the last step (Eisenstat & Walker)"),
            .number("initial", \.initial, in: .openUnit, meaning: "η of the first step, of every step where it is constant"),
            .number("factor", \.factor, in: .openUnit, meaning: "γ in η = γ·(‖g‖/‖g′‖)^α"),
            .number("exponent", \.exponent, in: .within(1...2), meaning: "α in η = γ·(‖g‖/‖g′‖)^α"),
            .number("minimum", \.minimum, in: .openUnit, meaning: "the least η"),
            .number("maximum", \.maximum, in: .openUnit, meaning: "the greatest η"),
        ]
    }

    public func validate() throws {
        if minimum > maximum { throw ConfigurationError(path: "minimum", reason: "\(minimum) must not exceed maximum, \(maximum)") }
    }

    /// η for a step from a gradient of this norm; `memory` is that of the step before, if there was one.
    public func value(gradientNorm: Double, after memory: ForcingMemory?) -> Double {
        guard rule != .constant, let memory, memory.gradientNorm > 0 else { return clamped(initial) }
        var (η, floor) = (0.0, 0.0)
        if rule == .modelAgreement {
            η = abs(gradientNorm - memory.residualNorm) / memory.gradientNorm
            floor = pow(memory.forcing, 0.5 * (1 + 5.0.squareRoot()))
        } else {
            η = factor * pow(gradientNorm / memory.gradientNorm, exponent)
            floor = factor * pow(memory.forcing, exponent)
        }
        return clamped(floor > 0.1 ? Swift.max(η, floor) : η)
    }

    private func clamped(_ η: Double) -> Double { Swift.min(Swift.max(η, minimum), maximum) }
}

/// What a forcing term remembers of the step before.
public struct ForcingMemory: Checkpointable, Hashable {
    /// η of that step.
    public var forcing: Double
    /// ‖g‖ where it began.
    public var gradientNorm: Double
    /// ‖g + B·s‖ for the step s that was taken.
    public var residualNorm: Double

    public init(forcing: Double, gradientNorm: Double, residualNorm: Double) {
        (self.forcing, self.gradientNorm, self.residualNorm) = (forcing, gradientNorm, residualNorm)
    }

    public func encode(into archive: inout Archive) {
        archive.set("forcing", forcing)
        archive.set("gradientNorm", gradientNorm)
        archive.set("residualNorm", residualNorm)
    }

    public init(from archive: Archive) throws {
        (forcing, gradientNorm) = (try archive.double("forcing"), try archive.double("gradientNorm"))
        residualNorm = try archive.double("residualNorm")
    }
}
