import CKernels
import COpenBLAS

/// Matrix products over the pool, by tiles of the output whose shapes depend on the sizes alone: same bits for any number of threads.
///
/// A tile of a product is one call of single-threaded dgemm over the whole inner dimension, large enough that packing its operands costs
/// little beside its arithmetic. Gram matrices pack their operand once for all tiles and multiply by the kernels of CKernels/packed.inc.
package enum TiledProducts {
    /// Below this many multiplications the work is not worth handing out.
    private static let least = 1 << 19

    /// C ← β·C + α·op(A)·op(B) with op(A) ∈ ℝᵐˣᵏ, op(B) ∈ ℝᵏˣⁿ. 2mnk flops. With β = 0, C may hold anything.
    package static func gemm(
        _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, alpha: Double = 1, _ a: UnsafePointer<Double>, _ lda: Int,
        _ b: UnsafePointer<Double>, _ ldb: Int, beta: Double, _ c: UnsafeMutablePointer<Double>, _ ldc: Int
    ) {
        _ = BLASThreads.single
        guard m > 0, n > 0 else { return }
        if m * n <= least / max(1, k) {
            RawProducts.gemm(transposeA, transposeB, m, n, k, alpha: alpha, a, lda, b, ldb, beta: beta, c, ldc)
            return
        }
        let (height, width) = tile(m, n)
        let (rows, columns) = ((m + height - 1) / height, (n + width - 1) / width)
        parallelFor(count: rows * columns) { tile, _ in
            let (i, j) = (tile % rows * height, tile / rows * width)
            RawProducts.gemm(
                transposeA, transposeB, min(height, m - i), min(width, n - j), k, alpha: alpha, transposeA ? a + i * lda : a + i, lda,
                transposeB ? b + j : b + j * ldb, ldb, beta: beta, c + i + j * ldc, ldc)
        }
    }

    /// The lower triangle of C ← β·C + α·A·Aᵀ (A ∈ ℝⁿˣᵏ), or of β·C + α·Aᵀ·A with `transpose` (A ∈ ℝᵏˣⁿ). n²k flops. What lies above
    /// the diagonal is not touched.
    package static func syrkLower(
        transpose: Bool, _ n: Int, _ k: Int, alpha: Double = 1, _ a: UnsafePointer<Double>, _ lda: Int, beta: Double,
        _ c: UnsafeMutablePointer<Double>, _ ldc: Int
    ) {
        _ = BLASThreads.single
        guard n > 0 else { return }
        if k == 0 || n * n <= least / max(1, k) {
            RawProducts.syrkLower(transpose: transpose, n, k, alpha: alpha, a, lda, beta: beta, c, ldc)
            return
        }
        if n <= narrow, k >= 2 * slice {
            syrkBySlices(transpose: transpose, n, k, alpha: alpha, a, lda, beta: beta, c, ldc)
            return
        }
        syrkPacked(transpose: transpose, n, k, alpha: alpha, a, lda, beta: beta, c, ldc)
    }

    // MARK: Gram matrices

    /// A step of the inner dimension: with it a strip of a packed operand stays in the first cache.
    private static let step = 128
    /// The numbers of A that are packed at one time, at most.
    private static let packed = 1 << 20
    /// The strips of a tile, at most: two tiles of operands and one of C stay in the second cache.
    private static let strips = 8

    /// Packs all rows of A (Aᵀ) for some steps of the inner dimension, and adds their products tile by tile of C.
    private static func syrkPacked(
        transpose: Bool, _ n: Int, _ k: Int, alpha: Double, _ a: UnsafePointer<Double>, _ lda: Int, beta: Double,
        _ c: UnsafeMutablePointer<Double>, _ ldc: Int
    ) {
        let strip = Int(CK_STRIP)
        let (padded, count) = ((n + 7) / 8 * 8, (n + strip - 1) / strip)
        let side = strip * max(1, min(strips, count / 8))
        let tiles = lowerTiles(n, side)
        let steps = (k + step - 1) / step
        let atOnce = max(1, min(steps, packed / (padded * step)))
        WorkingMemory.borrow(padded * min(k, atOnce * step)) { memory in
            for first in stride(from: 0, to: steps, by: atOnce) {
                let part = first..<min(steps, first + atOnce)
                /// A step's place in the inner dimension, and in the packed operand.
                func place(_ s: Int) -> (start: Int, width: Int, packed: UnsafeMutablePointer<Double>) {
                    (s * step, min(step, k - s * step), memory + (s - first) * step * padded)
                }
                let groups = (n + side - 1) / side
                parallelFor(count: part.count * groups) { index, _ in
                    let ((start, width, packed), row) = (place(first + index / groups), index % groups * side)
                    let height = min(side, n - row)
                    if transpose {
                        ck_pack_columns(height, width, a + start + row * lda, lda, packed + row * width)
                    } else {
                        ck_pack_rows(height, width, a + row + start * lda, lda, packed + row * width)
                    }
                }
                parallelFor(count: tiles.count) { index, _ in
                    let (rows, columns) = tiles[index]
                    for s in part {
                        let ((_, width, packed), next) = (place(s), place(min(s + 1, part.upperBound - 1)))
                        ck_packed_product(
                            rows.count, columns.count, width, alpha, packed + rows.lowerBound * width, packed + columns.lowerBound * width,
                            s == 0 ? beta : 1, rows == columns ? 1 : 0, c + rows.lowerBound + columns.lowerBound * ldc, ldc,
                            next.packed + rows.lowerBound * next.width, next.packed + columns.lowerBound * next.width)
                    }
                }
            }
        }
    }

    /// Copies the lower triangle to the upper one. n² doubles moved.
    package static func mirrorLower(_ n: Int, _ c: UnsafeMutablePointer<Double>, _ ldc: Int) {
        let side = 64
        let blocks = (n + side - 1) / side
        func mirror(column block: Int) {
            let columns = (block * side)..<min(n, (block + 1) * side)
            for start in stride(from: 0, to: columns.lowerBound, by: side) {
                ck_transpose(
                    columns.count, side, c + columns.lowerBound + start * ldc, ldc, c + start + columns.lowerBound * ldc, ldc)
            }
            for j in columns { for i in columns.lowerBound..<j { c[i + j * ldc] = c[j + i * ldc] } }
        }
        if n <= 4 * side {
            for block in 0..<blocks { mirror(column: block) }
        } else {
            // The longest columns first.
            parallelFor(count: blocks) { index, _ in mirror(column: blocks - 1 - index) }
        }
    }

    /// The largest side of a tile, and how many tiles a product is cut into below that: packing costs (height + width) / (height·width)
    /// of the arithmetic, so that tiles are square and few, yet enough to be shared out evenly.
    private static let largest = 512
    private static let tiles = 16

    private static func wholeVectors(_ count: Int, atMost most: Int) -> Int { min(most, max(64, (count + 7) / 8 * 8)) }

    /// The shape of a tile of an m×n product.
    private static func tile(_ m: Int, _ n: Int) -> (height: Int, width: Int) {
        let area = min(largest * largest, m * n / tiles)
        func even(_ dimension: Int, _ side: Int) -> Int {
            let count = max(1, (dimension + side - 1) / side)
            return max(8, ((dimension + count - 1) / count + 7) / 8 * 8)
        }
        let side = wholeVectors(Int(Double(area).squareRoot()), atMost: largest)
        if m <= n {
            let height = even(m, side)
            return (height, even(n, wholeVectors(area / height, atMost: 2 * largest)))
        }
        let width = even(n, side)
        return (even(m, wholeVectors(area / width, atMost: 2 * largest)), width)
    }

    /// Tiles that cover the lower triangle: the squares below the diagonal first, then those on it, which take half as long.
    private static func lowerTiles(_ n: Int, _ side: Int) -> [(rows: Range<Int>, columns: Range<Int>)] {
        let cuts = stride(from: 0, to: n, by: side).map { $0..<min(n, $0 + side) }
        let below = cuts.indices.flatMap { i in cuts[..<i].map { (rows: cuts[i], columns: $0) } }
        return below + cuts.map { ($0, $0) }
    }

    /// Outputs up to this order are cut along the inner dimension, into slices of at least so many.
    private static let narrow = 128
    private static let slice = 512
    private static let mostSlices = 8

    /// A small output of a long sum: slices of the sum into squares of their own, added in order.
    private static func syrkBySlices(
        transpose: Bool, _ n: Int, _ k: Int, alpha: Double, _ a: UnsafePointer<Double>, _ lda: Int, beta: Double,
        _ c: UnsafeMutablePointer<Double>, _ ldc: Int
    ) {
        let slices = min(mostSlices, k / slice)
        let partial = UnsafeMutablePointer<Double>.allocate(capacity: slices * n * n)
        defer { partial.deallocate() }
        parallelFor(count: slices) { index, _ in
            let (start, end) = (k * index / slices, k * (index + 1) / slices)
            RawProducts.syrkLower(
                transpose: transpose, n, end - start, alpha: alpha, transpose ? a + start : a + start * lda, lda, beta: 0,
                partial + index * n * n, n)
        }
        let columnsAtOnce = 16
        parallelFor(count: (n + columnsAtOnce - 1) / columnsAtOnce) { block, _ in
            for j in (block * columnsAtOnce)..<min(n, (block + 1) * columnsAtOnce) {
                let column = c + j * ldc
                for i in j..<n { column[i] = beta == 0 ? partial[i + j * n] : beta * column[i] + partial[i + j * n] }
                for index in 1..<slices {
                    let part = partial + index * n * n + j * n
                    for i in j..<n { column[i] += part[i] }
                }
            }
        }
    }
}
