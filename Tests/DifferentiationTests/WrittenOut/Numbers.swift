import Differentiation

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Numbers in which networks and residuals can be written out: reals, dual numbers over them, and reals that know their rounding.
protocol Number: Sendable {
    init(_ value: Double)
    static func + (a: Self, b: Self) -> Self
    static func - (a: Self, b: Self) -> Self
    static func * (a: Self, b: Self) -> Self
    var exponential: Self { get }
    var sine: Self { get }
    var cosine: Self { get }
    var hyperbolicTangent: Self { get }
    /// 1/(1 + e⁻ˣ)
    var logistic: Self { get }
    /// log(1 + eˣ)
    var softplus: Self { get }
    /// Φ(x)
    var normalDistribution: Self { get }
}

extension Number {
    /// φ = Φ′
    var normalDensity: Self { (Self(-0.5) * self * self).exponential * Self(1 / (2 * Double.pi).squareRoot()) }
}

extension Activation {
    /// σ by its definition.
    func applied<S: Number>(to x: S) -> S {
        switch self {
        case .tanh: x.hyperbolicTangent
        case .sin: x.sine
        case .gelu: x * x.normalDistribution
        case .silu: x * x.logistic
        case .softplus: x.softplus
        }
    }
}

extension Double: Number {
    var exponential: Double { exp(self) }
    var sine: Double { sin(self) }
    var cosine: Double { cos(self) }
    var hyperbolicTangent: Double { tanh(self) }
    var logistic: Double { self > 0 ? 1 / (1 + exp(-self)) : exp(self) / (1 + exp(self)) }
    var softplus: Double { self > 0 ? self + log1p(exp(-self)) : log1p(exp(self)) }
    var normalDistribution: Double { 0.5 * erfc(-self / 2.0.squareRoot()) }
}

/// a + bε with ε² = 0, over any numbers: nested n deep, the coefficient of ε₁…εₙ is an n-th derivative in n directions.
///
/// Every function is differentiated by its own rule at every level (tanh′ = 1 − tanh², …), so that no table of derivatives and no formula of
/// Faà di Bruno is shared with the engine.
struct Dual<Base: Number>: Number {
    var value: Base
    var tangent: Base

    init(_ value: Double) { (self.value, tangent) = (Base(value), Base(0)) }
    init(_ value: Base, _ tangent: Base) { (self.value, self.tangent) = (value, tangent) }

    static func + (a: Self, b: Self) -> Self { Self(a.value + b.value, a.tangent + b.tangent) }
    static func - (a: Self, b: Self) -> Self { Self(a.value - b.value, a.tangent - b.tangent) }
    @inline(never) static func * (a: Self, b: Self) -> Self { Self(a.value * b.value, a.tangent * b.value + a.value * b.tangent) }

    private func mapped(_ value: Base, _ slope: Base) -> Self { Self(value, slope * tangent) }

    var exponential: Self {
        let e = value.exponential
        return mapped(e, e)
    }
    var sine: Self { mapped(value.sine, value.cosine) }
    var cosine: Self { mapped(value.cosine, Base(-1) * value.sine) }
    var hyperbolicTangent: Self {
        let t = value.hyperbolicTangent
        return mapped(t, Base(1) - t * t)
    }
    var logistic: Self {
        let s = value.logistic
        return mapped(s, s * (Base(1) - s))
    }
    var softplus: Self { mapped(value.softplus, value.logistic) }
    var normalDistribution: Self { mapped(value.normalDistribution, value.normalDensity) }
}

/// A real number x and a bound E of its rounding: what floating-point arithmetic makes of the same formula is within u·E of the exact value, to
/// first order in u = 2⁻⁵³, in whatever order its sums are taken.
///
/// E is the sum of the magnitudes of all that is rounded, carried to the result: E(a + b) = E(a) + E(b) + Σ|terms|, with the terms of a and b
/// where these are sums themselves; E(ab) = |a|E(b) + |b|E(a) + |ab|; E(f(x)) = |f′|E(x) + κ|f|. Running error analysis: N. J. Higham,
/// Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, §3.3, doi:10.1137/1.9780898718027.
struct Rounded: Number {
    var value: Double
    /// E
    var error: Double
    /// Σ|terms| of the sum that this is; |x| of anything else.
    private var terms: Double

    /// κ in roundings: the engine's kernels are good to 8 units in the last place (`KernelTests.values`), each two roundings.
    static let functionError = 16.0

    init(_ value: Double) { self.init(value, error: 0, terms: abs(value)) }
    private init(_ value: Double, error: Double, terms: Double) { (self.value, self.error, self.terms) = (value, error, terms) }

    static func + (a: Self, b: Self) -> Self {
        let terms = a.terms + b.terms
        return Self(a.value + b.value, error: a.error + b.error + terms, terms: terms)
    }
    static func - (a: Self, b: Self) -> Self {
        let terms = a.terms + b.terms
        return Self(a.value - b.value, error: a.error + b.error + terms, terms: terms)
    }
    static func * (a: Self, b: Self) -> Self {
        let product = a.value * b.value
        return Self(product, error: abs(a.value) * b.error + abs(b.value) * a.error + abs(product), terms: abs(product))
    }

    private func mapped(_ value: Double, slope: Double) -> Self {
        Self(value, error: abs(slope) * error + Self.functionError * abs(value), terms: abs(value))
    }

    var exponential: Self { mapped(value.exponential, slope: value.exponential) }
    var sine: Self { mapped(value.sine, slope: value.cosine) }
    var cosine: Self { mapped(value.cosine, slope: value.sine) }
    var hyperbolicTangent: Self {
        let t = value.hyperbolicTangent
        return mapped(t, slope: 1 - t * t)
    }
    var logistic: Self { mapped(value.logistic, slope: value.logistic * (1 - value.logistic)) }
    var softplus: Self { mapped(value.softplus, slope: value.logistic) }
    var normalDistribution: Self { mapped(value.normalDistribution, slope: value.normalDensity) }
}
