/// The damping λ of a Levenberg–Marquardt step, with the factor by which the next refusal raises it.
public struct Damping: Hashable, Sendable {
    /// λ > 0.
    public var value: Double
    /// ν, the next refusal's factor.
    public var growth: Double

    public init(value: Double, growth: Double) { (self.value, self.growth) = (value, growth) }
}

/// A rule that moves the damping by the gain ratio ρ = (actual decrease) / (decrease that the damped model predicts).
public protocol DampingRule: Sendable {
    /// The first damping; `scale` is the largest diagonal entry of the matrix that is damped (1 where that is scaled away).
    func start(scale: Double) -> Damping
    /// The damping after a step whose gain ratio was ρ; a non-finite trial counts as a refusal (pass −∞).
    func updated(_ damping: Damping, gainRatio ρ: Double) -> Damping
    /// The least gain ratio at which a step is taken.
    var acceptance: Double { get }
}

/// Nielsen's rule: ρ > 0 ⇒ λ ← λ·max(⅓, 1 − (2ρ − 1)³), ν ← 2; else λ ← λ·ν, ν ← 2ν.
///
/// Smooth in ρ where classical rules jump, and quick to leave a region of refusals (ν doubles).
/// Source: H. B. Nielsen, *Damping Parameter in Marquardt's Method*, IMM-REP-1999-05, DTU.
public struct NielsenDamping: DampingRule, Hashable {
    /// λ₀ as a multiple of `scale`.
    public var initial = 1e-3
    /// A step is taken when ρ exceeds this.
    public var acceptance = 0.0
    /// λ never falls below this.
    public var minimum = 1e-20
    /// λ never rises above this.
    public var maximum = 1e20

    public init() {}

    public func start(scale: Double) -> Damping { Damping(value: clamp(initial * scale), growth: 2) }

    public func updated(_ damping: Damping, gainRatio ρ: Double) -> Damping {
        guard ρ > acceptance else { return Damping(value: clamp(damping.value * damping.growth), growth: 2 * damping.growth) }
        let q = 2 * Swift.min(ρ, 1e6) - 1
        return Damping(value: clamp(damping.value * Swift.max(1.0 / 3, 1 - q * q * q)), growth: 2)
    }

    private func clamp(_ λ: Double) -> Double { Swift.min(Swift.max(λ, minimum), maximum) }
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
    /// λ never falls below this.
    public var minimum = 1e-20
    /// λ never rises above this.
    public var maximum = 1e20

    public init() {}

    public func start(scale: Double) -> Damping { Damping(value: clamp(initial * scale), growth: increase) }

    public func updated(_ damping: Damping, gainRatio ρ: Double) -> Damping {
        Damping(value: clamp(ρ > acceptance ? damping.value / decrease : damping.value * increase), growth: increase)
    }

    private func clamp(_ λ: Double) -> Double { Swift.min(Swift.max(λ, minimum), maximum) }
}
