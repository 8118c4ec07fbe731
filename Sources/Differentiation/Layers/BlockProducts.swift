import CKernels
import LinearAlgebra

/// The matrix products of a dense layer on a block of R rows, W being stored in × out by rows.
///
/// Layers up to 256 × 256 go through `CKernels/products.inc`, which reads the block's matrices in place: on a Zen 5 core, rows
/// 224 and width 20, 137 GFLOP/s with AVX-512 and 69 with AVX2, where OpenBLAS's Haswell kernels, which pack first, reach 46
/// (width 128: 140, 69 and 60). Larger layers, and processors without AVX2, go through BLAS.
enum BlockProducts {
    @inline(__always)
    private static func isDirect(_ inputs: Int, _ outputs: Int) -> Bool {
        inputs * outputs <= 256 * 256 && ck_simd_level() != Int32(CK_BASELINE)
    }

    /// Y ← X·W (or +=): X ∈ ℝᴿˣⁱⁿ, Y ∈ ℝᴿˣᵒᵘᵗ.
    static func forward(
        rows: Int, inputs: Int, outputs: Int, x: Doubles, w: Doubles, accumulating: Bool = false, into y: MutableDoubles
    ) {
        if isDirect(inputs, outputs) {
            ck_row_product(rows, outputs, inputs, x, rows, w, outputs, 1, accumulating ? 1 : 0, y, rows)
        } else {
            RawProducts.gemm(false, true, rows, outputs, inputs, x, rows, w, outputs, beta: accumulating ? 1 : 0, y, rows)
        }
    }

    /// X ← Y·Wᵀ (or +=): the cotangent of the input.
    static func backward(
        rows: Int, inputs: Int, outputs: Int, y: Doubles, w: Doubles, accumulating: Bool = false, into x: MutableDoubles
    ) {
        if isDirect(inputs, outputs) {
            ck_row_product(rows, inputs, outputs, y, rows, w, 1, outputs, accumulating ? 1 : 0, x, rows)
        } else {
            RawProducts.gemm(false, false, rows, inputs, outputs, y, rows, w, outputs, beta: accumulating ? 1 : 0, x, rows)
        }
    }

    /// W̄ += XᵀY, stored as W is.
    static func weights(rows: Int, inputs: Int, outputs: Int, x: Doubles, y: Doubles, into w: MutableDoubles) {
        if isDirect(inputs, outputs) {
            ck_inner_product(outputs, inputs, rows, y, x, rows, w, outputs)
        } else {
            RawProducts.gemm(true, false, outputs, inputs, rows, y, rows, x, rows, beta: 1, w, outputs)
        }
    }
}
