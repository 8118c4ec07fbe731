import Globalization
import LinearAlgebra

/// Gould, Lucidi, Roma and Toint's generalised Lanczos trust region: the exact minimiser over a Krylov space that begins with g.
///
///     min ‖g‖·e₁ᵀu + ½uᵀTu over ‖u‖ ≤ Δ,   p = V·u,   until ‖(B + μI)p + g‖ = βₖ|uₖ| ≤ η·‖g‖
///
/// T = VᵀBV is tridiagonal (``LanczosBasis``); the small problem is solved by its eigenvalues (``SpectralModel``). On the boundary it goes
/// on where Steihaug and Toint stop. The space does not depend on Δ and is kept.
/// **The hard case** of the whole problem (g orthogonal to the lowest eigenvectors) is not seen, since no Krylov vector leaves g's
/// invariant space; the original begins anew with another vector there, this one does not.
/// Cost: a product and 8Pk flops for the k-th vector; k vectors of P.
/// Variant: V is kept and orthogonalised in full, where the original recomputes it in a second pass.
/// Source: Gould, Lucidi, Roma & Toint, SIAM J. Optim. 9 (1999) 504–525, doi:10.1137/S1052623497322735.
public struct GLTR: TrustRegionSubproblem {
    private var basis: LanczosBasis
    private let target: Double
    private let limit: Int
    private let product: @Sendable (Vector) -> Vector

    public var products: Int { basis.count }

    /// The subproblem of the gradient g and the products with B, over at most `maximumIterations` vectors.
    public init(_ g: Vector, forcing η: Double, maximumIterations: Int, product: @escaping @Sendable (Vector) -> Vector) {
        precondition(maximumIterations >= 1, "\(maximumIterations) iterations")
        basis = LanczosBasis(from: g)
        (target, limit, self.product) = (η * basis.startNorm, Swift.min(maximumIterations, g.count), product)
    }

    public mutating func step(within Δ: Double) -> Result<TrustRegionStep, FactorizationFailure> {
        while true {
            let k = basis.count
            let isLast = basis.isInvariant || k >= limit
            // Decompositions of small matrices, at every vector first, then at every eighth part more.
            if k > 0, isLast || k <= 8 || k % ((k + 7) / 8) == 0 {
                switch SymmetricEigen.factorize(basis.tridiagonal) {
                case .failure(let failure): return .failure(failure)
                case .success(let eigen):
                    let slopes = Vector((0..<k).map { basis.startNorm * eigen.vectors[0, $0] })
                    let end = SpectralModel(eigenvalues: eigen.values, slopes: slopes).minimizer(within: Δ)
                    let u = eigen.vectors.times(end.coefficients)
                    let residual = (basis.offDiagonal.last ?? 0) * abs(u[k - 1])
                    if isLast || residual <= target {
                        return .success(
                            TrustRegionStep(
                                p: basis.combining(u), decrease: end.decrease, residualNorm: residual, isOnBoundary: end.isOnBoundary))
                    }
                }
            }
            guard basis.extend(by: product) else { return .failure(.nonFinite) }
        }
    }
}
