import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A randomised low-rank approximation of a symmetric positive semidefinite matrix and the preconditioner made of it.
///
///     B ≈ U·diag(ŝ)·Uᵀ of rank k,   P⁻¹ = (ŝₖ + μ)·U·(diag(ŝ) + μ)⁻¹·Uᵀ + (I − UUᵀ)
///
/// From an orthonormal test matrix Ω ∈ ℝᴾˣᵏ, Y = BΩ, shifted by ν = ε‖Y‖ for stability: Y + νΩ = Yν, ΩᵀYν = LLᵀ, YνL⁻ᵀ = U·Σ·Wᵀ, ŝ = Σ² −
/// ν. P⁻¹(B + μI) has a condition number of a few where ŝₖ ≲ μ, whatever that of B. Where B is indefinite LLᵀ may not exist; ν then grows
/// by the most negative eigenvalue of ΩᵀYν, and what B curves down along counts as flat.
/// Cost: k products, 6Pk² flops, Pk doubles; 4Pk flops to apply.
/// Sources: Frangella, Tropp & Udell, SIAM J. Matrix Anal. Appl. 44 (2023) 718–752, doi:10.1137/21M1466244; Tropp et al., NIPS 2017.
package struct NystromPreconditioner: Sendable, Equatable {
    /// U ∈ ℝᴾˣᵏ.
    package let basis: Matrix
    /// ŝ₁ ≥ … ≥ ŝₖ ≥ 0.
    package let eigenvalues: Vector

    package init(basis: Matrix, eigenvalues: Vector) { (self.basis, self.eigenvalues) = (basis, eigenvalues) }

    /// A sketch of rank min(k, P) of the operator; a failure where a product is not finite.
    package static func sketch(
        dimension n: Int, rank: Int, random: inout RandomStream, product: (Vector) -> Vector
    ) -> Result<NystromPreconditioner, FactorizationFailure> {
        let k = Swift.min(rank, n)
        let draws = Matrix(rows: n, columns: k, elements: (0..<k).flatMap { _ in random.normalVector(n).elements })
        return QR.factorize(draws).flatMap { qr in
            let Ω = qr.thinQ
            var Y = Matrix(rows: n, columns: k, elements: (0..<k).flatMap { product(Ω.column($0)).elements })
            guard Y.isFinite else { return .failure(.nonFinite) }
            var ν = Double.ulpOfOne * Y.frobeniusNorm
            guard ν > 0 else { return .success(NystromPreconditioner(basis: Ω, eigenvalues: .zeros(k))) }
            shift(&Y, by: ν, along: Ω)
            var core = symmetric(Matrix.product(Ω, Y, transposingFirst: true))
            var factors = Cholesky.factorize(core)
            if case .failure = factors {
                switch SymmetricEigen.factorize(core) {
                case .failure(let failure): return .failure(failure)
                case .success(let eigen):
                    // The core is scaled like B: its rounding is that of its largest eigenvalue.
                    let more = Swift.max(0, -eigen.values[0]) + 16 * Double(k) * ν
                    ν += more
                    shift(&Y, by: more, along: Ω)
                    core.addDiagonal(Vector(repeating: more, count: k))
                    factors = Cholesky.factorize(core)
                }
            }
            return factors.flatMap { cholesky in
                cholesky.lower.solvingTriangle(.lower, Y.transposed).flatMap { SVD.factorize($0.transposed) }.map { svd in
                    NystromPreconditioner(
                        basis: svd.u, eigenvalues: Vector(svd.singularValues.map { Swift.max(0, $0 * $0 - ν) }))
                }
            }
        }
    }

    /// P⁻¹·x with the damping μ.
    package func apply(_ x: Vector, damping μ: Double) -> Vector {
        var coefficients = basis.transposedTimes(x)
        guard let last = eigenvalues.last, last + μ > 0 else { return x }
        for i in 0..<coefficients.count { coefficients[i] *= (last + μ) / (eigenvalues[i] + μ) - 1 }
        return x + basis.times(coefficients)
    }

    /// (U·diag(ŝ)·Uᵀ + ρI)^q·x for ρ > 0: the inverse for q = −1, its root for q = −½. 4Pk flops.
    package func regularized(_ x: Vector, by ρ: Double, power q: Double) -> Vector {
        let rest = pow(ρ, q)
        var coefficients = basis.transposedTimes(x)
        for i in 0..<coefficients.count { coefficients[i] *= pow(eigenvalues[i] + ρ, q) - rest }
        return (rest * x).adding(basis.times(coefficients))
    }

    private static func shift(_ Y: inout Matrix, by ν: Double, along Ω: Matrix) {
        for i in Y.elements.indices { Y.elements[i] += ν * Ω.elements[i] }
    }

    private static func symmetric(_ a: Matrix) -> Matrix {
        var mean = a
        for j in 0..<a.columns { for i in 0..<a.rows { mean[i, j] = 0.5 * (a[i, j] + a[j, i]) } }
        return mean
    }
}
