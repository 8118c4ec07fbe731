/// A + diag(d) = L·Lᵀ for one d after another, in the memory of A ∈ ℝⁿˣⁿ.
///
/// L takes the place of A's lower triangle; the upper one keeps A, and the diagonal squares that the factorisation works in are set aside (some
/// w·n numbers, w ≤ 144), so that another d begins from A again at n²/2 copies. No second matrix is made as long as no earlier factor is in use;
/// one that is keeps its values, and the next factorisation then works in a copy.
/// The factors have the bits of ``Cholesky/factorize(_:addingToDiagonal:)``.
public struct DampedCholesky: Sendable {
    /// A, or L on and below the diagonal and A above.
    private var matrix: Matrix
    /// The squares on A's diagonal, one after another.
    private let squares: [Double]
    private let width: Int
    private let isFinite: Bool
    private var isFactor = false

    /// Both triangles of `a` are taken to be A. Handed over (its last use) it is not copied.
    public init(_ a: consuming Matrix) {
        precondition(a.rows == a.columns, "Cholesky of a \(a.rows) × \(a.columns) matrix")
        let n = a.rows
        isFinite = Cholesky.lowerIsFinite(a)
        width = TiledCholesky.squareWidth(order: n)
        var squares: [Double] = []
        squares.reserveCapacity(n * Swift.min(n, width))
        for first in stride(from: 0, to: n, by: Swift.max(1, width)) {
            let end = Swift.min(n, first + width)
            for j in first..<end { squares += a.elements[(first + j * n)..<(end + j * n)] }
        }
        self.squares = squares
        matrix = a
    }

    /// n.
    public var order: Int { matrix.rows }

    /// The factorisation of A + diag(d). n³/3 flops.
    public mutating func factorize(addingToDiagonal d: Vector) -> Result<Cholesky, FactorizationFailure> {
        let n = order
        precondition(d.count == n, "a diagonal of \(d.count) for a \(n) × \(n) matrix")
        guard isFinite, d.isFinite else { return .failure(.nonFinite) }
        if isFactor { restore() }
        isFactor = true
        let failure = matrix.elements.withUnsafeMutableBufferPointer { a -> FactorizationFailure? in
            for i in 0..<n { a[i + i * n] += d[i] }
            return Cholesky.factorize(a.baseAddress, n)
        }
        return failure.map { .failure($0) } ?? .success(Cholesky(factor: matrix))
    }

    /// A's lower triangle from its upper one and from the squares.
    private mutating func restore() {
        let (n, width) = (order, width)
        matrix.elements.withUnsafeMutableBufferPointer { elements in
            guard let a = elements.baseAddress else { return }
            parallelFor(count: (n + width - 1) / width, maximumWorkers: n < 512 ? 1 : .max) { block, _ in
                let (first, end) = (block * width, Swift.min(n, (block + 1) * width))
                squares.withUnsafeBufferPointer { squares in
                    guard let square = squares.baseAddress else { return }
                    for j in first..<end {
                        (a + first + j * n).update(from: square + first * width + (j - first) * (end - first), count: end - first)
                    }
                }
                for i in end..<Swift.max(end, n) { for j in first..<end { a[i + j * n] = a[j + i * n] } }
            }
        }
    }
}
