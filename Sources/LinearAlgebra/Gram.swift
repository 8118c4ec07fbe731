import COpenBLAS

extension Matrix {
    /// AᵀA ∈ ℝⁿˣⁿ, exactly symmetric. mn² flops, by output tiles over the pool. Squares the condition number of A.
    public var gram: Matrix { gram(ofRows: false) }

    /// AAᵀ ∈ ℝᵐˣᵐ, exactly symmetric. m²n flops, by output tiles over the pool. Squares the condition number of A.
    public var outerGram: Matrix { gram(ofRows: true) }

    private func gram(ofRows: Bool) -> Matrix {
        let (order, inner) = ofRows ? (rows, columns) : (columns, rows)
        guard order > 0, inner > 0 else { return .zeros(order, order) }
        return Matrix(rows: order, columns: order) { g in
            elements.withUnsafeBufferPointer { a in
                guard let a = a.baseAddress, let g = g.baseAddress else { return }
                TiledProducts.syrkLower(transpose: !ofRows, order, inner, a, rows, beta: 0, g, order)
                TiledProducts.mirrorLower(order, g, order)
            }
        }
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

    /// A·diag(d).
    public func scalingColumns(by d: Vector) -> Matrix {
        precondition(d.count == columns, "\(d.count) factors for the columns of a \(rows) × \(columns) matrix")
        return Matrix(rows: rows, columns: columns) { scaled in
            let scaled = scaled
            elements.withUnsafeBufferPointer { a in
                parallelFor(count: columns, maximumWorkers: rows * columns < 1 << 16 ? 1 : .max) { j, _ in
                    let factor = d[j]
                    for i in (j * rows)..<((j + 1) * rows) { scaled[i] = factor * a[i] }
                }
            }
        }
    }

    /// self ← self + diag(d), for a square matrix.
    public mutating func addDiagonal(_ d: Vector) {
        precondition(rows == columns && d.count == rows, "a diagonal of \(d.count) for a \(rows) × \(columns) matrix")
        for i in 0..<rows { elements[i + i * rows] += d[i] }
    }
}
