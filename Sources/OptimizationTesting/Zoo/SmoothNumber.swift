#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What a residual of the zoo is written in: arithmetic and the elementary functions, over plain or hyper-dual numbers.
protocol SmoothNumber: Sendable {
    /// A constant: all its derivatives vanish.
    init(_ constant: Double)
    /// The number without its derivatives.
    var real: Double { get }

    static prefix func - (a: Self) -> Self
    static func + (a: Self, b: Self) -> Self
    static func + (a: Self, b: Double) -> Self
    static func + (a: Double, b: Self) -> Self
    static func - (a: Self, b: Self) -> Self
    static func - (a: Self, b: Double) -> Self
    static func - (a: Double, b: Self) -> Self
    static func * (a: Self, b: Self) -> Self
    static func * (a: Double, b: Self) -> Self
    static func / (a: Self, b: Self) -> Self
    static func / (a: Self, b: Double) -> Self
    static func / (a: Double, b: Self) -> Self

    static func exp(_ x: Self) -> Self
    static func log(_ x: Self) -> Self
    static func sin(_ x: Self) -> Self
    static func cos(_ x: Self) -> Self
    static func atan(_ x: Self) -> Self
    static func sqrt(_ x: Self) -> Self
}

extension SmoothNumber {
    /// x².
    var squared: Self { self * self }

    /// xⁿ by repeated multiplication, n ≥ 0.
    func power(_ n: Int) -> Self { (0..<n).reduce(Self(1)) { product, _ in product * self } }

    /// |x|, away from zero.
    var magnitude: Self { real < 0 ? -self : self }
}

extension Array where Element: SmoothNumber {
    /// Σ xᵢ, in order.
    var sum: Element { reduce(Element(0)) { $0 + $1 } }
}

extension Double: SmoothNumber {
    var real: Double { self }
    static func exp(_ x: Double) -> Double { systemExp(x) }
    static func log(_ x: Double) -> Double { systemLog(x) }
    static func sin(_ x: Double) -> Double { systemSin(x) }
    static func cos(_ x: Double) -> Double { systemCos(x) }
    static func atan(_ x: Double) -> Double { systemAtan(x) }
    static func sqrt(_ x: Double) -> Double { x.squareRoot() }
}

// The C library's functions, under names that the statics above do not shadow.
private func systemExp(_ x: Double) -> Double { exp(x) }
private func systemLog(_ x: Double) -> Double { log(x) }
private func systemSin(_ x: Double) -> Double { sin(x) }
private func systemCos(_ x: Double) -> Double { cos(x) }
private func systemAtan(_ x: Double) -> Double { atan(x) }

/// A hyper-dual number a + b·ε₁ + c·ε₂ + d·ε₁ε₂ with ε₁² = ε₂² = 0: a value with two first derivatives and the mixed second
/// one, exact to rounding.
///
/// With ε₁ seeding direction u and ε₂ direction v, f(x + u·ε₁ + v·ε₂) = f + ∂ᵤf·ε₁ + ∂ᵥf·ε₂ + ∂ᵤ∂ᵥf·ε₁ε₂.
///
/// Reference: Fike & Alonso, *The development of hyper-dual numbers for exact second-derivative calculations*, AIAA
/// 2011-886, doi:10.2514/6.2011-886.
struct HyperDual: SmoothNumber {
    var real: Double
    /// b, the derivative in the first direction.
    var first: Double
    /// c, the derivative in the second direction.
    var second: Double
    /// d, the derivative in both.
    var mixed: Double

    init(_ real: Double, first: Double, second: Double, mixed: Double = 0) {
        (self.real, self.first, self.second, self.mixed) = (real, first, second, mixed)
    }

    init(_ constant: Double) { self.init(constant, first: 0, second: 0) }

    /// f applied to this number, from f, f′ and f″ at its real part.
    func mapped(_ f: Double, _ df: Double, _ ddf: Double) -> HyperDual {
        HyperDual(f, first: df * first, second: df * second, mixed: df * mixed + ddf * first * second)
    }

    static prefix func - (a: HyperDual) -> HyperDual { -1 * a }
    static func + (a: HyperDual, b: HyperDual) -> HyperDual {
        HyperDual(a.real + b.real, first: a.first + b.first, second: a.second + b.second, mixed: a.mixed + b.mixed)
    }
    static func + (a: HyperDual, b: Double) -> HyperDual { a + HyperDual(b) }
    static func + (a: Double, b: HyperDual) -> HyperDual { HyperDual(a) + b }
    static func - (a: HyperDual, b: HyperDual) -> HyperDual { a + (-b) }
    static func - (a: HyperDual, b: Double) -> HyperDual { a + HyperDual(-b) }
    static func - (a: Double, b: HyperDual) -> HyperDual { HyperDual(a) - b }
    static func * (a: HyperDual, b: HyperDual) -> HyperDual {
        HyperDual(
            a.real * b.real, first: a.real * b.first + a.first * b.real, second: a.real * b.second + a.second * b.real,
            mixed: a.real * b.mixed + a.first * b.second + a.second * b.first + a.mixed * b.real)
    }
    static func * (a: Double, b: HyperDual) -> HyperDual {
        HyperDual(a * b.real, first: a * b.first, second: a * b.second, mixed: a * b.mixed)
    }
    static func / (a: HyperDual, b: HyperDual) -> HyperDual { a * (1 / b) }
    static func / (a: HyperDual, b: Double) -> HyperDual { (1 / b) * a }
    static func / (a: Double, b: HyperDual) -> HyperDual {
        let inverse = 1 / b.real
        return a * b.mapped(inverse, -inverse * inverse, 2 * inverse * inverse * inverse)
    }

    static func exp(_ x: HyperDual) -> HyperDual {
        let e = Double.exp(x.real)
        return x.mapped(e, e, e)
    }
    static func log(_ x: HyperDual) -> HyperDual { x.mapped(.log(x.real), 1 / x.real, -1 / (x.real * x.real)) }
    static func sin(_ x: HyperDual) -> HyperDual {
        let (s, c) = (Double.sin(x.real), Double.cos(x.real))
        return x.mapped(s, c, -s)
    }
    static func cos(_ x: HyperDual) -> HyperDual {
        let (s, c) = (Double.sin(x.real), Double.cos(x.real))
        return x.mapped(c, -s, -c)
    }
    static func atan(_ x: HyperDual) -> HyperDual {
        let d = 1 / (1 + x.real * x.real)
        return x.mapped(.atan(x.real), d, -2 * x.real * d * d)
    }
    static func sqrt(_ x: HyperDual) -> HyperDual {
        let root = x.real.squareRoot()
        return x.mapped(root, 0.5 / root, -0.25 / (root * x.real))
    }
}
