import LinearAlgebra

extension ProgramJacobian {
    /// Rows of J, by columns: entry (i, p) of the rows asked for at out[i − rows.lowerBound + p·leading]. A forward pass, a
    /// reverse pass for every residual of a point, and C multiply-adds an entry.
    public func jacobian(rows: Range<Int>, into out: UnsafeMutablePointer<Double>, leading: Int) {
        jacobian(rows: rows, columns: 0..<columns, into: out, leading: leading)
    }

    /// All of J. 8NP bytes.
    public func jacobian() -> Matrix {
        var matrix = Matrix.zeros(rows, columns)
        matrix.elements.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress, rows > 0 { jacobian(rows: 0..<rows, into: base, leading: rows) }
        }
        return matrix
    }

    /// A part of J; the columns must be a union of portions (see `columnPanels`).
    func jacobian(rows: Range<Int>, columns: Range<Int>, into out: UnsafeMutablePointer<Double>, leading: Int) {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= self.rows, "rows \(rows) of \(self.rows)")
        precondition(leading >= rows.count, "a leading dimension of \(leading) for \(rows.count) rows")
        let pieces = self.pieces(of: rows)
        parameters.withUnsafeBufferPointer { θ in
            guard let θ = θ.baseAddress else { return }
            program.overItems(pieces.count, .reverse) { index, workspace in
                let piece = pieces[index]
                let pass = program.pass(.reverse, term: piece.term, start: piece.start, points: piece.points, in: workspace)
                pass.forward(θ)
                pass.evaluate(order: 1)
                for k in piece.residuals {
                    pass.seedResidual(k)
                    let row = pass.residualIndex(k) - rows.lowerBound
                    pass.jacobianRows(θ, parameters: columns, out: out + row, leading: leading)
                }
            }
        }
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
