import OptimizationCore

/// The damping λ of a Levenberg–Marquardt step, with the factor by which the next refusal raises it.
public struct Damping: Hashable, Sendable {
    /// λ > 0.
    public var value: Double
    /// ν, the next refusal's factor.
    public var growth: Double
    /// The least and the greatest scale, so far, of the matrix that is damped: what a rule's bounds count in.
    public private(set) var scales: ClosedRange<Double>

    public init(value: Double, growth: Double, scale: Double = 1) {
        (self.value, self.growth, scales) = (value, growth, scale...scale)
    }

    /// The same damping of a matrix of this scale: bounds reach out to it.
    public func damping(scale: Double) -> Damping {
        var copy = self
        copy.scales = Swift.min(scales.lowerBound, scale)...Swift.max(scales.upperBound, scale)
        return copy
    }

    /// λ and ν moved, of the same matrix.
    public func moved(to value: Double, growth: Double) -> Damping {
        var copy = self
        (copy.value, copy.growth) = (value, growth)
        return copy
    }

    /// As states store it.
    public var stored: [Double] { [value, growth, scales.lowerBound, scales.upperBound] }

    /// Throws an ``ArchiveError`` where `stored` is no damping; two numbers are λ and ν of a matrix of scale one.
    public init(stored: [Double], entry: String = "damping") throws {
        guard stored.count == 2 || stored.count == 4, stored.allSatisfy({ !$0.isNaN }), stored.count == 2 || stored[2] <= stored[3] else {
            throw ArchiveError(entry: entry, reason: "should be λ, ν and the least and the greatest scale")
        }
        (value, growth) = (stored[0], stored[1])
        scales = stored.count == 2 ? 1...1 : stored[2]...stored[3]
    }
}

/// A rule that moves the damping by the gain ratio ρ = (actual decrease) / (decrease that the damped model predicts).
public protocol DampingRule: Configurable {
    /// The first damping; `scale` is the largest diagonal entry of the matrix that is damped (1 where that is scaled away).
    func start(scale: Double) -> Damping
    /// The damping after a step whose gain ratio was ρ; a non-finite trial counts as a refusal (pass −∞).
    func updated(_ damping: Damping, gainRatio ρ: Double) -> Damping
    /// A step is taken when its gain ratio exceeds this.
    var acceptance: Double { get }
    /// The least damping, as a multiple of the least scale.
    var minimum: Double { get }
    /// The greatest damping, as a multiple of the greatest scale.
    var maximum: Double { get }
}

extension DampingRule {
    /// The greatest value that a damping may take.
    public func bound(of damping: Damping) -> Double { maximum * damping.scales.upperBound }

    /// Whether a refusal leaves nothing to raise.
    public func isGreatest(_ damping: Damping) -> Bool { damping.value >= bound(of: damping) }

    /// The damping for shorter steps after a breakdown: tenfold. `nil` at its bound.
    public func raised(_ damping: Damping) -> Damping? {
        isGreatest(damping) ? nil : moved(damping, to: 10 * damping.value, growth: damping.growth)
    }

    /// λ within its bounds, free of the loss's scale.
    public func moved(_ damping: Damping, to λ: Double, growth: Double) -> Damping {
        let least = Swift.max(minimum * damping.scales.lowerBound, Double.leastNormalMagnitude)
        return damping.moved(to: Swift.min(Swift.max(λ, least), bound(of: damping)), growth: growth)
    }

    /// λ₀.
    public func begun(_ initial: Double, scale: Double, growth: Double) -> Damping {
        let unit = Damping(value: scale, growth: growth, scale: scale)
        return moved(unit, to: initial * scale, growth: growth)
    }
}

extension Field {
    /// A damping rule chosen by its name among the built-in ones.
    public static func dampingRule(_ name: String, _ path: Path<any DampingRule>, meaning: String) -> Field {
        .variant(
            name, among: [NielsenDamping.self, ClassicalDamping.self], meaning: meaning, describe: { $0[keyPath: path].settings }
        ) { root, chosen in
            guard let rule = chosen as? any DampingRule else { preconditionFailure("\(type(of: chosen)) is no damping rule") }
            root[keyPath: path] = rule
        }
    }
}

/// Nielsen's rule: ρ > 0 ⇒ λ ← λ·max(⅓, 1 − (2ρ − 1)³), ν ← 2; else λ ← λ·ν, ν ← 2ν. And λ ← λ/27 where |1 − ρ| < `exactness`.
///
/// Smooth in ρ where classical rules jump, and quick to leave a region of refusals (ν doubles). Nielsen has no case for a model that foretells the
/// loss: there the damping alone holds the step back, and a third a step is dozens of steps from 10⁻³ to where steps are undamped.
/// With `exactness` 0 the rule is his.
/// Source: H. B. Nielsen, *Damping Parameter in Marquardt's Method*, IMM-REP-1999-05, DTU.
public struct NielsenDamping: DampingRule, Hashable {
    /// λ₀ as a multiple of `scale`.
    public var initial = 1e-3
    /// A step is taken when ρ exceeds this.
    public var acceptance = 0.0
    /// Below which |1 − ρ| the model counts as exact.
    public var exactness = 0.02
    /// λ never falls below this multiple of the least scale: 1e-15 in the singular values of J, which is rounding.
    public var minimum = 1e-30
    /// λ never rises above this multiple of the greatest scale.
    public var maximum = 1e20

    public init() {}

    public static let identifier = "nielsen"
    public static let summary = "Damping that follows the gain ratio smoothly; refusals double the growth."
    public static var fields: [Field<Self>] {
        [
            .number("initial", \.initial, in: .positive, meaning: "the first damping, relative to the matrix's diagonal"),
            .number("acceptance", \.acceptance, in: .fraction, meaning: "a step is taken when its gain ratio exceeds this"),
            .number(
                "exactness", \.exactness, in: .fraction, meaning: "where |1 − gain ratio| is less, the damping falls by 27 instead of 3"),
            .number("minimum", \.minimum, in: .positive, meaning: "the least damping, relative to the matrix's diagonal"),
            .number("maximum", \.maximum, in: .positive, meaning: "the greatest, relative to it; a method that reaches it breaks down"),
        ]
    }

    public func validate() throws {
        if minimum > maximum { throw ConfigurationError(path: "minimum", reason: "\(minimum) must not exceed maximum, \(maximum)") }
    }

    public func start(scale: Double) -> Damping { begun(initial, scale: scale, growth: 2) }

    public func updated(_ damping: Damping, gainRatio ρ: Double) -> Damping {
        guard ρ > acceptance else { return moved(damping, to: damping.value * damping.growth, growth: 2 * damping.growth) }
        let q = 2 * Swift.min(ρ, 1e6) - 1
        let factor = abs(1 - ρ) < exactness ? 1.0 / 27 : Swift.max(1.0 / 3, 1 - q * q * q)
        return moved(damping, to: damping.value * factor, growth: 2)
    }
}

/// The classical rule: a taken step divides λ, a refused one multiplies it.
///
/// Marquardt's own factors are 10 and 10 (doi:10.1137/0111030); ÷3 and ×2 move more gently, which wastes fewer trials in
/// curved valleys.
public struct ClassicalDamping: DampingRule, Hashable {
    /// λ₀ as a multiple of `scale`.
    public var initial = 1e-3
    /// The divisor after a step taken.
    public var decrease = 3.0
    /// The factor after a step refused.
    public var increase = 2.0
    /// A step is taken when ρ exceeds this.
    public var acceptance = 0.0
    /// λ never falls below this multiple of the least scale: 1e-15 in the singular values of J, which is rounding.
    public var minimum = 1e-30
    /// λ never rises above this multiple of the greatest scale.
    public var maximum = 1e20

    public init() {}

    public static let identifier = "classical"
    public static let summary = "Damping divided after a step taken, multiplied after one refused."
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
