import Differentiation
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The wave equation on (t, x) ∈ [0, 1]²:  uₜₜ = 4 uₓₓ,  u(0, x) = sin πx + ½ sin βπx,  uₜ(0, x) = 0,  u(t, 0) = u(t, 1) = 0:
///
///     u = sin πx cos 2πt + ½ sin βπx cos 2βπt.
///
/// Two standing waves, of which the second oscillates β times as fast: at β = 5 the standard case, at β = 4 another one in use.
///
/// Hard conditions: u = sin πx + ½ sin βπx + t²x(1 − x)·N. Errors are measured on 101 × 101 points, both ends included.
/// P. Rathore et al., ICML 2024, arXiv:2402.01868; S. Wang, X. Yu, P. Perdikaris, J. Comput. Phys. 449 (2022) 110768,
/// doi:10.1016/j.jcp.2021.110768.
public struct Wave: PDEProblem {
    /// β, the half waves of the second mode.
    public var harmonic: Int
    public var enforcement: ConditionEnforcement

    public init(harmonic: Int = 5, enforcement: ConditionEnforcement = .soft) {
        (self.harmonic, self.enforcement) = (harmonic, enforcement)
    }

    public var name: String { "wave" }
    public var domain: Domain { .timeSpace(t: 0...1, x: 0...1) }
    public var isLinear: Bool { true }
    public var conditions: [Condition] {
        guard enforcement == .soft else { return [] }
        let β = Double(harmonic)
        return [
            .initial { x in sin(.pi * x) + 0.5 * sin(β * .pi * x) },
            .initialRate { _ in 0 },
            .dirichlet(0).named("boundary"),
        ]
    }
    public func fields(of network: Fields, at p: Point) -> [Expression] {
        guard enforcement == .hard else { return [network[0]] }
        let (t, x) = (p.t, p.x)
        return [sin(.pi * x) + 0.5 * sin(Double(harmonic) * .pi * x) + t * t * x * (1 - x) * network[0]]
    }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        let u = u[0]
        return [Residual("wave", u.tt - 4 * u.xx)]
    }
    public var reference: Reference? {
        let (π, β) = (Double.pi, Double(harmonic))
        return .closedForm(grid: [101, 101]) { point in
            let (t, x) = (point[0], point[1])
            return sin(π * x) * cos(2 * π * t) + 0.5 * sin(β * π * x) * cos(2 * β * π * t)
        }
    }
}
