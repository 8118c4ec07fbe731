import CKernels
import COpenBLAS

/// A dense matrix of doubles, A ∈ ℝᵐˣⁿ, stored by columns (entry (i, j) at i + j·m), with value semantics.
public struct Matrix: Sendable, Hashable {
    public let rows: Int
    public let columns: Int
    /// The entries, column after column.
    public var elements: [Double]

    public init(rows: Int, columns: Int, elements: [Double]) {
        precondition(rows >= 0 && columns >= 0 && elements.count == rows * columns, "\(elements.count) entries for \(rows) × \(columns)")
        (self.rows, self.columns, self.elements) = (rows, columns, elements)
    }

    /// A matrix whose entries `body` writes into uninitialised memory; it must write every one of them.
    package init(rows: Int, columns: Int, filledBy body: (UnsafeMutableBufferPointer<Double>) throws -> Void) rethrows {
        precondition(rows >= 0 && columns >= 0, "a \(rows) × \(columns) matrix")
        let count = rows * columns
        let elements = try Array<Double>(unsafeUninitializedCapacity: count) { buffer, initialized in
            if 8 * count >= Self.large { ck_prefer_large_pages(buffer.baseAddress, 8 * count) }
            try body(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
            initialized = count
        }
        (self.rows, self.columns, self.elements) = (rows, columns, elements)
    }

    /// The bytes from which on a matrix asks for large pages.
    private static let large = 4 << 20

    public static func zeros(_ rows: Int, _ columns: Int) -> Matrix {
        Matrix(rows: rows, columns: columns) { elements in
            let (elements, portion) = (elements, 1 << 17)
            parallelFor(count: (elements.count + portion - 1) / portion) { index, _ in
                elements[(index * portion)..<min(elements.count, (index + 1) * portion)].update(repeating: 0)
            }
        }
    }

    public static func identity(_ n: Int) -> Matrix {
        var matrix = zeros(n, n)
        for i in 0..<n { matrix[i, i] = 1 }
        return matrix
    }

    /// A matrix given by its rows, for small examples.
    public init(rows: [[Double]]) {
        let columns = rows.first?.count ?? 0
        precondition(rows.allSatisfy { $0.count == columns }, "rows of different lengths")
        self = .zeros(rows.count, columns)
        for (i, row) in rows.enumerated() { for (j, value) in row.enumerated() { self[i, j] = value } }
    }

    public subscript(i: Int, j: Int) -> Double {
        get {
            precondition(i >= 0 && i < rows && j >= 0 && j < columns, "entry (\(i), \(j)) of a \(rows) × \(columns) matrix")
            return elements[i + j * rows]
        }
        set {
            precondition(i >= 0 && i < rows && j >= 0 && j < columns, "entry (\(i), \(j)) of a \(rows) × \(columns) matrix")
            elements[i + j * rows] = newValue
        }
    }

    public var isFinite: Bool { allFinite(elements) }

    public var transposed: Matrix {
        var result = Matrix.zeros(columns, rows)
        for j in 0..<columns { for i in 0..<rows { result.elements[j + i * columns] = elements[i + j * rows] } }
        return result
    }

    public func column(_ j: Int) -> Vector { Vector(elements[(j * rows)..<((j + 1) * rows)]) }
}

// MARK: Products

extension Matrix {
    /// A·v. 2mn flops.
    public func times(_ v: Vector) -> Vector { product(v, transposed: false) }

    /// Aᵀ·w. 2mn flops.
    public func transposedTimes(_ w: Vector) -> Vector { product(w, transposed: true) }

    private func product(_ v: Vector, transposed: Bool) -> Vector {
        let (length, expected) = transposed ? (columns, rows) : (rows, columns)
        precondition(v.count == expected, "a \(rows) × \(columns) matrix and a vector of \(v.count)")
        _ = BLASThreads.single
        var result = Vector.zeros(length)
        guard rows > 0, columns > 0 else { return result }
        _ = BLASThreads.single
        elements.withUnsafeBufferPointer { a in
            v.withUnsafeBufferPointer { x in
                result.withUnsafeMutableBufferPointer { y in
                    cblas_dgemv(
                        CblasColMajor, transposed ? CblasTrans : CblasNoTrans, blasInt(rows), blasInt(columns), 1, a.baseAddress,
                        blasInt(rows), x.baseAddress, 1, 0, y.baseAddress, 1)
                }
            }
        }
        return result
    }

    /// op(A)·op(B), where op transposes if asked to. 2mnk flops, by output tiles over the pool.
    public static func product(_ a: Matrix, _ b: Matrix, transposingFirst: Bool = false, transposingSecond: Bool = false) -> Matrix {
        let (m, k) = transposingFirst ? (a.columns, a.rows) : (a.rows, a.columns)
        let (k2, n) = transposingSecond ? (b.columns, b.rows) : (b.rows, b.columns)
        precondition(k == k2, "product of \(m) × \(k) and \(k2) × \(n)")
        guard m > 0, n > 0, k > 0 else { return .zeros(m, n) }
        return Matrix(rows: m, columns: n) { c in
            a.elements.withUnsafeBufferPointer { a_ in
                b.elements.withUnsafeBufferPointer { b_ in
                    guard let a_ = a_.baseAddress, let b_ = b_.baseAddress, let c = c.baseAddress else { return }
                    TiledProducts.gemm(transposingFirst, transposingSecond, m, n, k, a_, a.rows, b_, b.rows, beta: 0, c, m)
                }
            }
        }
    }
}

/// The integer type of BLAS and LAPACK (32 bits in the common builds).
package func blasInt(_ n: Int) -> Int32 {
    precondition(n <= Int(Int32.max), "a dimension of \(n) is beyond what this BLAS can address")
    return Int32(truncatingIfNeeded: n)
}
