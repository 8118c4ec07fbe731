import CKernels
import COpenBLAS

/// A symmetric matrix H ∈ ℝⁿˣⁿ held as its lower triangle, packed by columns: n(n + 1)/2 doubles, symmetric by construction.
///
/// Built for dense quasi-Newton methods: one pass for H·x, one for a rank-two update in the span of two vectors, no n² temporaries.
/// Sharded over the pool with shards and summation order that depend on n alone: same bits for any number of threads.
public struct SymmetricMatrix: Sendable, Hashable {
    /// The order n.
    public let order: Int
    /// Entry (i, j), i ≥ j, at i + j·n − j(j + 1)/2.
    public private(set) var packed: [Double]

    /// The matrix with these packed entries, or nil where their number is not n(n + 1)/2.
    public init?(order: Int, packed: [Double]) {
        guard order >= 0, packed.count == order * (order + 1) / 2 else { return nil }
        (self.order, self.packed) = (order, packed)
    }

    /// factor·I.
    public static func identity(_ n: Int, scaledBy factor: Double = 1) -> SymmetricMatrix {
        var matrix = SymmetricMatrix(zeroOfOrder: n)
        for j in 0..<n { matrix.packed[matrix.index(j, j)] = factor }
        return matrix
    }

    /// The lower triangle of a square matrix; what lies above the diagonal is not read.
    public init(lowerTriangleOf a: Matrix) {
        precondition(a.rows == a.columns, "a \(a.rows) × \(a.columns) matrix is not symmetric")
        self.init(zeroOfOrder: a.rows)
        for j in 0..<order { for i in j..<order { packed[index(i, j)] = a.elements[i + j * order] } }
    }

    private init(zeroOfOrder n: Int) {
        precondition(n >= 0, "a matrix of negative order \(n)")
        (order, packed) = (n, Array(repeating: 0, count: n * (n + 1) / 2))
    }

    private func index(_ i: Int, _ j: Int) -> Int { i + j * order - j * (j + 1) / 2 }

    public subscript(i: Int, j: Int) -> Double {
        get {
            precondition(i >= 0 && i < order && j >= 0 && j < order, "entry (\(i), \(j)) of a matrix of order \(order)")
            return packed[i >= j ? index(i, j) : index(j, i)]
        }
        set {
            precondition(i >= 0 && i < order && j >= 0 && j < order, "entry (\(i), \(j)) of a matrix of order \(order)")
            packed[i >= j ? index(i, j) : index(j, i)] = newValue
        }
    }

    /// The full matrix, n² doubles.
    public var full: Matrix {
        var a = Matrix.zeros(order, order)
        for j in 0..<order {
            for i in j..<order {
                let value = packed[index(i, j)]
                (a.elements[i + j * order], a.elements[j + i * order]) = (value, value)
            }
        }
        return a
    }

    public var isFinite: Bool { allFinite(packed) }
}

// MARK: Kernels

extension SymmetricMatrix {
    /// H·x. 2n² flops over n²/2 doubles.
    public func times(_ x: Vector) -> Vector {
        precondition(x.count == order, "a matrix of order \(order) and a vector of \(x.count)")
        guard order > 0 else { return x }
        let workspace = ck_symmetric_shards(order) * order
        return Vector(count: order) { y in
            packed.withUnsafeBufferPointer { h in
                x.withUnsafeBufferPointer { x in
                    withUnsafeTemporaryAllocation(of: Double.self, capacity: workspace) { work in
                        ck_symmetric_multiply(order, h.baseAddress, x.baseAddress, y.baseAddress, work.baseAddress)
                    }
                }
            }
        }
    }

    /// H ← scale·H + a·s sᵀ + b·(s qᵀ + q sᵀ) + c·q qᵀ: every member of Broyden's family, self-scaled or not, is one such pass.
    ///
    /// 2.5n² flops over n²/2 doubles, in place.
    public mutating func update(scaling scale: Double, _ s: Vector, _ q: Vector, ss a: Double, sq b: Double, qq c: Double) {
        precondition(s.count == order && q.count == order, "an update of order \(order) by vectors of \(s.count) and \(q.count)")
        guard order > 0 else { return }
        var u = a * s
        u.add(q, scaledBy: b)
        var w = b * s
        w.add(q, scaledBy: c)
        let n = order
        packed.withUnsafeMutableBufferPointer { h in
            s.withUnsafeBufferPointer { s in
                u.withUnsafeBufferPointer { u in
                    q.withUnsafeBufferPointer { q in
                        w.withUnsafeBufferPointer { w in
                            ck_symmetric_update(n, h.baseAddress, scale, s.baseAddress, u.baseAddress, q.baseAddress, w.baseAddress)
                        }
                    }
                }
            }
        }
    }

    /// H ← factor·H.
    public mutating func scale(by factor: Double) {
        _ = BLASThreads.single
        packed.withUnsafeMutableBufferPointer { cblas_dscal(blasInt($0.count), factor, $0.baseAddress, 1) }
    }

    /// The Cholesky factorisation of the full matrix; n³/3 flops and n² doubles, for a test of definiteness now and then.
    public func choleskyFactorization() -> Result<Cholesky, FactorizationFailure> { Cholesky.factorize(full) }
}
