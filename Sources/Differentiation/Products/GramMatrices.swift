import LinearAlgebra

extension ProgramJacobian {
    /// JᵀJ ∈ ℝᴾˣᴾ, exactly symmetric: row blocks of J, and NP² flops by output tiles. Squares the condition number of J.
    public func normalMatrix() -> Matrix {
        let (n, p) = (rows, columns)
        var product = Matrix.zeros(p, p)
        guard n > 0 else { return product }
        let height = min(n, max(Self.leastPanel, Self.panelBytes / (8 * p)))
        let panel = UnsafeMutablePointer<Double>.allocate(capacity: height * p)
        defer { panel.deallocate() }
        product.elements.withUnsafeMutableBufferPointer { c in
            guard let c = c.baseAddress else { return }
            for start in stride(from: 0, to: n, by: height) {
                let count = min(height, n - start)
                jacobian(rows: start..<(start + count), into: panel, leading: count)
                addTiles(of: p, beta: start == 0 ? 0 : 1, to: c) { i, m, j, l, beta, tile in
                    let (a, b) = (panel + i * count, panel + j * count)
                    if i == j {
                        RawProducts.syrkLower(transpose: true, m, count, a, count, beta: beta, tile, p)
                    } else {
                        RawProducts.gemm(true, false, m, l, count, a, count, b, count, beta: beta, tile, p)
                    }
                }
            }
            mirror(p, c)
        }
        return product
    }

    /// JJᵀ ∈ ℝᴺˣᴺ, exactly symmetric: column panels of J, each from a pass of its own so that J is never held whole, and N²P
    /// flops by output tiles. Squares the condition number of J.
    public func outerMatrix() -> Matrix {
        let n = rows
        var product = Matrix.zeros(n, n)
        guard n > 0 else { return product }
        let panels = columnPanels(atMost: max(Self.leastPanel, Self.panelBytes / (8 * n)))
        let panel = UnsafeMutablePointer<Double>.allocate(capacity: n * (panels.map(\.count).max() ?? 0))
        defer { panel.deallocate() }
        product.elements.withUnsafeMutableBufferPointer { c in
            guard let c = c.baseAddress else { return }
            for (index, range) in panels.enumerated() {
                jacobian(rows: 0..<n, columns: range, into: panel, leading: n)
                addTiles(of: n, beta: index == 0 ? 0 : 1, to: c) { i, m, j, l, beta, tile in
                    if i == j {
                        RawProducts.syrkLower(transpose: false, m, range.count, panel + i, n, beta: beta, tile, n)
                    } else {
                        RawProducts.gemm(false, true, m, l, range.count, panel + i, n, panel + j, n, beta: beta, tile, n)
                    }
                }
            }
            mirror(n, c)
        }
        return product
    }

    /// The memory of a panel of J, and the least rows or columns of one.
    private static let panelBytes = 64 << 20
    private static let leastPanel = 512

    /// The parameters in runs of about `width`, cut where a layer can cut its part of J.
    func columnPanels(atMost width: Int) -> [Range<Int>] {
        var panels: [Range<Int>] = []
        var (first, end) = (0, 0)
        let layers = program.layers.nodes.map { ($0.layer.parameterCount, $0.layer.parameterStride) }
        for (count, stride) in layers + [(program.layers.scalarCount, 1)] {
            for _ in 0..<(count / stride) {
                if end > first && end + stride - first > width {
                    panels.append(first..<end)
                    first = end
                }
                end += stride
            }
        }
        if end > first { panels.append(first..<end) }
        return panels
    }

    /// Calls `add(i, rows, j, columns, β, tile)` for every tile on and below the diagonal of a matrix of order n.
    private func addTiles(
        of n: Int, beta: Double, to c: UnsafeMutablePointer<Double>,
        _ add: (Int, Int, Int, Int, Double, UnsafeMutablePointer<Double>) -> Void
    ) {
        let side = 192
        let tiles = (n + side - 1) / side
        parallelFor(count: tiles * (tiles + 1) / 2) { index, _ in
            // The largest row of tiles first: index counts the lower triangle's tiles from its last row.
            var (row, left) = (tiles - 1, index)
            while left > row {
                left -= row + 1
                row -= 1
            }
            let (i, j) = (row * side, left * side)
            add(i, min(side, n - i), j, min(side, n - j), beta, c + i + j * n)
        }
    }

    private func mirror(_ n: Int, _ c: UnsafeMutablePointer<Double>) {
        parallelFor(count: (n + 63) / 64) { block, _ in
            for j in (block * 64)..<min(n, block * 64 + 64) { for i in 0..<j { c[i + j * n] = c[j + i * n] } }
        }
    }
}
