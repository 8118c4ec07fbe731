import LinearAlgebra

/// Steihaug and Toint's truncated conjugate gradients: along the path of the iterates as far as the region reaches.
///
///     p₀ = 0, pₖ₊₁ = pₖ + αₖdₖ;   p = pₖ where ‖g + B·pₖ‖ ≤ η·‖g‖,
///     else the first point of the path on the boundary, or of pₖ + τdₖ where dₖᵀBdₖ ≤ 0
///
/// The path does not depend on Δ and its lengths ‖pₖ‖ grow: it is kept, so that a smaller Δ costs nothing. The step gains at least half of
/// what the best one does where B is positive definite, and at least Cauchy's point elsewhere; on the boundary it is not the minimiser
/// (`gltr`). A product and 10P flops an iteration; two vectors an iteration are kept, but where one radius is all that will be asked for.
/// Sources: Toint (1981); Steihaug, SIAM J. Numer. Anal. 20 (1983) 626–637, doi:10.1137/0720042.
public struct SteihaugToint: TrustRegionSubproblem {
    /// From p along d.
    private struct Leg {
        var p: Vector
        var d: Vector
        /// rᵀr at p.
        var square: Double
        /// dᵀBd.
        var curvature: Double
        /// The model's decrease at p.
        var decrease: Double
        /// α; nil where the model curves down along d, and the leg does not end.
        var length: Double?
        /// ‖p + αd‖.
        var reach: Double
    }

    private let target: Double
    private let maximumIterations: Int
    private let keepsPath: Bool
    private let product: @Sendable (Vector) -> Vector
    private var legs: [Leg] = []
    // Where the path ends so far.
    private var p: Vector
    private var r: Vector
    private var d: Vector
    private var square: Double
    private var decrease = 0.0
    public private(set) var products = 0

    /// The subproblem of the gradient g and the products with B, solved to ‖g + B·p‖ ≤ η·‖g‖. Without its path it gives one step only.
    public init(
        _ g: Vector, forcing η: Double, maximumIterations: Int, keepingPath: Bool = true, product: @escaping @Sendable (Vector) -> Vector
    ) {
        precondition(maximumIterations >= 1, "\(maximumIterations) iterations")
        (target, self.maximumIterations, keepsPath, self.product) = (η * g.norm, maximumIterations, keepingPath, product)
        (p, r, d) = (.zeros(g.count), g, -g)
        square = g.dot(g)
    }

    public mutating func step(within Δ: Double) -> Result<TrustRegionStep, FactorizationFailure> {
        precondition(Δ > 0, "a radius of \(Δ)")
        precondition(keepsPath || products == 0, "a second radius, without the path")
        for leg in legs where leg.reach >= Δ { return .success(ending(leg, Δ)) }
        // Squares that underflow tell nothing more.
        while products == 0 || square.isNormal && square.squareRoot() > target && products < maximumIterations {
            let image = product(d)
            products += 1
            guard image.isFinite else { return .failure(.nonFinite) }
            let curvature = d.dot(image)
            guard curvature > Double.ulpOfOne * d.norm * image.norm else {
                let leg = Leg(p: p, d: d, square: square, curvature: curvature, decrease: decrease, length: nil, reach: .infinity)
                if keepsPath { legs.append(leg) }
                return .success(ending(leg, Δ))
            }
            let α = square / curvature
            var next = Leg(p: p, d: d, square: square, curvature: curvature, decrease: decrease, length: α, reach: 0)
            p.add(d, scaledBy: α)
            r.add(image, scaledBy: α)
            next.reach = p.norm
            if keepsPath { legs.append(next) }
            decrease += 0.5 * α * square
            let following = r.dot(r)
            d.scale(by: following / square)
            d.add(r, scaledBy: -1)
            square = following
            if next.reach >= Δ { return .success(ending(next, Δ)) }
        }
        return .success(TrustRegionStep(p: p, decrease: decrease, residualNorm: square.squareRoot(), isOnBoundary: false))
    }

    /// The point of a leg on the boundary.
    private func ending(_ leg: Leg, _ Δ: Double) -> TrustRegionStep {
        let τ = Swift.min(reach(from: leg.p, along: leg.d, Δ), leg.length ?? .infinity)
        let gain = τ * leg.square - 0.5 * τ * τ * leg.curvature
        return TrustRegionStep(
            p: leg.p.adding(leg.d, scaledBy: τ), decrease: leg.decrease + gain, residualNorm: leg.square.squareRoot(), isOnBoundary: true)
    }
}
