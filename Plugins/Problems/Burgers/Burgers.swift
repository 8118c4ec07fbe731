import Differentiation
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Viscous Burgers equation on (t, x) ∈ [0, 1] × [−1, 1]:  uₜ + u uₓ − ν uₓₓ = 0,  u(0, x) = −sin πx,  u(t, ±1) = 0.
///
/// At ν = 0.01/π the wave steepens into an inner layer at x = 0 with uₓ(0, t) ≈ −152 at t ≈ 0.51: the standard test of a PINN. The
/// zero boundary values and periodicity say the same here, since the solution is odd.
///
/// Hard conditions: u = −sin πx + t(1 − x²)·N. Errors are measured on 201 × 60 points, both ends included, t by 60 and x by 201.
public struct Burgers: PDEProblem {
    /// ν.
    public var viscosity: Double
    public var enforcement: ConditionEnforcement

    public init(viscosity: Double = 0.01 / .pi, enforcement: ConditionEnforcement = .soft) {
        (self.viscosity, self.enforcement) = (viscosity, enforcement)
    }

    public var name: String { "burgers" }
    public var domain: Domain { .timeSpace(t: 0...1, x: -1...1) }
    public var conditions: [Condition] {
        guard enforcement == .soft else { return [] }
        return [
            .initial { x in -sin(.pi * x) },
            .dirichlet(at: .x(-1), 0).named("left"),
            .dirichlet(at: .x(1), 0).named("right"),
        ]
    }
    public func fields(of network: Fields, at p: Point) -> [Expression] {
        guard enforcement == .hard else { return [network[0]] }
        return [p.t * (1 - p.x * p.x) * network[0] - sin(.pi * p.x)]
    }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        let u = u[0]
        return [Residual("burgers", u.t + u * u.x - viscosity * u.xx)]
    }
    public var reference: Reference? {
        let solution = ColeHopf(viscosity: viscosity)
        return .closedForm(grid: [60, 201]) { point in solution(t: point[0], x: point[1]) }
    }
}
