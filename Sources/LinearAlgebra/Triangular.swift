/// Which half of a square matrix a triangular solve reads.
public enum Triangle: Sendable, Hashable { case lower, upper }

extension Matrix {
    /// T⁻¹·b, or T⁻ᵀ·b, for the given triangle T of this matrix's leading `order` rows and columns; the rest is not read.
    ///
    /// n² flops, over the pool where n is large. A zero on the diagonal comes back as its index.
    public func solvingTriangle(
        _ triangle: Triangle, _ b: Vector, transposed: Bool = false, order: Int? = nil
    ) -> Result<Vector, FactorizationFailure> {
        solvingTriangle(triangle, Matrix(rows: b.count, columns: 1, elements: b.elements), transposed: transposed, order: order)
            .map { Vector($0.elements) }
    }

    /// T⁻¹·B, or T⁻ᵀ·B, for several right-hand sides; n² flops a column.
    public func solvingTriangle(
        _ triangle: Triangle, _ b: consuming Matrix, transposed: Bool = false, order: Int? = nil
    ) -> Result<Matrix, FactorizationFailure> {
        let n = order ?? columns
        precondition(n <= rows && n <= columns, "a triangle of order \(n) in a \(rows) × \(columns) matrix")
        precondition(b.rows == n, "a triangle of order \(n) with a right-hand side of \(b.rows)")
        guard b.isFinite else { return .failure(.nonFinite) }
        if let zero = (0..<n).first(where: { elements[$0 + $0 * rows] == 0 }) { return .failure(.singular(pivot: zero)) }
        let count = b.columns
        elements.withUnsafeBufferPointer { t in
            b.elements.withUnsafeMutableBufferPointer { x in
                guard let t = t.baseAddress, let x = x.baseAddress else { return }
                TiledTriangle.solve(triangle, transposed: transposed, n, count, t, rows, x, n)
            }
        }
        return .success(b)
    }
}
