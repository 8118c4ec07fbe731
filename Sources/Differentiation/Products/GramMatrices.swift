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

    /// The memory of a panel of J, and the least rows or columns of one.
    static let panelBytes = 64 << 20
    static let leastPanel = 512

    /// The parameters of all but some layers in runs of about `width`, cut where a layer can cut its part of J.
    func columnPanels(atMost width: Int, leavingOut skipped: Set<Int> = []) -> [Range<Int>] {
        var panels: [Range<Int>] = []
        var (first, end) = (0, 0)
        let layers = program.layers.nodes.map { ($0.layer.parameterCount, $0.layer.parameterStride) }
        for (l, (count, stride)) in (layers + [(program.layers.scalarCount, 1)]).enumerated() {
            if skipped.contains(l) {
                if end > first { panels.append(first..<end) }
                end += count
                first = end
                continue
            }
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
