import COpenBLAS

/// Products of column-major matrices in memory that the caller owns: what blocked algorithms are made of.
package enum RawProducts {
    /// C ← β·C + α·op(A)·op(B) with op(A) ∈ ℝᵐˣᵏ, op(B) ∈ ℝᵏˣⁿ. 2mnk flops on the calling thread. With β = 0, C may hold anything.
    @inline(__always)
    package static func gemm(
        _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, alpha: Double = 1, _ a: UnsafePointer<Double>, _ lda: Int,
        _ b: UnsafePointer<Double>, _ ldb: Int, beta: Double, _ c: UnsafeMutablePointer<Double>, _ ldc: Int
    ) {
        guard m > 0, n > 0 else { return }
        cblas_dgemm(
            CblasColMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, blasInt(m), blasInt(n),
            blasInt(k), alpha, a, blasInt(lda), b, blasInt(ldb), beta, c, blasInt(ldc))
    }

    /// The lower triangle of C ← β·C + α·A·Aᵀ (A ∈ ℝⁿˣᵏ), or of β·C + α·Aᵀ·A with `transpose` (A ∈ ℝᵏˣⁿ). n²k flops.
    package static func syrkLower(
        transpose: Bool, _ n: Int, _ k: Int, alpha: Double = 1, _ a: UnsafePointer<Double>, _ lda: Int, beta: Double,
        _ c: UnsafeMutablePointer<Double>, _ ldc: Int
    ) {
        guard n > 0 else { return }
        cblas_dsyrk(
            CblasColMajor, CblasLower, transpose ? CblasTrans : CblasNoTrans, blasInt(n), blasInt(k), alpha, a, blasInt(lda), beta, c,
            blasInt(ldc))
    }
}
