import COpenBLAS

/// Which half of a square matrix a triangular solve reads.
public enum Triangle: Sendable, Hashable { case lower, upper }

extension Matrix {
    /// T⁻¹·b, or T⁻ᵀ·b, for the given triangle T of this matrix's leading `order` rows and columns; the rest is not read.
    ///
    /// n² flops (dtrtrs). A zero on the diagonal comes back as its index.
    public func solvingTriangle(
        _ triangle: Triangle, _ b: Vector, transposed: Bool = false, order: Int? = nil
    ) -> Result<Vector, FactorizationFailure> {
        let n = order ?? columns
        precondition(n <= rows && n <= columns, "a triangle of order \(n) in a \(rows) × \(columns) matrix")
        precondition(b.count == n, "a triangle of order \(n) with a right-hand side of \(b.count)")
        guard b.isFinite else { return .failure(.nonFinite) }
        guard n > 0 else { return .success(b) }
        _ = BLASThreads.single
        var x = b
        let info = elements.withUnsafeBufferPointer { t in
            x.withUnsafeMutableBufferPointer { x in
                lapack_trtrs(
                    triangle == .upper ? 1 : 0, transposed ? 1 : 0, blasInt(n), 1, t.baseAddress, leading(rows), x.baseAddress, leading(n))
            }
        }
        return info == 0 ? .success(x) : .failure(.singular(pivot: Int(info) - 1))
    }
}
