import Globalization
import LinearAlgebra

/// The global minimiser of gᵀp + ½pᵀBp over ‖p‖ ≤ Δ for a dense B, the hard case included.
///
/// (B + μI)p = −g with B + μI ⪰ 0 and μ(Δ − ‖p‖) = 0, by the eigendecomposition of B and one equation in μ (``SpectralModel``, which says
/// what Moré and Sorensen do instead). 4P³ flops once, 4P² a radius; 3P² doubles.
/// Source: Moré & Sorensen, SIAM J. Sci. Stat. Comput. 4 (1983) 553–572, doi:10.1137/0904038.
public struct ExactSubproblem: TrustRegionSubproblem {
    private let spectrum: Result<(model: SpectralModel, vectors: Matrix), FactorizationFailure>
    public let products: Int

    /// The lower triangle of B is read.
    public init(_ g: Vector, matrix B: Matrix) {
        precondition(B.rows == g.count && B.columns == g.count, "a \(B.rows) × \(B.columns) matrix for a gradient of \(g.count)")
        products = g.count
        spectrum = SymmetricEigen.factorize(B).map {
            (SpectralModel(eigenvalues: $0.values, slopes: $0.vectors.transposedTimes(g)), $0.vectors)
        }
    }

    public func step(within Δ: Double) -> Result<TrustRegionStep, FactorizationFailure> {
        spectrum.map { model, vectors in
            let end = model.minimizer(within: Δ)
            return TrustRegionStep(
                p: vectors.times(end.coefficients), decrease: end.decrease, residualNorm: 0, isOnBoundary: end.isOnBoundary)
        }
    }
}

/// Powell's dogleg, or Dennis and Mei's double dogleg, for a dense B.
///
///     C = −(‖g‖²/gᵀBg)·g,   N = −B⁻¹g                          p = N            if ‖N‖ ≤ Δ
///     single: C → N                                            p = −Δ·g/‖g‖     if ‖C‖ ≥ Δ
///     double: C → η·N → N,  η = 0.2 + 0.8·‖g‖⁴/(gᵀBg·gᵀB⁻¹g)   p on the path with ‖p‖ = Δ else
///
/// The double dogleg turns to Newton's direction earlier. Where B is not positive definite, N is that of B + τI with the least eigenvalue
/// lifted to as much above zero as it was below, and the better of the path's point and Cauchy's on the model is taken. One Cholesky
/// factorisation (an eigendecomposition where that fails), then O(P) a radius but for a product with B; 2P² doubles.
/// Sources: Powell, *A new algorithm for unconstrained optimization* (1970); Dennis & Mei, J. Optim. Theory Appl. 28 (1979) 453–482,
/// doi:10.1007/BF00932218; Nocedal & Wright, 2nd ed., §4.1.
public struct DoglegSubproblem: TrustRegionSubproblem {
    private let g: Vector
    private let B: Matrix
    private let isDouble: Bool
    /// gᵀBg.
    private let curvature: Double
    /// N; a failure where B is not finite.
    private let newton: Result<Vector, FactorizationFailure>
    private let isDefinite: Bool
    public let products: Int

    public init(_ g: Vector, matrix B: Matrix, double: Bool) {
        precondition(B.rows == g.count && B.columns == g.count, "a \(B.rows) × \(B.columns) matrix for a gradient of \(g.count)")
        (self.g, self.B, isDouble, products) = (g, B, double, g.count)
        curvature = g.dot(B.times(g))
        let factors = Cholesky.factorize(B)
        if case .success(let cholesky) = factors {
            (newton, isDefinite) = (.success(-cholesky.solve(g)), true)
        } else {
            isDefinite = false
            newton = SymmetricEigen.factorize(B).map { eigen in
                let (least, largest) = (eigen.values[0], Swift.max(abs(eigen.values[0]), abs(eigen.values[g.count - 1])))
                let τ = -least + Swift.max(-least, 1e-8 * largest)
                var c = eigen.vectors.transposedTimes(g)
                for i in 0..<c.count { c[i] /= -(eigen.values[i] + τ) }
                return eigen.vectors.times(c)
            }
        }
    }

    public func step(within Δ: Double) -> Result<TrustRegionStep, FactorizationFailure> {
        newton.map { newton in
            let length = g.norm
            let cauchy: Vector
            // To Cauchy's point, or the boundary before it, or where the model curves down.
            let α = curvature > 0 ? g.dot(g) / curvature : .infinity
            let isShort = α * length >= Δ || !α.isFinite
            cauchy = -(isShort ? Δ / length : α) * g
            let direct = judged(cauchy, isOnBoundary: isShort)
            guard newton.isFinite else { return direct }
            let along = path(Δ, cauchy: cauchy, isShort: isShort, newton: newton)
            if isDefinite { return along }
            return along.decrease > direct.decrease ? along : direct
        }
    }

    private func path(_ Δ: Double, cauchy: Vector, isShort: Bool, newton: Vector) -> TrustRegionStep {
        let length = newton.norm
        if length <= Δ { return judged(newton, isOnBoundary: false) }
        if isShort, curvature > 0 { return judged(cauchy, isOnBoundary: true) }
        // Where the model curves down along g there is no Cauchy point to begin with: the shifted step, cut.
        if isShort { return judged((Δ / length) * newton, isOnBoundary: true) }
        var end = newton
        if isDouble {
            let square = g.dot(g)
            // ‖g‖⁴/(gᵀBg·gᵀB⁻¹g) ≤ 1 by Cauchy and Schwarz, where B is definite.
            let γ = Swift.min(1, square / curvature * (square / -g.dot(newton)))
            end = (0.2 + 0.8 * γ) * newton
            if end.norm <= Δ { return judged((Δ / length) * newton, isOnBoundary: true) }
        }
        let leg = end - cauchy
        return judged(cauchy.adding(leg, scaledBy: Swift.min(1, reach(from: cauchy, along: leg, Δ))), isOnBoundary: true)
    }

    private func judged(_ p: Vector, isOnBoundary: Bool) -> TrustRegionStep {
        let image = B.times(p)
        return TrustRegionStep(
            p: p, decrease: -(g.dot(p) + 0.5 * p.dot(image)), residualNorm: (g + image).norm, isOnBoundary: isOnBoundary)
    }
}
