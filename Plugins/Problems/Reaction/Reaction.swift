import Differentiation
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Logistic reaction on (t, x) ∈ [0, 1] × [0, 2π]:  uₜ = ρ u(1 − u),  u(0, x) = h(x) = exp(−8(x/π − 1)²),  periodic in x:
///
///     u = h e^{ρt} / (h e^{ρt} + 1 − h).
///
/// h is the Gaussian around π of deviation π/4. At ρ = 5 the bump grows a plateau with steep sides; u = 0 and u = 1 solve the equation too,
/// and training often ends at the former. Values at both ends of x agree by symmetry; slopes do not (uₓ = ∓16h/π at t = 0), so periodicity
/// ties the values alone, and no network of cos x and sin x fits.
///
/// Hard conditions: u = h + t·N; periodicity stays a loss term. Errors are measured on 101 × 201 points, both ends included, t by
/// 101 and x by 201.
/// A. S. Krishnapriyan et al., NeurIPS 2021, arXiv:2109.01050; P. Rathore et al., ICML 2024, arXiv:2402.01868.
public struct Reaction: PDEProblem {
    /// ρ.
    public var rate: Double
    public var enforcement: ConditionEnforcement

    public init(rate: Double = 5, enforcement: ConditionEnforcement = .soft) { (self.rate, self.enforcement) = (rate, enforcement) }

    public var name: String { "reaction" }
    public var domain: Domain { .timeSpace(t: 0...1, x: 0...(2 * .pi)) }
    public var conditions: [Condition] {
        let periodicity = Condition.periodic(along: "x", derivativesUpTo: 0)
        return enforcement == .soft ? [.initial(Self.start), periodicity] : [periodicity]
    }
    public func fields(of network: Fields, at p: Point) -> [Expression] {
        guard enforcement == .hard else { return [network[0]] }
        let s = p.x / .pi - 1
        return [exp(-8 * s * s) + p.t * network[0]]
    }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        let u = u[0]
        return [Residual("reaction", u.t - rate * u * (1 - u))]
    }
    public var reference: Reference? {
        let ρ = rate
        return .closedForm(grid: [101, 201]) { point in
            let h = Self.start(point[1])
            // h e^{ρt}/(h e^{ρt} + 1 − h), divided by e^{ρt}: nothing overflows.
            return h / (h + (1 - h) * exp(-ρ * point[0]))
        }
    }

    /// h.
    @Sendable private static func start(_ x: Double) -> Double {
        let s = x / .pi - 1
        return exp(-8 * s * s)
    }
}
