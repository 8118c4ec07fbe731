#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The solution of Burgers' equation with u(0, x) = −sin πx on [−1, 1], by the transformation of Cole and Hopf:
///
///     u(t, x) = − ∫ sin π(x − η) w(η) dη / ∫ w(η) dη,     w(η) = exp(−cos π(x − η)/(2πν) − η²/(4νt)).
///
/// Both integrals by the trapezoid rule, which converges geometrically for these integrands. The exponent spans at most 1/(πν) + 40
/// within |η| ≤ R = √(4t/π + 160νt), beyond which w is below e⁻⁴⁰ of its maximum; the narrowest feature of w has the width
/// s = √(ν / (π/2 + 1/(2t))), and the nodes lie s/4 apart. Exponents are shifted by their maximum, so nothing overflows.
///
/// Accuracy: about 1e-14 times the exponent's span, i.e. 13 digits at ν = 0.01/π. Cost: some 300 cosines a point, and fewer exponentials.
/// C. Basdevant et al., Comput. Fluids 14 (1986) 23, doi:10.1016/0045-7930(86)90036-8.
public struct ColeHopf: Sendable {
    /// ν.
    public let viscosity: Double

    public init(viscosity: Double) {
        precondition(viscosity > 0, "a viscosity of \(viscosity)")
        self.viscosity = viscosity
    }

    /// u(t, x).
    public func callAsFunction(t: Double, x: Double) -> Double {
        let ν = viscosity
        guard t > 0 else { return -sin(.pi * x) }
        let reach = (4 * t / .pi + 160 * ν * t).squareRoot()
        let width = (ν / (.pi / 2 + 1 / (2 * t))).squareRoot()
        let half = Int((4 * reach / width).rounded(.up))
        let h = reach / Double(half)
        return withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * half + 1) { exponents in
            var shift = -Double.infinity
            for k in -half...half {
                let exponent = exponent(η: Double(k) * h, t: t, x: x)
                exponents.initializeElement(at: k + half, to: exponent)
                shift = max(shift, exponent)
            }
            var (numerator, denominator) = (0.0, 0.0)
            for k in -half...half where exponents[k + half] - shift > -Self.span {
                let w = exp(exponents[k + half] - shift)
                numerator += sin(.pi * (x - Double(k) * h)) * w
                denominator += w
            }
            return -numerator / denominator
        }
    }

    /// Below e⁻⁴⁴ of its maximum, w adds less than a unit in the last place of either integral.
    private static let span = 44.0

    private func exponent(η: Double, t: Double, x: Double) -> Double {
        -cos(.pi * (x - η)) / (2 * .pi * viscosity) - η * η / (4 * viscosity * t)
    }
}
