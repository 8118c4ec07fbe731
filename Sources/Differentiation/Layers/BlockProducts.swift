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

    /// Y ← X·W: X ∈ ℝᴿˣⁱⁿ, Y ∈ ℝᴿˣᵒᵘᵗ.
    static func forward(
        rows: Int, inputs: Int, outputs: Int, x: Doubles, w: Doubles, into y: MutableDoubles
    ) {
        if isDirect(inputs, outputs) {
            ck_row_product(rows, outputs, inputs, x, rows, w, outputs, 1, 0, y, rows)
        } else {
            RawProducts.gemm(false, true, rows, outputs, inputs, x, rows, w, outputs, beta: 0, y, rows)
        }
    }

    /// Y ← X·W + X₂·W₂: the tangent of Y.
    static func forwardTangent(
        rows: Int, inputs: Int, outputs: Int, x: (Doubles, Doubles), w: (Doubles, Doubles), into y: MutableDoubles
    ) {
        if isDirect(inputs, outputs) {
            ck_row_product_pair(rows, outputs, inputs, x.0, x.1, rows, w.0, w.1, outputs, 1, 0, y, rows)
        } else {
            RawProducts.gemm(false, true, rows, outputs, inputs, x.0, rows, w.0, outputs, beta: 0, y, rows)
            RawProducts.gemm(false, true, rows, outputs, inputs, x.1, rows, w.1, outputs, beta: 1, y, rows)
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

    /// X ← Y·Wᵀ + Y₂·W₂ᵀ (or +=): its tangent.
    static func backwardTangent(
        rows: Int, inputs: Int, outputs: Int, y: (Doubles, Doubles), w: (Doubles, Doubles), accumulating: Bool, into x: MutableDoubles
    ) {
        if isDirect(inputs, outputs) {
            ck_row_product_pair(rows, inputs, outputs, y.0, y.1, rows, w.0, w.1, 1, outputs, accumulating ? 1 : 0, x, rows)
        } else {
            RawProducts.gemm(false, false, rows, inputs, outputs, y.0, rows, w.0, outputs, beta: accumulating ? 1 : 0, x, rows)
            RawProducts.gemm(false, false, rows, inputs, outputs, y.1, rows, w.1, outputs, beta: 1, x, rows)
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
