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
                TiledProducts.syrkLower(transpose: true, p, count, panel, count, beta: start == 0 ? 0 : 1, c, p)
            }
            TiledProducts.mirrorLower(p, c, p)
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
                TiledProducts.syrkLower(transpose: false, n, range.count, panel, n, beta: index == 0 ? 0 : 1, c, n)
            }
            TiledProducts.mirrorLower(n, c, n)
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
}
