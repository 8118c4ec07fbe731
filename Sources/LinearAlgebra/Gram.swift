import COpenBLAS

extension Matrix {
    /// AᵀA ∈ ℝⁿˣⁿ, exactly symmetric. mn² flops (dsyrk). Squares the condition number of A.
    public var gram: Matrix { gram(ofRows: false) }

    /// AAᵀ ∈ ℝᵐˣᵐ, exactly symmetric. m²n flops (dsyrk). Squares the condition number of A.
    public var outerGram: Matrix { gram(ofRows: true) }

    private func gram(ofRows: Bool) -> Matrix {
        let (order, inner) = ofRows ? (rows, columns) : (columns, rows)
        var g = Matrix.zeros(order, order)
        guard order > 0, inner > 0 else { return g }
        _ = BLASThreads.single
        elements.withUnsafeBufferPointer { a in
            g.elements.withUnsafeMutableBufferPointer { g in
                cblas_dsyrk(
                    CblasColMajor, CblasLower, ofRows ? CblasNoTrans : CblasTrans, blasInt(order), blasInt(inner), 1, a.baseAddress,
                    leading(rows), 0, g.baseAddress, leading(order))
                for j in 0..<order { for i in (j + 1)..<Swift.max(j + 1, order) { g[j + i * order] = g[i + j * order] } }
            }
        }
        return g
    }

    /// ‖A‖_F, free of overflow.
    public var frobeniusNorm: Double {
        _ = BLASThreads.single
        return elements.withUnsafeBufferPointer { cblas_dnrm2(blasInt($0.count), $0.baseAddress, 1) }
    }

    /// The largest magnitude of an entry; NaN where one is NaN.
    public var maximumNorm: Double { Vector(elements).maximumNorm }

    /// The diagonal, of length min(m, n).
    public var diagonal: Vector { Vector((0..<Swift.min(rows, columns)).map { elements[$0 + $0 * rows] }) }

    /// self ← self + diag(d), for a square matrix.
    public mutating func addDiagonal(_ d: Vector) {
        precondition(rows == columns && d.count == rows, "a diagonal of \(d.count) for a \(rows) × \(columns) matrix")
        for i in 0..<rows { elements[i + i * rows] += d[i] }
    }
}
