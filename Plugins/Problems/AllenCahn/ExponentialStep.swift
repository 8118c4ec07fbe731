#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A step of ETDRK4 for a′ = La + N(a) with a real diagonal L ≤ 0: see ``AllenCahnSolution`` for the formulas.
struct ExponentialStep: Sendable {
    /// e^{hL}, e^{hL/2}.
    private let whole: [Double]
    private let half: [Double]
    private let q: [Double]
    private let f1: [Double]
    private let f2: [Double]
    private let f3: [Double]

    /// The nodes on the upper half of the circle; the lower half gives the complex conjugates.
    private static let nodes = 32

    init(_ rates: [Double], length h: Double) {
        whole = rates.map { exp(h * $0) }
        half = rates.map { exp(h * $0 / 2) }
        let circle = (0..<Self.nodes).map { node -> Complex in
            let angle = .pi * (Double(node) + 0.5) / Double(Self.nodes)
            return Complex(cos(angle), sin(angle))
        }
        func mean(_ function: (Complex) -> Complex) -> [Double] {
            rates.map { rate in circle.reduce(0) { $0 + function(Complex(h * rate) + $1).real } * h / Double(Self.nodes) }
        }
        q = mean { z in ((z * 0.5).exponential - 1) / z }
        f1 = mean { z in (z.exponential * (z * z - z * 3 + 4) - z - 4) / (z * z * z) }
        f2 = mean { z in (z.exponential * (z - 2) + z + 2) / (z * z * z) }
        f3 = mean { z in (z.exponential * (z * -1 + 4) - z * z - z * 3 - 4) / (z * z * z) }
    }

    func advance(_ a: inout [Double], _ nonlinear: ([Double]) -> [Double]) {
        let n0 = nonlinear(a)
        let a1 = a.indices.map { half[$0] * a[$0] + q[$0] * n0[$0] }
        let n1 = nonlinear(a1)
        let n2 = nonlinear(a.indices.map { half[$0] * a[$0] + q[$0] * n1[$0] })
        let n3 = nonlinear(a.indices.map { half[$0] * a1[$0] + q[$0] * (2 * n2[$0] - n0[$0]) })
        for k in a.indices { a[k] = whole[k] * a[k] + f1[k] * n0[k] + 2 * f2[k] * (n1[k] + n2[k]) + f3[k] * n3[k] }
    }
}

/// What the coefficients and the transform need of complex arithmetic.
struct Complex: Sendable {
    var real: Double
    var imaginary: Double

    init(_ real: Double, _ imaginary: Double = 0) { (self.real, self.imaginary) = (real, imaginary) }

    var conjugate: Complex { Complex(real, -imaginary) }
    var exponential: Complex { Complex(exp(real) * cos(imaginary), exp(real) * sin(imaginary)) }

    static func + (a: Complex, b: Complex) -> Complex { Complex(a.real + b.real, a.imaginary + b.imaginary) }
    static func + (a: Complex, b: Double) -> Complex { Complex(a.real + b, a.imaginary) }
    static func - (a: Complex, b: Complex) -> Complex { Complex(a.real - b.real, a.imaginary - b.imaginary) }
    static func - (a: Complex, b: Double) -> Complex { Complex(a.real - b, a.imaginary) }
    static func * (a: Complex, b: Complex) -> Complex {
        Complex(a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real)
    }
    static func * (a: Complex, b: Double) -> Complex { Complex(a.real * b, a.imaginary * b) }
    static func / (a: Complex, b: Complex) -> Complex {
        let size = b.real * b.real + b.imaginary * b.imaginary
        return a * b.conjugate * (1 / size)
    }
}
