import Globalization
import OptimizationCore

/// Delayed gratification: λ falls by much after a step taken and rises by little after one refused.
///
/// Refusals raise λ only to where a step is just acceptable, so that a step goes as far along a valley's floor as it can instead of
/// down its wall at once; the trials that this wastes cost a factorisation and a loss each, no linearisation.
/// Source: Transtrum & Sethna, arXiv:1201.5885, §3.
public struct DelayedGratification: DampingRule, Hashable {
    /// λ₀ as a multiple of `scale`.
    public var initial = 1e-3
    /// The divisor after a step taken.
    public var decrease = 5.0
    /// The factor after a step refused.
    public var increase = 1.5
    /// A step is taken when ρ exceeds this.
    public var acceptance = 0.0
    /// λ never falls below this multiple of the least scale: 1e-15 in the singular values of J, which is rounding.
    public var minimum = 1e-30
    /// λ never rises above this multiple of the greatest scale.
    public var maximum = 1e20

    public init() {}

    public static let identifier = "delayed-gratification"
    public static let summary = "Damping that falls by much after a step taken and rises by little after one refused."
    public static var fields: [Field<Self>] {
        [
            .number("initial", \.initial, in: .positive, meaning: "the first damping, relative to the matrix's diagonal"),
            .number("decrease", \.decrease, in: .atLeast(1), meaning: "the divisor after a step taken"),
            .number("increase", \.increase, in: .atLeast(1), meaning: "the factor after a step refused"),
            .number("acceptance", \.acceptance, in: .fraction, meaning: "a step is taken when its gain ratio exceeds this"),
            .number("minimum", \.minimum, in: .positive, meaning: "the least damping, relative to the matrix's diagonal"),
            .number("maximum", \.maximum, in: .positive, meaning: "the greatest, relative to it; a method that reaches it breaks down"),
        ]
    }

    public func validate() throws {
        if minimum > maximum { throw ConfigurationError(path: "minimum", reason: "\(minimum) must not exceed maximum, \(maximum)") }
    }

    public func start(scale: Double) -> Damping { begun(initial, scale: scale, growth: increase) }

    public func updated(_ damping: Damping, gainRatio ρ: Double) -> Damping {
        moved(damping, to: ρ > acceptance ? damping.value / decrease : damping.value * increase, growth: increase)
    }
}

extension Field {
    /// A damping rule chosen by its name among those for residuals.
    static func residualDamping(_ name: String, _ path: Path<any DampingRule>, meaning: String) -> Field {
        .variant(
            name, among: [NielsenDamping.self, ClassicalDamping.self, DelayedGratification.self], meaning: meaning,
            describe: { $0[keyPath: path].settings }
        ) { root, chosen in
            guard let rule = chosen as? any DampingRule else { preconditionFailure("\(type(of: chosen)) is no damping rule") }
            root[keyPath: path] = rule
        }
    }
}
