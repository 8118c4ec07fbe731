import Differentiation
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Convection on (t, x) ∈ [0, 1] × [0, 2π]:  uₜ + β uₓ = 0,  u(0, x) = sin x,  periodic in x,  with the solution u = sin(x − βt).
///
/// At β = 40 a fixed point sees 6.4 waves go by: the standard case of a loss whose anisotropy first-order training does not overcome.
/// The equation is of first order, so periodicity ties the values alone, one residual a pair of points.
///
/// Hard conditions: u = sin x + t·N with a network N that is periodic in x; N is to be made of cos x, sin x and t
/// (``PeriodicEmbedding``). Errors are measured on 101 × 201 points, both ends included, t by 101 and x by 201.
/// A. S. Krishnapriyan et al., NeurIPS 2021, arXiv:2109.01050; P. Rathore et al., ICML 2024, arXiv:2402.01868.
public struct Convection: PDEProblem {
    /// β.
    public var speed: Double
    public var enforcement: ConditionEnforcement

    public init(speed: Double = 40, enforcement: ConditionEnforcement = .soft) { (self.speed, self.enforcement) = (speed, enforcement) }

    public var name: String { "convection" }
    public var domain: Domain { .timeSpace(t: 0...1, x: 0...(2 * .pi)) }
    public var isLinear: Bool { true }
    public var conditions: [Condition] {
        switch enforcement {
        case .soft: [.initial { x in sin(x) }, .periodic(along: "x", derivativesUpTo: 0)]
        case .hard: []
        }
    }
    public func fields(of network: Fields, at p: Point) -> [Expression] {
        switch enforcement {
        case .soft: [network[0]]
        case .hard: [sin(p.x) + p.t * network[0]]
        }
    }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        let u = u[0]
        return [Residual("convection", u.t + speed * u.x)]
    }
    public var reference: Reference? {
        let β = speed
        return .closedForm(grid: [101, 201]) { sin($0[1] - β * $0[0]) }
    }
}
