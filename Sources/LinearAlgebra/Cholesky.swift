import COpenBLAS

/// The Cholesky factorisation A = L·Lᵀ of a symmetric positive definite matrix, A ∈ ℝⁿˣⁿ.
///
/// Only the lower triangle of A is read. n³/3 flops, n² doubles; single-threaded dpotrf. Backward stable: ‖A − LLᵀ‖ ≤ c·n·ε·‖A‖.
public struct Cholesky: Sendable {
    /// L, with zeros above the diagonal.
    public let lower: Matrix

    /// Factorises `a`; the failing pivot, where it is not positive definite, comes back as a value.
    public static func factorize(_ a: Matrix) -> Result<Cholesky, FactorizationFailure> {
        precondition(a.rows == a.columns, "Cholesky of a \(a.rows) × \(a.columns) matrix")
        guard a.isFinite else { return .failure(.nonFinite) }
        _ = BLASThreads.single
        let n = a.rows
        var l = a
        let info = l.elements.withUnsafeMutableBufferPointer { lapack_potrf_lower(blasInt(n), $0.baseAddress, leading(n)) }
        guard info == 0 else { return .failure(.notPositiveDefinite(pivot: Int(info) - 1)) }
        l.elements.withUnsafeMutableBufferPointer { l in
            for j in 0..<n { for i in 0..<j { l[i + j * n] = 0 } }
        }
        return .success(Cholesky(lower: l))
    }

    /// A⁻¹·b by two triangular solves. 2n² flops.
    public func solve(_ b: Vector) -> Vector {
        Vector(solve(Matrix(rows: b.count, columns: 1, elements: b.elements)).elements)
    }

    /// A⁻¹·B, column by column. 2n² flops a column.
    public func solve(_ b: Matrix) -> Matrix {
        let n = lower.rows
        precondition(b.rows == n, "a \(n) × \(n) system with a right-hand side of \(b.rows) rows")
        var x = b
        lower.elements.withUnsafeBufferPointer { l in
            x.elements.withUnsafeMutableBufferPointer { x in
                _ = lapack_potrs_lower(blasInt(n), blasInt(b.columns), l.baseAddress, leading(n), x.baseAddress, leading(n))
            }
        }
        return x
    }

    /// log det A = 2 Σ log Lᵢᵢ comes from these: the diagonal of L, all positive.
    public var diagonal: Vector { Vector((0..<lower.rows).map { lower[$0, $0] }) }
}
