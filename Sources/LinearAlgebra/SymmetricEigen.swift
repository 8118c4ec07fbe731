import COpenBLAS

/// The spectral decomposition A = V·Λ·Vᵀ of a symmetric matrix, A ∈ ℝⁿˣⁿ; only the lower triangle is read.
///
/// dsyevd (divide and conquer), about 4n³ flops, 3n² doubles.
public struct SymmetricEigen: Sendable {
    /// λ₀ ≤ λ₁ ≤ …
    public let values: Vector
    /// Column i is the eigenvector of `values[i]`, of unit length.
    public let vectors: Matrix

    public static func factorize(_ a: Matrix) -> Result<SymmetricEigen, FactorizationFailure> {
        precondition(a.rows == a.columns, "eigenvalues of a \(a.rows) × \(a.columns) matrix")
        guard a.isFinite else { return .failure(.nonFinite) }
        let n = a.rows
        guard n > 0 else { return .success(SymmetricEigen(values: [], vectors: a)) }
        var (vectors, values) = (a, Vector.zeros(n))
        let integerCount = 3 + 5 * n
        var integers = [Int32](repeating: 0, count: integerCount)
        let info = vectors.elements.withUnsafeMutableBufferPointer { v in
            values.withUnsafeMutableBufferPointer { w in
                integers.withUnsafeMutableBufferPointer { integers in
                    withWorkspace { work, count in
                        lapack_syevd_lower(
                            blasInt(n), v.baseAddress, leading(n), w.baseAddress, work, count, integers.baseAddress, blasInt(integerCount))
                    }
                }
            }
        }
        return info == 0 ? .success(SymmetricEigen(values: values, vectors: vectors)) : .failure(.notConverged)
    }
}
