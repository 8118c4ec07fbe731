import LinearAlgebra

/// MINRES on B·p = −g for a symmetric B that may be indefinite or singular, ended where B shows a direction of non-positive curvature.
///
/// Lanczos' recursion from −g, T = Q·R by one rotation (c, s) a step. The iterate minimises ‖g + Bp‖ over the Krylov space; p and r are
/// directions of descent, and ‖r‖ falls monotonically whatever B is. The residual's own curvature comes for nothing:
///
///     rₖ₋₁ᵀB·rₖ₋₁ = −cₖ₋₁·γₖ·‖rₖ₋₁‖²,   γₖ the diagonal entry of R before its rotation
///
/// and as long as it stays positive so does the curvature of every iterate: the first residual with a non-positive one is the first sign
/// that B is not positive definite on the space (Liu & Roosta). It ends where ‖r‖ ≤ `target`, at such a residual, where B·r
/// vanishes (p is the least-squares solution) or after `maximumIterations`. A product and 18n flops an iteration, 7 vectors.
/// Sources: Paige & Saunders, SIAM J. Numer. Anal. 12 (1975) 617–629, doi:10.1137/0712047; Liu & Roosta, SIAM J. Optim. 32 (2022)
/// 2636–2661, doi:10.1137/21M143666X.
package struct MinimumResidual {
    package enum End {
        case converged
        /// B·r = 0 to rounding: no better solution exists.
        case leastSquares
        case exhausted
        /// rᵀBr = curvature ≤ 0 for the present residual.
        case nonpositiveCurvature(curvature: Double)
        /// A product is not finite.
        case nonFinite
    }

    package var p: Vector
    /// r = −g − B·p, the residual of B·p = −g.
    package var r: Vector
    package var iterations = 0
    package var end = End.exhausted

    package init(_ g: Vector, target: Double, maximumIterations: Int, product: (Vector) -> Vector) {
        let n = g.count
        (p, r) = (.zeros(n), -g)
        var φ = g.norm
        guard φ > target else {
            end = .converged
            return
        }
        var v = (1 / φ) * r
        var previous = Vector.zeros(n)
        var β = 0.0
        var (c, s) = (-1.0, 0.0)
        // The entries of T that earlier rotations have reached: δ⁽¹⁾ of this column, ε of this one and the next.
        var (δ, ε) = (0.0, 0.0)
        var (d, dBefore) = (Vector.zeros(n), Vector.zeros(n))
        var size = 0.0
        while iterations < maximumIterations {
            var w = product(v)
            guard w.isFinite else {
                end = .nonFinite
                return
            }
            iterations += 1
            let α = v.dot(w)
            w.add(previous, scaledBy: -β)
            w.add(v, scaledBy: -α)
            let βNext = w.norm
            size = Swift.max(size, abs(α) + β + βNext)
            let δ2 = c * δ + s * α
            let γ1 = s * δ - c * α
            let (εNext, δNext) = (s * βNext, -c * βNext)
            let squared = φ * φ
            // ‖Br‖ = φ·√(γ₁² + δ²)
            if (γ1 * γ1 + δNext * δNext).squareRoot() <= Double.ulpOfOne * size {
                end = .leastSquares
                return
            }
            guard c * γ1 < 0 else {
                end = .nonpositiveCurvature(curvature: -c * γ1 * squared)
                return
            }
            let γ2 = (γ1 * γ1 + βNext * βNext).squareRoot()
            (c, s) = (γ1 / γ2, βNext / γ2)
            let τ = c * φ
            φ *= s
            var dNext = v
            dNext.add(d, scaledBy: -δ2)
            dNext.add(dBefore, scaledBy: -ε)
            dNext.scale(by: 1 / γ2)
            p.add(dNext, scaledBy: τ)
            (dBefore, d) = (d, dNext)
            r.scale(by: s * s)
            if βNext > 0 {
                previous = v
                v = (1 / βNext) * w
                r.add(v, scaledBy: -φ * c)
            }
            if φ <= target || βNext == 0 {
                end = .converged
                return
            }
            (β, δ, ε) = (βNext, δNext, εNext)
        }
    }
}
