import COpenBLAS

/// The Householder QR factorisation A = Q·R of A ∈ ℝᵐˣⁿ, with Q kept as its reflectors.
///
/// 2n²(m − n/3) flops for m ≥ n, mn doubles and 128·n beside them; tiled over the pool (`docs/performance.md`), with the same bits for any
/// number of threads. Backward stable: ‖A − QR‖ ≤ c·mn·ε·‖A‖ columnwise (Higham, *Accuracy and Stability*, thm 19.4).
public struct QR: Sendable {
    /// R on and above the diagonal, the reflectors below.
    let factors: Matrix
    /// Where the reflectors lie, and V₁ and T of each panel of them.
    private let panels: [Panel]
    private let blocks: [Double]

    /// Where the factors lie, for a test that they were not copied.
    package var storageAddress: UInt { factors.elements.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) } }

    var reflectors: Int { Swift.min(factors.rows, factors.columns) }

    /// A matrix that is handed over (its last use) is factorised where it lies; any other is copied first.
    public static func factorize(_ a: consuming Matrix) -> Result<QR, FactorizationFailure> {
        guard a.isFinite else { return .failure(.nonFinite) }
        let panels = TiledQR.panels(a.rows, a.columns)
        return .success(QR(factorizing: a, panels))
    }

    /// The factorisation of [A; diag(d)] for A ∈ ℝᵐˣⁿ, which leaves the zeros above and below the diagonal out.
    ///
    /// 2n²(m + n/3) flops instead of 2n²(m + 2n/3), and with `upperTriangular`, where A = R ∈ ℝⁿˣⁿ and what is below its diagonal counts as
    /// zero, 2n³/3 instead of 10n³/3: the zeros of R and diag(d) fill in column by column, and a panel reaches only over rows that it has
    /// met. The elimination is that of Moré's qrsolv (LNM 630 (1978), doi:10.1007/BFb0067700) with reflectors in the place of rotations.
    public static func factorize(
        _ a: Matrix, overDiagonal d: Vector, upperTriangular: Bool = false
    ) -> Result<QR, FactorizationFailure> {
        let (m, n) = (a.rows, a.columns)
        precondition(d.count == n, "a diagonal of \(d.count) below a \(m) × \(n) matrix")
        precondition(!upperTriangular || m == n, "an upper triangle of \(m) × \(n)")
        guard a.isFinite, d.isFinite else { return .failure(.nonFinite) }
        let stacked = Matrix(rows: m + n, columns: n) { s in
            guard let s = s.baseAddress else { return }
            a.elements.withUnsafeBufferPointer { a in
                guard m == 0 || n > 0 else { return }
                parallelFor(count: n) { j, _ in
                    let column = s + j * (m + n)
                    let kept = upperTriangular ? j + 1 : m
                    if kept > 0, let a = a.baseAddress { column.update(from: a + j * m, count: kept) }
                    (column + kept).update(repeating: 0, count: m + n - kept)
                    column[m + j] = d[j]
                }
            }
        }
        let panels = TiledQR.panels(m + n, n).map { panel in
            let end = panel.columns.upperBound
            return Panel(columns: panel.columns, body: upperTriangular ? m..<(m + end) : end..<(m + end))
        }
        return .success(QR(factorizing: stacked, panels))
    }

    private init(factorizing a: consuming Matrix, _ panels: [Panel]) {
        let (m, n) = (a.rows, a.columns)
        self.panels = panels
        blocks = [Double](unsafeUninitializedCapacity: panels.count * TiledQR.blockSize) { blocks, initialized in
            blocks.initialize(repeating: 0)
            a.elements.withUnsafeMutableBufferPointer { a in
                if let a = a.baseAddress, let blocks = blocks.baseAddress { TiledQR.factorize(panels, n, a, m, blocks) }
            }
            initialized = panels.count * TiledQR.blockSize
        }
        factors = a
    }

    /// From LAPACK's reflectors and their scalar factors.
    fileprivate init(factors: consuming Matrix, tau: [Double]) {
        let m = factors.rows
        let panels = TiledQR.panels(m, factors.columns)
        blocks = [Double](unsafeUninitializedCapacity: panels.count * TiledQR.blockSize) { blocks, initialized in
            blocks.initialize(repeating: 0)
            let blocks = blocks
            factors.elements.withUnsafeMutableBufferPointer { f in
                let f = f
                tau.withUnsafeBufferPointer { tau in
                    parallelFor(count: panels.count) { p, _ in
                        guard let f = f.baseAddress, let tau = tau.baseAddress, let blocks = blocks.baseAddress else { return }
                        TiledQR.formBlock(panels[p], f, m, tau, blocks + p * TiledQR.blockSize)
                    }
                }
            }
            initialized = panels.count * TiledQR.blockSize
        }
        self.panels = panels
        self.factors = factors
    }

    /// The upper trapezoidal factor R ∈ ℝᵏˣⁿ, k = min(m, n).
    public var r: Matrix {
        let (m, k) = (factors.rows, reflectors)
        return Matrix(rows: k, columns: factors.columns) { r in
            factors.elements.withUnsafeBufferPointer { f in
                guard let r = r.baseAddress, let f = f.baseAddress else { return }
                for j in 0..<factors.columns {
                    let kept = Swift.min(j + 1, k)
                    (r + j * k).update(from: f + j * m, count: kept)
                    (r + j * k + kept).update(repeating: 0, count: k - kept)
                }
            }
        }
    }

    /// Qᵀ·B for B ∈ ℝᵐˣᵏ. 4mn flops a column.
    public func transposedQ(times b: consuming Matrix) -> Matrix { applying(to: b, transposed: true) }

    /// Qᵀ·b for b ∈ ℝᵐ.
    public func transposedQ(times b: Vector) -> Vector {
        Vector(transposedQ(times: Matrix(rows: b.count, columns: 1, elements: b.elements)).elements)
    }

    /// Q·B for B ∈ ℝᵐˣᵏ.
    public func q(times b: consuming Matrix) -> Matrix { applying(to: b, transposed: false) }

    /// The first k = min(m, n) columns of Q.
    public var thinQ: Matrix {
        var eye = Matrix.zeros(factors.rows, reflectors)
        for i in 0..<reflectors { eye[i, i] = 1 }
        return applying(to: eye, transposed: false, cornered: true)
    }

    /// argmin ‖A·x − b‖ for A of full column rank (m ≥ n); a zero on R's diagonal comes back as its index.
    public func solveLeastSquares(_ b: Vector) -> Result<Vector, FactorizationFailure> {
        precondition(factors.rows >= factors.columns, "least squares by QR needs at least as many rows as columns")
        guard b.isFinite else { return .failure(.nonFinite) }
        let n = factors.columns
        return factors.solvingTriangle(.upper, Vector(transposedQ(times: b).prefix(n)), order: n)
    }

    private func applying(to b: consuming Matrix, transposed: Bool, cornered: Bool = false) -> Matrix {
        precondition(b.rows == factors.rows, "Q has \(factors.rows) rows, the operand \(b.rows)")
        let (m, count) = (b.rows, b.columns)
        factors.elements.withUnsafeBufferPointer { f in
            blocks.withUnsafeBufferPointer { blocks in
                b.elements.withUnsafeMutableBufferPointer { c in
                    guard let f = f.baseAddress, let blocks = blocks.baseAddress, let c = c.baseAddress else { return }
                    TiledQR.multiply(panels, transposed: transposed, f, m, blocks, count, c, m, cornered: cornered)
                }
            }
        }
        return b
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
