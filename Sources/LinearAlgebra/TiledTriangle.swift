import COpenBLAS

/// Triangular systems over the pool: a diagonal block is solved, then what remains of the right-hand sides is updated by tiles.
///
/// n² flops a column, in an order that depends on n and the number of columns alone.
enum TiledTriangle {
    /// Up to this order LAPACK's solve is called for each group of columns.
    private static let smallest = 1024
    private static let block = 256
    private static let rowsAtOnce = 1024
    private static let columnsAtOnce = 64

    /// X ← op(T)⁻¹·X for the triangle T ∈ ℝⁿˣⁿ, whose diagonal has no zero; X ∈ ℝⁿˣᵏ.
    static func solve(
        _ triangle: Triangle, transposed: Bool, _ n: Int, _ columns: Int, _ t: UnsafePointer<Double>, _ ldt: Int,
        _ x: UnsafeMutablePointer<Double>, _ ldx: Int
    ) {
        _ = BLASThreads.single
        guard n > 0, columns > 0 else { return }
        let groups = (columns + columnsAtOnce - 1) / columnsAtOnce
        func solveBlock(_ start: Int, _ count: Int, group: Int) {
            let first = group * columnsAtOnce
            solveOnThread(
                triangle, transposed, count, min(columnsAtOnce, columns - first), t + start + start * ldt, ldt, x + start + first * ldx,
                ldx)
        }
        if n <= smallest {
            parallelFor(count: groups, maximumWorkers: n < 128 ? 1 : .max) { group, _ in solveBlock(0, n, group: group) }
            return
        }
        let forward = (triangle == .lower) != transposed
        let blocks = (n + block - 1) / block
        for step in 0..<blocks {
            let start = (forward ? step : blocks - 1 - step) * block
            let count = min(block, n - start)
            parallelFor(count: groups) { group, _ in solveBlock(start, count, group: group) }
            let rest = forward ? (start + count)..<n : 0..<start
            let chunks = (rest.count + rowsAtOnce - 1) / rowsAtOnce
            parallelFor(count: chunks * groups) { tile, _ in
                let (row, column) = (rest.lowerBound + tile % chunks * rowsAtOnce, tile / chunks * columnsAtOnce)
                let (height, width) = (min(rowsAtOnce, rest.upperBound - row), min(columnsAtOnce, columns - column))
                RawProducts.multiply(
                    transposed, height, width, count, alpha: -1, transposed ? t + start + row * ldt : t + row + start * ldt, ldt,
                    x + start + column * ldx, ldx, beta: 1, x + row + column * ldx, ldx)
            }
        }
    }

    private static func solveOnThread(
        _ triangle: Triangle, _ transposed: Bool, _ n: Int, _ columns: Int, _ t: UnsafePointer<Double>, _ ldt: Int,
        _ x: UnsafeMutablePointer<Double>, _ ldx: Int
    ) {
        let (uplo, trans) = (triangle == .lower ? CblasLower : CblasUpper, transposed ? CblasTrans : CblasNoTrans)
        if columns == 1 {
            cblas_dtrsv(CblasColMajor, uplo, trans, CblasNonUnit, blasInt(n), t, leading(ldt), x, 1)
        } else {
            cblas_dtrsm(
                CblasColMajor, CblasLeft, uplo, trans, CblasNonUnit, blasInt(n), blasInt(columns), 1, t, leading(ldt), x, leading(ldx))
        }
    }
}
