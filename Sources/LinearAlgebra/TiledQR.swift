import COpenBLAS

/// Householder QR by panels over the pool, and products with its Q.
///
/// Panel p has the columns F = first ..< first + w. Its reflectors reach over the rows F and over `body`, further rows that lie together:
/// below F for a full matrix, wherever the non-zeros are for a stacked one. With V = [V₁; V₂] on these rows,
///
///     H₀⋯H_{w−1} = I − V·T·Vᵀ,   V₁ ∈ ℝʷˣʷ unit lower, T ∈ ℝʷˣʷ upper
///
/// (Schreiber & Van Loan, doi:10.1137/0910005). V₂ stays in the matrix; V₁ and T are kept as full squares, zeros included, so that all
/// work on other columns is dgemm. A panel is LAPACK's dgeqrt3 (recursive: Elmroth & Gustavson, doi:10.1147/rd.444.0605). The next
/// panel's columns are updated and factorised first; the other columns follow in wider groups. `docs/performance.md` has the figures.
struct Panel: Sendable, Hashable {
    var columns: Range<Int>
    var body: Range<Int>
}

package enum TiledQR {
    /// The width of a panel: dgemm wants wide ones, the work that only one thread can do narrow ones.
    package static let width = 64

    /// The columns that are updated at once away from the next panel; a multiple of the width.
    private static let group = 256

    /// The doubles of V₁ and T of one panel.
    static let blockSize = 2 * width * width

    /// The panels of an m×n matrix without structure.
    static func panels(_ m: Int, _ n: Int) -> [Panel] {
        stride(from: 0, to: min(m, n), by: width).map { first in
            let end = min(first + width, min(m, n))
            return Panel(columns: first..<end, body: end..<m)
        }
    }

    /// Replaces `a`, of `n` columns, by R and V₂, and writes each panel's V₁ and T to `blocks`.
    static func factorize(
        _ panels: [Panel], _ n: Int, _ a: UnsafeMutablePointer<Double>, _ lda: Int, _ blocks: UnsafeMutablePointer<Double>
    ) {
        _ = BLASThreads.single
        enum Task {
            case panel(Int)
            case update(Int, Range<Int>)
        }
        var (graph, tasks) = (TaskGraph(), [Task]())
        // The last task that wrote to each block of columns.
        var writer = [Int?](repeating: nil, count: (n + width - 1) / width)
        for (p, panel) in panels.enumerated() {
            let task = graph.add(rank: 3 * p, after: writer[p])
            tasks.append(.panel(p))
            writer[p] = task
            // The rest of the panel's own block, in a wide matrix; the next panel's block; then groups.
            var first = panel.columns.upperBound
            while first < n {
                let size = first < (p + 2) * width ? width : group
                let end = min(n, (first / size + 1) * size)
                let update = graph.add(rank: p + 2 * (first / width), after: task)
                tasks.append(.update(p, first..<end))
                for block in (first / width)..<((end + width - 1) / width) {
                    if let earlier = writer[block], earlier != task { graph.wait(update, for: earlier) }
                    writer[block] = update
                }
                first = end
            }
        }
        let workers = ThreadPool.threadCount
        let spaceSize = max(2 * width * group, panels.map(panelSpace).max() ?? 0)
        let space = UnsafeMutablePointer<Double>.allocate(capacity: workers * spaceSize)
        defer { space.deallocate() }
        graph.run(workers: workers) { task, worker in
            switch tasks[task] {
            case .panel(let p): factorize(panels[p], a, lda, blocks + p * blockSize, space + worker * spaceSize)
            case .update(let p, let columns):
                apply(
                    panels[p], transposed: true, a, lda, blocks + p * blockSize, columns.count, a + columns.lowerBound * lda, lda,
                    space + worker * spaceSize)
            }
        }
    }

    /// C ← Q·C, or Qᵀ·C, for C of `count` columns, by groups of columns over the pool. `cornered` says that C = [I; 0]: the panels on the
    /// right then leave its first columns alone.
    static func multiply(
        _ panels: [Panel], transposed: Bool, _ a: UnsafePointer<Double>, _ lda: Int, _ blocks: UnsafePointer<Double>, _ count: Int,
        _ c: UnsafeMutablePointer<Double>, _ ldc: Int, cornered: Bool = false
    ) {
        _ = BLASThreads.single
        // As many columns at once as leave sixteen groups, where there are enough.
        let atOnce = min(group, max(64, (count / 16 + 7) / 8 * 8))
        let (workers, spaceSize) = (ThreadPool.threadCount, 2 * width * atOnce)
        let space = UnsafeMutablePointer<Double>.allocate(capacity: workers * spaceSize)
        defer { space.deallocate() }
        parallelFor(count: (count + atOnce - 1) / atOnce, maximumWorkers: workers) { index, worker in
            let (start, end) = (index * atOnce, min(count, (index + 1) * atOnce))
            for step in panels.indices {
                let p = transposed ? step : panels.count - 1 - step
                let first = cornered && !transposed ? max(start, panels[p].columns.lowerBound) : start
                guard first < end else { continue }
                apply(
                    panels[p], transposed: transposed, a, lda, blocks + p * blockSize, end - first, c + first * ldc, ldc,
                    space + worker * spaceSize)
            }
        }
    }

    /// T of a panel from its reflectors and their scalar factors, where LAPACK gave no T, and V₁.
    static func formBlock(
        _ panel: Panel, _ a: UnsafeMutablePointer<Double>, _ lda: Int, _ tau: UnsafePointer<Double>, _ block: UnsafeMutablePointer<Double>
    ) {
        let (first, w) = (panel.columns.lowerBound, panel.columns.count)
        let top = a + first + first * lda
        let t = block + w * w
        t.update(repeating: 0, count: w * w)
        lapack_larft(blasInt(w + panel.body.count), blasInt(w), top, leading(lda), tau + first, t, blasInt(w))
        copyUnitLower(top, lda, w, to: block)
    }

    // MARK: One panel

    private static func isContiguous(_ panel: Panel) -> Bool { panel.body.lowerBound == panel.columns.upperBound || panel.body.isEmpty }

    private static func panelSpace(_ panel: Panel) -> Int {
        isContiguous(panel) ? 0 : panel.columns.count * (panel.columns.count + panel.body.count)
    }

    private static func factorize(
        _ panel: Panel, _ a: UnsafeMutablePointer<Double>, _ lda: Int, _ block: UnsafeMutablePointer<Double>,
        _ space: UnsafeMutablePointer<Double>
    ) {
        let (first, w, rows) = (panel.columns.lowerBound, panel.columns.count, panel.columns.count + panel.body.count)
        let top = a + first + first * lda
        let t = block + w * w
        t.update(repeating: 0, count: w * w)
        if isContiguous(panel) {
            _ = lapack_geqrt3(blasInt(rows), blasInt(w), top, leading(lda), t, blasInt(w))
        } else {
            let body = a + panel.body.lowerBound + first * lda
            for j in 0..<w {
                (space + j * rows).update(from: top + j * lda, count: w)
                (space + w + j * rows).update(from: body + j * lda, count: rows - w)
            }
            _ = lapack_geqrt3(blasInt(rows), blasInt(w), space, leading(rows), t, blasInt(w))
            for j in 0..<w {
                (top + j * lda).update(from: space + j * rows, count: w)
                (body + j * lda).update(from: space + w + j * rows, count: rows - w)
            }
        }
        copyUnitLower(top, lda, w, to: block)
    }

    private static func copyUnitLower(_ from: UnsafePointer<Double>, _ ld: Int, _ w: Int, to v: UnsafeMutablePointer<Double>) {
        for j in 0..<w {
            let column = v + j * w
            column.update(repeating: 0, count: j)
            column[j] = 1
            (column + j + 1).update(from: from + j + 1 + j * ld, count: w - j - 1)
        }
    }

    /// C ← (I − V·T·Vᵀ)·C, or with Tᵀ, for `count` columns C of all rows.
    private static func apply(
        _ panel: Panel, transposed: Bool, _ a: UnsafePointer<Double>, _ lda: Int, _ block: UnsafePointer<Double>, _ count: Int,
        _ c: UnsafeMutablePointer<Double>, _ ldc: Int, _ space: UnsafeMutablePointer<Double>
    ) {
        let (first, w, body) = (panel.columns.lowerBound, panel.columns.count, panel.body)
        let (v1, t, v2) = (block, block + w * w, a + body.lowerBound + first * lda)
        let (top, below) = (c + first, c + body.lowerBound)
        let (product, scaled) = (space, space + w * count)
        RawProducts.multiply(true, w, count, w, v1, w, top, ldc, beta: 0, product, w)
        RawProducts.multiply(true, w, count, body.count, v2, lda, below, ldc, beta: 1, product, w)
        RawProducts.multiply(transposed, w, count, w, t, w, product, w, beta: 0, scaled, w)
        RawProducts.multiply(false, w, count, w, alpha: -1, v1, w, scaled, w, beta: 1, top, ldc)
        RawProducts.multiply(false, body.count, count, w, alpha: -1, v2, lda, scaled, w, beta: 1, below, ldc)
    }
}
