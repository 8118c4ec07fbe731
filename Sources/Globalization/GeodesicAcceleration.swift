import LinearAlgebra
import OptimizationCore

/// The second order of a damped Gauss–Newton step d, from the residual where d leads.
///
///     r″ = 2(r(θ + d) − r − J·d)        a = −(JᵀJ + λD)⁻¹Jᵀr″        p = d + ½a  or  d
///
/// d leads along the tangent of a geodesic of the model manifold, d + ½a bends with it. It is tried where d alone leaves more than ¾ of the loss
/// and promises more than a millionth of it, and where 2‖a‖ ≤ `bound`·‖d‖, so that the second order is small beside the first; of both the one of
/// the lower loss is taken.
///
/// Cost: the residual at θ + d stands in for the loss there; a solution with the factors at hand and a loss where a is tried. Variant:
/// Transtrum and Sethna (arXiv:1201.5885) take r″ from a residual a tenth of the way along, an evaluation more in every step, bend every step,
/// and refuse one whose a is too large.
public struct GeodesicAcceleration: Sendable, Hashable {
    /// The greatest 2‖a‖/‖d‖; 0 for no acceleration.
    public var bound: Double

    public init(bound: Double) { self.bound = bound }

    /// A step d that leaves less than this share of the loss is good enough without.
    private static let slowDecrease = 0.75
    /// A step that promises less than this share of the loss is one of the last, which need none either.
    private static let leastPromise = 1e-6

    /// d or d + ½a and the loss there. `solution` is w ↦ −(JᵀJ + λD)⁻¹Jᵀw, nil where it fails; `norm` that of D.
    public func better(
        of d: Vector, promising promised: Double, from here: Standpoint, _ model: any Linearization, on problem: any LeastSquaresProblem,
        norm: (Vector) -> Double, solution: (Vector) -> Vector?
    ) throws -> (step: Vector, loss: Double) {
        let θ = here.parameters.values
        // Of a small decrease ½‖r‖² would tell another rounding than the loss that it is compared with.
        guard bound > 0, promised > Self.leastPromise * here.loss.total else { return (d, try problem.loss(at: θ + d).total) }
        let ahead = try problem.residual(at: θ + d)
        let loss = 0.5 * ahead.dot(ahead)
        if loss < Self.slowDecrease * here.loss.total { return (d, loss) }
        guard let a = solution(2 * (ahead - model.residual - model.product(d))), a.isFinite, 2 * norm(a) <= bound * norm(d) else {
            return (d, loss)
        }
        let bent = d.adding(a, scaledBy: 0.5)
        let bentLoss = try problem.loss(at: θ + bent).total
        return bentLoss < loss ? (bent, bentLoss) : (d, loss)
    }
}
