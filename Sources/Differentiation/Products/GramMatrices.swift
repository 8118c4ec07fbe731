import LinearAlgebra

extension ProgramJacobian {
    /// JᵀJ ∈ ℝᴾˣᴾ, exactly symmetric: row blocks of J, and NP² flops by output tiles. Squares the condition number of J.
    public func normalMatrix() -> Matrix {
        let (n, p) = (rows, columns)
        guard n > 0, p > 0 else { return .zeros(p, p) }
        let whole = program.layers.portions(of: block)
        let height = normalPanelHeight
        return Matrix(rows: p, columns: p) { c in
            guard let c = c.baseAddress else { return }
            withPanel(of: height * whole.count) { panel in
                for start in stride(from: 0, to: n, by: height) {
                    let count = min(height, n - start)
                    sweep(Sweep(panels: [whole], layers: []), rows: start..<(start + count), into: panel, leading: count)
                    TiledProducts.syrkLower(
                        transpose: true, p, count, panel + (block.lowerBound - whole.lowerBound) * count, count, beta: start == 0 ? 0 : 1,
                        c,
                        p)
                }
            }
            TiledProducts.mirrorLower(p, c, p)
        }
    }

    /// The rows of J that `normalMatrix` holds at a time.
    private var normalPanelHeight: Int {
        min(rows, max(Self.leastPanel, Self.panelBytes / (8 * max(1, program.layers.portions(of: block).count))))
    }

    /// The bytes that `normalMatrix` works in beside its result: rows of J.
    public var normalMatrixBytes: Int { 8 * normalPanelHeight * program.layers.portions(of: block).count }

    /// How many operations `normalMatrix` takes, the symmetric half counted once: NP².
    public var normalMatrixCost: Double { Double(rows) * Double(columns) * Double(columns) }

    /// The memory of a panel of J, and the least rows or columns of one.
    static let panelBytes = 64 << 20
    static let leastPanel = 512
}
