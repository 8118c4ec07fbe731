import Globalization
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// From what λ, which is added to the metric before it is inverted, follows. It is absolute, in the units of σ², since the residual carries its
/// weights: L = ½‖r‖².
public enum NaturalDamping: Sendable {
    /// From the loss and the number of steps.
    case schedule(any MetricDamping)
    /// From the gain ratio ρ = (L(θ) − L(θ + s))/(−gᵀs − ½‖Js‖²) of each step s, as Levenberg–Marquardt's does.
    ///
    /// It converges where a constant λ is stuck, on large and curved residuals. On poisson-1d (97 parameters, three seeds, 300 steps) full steps by
    /// Nielsen's rule ended at 9e-7 … 4e-6 after 910 evaluations, a grid with λ = 1e-12 at 6e-10 … 7e-9 after 3 900 … 9 900: λ is kept larger
    /// there than the grid needs.
    case gainRatio(any DampingRule)

    var settings: Setting {
        switch self {
        case .schedule(let rule): rule.settings
        case .gainRatio(let rule): rule.settings
        }
    }

    /// λ of the first step, where neither the loss nor the metric has to be known for it.
    var first: Double? {
        guard case .schedule(let rule) = self else { return nil }
        let λ = rule.value(loss: 0, steps: 0)
        return rule.value(loss: 1, steps: 0) == λ ? λ : nil
    }
}

/// A rule for λ that is a function of the loss and of the number of steps, not of trials.
public protocol MetricDamping: Configurable {
    /// λ > 0 for the step after `steps` steps at a point of loss L.
    func value(loss: Double, steps: Int) -> Double
}

/// The same λ in every step.
///
/// 1e-12: the published runs with a line search were tuned to 1e-12 … 1e-9 (Guzmán-Cordero et al., arXiv:2505.12149). By the factorisation,
/// Poisson networks of 97 parameters ended at relative errors of 5e-8 to 7e-8 with it and at 8e-8 to 1.5e-7 with 1e-10 (two seeds, 6 s).
public struct ConstantDamping: MetricDamping, Hashable {
    /// λ.
    public var value = 1e-12

    public init() {}
    public init(_ value: Double) { self.value = value }

    public static let identifier = "constant"
    public static let summary = "The same damping in every step."
    public static var fields: [Field<Self>] { [.number("value", \.value, in: .positive, meaning: "λ")] }

    public func value(loss: Double, steps: Int) -> Double { value }
}

/// λ = factor·L(θ), kept between two bounds: strong far from a solution, vanishing with the residual.
///
/// The rule under which Levenberg–Marquardt keeps its quadratic convergence where J loses rank at a solution: Yamashita & Fukushima,
/// Computing Suppl. 15 (2001) 239–249, doi:10.1007/978-3-7091-6217-0_18.
public struct LossProportionalDamping: MetricDamping, Hashable {
    public var factor = 1e-6
    public var minimum = 1e-14
    public var maximum = 1.0

    public init() {}
    public init(factor: Double, minimum: Double = 1e-14, maximum: Double = 1) {
        (self.factor, self.minimum, self.maximum) = (factor, minimum, maximum)
    }

    public static let identifier = "loss-proportional"
    public static let summary = "Damping in proportion to the loss, within bounds."
    public static var fields: [Field<Self>] {
        [
            .number("factor", \.factor, in: .positive, meaning: "λ/L"),
            .number("minimum", \.minimum, in: .positive, meaning: "the least damping"),
            .number("maximum", \.maximum, in: .positive, meaning: "the greatest damping"),
        ]
    }

    public func validate() throws {
        if minimum > maximum { throw ConfigurationError(path: "minimum", reason: "\(minimum) must not exceed maximum, \(maximum)") }
    }

    public func value(loss: Double, steps: Int) -> Double { Swift.min(Swift.max(factor * loss, minimum), maximum) }
}

/// λ = initial·rateᵏ after k steps, but no less than a minimum.
public struct DecayingDamping: MetricDamping, Hashable {
    public var initial = 1e-3
    public var rate = 0.9
    public var minimum = 1e-12

    public init() {}
    public init(initial: Double, rate: Double, minimum: Double = 1e-12) {
        (self.initial, self.rate, self.minimum) = (initial, rate, minimum)
    }

    public static let identifier = "decaying"
    public static let summary = "Damping that decays geometrically with the steps, down to a minimum."
    public static var fields: [Field<Self>] {
        [
            .number("initial", \.initial, in: .positive, meaning: "the first damping"),
            .number("rate", \.rate, in: .openUnit, meaning: "the factor a step"),
            .number("minimum", \.minimum, in: .positive, meaning: "the least damping"),
        ]
    }

    public func value(loss: Double, steps: Int) -> Double { Swift.max(initial * pow(rate, Double(steps)), minimum) }
}

extension Field {
    /// A rule for λ chosen by its name.
    static func metricDamping(_ name: String, _ path: Path<NaturalDamping>, meaning: String) -> Field {
        .variant(
            name,
            among: [
                ConstantDamping.self, LossProportionalDamping.self, DecayingDamping.self, NielsenDamping.self, ClassicalDamping.self,
            ], meaning: meaning, describe: { $0[keyPath: path].settings }
        ) { root, chosen in
            switch chosen {
            case let rule as any MetricDamping: root[keyPath: path] = .schedule(rule)
            case let rule as any DampingRule: root[keyPath: path] = .gainRatio(rule)
            default: preconditionFailure("\(type(of: chosen)) is no damping of a metric")
            }
        }
    }
}
