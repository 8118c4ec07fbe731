import COpenBLAS

/// The thin singular value decomposition A = U·Σ·Vᵀ of A ∈ ℝᵐˣⁿ, k = min(m, n).
///
/// dgesdd (divide and conquer), and dgesvd where that does not converge. About 4m n² + 22n³ flops for m ≥ n. Where only the
/// solution of a truncated system is wanted, `TruncatedLeastSquares` takes half the time, since it forms no singular vectors.
public struct SVD: Sendable {
    /// U ∈ ℝᵐˣᵏ, orthonormal columns.
    public let u: Matrix
    /// σ₀ ≥ σ₁ ≥ … ≥ 0.
    public let singularValues: Vector
    /// Vᵀ ∈ ℝᵏˣⁿ, orthonormal rows.
    public let vTransposed: Matrix

    public static func factorize(_ a: Matrix) -> Result<SVD, FactorizationFailure> {
        guard a.isFinite else { return .failure(.nonFinite) }
        return factorize(a, byDivideAndConquer: true).flatMapError { _ in factorize(a, byDivideAndConquer: false) }
    }

    package static func factorize(_ a: Matrix, byDivideAndConquer: Bool) -> Result<SVD, FactorizationFailure> {
        let (m, n) = (a.rows, a.columns)
        let k = Swift.min(m, n)
        var copy = a
        var (u, s, vt) = (Matrix.zeros(m, k), Vector.zeros(k), Matrix.zeros(k, n))
        guard k > 0 else { return .success(SVD(u: u, singularValues: s, vTransposed: vt)) }
        var integers = [Int32](repeating: 0, count: 8 * k)
        let info = copy.elements.withUnsafeMutableBufferPointer { a in
            u.elements.withUnsafeMutableBufferPointer { u in
                s.withUnsafeMutableBufferPointer { s in
                    vt.elements.withUnsafeMutableBufferPointer { vt in
                        integers.withUnsafeMutableBufferPointer { integers in
                            withWorkspace { work, count in
                                byDivideAndConquer
                                    ? lapack_gesdd_thin(
                                        blasInt(m), blasInt(n), a.baseAddress, leading(m), s.baseAddress, u.baseAddress, leading(m),
                                        vt.baseAddress, leading(k), work, count, integers.baseAddress)
                                    : lapack_gesvd_thin(
                                        blasInt(m), blasInt(n), a.baseAddress, leading(m), s.baseAddress, u.baseAddress, leading(m),
                                        vt.baseAddress, leading(k), work, count)
                            }
                        }
                    }
                }
            }
        }
        return info == 0 ? .success(SVD(u: u, singularValues: s, vTransposed: vt)) : .failure(.notConverged)
    }

    /// How many singular values exceed `relativeTolerance`·σ₀.
    public func rank(relativeTolerance: Double) -> Int {
        guard let largest = singularValues.first else { return 0 }
        return singularValues.prefix { $0 > relativeTolerance * largest }.count
    }

    /// The minimum-norm solution of min ‖A·x − b‖ over the singular values above `relativeTolerance`·σ₀:
    /// x = Σ_{σᵢ > tol·σ₀} vᵢ (uᵢᵀb)/σᵢ. 2(m + n)k flops.
    public func solveTruncated(_ b: Vector, relativeTolerance: Double) -> Vector {
        let rank = rank(relativeTolerance: relativeTolerance)
        return lifted(rotated(b)) { i, σ in i < rank ? 1 / σ : 0 }
    }

    /// The damped solution argmin ‖A·x − b‖² + λ‖x‖² = V·Σ(Σ² + λ)⁻¹·Uᵀb, for λ > 0.
    public func solveDamped(_ b: Vector, damping λ: Double) -> Vector { solveDamped(rotated: rotated(b), damping: λ) }

    /// The same from c = Uᵀb, which is one for all λ: 2nk flops each.
    public func solveDamped(rotated c: Vector, damping λ: Double) -> Vector {
        precondition(λ > 0, "a damping of \(λ) is not positive")
        return lifted(c) { _, σ in σ / (σ * σ + λ) }
    }

    /// Uᵀb.
    public func rotated(_ b: Vector) -> Vector {
        precondition(b.count == u.rows, "an SVD of \(u.rows) rows and a right-hand side of \(b.count)")
        return u.transposedTimes(b)
    }

    /// V·F·c for a filter F of the singular values.
    private func lifted(_ c: Vector, filter: (Int, Double) -> Double) -> Vector {
        precondition(c.count == singularValues.count, "\(c.count) coefficients for \(singularValues.count) singular values")
        var coefficients = c
        for i in 0..<coefficients.count {
            let factor = filter(i, singularValues[i])
            coefficients[i] = factor == 0 ? 0 : coefficients[i] * factor
        }
        return vTransposed.transposedTimes(coefficients)
    }
}
