import LinearAlgebra

extension ProgramJacobian {
    /// Rows of J, by columns: entry (i, p) of the rows asked for at out[i − rows.lowerBound + p·leading]. A forward pass, a
    /// reverse pass for every residual of a point, and C multiply-adds an entry.
    public func jacobian(rows: Range<Int>, into out: UnsafeMutablePointer<Double>, leading: Int) {
        precondition(leading >= rows.count, "a leading dimension of \(leading) for \(rows.count) rows")
        let whole = program.layers.portions(of: block)
        if whole == block { return sweep(Sweep(panels: [block], layers: []), rows: rows, into: out, leading: leading) }
        // A block that begins or ends within a portion: what is beside it is computed and left out.
        withPanel(of: rows.count * whole.count) { panel in
            sweep(Sweep(panels: [whole], layers: []), rows: rows, into: panel, leading: rows.count)
            for p in 0..<columns {
                let column = panel + (block.lowerBound - whole.lowerBound + p) * rows.count
                (out + p * leading).update(from: column, count: rows.count)
            }
        }
    }

    /// All of J. 8NP bytes.
    public func jacobian() -> Matrix { jacobian(rows: 0..<rows) }

    /// Rows of J.
    public func jacobian(rows: Range<Int>) -> Matrix {
        Matrix(rows: rows.count, columns: columns) { buffer in
            if let base = buffer.baseAddress, !rows.isEmpty { jacobian(rows: rows, into: base, leading: rows.count) }
        }
    }

    /// One pass over the points: the columns of J that it writes, and the dense layers whose inputs and cotangents it hands over.
    struct Sweep {
        /// Whole portions of layers, in the order of θ; written side by side.
        var panels: [Range<Int>]
        var layers: [Int]
        var width: Int { panels.reduce(0) { $0 + $1.count } }
    }

    /// Rows of J in the sweep's columns, and for every residual of a block of points what `visit` makes of its layers.
    func sweep(
        _ sweep: Sweep, rows: Range<Int>, into out: UnsafeMutablePointer<Double>, leading: Int,
        _ visit: (_ pass: BlockPass, _ residual: Int, _ layer: Int) -> Void = { _, _, _ in }
    ) {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= self.rows, "rows \(rows) of \(self.rows)")
        let pieces = self.pieces(of: rows)
        let touched = sweep.panels.map { program.layers.layers(of: $0).lowerBound } + sweep.layers
        guard let lowest = touched.min() else { return }
        let starts = sweep.panels.indices.map { i in sweep.panels[..<i].reduce(0) { $0 + $1.count } }
        parameters.withUnsafeBufferPointer { θ in
            guard let θ = θ.baseAddress else { return }
            program.overItems(pieces.count, .reverse) { index, workspace in
                let piece = pieces[index]
                let pass = program.pass(.reverse, term: piece.term, start: piece.start, points: piece.points, in: workspace)
                pass.forward(θ)
                pass.evaluate(order: 1)
                for k in piece.residuals {
                    pass.seedResidual(k)
                    let row = out + (pass.residualIndex(k) - rows.lowerBound)
                    for (panel, start) in zip(sweep.panels, starts) { pass.scalarRows(panel, out: row + start * leading, leading: leading) }
                    pass.reverse(θ, downTo: lowest) { l in
                        for (panel, start) in zip(sweep.panels, starts) {
                            pass.layerRows(θ, l, panel, out: row + start * leading, leading: leading)
                        }
                        if sweep.layers.contains(l) { visit(pass, k, l) }
                    }
                }
            }
        }
    }

    /// Memory for `count` numbers that a product needs for itself.
    func withPanel(of count: Int, _ body: (UnsafeMutablePointer<Double>) -> Void) {
        program.panels.borrowing(1, capacity: count, columns: 1) { body($0[0].base) }
    }

    /// Points of a term that pass together, and the residuals whose rows are wanted there.
    private struct Piece {
        var term: Int
        var start: Int
        var points: Int
        var residuals: Range<Int>
    }

    private func pieces(of rows: Range<Int>) -> [Piece] {
        var pieces: [Piece] = []
        for (t, term) in program.compiled.enumerated() where term.count > 0 {
            // The points of every residual that lie in the rows; between two ends the set of residuals does not change.
            let wanted = (0..<term.residuals).map { k in
                let first = term.residualOffset + k * term.count
                return rows.clamped(to: first..<(first + term.count)).shifted(by: -first)
            }
            let ends = Set(wanted.flatMap { $0.isEmpty ? [] : [$0.lowerBound, $0.upperBound] }).sorted()
            for (low, high) in zip(ends, ends.dropFirst()) {
                for start in stride(from: low, to: high, by: term.blockSize) {
                    let points = min(term.blockSize, high - start)
                    // At most two runs: rows are contiguous, residual after residual.
                    var run: Range<Int>?
                    for k in 0..<term.residuals where wanted[k].contains(low) {
                        if let open = run, open.upperBound == k {
                            run = open.lowerBound..<(k + 1)
                        } else {
                            if let run { pieces.append(Piece(term: t, start: start, points: points, residuals: run)) }
                            run = k..<(k + 1)
                        }
                    }
                    if let run { pieces.append(Piece(term: t, start: start, points: points, residuals: run)) }
                }
            }
        }
        return pieces
    }
}

extension Range<Int> {
    fileprivate func shifted(by offset: Int) -> Range<Int> { (lowerBound + offset)..<(upperBound + offset) }
}
