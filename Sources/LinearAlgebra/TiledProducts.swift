import COpenBLAS

/// Matrix products over the pool, by tiles of the output whose shapes depend on the sizes alone: same bits for any number of threads.
///
/// A tile is one call of single-threaded dgemm or dsyrk over the whole inner dimension, large enough that packing its operands costs
/// little beside its arithmetic.
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
        let inner = max(1, k)
        if n * n <= least / inner {
            RawProducts.syrkLower(transpose: transpose, n, k, alpha: alpha, a, lda, beta: beta, c, ldc)
            return
        }
        if n <= narrow, k >= 2 * slice {
            syrkBySlices(transpose: transpose, n, k, alpha: alpha, a, lda, beta: beta, c, ldc)
            return
        }
        let tiles = lowerTiles(n, wholeVectors(n / 4, atMost: largest))
        parallelFor(count: tiles.count) { index, _ in
            let (rows, columns) = (tiles[index].rows, tiles[index].columns)
            let (i, j, tile) = (rows.lowerBound, columns.lowerBound, c + rows.lowerBound + columns.lowerBound * ldc)
            let (left, right) = transpose ? (a + i * lda, a + j * lda) : (a + i, a + j)
            if i == j {
                RawProducts.syrkLower(transpose: transpose, columns.count, k, alpha: alpha, left, lda, beta: beta, tile, ldc)
            } else {
                RawProducts.gemm(
                    transpose, !transpose, rows.count, columns.count, k, alpha: alpha, left, lda, right, lda, beta: beta, tile, ldc)
            }
        }
    }

    /// Copies the lower triangle to the upper one. n² doubles moved.
    package static func mirrorLower(_ n: Int, _ c: UnsafeMutablePointer<Double>, _ ldc: Int) {
        let side = 64
        let blocks = (n + side - 1) / side
        func mirror(column block: Int) {
            let columns = (block * side)..<min(n, (block + 1) * side)
            for start in stride(from: 0, to: columns.upperBound, by: side) {
                for j in columns {
                    let column = c + j * ldc
                    for i in start..<max(start, min(j, start + side)) { column[i] = c[j + i * ldc] }
                }
            }
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
    private static let narrow = 384
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
