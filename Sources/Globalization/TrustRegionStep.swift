import LinearAlgebra

/// A step within a trust region, with what the model says of it.
public struct TrustRegionStep: Sendable {
    /// p with ‖p‖ ≤ Δ.
    public var p: Vector
    /// −gᵀp − ½pᵀBp.
    public var decrease: Double
    /// ‖g + B·p + μ·p‖, where an inner iteration knows it: how far the step is from solving the subproblem over ℝᴾ.
    public var residualNorm: Double
    /// Whether ‖p‖ = Δ.
    public var isOnBoundary: Bool

    public init(p: Vector, decrease: Double, residualNorm: Double, isOnBoundary: Bool) {
        (self.p, self.decrease, self.residualNorm, self.isOnBoundary) = (p, decrease, residualNorm, isOnBoundary)
    }
}

/// The subproblem min gᵀp + ½pᵀBp over ‖p‖ ≤ Δ of one g and B, solved for one Δ after another.
///
/// What does not depend on Δ (a path, a Krylov space, a factorisation) is kept: after a refusal a smaller Δ costs no product with B, or
/// few.
public protocol TrustRegionSubproblem: Sendable {
    /// A step within Δ; a failure where a product or the matrix is not finite.
    mutating func step(within Δ: Double) -> Result<TrustRegionStep, FactorizationFailure>

    /// Products with B, or columns of it, so far.
    var products: Int { get }
}

/// The τ ≥ 0 with ‖p + τd‖ = Δ for ‖p‖ ≤ Δ, without cancellation.
package func reach(from p: Vector, along d: Vector, _ Δ: Double) -> Double {
    let (dd, pd, length) = (d.dot(d), p.dot(d), p.norm)
    let rest = Swift.max(0, (Δ - length) * (Δ + length))
    let root = (pd * pd + dd * rest).squareRoot()
    return pd > 0 ? rest / (pd + root) : (root - pd) / dd
}
