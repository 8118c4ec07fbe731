import COpenBLAS

/// The Householder QR factorisation A = Q·R of A ∈ ℝᵐˣⁿ, with Q kept as its reflectors.
///
/// 2n²(m − n/3) flops for m ≥ n. Backward stable: ‖A − QR‖ ≤ c·mn·ε·‖A‖ columnwise (Higham, *Accuracy and Stability*, thm 19.4).
public struct QR: Sendable {
    /// R on and above the diagonal, the reflectors below.
    let factors: Matrix
    /// The reflectors' scalar factors.
    let tau: [Double]

    var reflectors: Int { Swift.min(factors.rows, factors.columns) }

    public static func factorize(_ a: Matrix) -> Result<QR, FactorizationFailure> {
        guard a.isFinite else { return .failure(.nonFinite) }
        var factors = a
        var tau = [Double](repeating: 0, count: Swift.max(1, Swift.min(a.rows, a.columns)))
        factors.elements.withUnsafeMutableBufferPointer { f in
            tau.withUnsafeMutableBufferPointer { t in
                _ = withWorkspace { work, count in
                    lapack_geqrf(blasInt(a.rows), blasInt(a.columns), f.baseAddress, leading(a.rows), t.baseAddress, work, count)
                }
            }
        }
        return .success(QR(factors: factors, tau: tau))
    }

    /// The upper trapezoidal factor R ∈ ℝᵏˣⁿ, k = min(m, n).
    public var r: Matrix {
        var r = Matrix.zeros(reflectors, factors.columns)
        for j in 0..<factors.columns {
            for i in 0..<Swift.min(j + 1, reflectors) { r.elements[i + j * reflectors] = factors.elements[i + j * factors.rows] }
        }
        return r
    }

    /// Qᵀ·B for B ∈ ℝᵐˣᵏ. 4mn flops a column.
    public func transposedQ(times b: Matrix) -> Matrix { applying(to: b, transposed: true) }

    /// Qᵀ·b for b ∈ ℝᵐ.
    public func transposedQ(times b: Vector) -> Vector {
        Vector(transposedQ(times: Matrix(rows: b.count, columns: 1, elements: b.elements)).elements)
    }

    /// Q·B for B ∈ ℝᵐˣᵏ.
    public func q(times b: Matrix) -> Matrix { applying(to: b, transposed: false) }

    /// The first k = min(m, n) columns of Q.
    public var thinQ: Matrix {
        var eye = Matrix.zeros(factors.rows, reflectors)
        for i in 0..<reflectors { eye[i, i] = 1 }
        return q(times: eye)
    }

    /// argmin ‖A·x − b‖ for A of full column rank (m ≥ n); a zero on R's diagonal comes back as its index.
    public func solveLeastSquares(_ b: Vector) -> Result<Vector, FactorizationFailure> {
        precondition(factors.rows >= factors.columns, "least squares by QR needs at least as many rows as columns")
        guard b.isFinite else { return .failure(.nonFinite) }
        let n = factors.columns
        return factors.solvingTriangle(.upper, Vector(transposedQ(times: b).prefix(n)), order: n)
    }

    private func applying(to b: Matrix, transposed: Bool) -> Matrix {
        precondition(b.rows == factors.rows, "Q has \(factors.rows) rows, the operand \(b.rows)")
        var c = b
        factors.elements.withUnsafeBufferPointer { f in
            tau.withUnsafeBufferPointer { t in
                c.elements.withUnsafeMutableBufferPointer { c in
                    _ = withWorkspace { work, count in
                        lapack_ormqr_left(
                            transposed ? 1 : 0, blasInt(b.rows), blasInt(b.columns), blasInt(reflectors), f.baseAddress, leading(b.rows),
                            t.baseAddress, c.baseAddress, leading(b.rows), work, count)
                    }
                }
            }
        }
        return c
    }
}

/// The column-pivoted QR factorisation A·Π = Q·R of A ∈ ℝᵐˣⁿ, with |R₀₀| ≥ |R₁₁| ≥ …: a cheap, usually reliable rank estimate.
///
/// dgeqp3 (Businger–Golub pivoting). About twice the time of plain QR; the SVD is the safe judge of rank.
public struct PivotedQR: Sendable {
    /// The factorisation of A·Π.
    public let qr: QR
    /// Column j of A·Π is column `permutation[j]` of A.
    public let permutation: [Int]

    public static func factorize(_ a: Matrix) -> Result<PivotedQR, FactorizationFailure> {
        guard a.isFinite else { return .failure(.nonFinite) }
        var factors = a
        var pivots = [Int32](repeating: 0, count: Swift.max(1, a.columns))
        var tau = [Double](repeating: 0, count: Swift.max(1, Swift.min(a.rows, a.columns)))
        factors.elements.withUnsafeMutableBufferPointer { f in
            pivots.withUnsafeMutableBufferPointer { p in
                tau.withUnsafeMutableBufferPointer { t in
                    _ = withWorkspace { work, count in
                        lapack_geqp3(
                            blasInt(a.rows), blasInt(a.columns), f.baseAddress, leading(a.rows), p.baseAddress, t.baseAddress, work, count)
                    }
                }
            }
        }
        return .success(PivotedQR(qr: QR(factors: factors, tau: tau), permutation: pivots.prefix(a.columns).map { Int($0) - 1 }))
    }

    /// How many diagonal entries of R exceed `relativeTolerance`·|R₀₀|.
    public func rank(relativeTolerance: Double) -> Int {
        let f = qr.factors
        guard qr.reflectors > 0 else { return 0 }
        let largest = abs(f[0, 0])
        return (0..<qr.reflectors).prefix { abs(f[$0, $0]) > relativeTolerance * largest }.count
    }

    /// A basic solution of min ‖A·x − b‖: the leading `rank` pivot columns carry it, the other entries are zero.
    public func solveLeastSquares(_ b: Vector, relativeTolerance: Double) -> Result<Vector, FactorizationFailure> {
        guard b.isFinite else { return .failure(.nonFinite) }
        let rank = rank(relativeTolerance: relativeTolerance)
        return qr.factors.solvingTriangle(.upper, Vector(qr.transposedQ(times: b).prefix(rank)), order: rank).map { leadingPart in
            var x = Vector.zeros(qr.factors.columns)
            for j in 0..<rank { x[permutation[j]] = leadingPart[j] }
            return x
        }
    }
}
