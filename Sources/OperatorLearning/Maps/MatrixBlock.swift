import LinearAlgebra

/// A column-major matrix in memory that someone else owns: what blocked passes over operator data are made of.
///
/// Products run on the calling thread; inside `parallelFor` every index works on blocks of its own.
public struct MatrixBlock {
    public let base: UnsafeMutablePointer<Double>
    public let rows: Int
    public let columns: Int
    /// The distance between the beginnings of two columns, at least `rows`.
    public let leading: Int

    public init(_ base: UnsafeMutablePointer<Double>, rows: Int, columns: Int, leading: Int? = nil) {
        (self.base, self.rows, self.columns, self.leading) = (base, rows, columns, leading ?? max(rows, 1))
        precondition(rows >= 0 && columns >= 0 && self.leading >= rows, "a block of \(rows) × \(columns), leading \(self.leading)")
    }

    /// A block that will only be read.
    public init(reading base: UnsafePointer<Double>, rows: Int, columns: Int, leading: Int? = nil) {
        self.init(UnsafeMutablePointer(mutating: base), rows: rows, columns: columns, leading: leading)
    }

    /// Rows and columns of this block, as a block.
    public subscript(rows: Range<Int>, columns: Range<Int>) -> MatrixBlock {
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= self.rows && columns.lowerBound >= 0 && columns.upperBound <= self.columns,
            "rows \(rows) and columns \(columns) of \(self.rows) × \(self.columns)")
        return MatrixBlock(
            base + rows.lowerBound + columns.lowerBound * leading, rows: rows.count, columns: columns.count, leading: leading)
    }

    /// self ← β·self + α·op(A)·op(B), where op transposes if asked to. With β = 0, self may hold anything. 2mnk flops.
    public func set(
        toProductOf a: MatrixBlock, and b: MatrixBlock, transposingFirst transposeA: Bool = false,
        transposingSecond transposeB: Bool = false, times α: Double = 1, plus β: Double = 0
    ) {
        let (m, k) = transposeA ? (a.columns, a.rows) : (a.rows, a.columns)
        let (k2, n) = transposeB ? (b.columns, b.rows) : (b.rows, b.columns)
        precondition(m == rows && n == columns && k == k2, "a block of \(rows) × \(columns) for \(m) × \(k) times \(k2) × \(n)")
        RawProducts.gemm(transposeA, transposeB, m, n, k, alpha: α, a.base, a.leading, b.base, b.leading, beta: β, base, leading)
    }

    /// self ← other.
    public func copy(_ other: MatrixBlock) {
        precondition(rows == other.rows && columns == other.columns, "a block of \(other.rows) × \(other.columns)")
        for j in 0..<columns { (base + j * leading).update(from: other.base + j * other.leading, count: rows) }
    }

    /// The sums of the columns are added to `sums`.
    public func addColumnSums(to sums: UnsafeMutablePointer<Double>) {
        for j in 0..<columns {
            let column = base + j * leading
            var sum = 0.0
            for i in 0..<rows { sum += column[i] }
            sums[j] += sum
        }
    }
}
