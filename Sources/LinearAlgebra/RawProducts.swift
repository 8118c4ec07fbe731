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

    /// The same product, by dgemv where op(B) is one column (and B not transposed).
    static func multiply(
        _ transposeA: Bool, _ m: Int, _ n: Int, _ k: Int, alpha: Double = 1, _ a: UnsafePointer<Double>, _ lda: Int,
        _ b: UnsafePointer<Double>, _ ldb: Int, beta: Double, _ c: UnsafeMutablePointer<Double>, _ ldc: Int
    ) {
        guard n == 1 else {
            gemm(transposeA, false, m, n, k, alpha: alpha, a, lda, b, ldb, beta: beta, c, ldc)
            return
        }
        guard m > 0 else { return }
        let (rows, columns) = transposeA ? (k, m) : (m, k)
        cblas_dgemv(
            CblasColMajor, transposeA ? CblasTrans : CblasNoTrans, blasInt(rows), blasInt(columns), alpha, a, leading(lda), b, 1, beta, c, 1
        )
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
