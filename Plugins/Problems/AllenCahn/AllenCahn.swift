import Differentiation
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Allen–Cahn equation on (t, x) ∈ [0, 1] × [−1, 1]:  uₜ − D uₓₓ + 5(u³ − u) = 0,  u(0, x) = x² cos πx,  periodic in x.
///
/// At D = 1e-4 the start sharpens into two steep walls between u = −1 and u ≈ 0 that move slowly: the standard test of causal training.
///
/// Periodicity ties u and uₓ at (t, −1) to those at (t, 1), a residual each a pair of points. The initial values are even in x, so the
/// solution stays even.
///
/// Hard conditions: u = x² cos πx + t·N; periodicity stays a term of the loss, for a network of cos πx and sin πx could not undo the slopes ∓2 that
/// the initial values have at x = ±1. Errors are measured on 101 × 201 points, both ends included, t by 101 and x by 201, against
/// ``AllenCahnSolution``.
public struct AllenCahn: PDEProblem {
    /// D.
    public var diffusivity: Double
    public var enforcement: ConditionEnforcement

    public init(diffusivity: Double = 1e-4, enforcement: ConditionEnforcement = .soft) {
        (self.diffusivity, self.enforcement) = (diffusivity, enforcement)
    }

    public var name: String { "allen-cahn" }
    public var domain: Domain { .timeSpace(t: 0...1, x: -1...1) }
    public var conditions: [Condition] {
        let periodic = Condition.periodic(along: "x", derivativesUpTo: 1)
        return enforcement == .hard ? [periodic] : [.initial { x in x * x * cos(.pi * x) }, periodic]
    }
    public func fields(of network: Fields, at p: Point) -> [Expression] {
        guard enforcement == .hard else { return [network[0]] }
        return [p.x * p.x * cos(.pi * p.x) + p.t * network[0]]
    }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        let u = u[0]
        return [Residual("allen-cahn", u.t - diffusivity * u.xx + 5 * (u * u * u - u))]
    }
    public var reference: Reference? {
        let solution = AllenCahnSolution.shared(diffusivity: diffusivity)
        return .closedForm(grid: [101, 201]) { point in solution(t: point[0], x: point[1]) }
    }
}
