import LinearAlgebra

/// Conjugate gradients on B·p = −g for a B that may be indefinite, ended where B shows it.
///
///     α = rᵀz/dᵀBd,   p ← p + αd,   r ← r + αBd,   z = M⁻¹r,   d ← −z + (rᵀz)⁺/(rᵀz)·d
///
/// from p = 0 (r = g) or from a guess; every iterate from zero on is a direction of descent. It ends where ‖r‖ ≤ `target`, after
/// `maximumIterations`, or where dᵀBd ≤ ε‖d‖‖Bd‖: B is not positive definite along d, or as good as singular. A product, and 10n flops an
/// iteration, 4 vectors. Source: Hestenes & Stiefel, J. Res. Nat. Bur. Standards 49 (1952) 409–436; Nocedal & Wright, alg. 7.1.
package struct TruncatedConjugateGradients {
    package enum End {
        case converged
        /// The iterations allowed are used up.
        case exhausted
        /// B curves down, or hardly up, along d.
        case negativeCurvature(d: Vector, curvature: Double)
        /// A product is not finite.
        case nonFinite
    }

    package var p: Vector
    /// r = g + B·p.
    package var r: Vector
    package var iterations = 0
    package var end = End.exhausted

    package init(
        _ g: Vector, target: Double, maximumIterations: Int, from guess: Vector? = nil, preconditioner: ((Vector) -> Vector)? = nil,
        product: (Vector) -> Vector
    ) {
        (p, r) = (guess ?? .zeros(g.count), g)
        if let guess {
            let image = product(guess)
            guard image.isFinite else {
                end = .nonFinite
                return
            }
            r.add(image)
        }
        if r.norm <= target {
            end = .converged
            return
        }
        var z = preconditioner?(r) ?? r
        var d = -z
        var square = r.dot(z)
        // Squares that underflow tell nothing more.
        while iterations < maximumIterations, square.isNormal {
            let image = product(d)
            guard image.isFinite else {
                end = .nonFinite
                return
            }
            iterations += 1
            let curvature = d.dot(image)
            guard curvature > Double.ulpOfOne * d.norm * image.norm else {
                end = .negativeCurvature(d: d, curvature: curvature)
                return
            }
            let α = square / curvature
            p.add(d, scaledBy: α)
            r.add(image, scaledBy: α)
            if r.norm <= target {
                end = .converged
                return
            }
            z = preconditioner?(r) ?? r
            let next = r.dot(z)
            d.scale(by: next / square)
            d.add(z, scaledBy: -1)
            square = next
        }
    }
}
