#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Numbers a + b ε₁ + c ε₂ + d ε₁ε₂ with ε₁² = ε₂² = 0: exact first and second derivatives without differences, the independent
/// answer that traced expressions are compared with (Fike and Alonso 2011, doi:10.2514/6.2011-886).
struct HyperDual {
    var value: Double
    var first = 0.0
    var second = 0.0
    var mixed = 0.0

    init(_ value: Double) { self.value = value }

    init(_ value: Double, _ first: Double, _ second: Double, _ mixed: Double) {
        (self.value, self.first, self.second, self.mixed) = (value, first, second, mixed)
    }

    static func + (a: Self, b: Self) -> Self {
        Self(a.value + b.value, a.first + b.first, a.second + b.second, a.mixed + b.mixed)
    }

    static func * (a: Self, b: Self) -> Self {
        Self(
            a.value * b.value, a.first * b.value + a.value * b.first, a.second * b.value + a.value * b.second,
            a.mixed * b.value + a.first * b.second + a.second * b.first + a.value * b.mixed)
    }

    static prefix func - (a: Self) -> Self { Self(-a.value, -a.first, -a.second, -a.mixed) }
    static func - (a: Self, b: Self) -> Self { a + (-b) }
    static func / (a: Self, b: Self) -> Self {
        a * b.mapped(1 / b.value, -1 / (b.value * b.value), 2 / (b.value * b.value * b.value))
    }

    /// f(self) from f, f′ and f″ at the value.
    func mapped(_ f: Double, _ slope: Double, _ curvature: Double) -> Self {
        Self(f, slope * first, slope * second, slope * mixed + curvature * first * second)
    }

    var exponential: Self { mapped(exp(value), exp(value), exp(value)) }
    var logarithm: Self { mapped(log(value), 1 / value, -1 / (value * value)) }
    var sine: Self { mapped(sin(value), cos(value), -sin(value)) }
    var cosine: Self { mapped(cos(value), -sin(value), -cos(value)) }
    var hyperbolicSine: Self { mapped(sinh(value), cosh(value), sinh(value)) }
    var hyperbolicCosine: Self { mapped(cosh(value), sinh(value), cosh(value)) }
    var hyperbolicTangent: Self {
        let t = tanh(value)
        return mapped(t, 1 - t * t, -2 * t * (1 - t * t))
    }
    var root: Self {
        let s = value.squareRoot()
        return mapped(s, 0.5 / s, -0.25 / (s * value))
    }
    var arcTangent: Self {
        let d = 1 + value * value
        return mapped(atan(value), 1 / d, -2 * value / (d * d))
    }
}
