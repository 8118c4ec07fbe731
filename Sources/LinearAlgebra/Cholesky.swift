import COpenBLAS

/// The Cholesky factorisation A = L·Lᵀ of a symmetric positive definite matrix, A ∈ ℝⁿˣⁿ.
///
/// Only the lower triangle of A is read. n³/3 flops, n² doubles; tiled over the pool (`docs/performance.md`), with the same bits for
/// any number of threads. Backward stable: ‖A − LLᵀ‖ ≤ c·n·ε·‖A‖ (Higham, *Accuracy and Stability*, thm 10.3, whatever the order of sums).
public struct Cholesky: Sendable {
    /// L on and below the diagonal; above it anything.
    private let factor: Matrix

    init(factor: Matrix) { self.factor = factor }

    /// L, with zeros above the diagonal.
    public var lower: Matrix {
        let n = order
        return Matrix(rows: n, columns: n) { l in
            let l = l
            factor.elements.withUnsafeBufferPointer { f in
                guard let l = l.baseAddress, let f = f.baseAddress else { return }
                Self.overColumns(n) { j in
                    (l + j * n).update(repeating: 0, count: j)
                    (l + j + j * n).update(from: f + j + j * n, count: n - j)
                }
            }
        }
    }

    /// n.
    public var order: Int { factor.rows }

    /// Where the factor lies, for a test that it was not copied.
    package var storageAddress: UInt { factor.elements.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) } }

    /// Factorises `a`; the failing pivot, where it is not positive definite, comes back as a value.
    ///
    /// A matrix that is handed over (its last use) is factorised where it lies; any other is copied first.
    public static func factorize(_ a: consuming Matrix) -> Result<Cholesky, FactorizationFailure> {
        precondition(a.rows == a.columns, "Cholesky of a \(a.rows) × \(a.columns) matrix")
        let n = a.rows
        guard lowerIsFinite(a) else { return .failure(.nonFinite) }
        let failure = a.elements.withUnsafeMutableBufferPointer { factorize($0.baseAddress, n) }
        if let failure { return .failure(failure) }
        return .success(Cholesky(factor: a))
    }

    /// Factorises A + diag(d) in one new matrix, A being kept: n² doubles. ``DampedCholesky`` does without for one d after another.
    public static func factorize(_ a: Matrix, addingToDiagonal d: Vector) -> Result<Cholesky, FactorizationFailure> {
        precondition(a.rows == a.columns, "Cholesky of a \(a.rows) × \(a.columns) matrix")
        precondition(d.count == a.rows, "a diagonal of \(d.count) for a \(a.rows) × \(a.columns) matrix")
        let n = a.rows
        guard lowerIsFinite(a), d.isFinite else { return .failure(.nonFinite) }
        var failure: FactorizationFailure?
        let lower = Matrix(rows: n, columns: n) { l in
            guard let l = l.baseAddress else { return }
            a.elements.withUnsafeBufferPointer { a in
                guard let a = a.baseAddress else { return }
                overColumns(n) { j in
                    (l + j + j * n).update(from: a + j + j * n, count: n - j)
                    l[j + j * n] += d[j]
                }
            }
            failure = factorize(l, n)
        }
        if let failure { return .failure(failure) }
        return .success(Cholesky(factor: lower))
    }

    static func factorize(_ l: UnsafeMutablePointer<Double>?, _ n: Int) -> FactorizationFailure? {
        guard let l, n > 0 else { return nil }
        return TiledCholesky.factorize(n, l, n).map { .notPositiveDefinite(pivot: $0) }
    }

    static func lowerIsFinite(_ a: Matrix) -> Bool {
        let n = a.rows
        let blocks = (n + columnsAtOnce - 1) / columnsAtOnce
        var finite = [Bool](repeating: true, count: blocks)
        a.elements.withUnsafeBufferPointer { a in
            finite.withUnsafeMutableBufferPointer { finite in
                let finite = finite
                overBlocks(n) { block, columns in
                    finite[block] = columns.allSatisfy { allFinite(UnsafeBufferPointer(rebasing: a[($0 + $0 * n)..<(($0 + 1) * n)])) }
                }
            }
        }
        return finite.allSatisfy { $0 }
    }

    private static let columnsAtOnce = 64

    private static func overBlocks(_ n: Int, _ body: (Int, Range<Int>) -> Void) {
        let blocks = (n + columnsAtOnce - 1) / columnsAtOnce
        parallelFor(count: blocks, maximumWorkers: n < 512 ? 1 : .max) { block, _ in
            body(block, (block * columnsAtOnce)..<min(n, (block + 1) * columnsAtOnce))
        }
    }

    private static func overColumns(_ n: Int, _ body: (Int) -> Void) { overBlocks(n) { _, columns in columns.forEach(body) } }

    /// A⁻¹·b by two triangular solves. 2n² flops.
    public func solve(_ b: Vector) -> Vector {
        var x = b
        x.withUnsafeMutableBufferPointer { solve(columns: 1, $0) }
        return x
    }

    /// A⁻¹·B, 2n² flops a column.
    public func solve(_ b: consuming Matrix) -> Matrix {
        precondition(b.rows == order, "a \(order) × \(order) system with a right-hand side of \(b.rows) rows")
        let columns = b.columns
        b.elements.withUnsafeMutableBufferPointer { solve(columns: columns, $0) }
        return b
    }

    private func solve(columns: Int, _ x: UnsafeMutableBufferPointer<Double>) {
        let n = order
        precondition(x.count == n * columns, "a \(n) × \(n) system with a right-hand side of \(x.count)")
        factor.elements.withUnsafeBufferPointer { l in
            guard let l = l.baseAddress, let x = x.baseAddress else { return }
            TiledTriangle.solve(.lower, transposed: false, n, columns, l, n, x, n)
            TiledTriangle.solve(.lower, transposed: true, n, columns, l, n, x, n)
        }
    }

    /// log det A = 2 Σ log Lᵢᵢ comes from these: the diagonal of L, all positive.
    public var diagonal: Vector { Vector((0..<order).map { factor[$0, $0] }) }
}
