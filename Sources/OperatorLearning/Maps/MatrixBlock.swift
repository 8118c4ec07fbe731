import CKernels
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

    /// self ← otherᵀ.
    public func setToTranspose(of other: MatrixBlock) {
        precondition(rows == other.columns && columns == other.rows, "a block of \(other.rows) × \(other.columns) to be transposed")
        ck_transpose(other.rows, other.columns, other.base, other.leading, base, leading)
    }

    /// Σ of all entries.
    public var sum: Double { (0..<columns).reduce(0) { $0 + ck_sum(rows, base + $1 * leading) } }

    /// The sums of the columns are added to `sums`.
    public func addColumnSums(to sums: UnsafeMutablePointer<Double>) {
        for j in 0..<columns { sums[j] += ck_sum(rows, base + j * leading) }
    }
}

// MARK: Padded blocks

// The columns of a padded block lie a whole number of vectors apart, and hold numbers of no meaning after their `rows` entries: products
// run over whole vectors without a rest.
extension MatrixBlock {
    /// `rows`, up to the next multiple of 8.
    public static func paddedRows(_ rows: Int) -> Int { (rows + 7) / 8 * 8 }

    /// The distance between the columns of a padded block. Not a multiple of 64 numbers: the columns would share an eighth of the
    /// first cache's lines.
    public static func paddedLeading(_ rows: Int) -> Int {
        let padded = paddedRows(rows)
        return padded % 64 == 0 ? padded + 8 : padded
    }

    /// A padded block.
    public init(padded base: UnsafeMutablePointer<Double>, rows: Int, columns: Int) {
        self.init(base, rows: rows, columns: columns, leading: MatrixBlock.paddedLeading(rows))
    }

    /// self ← A·B or A·Bᵀ, or self += with `accumulating`; self and A padded, B any block. 2mnk flops, nothing is packed.
    public func multiply(_ a: MatrixBlock, _ b: MatrixBlock, transposingSecond: Bool = false, accumulating: Bool = false) {
        let (k, n) = transposingSecond ? (b.columns, b.rows) : (b.rows, b.columns)
        precondition(
            a.rows == rows && n == columns && a.columns == k, "\(rows) × \(columns) for \(a.rows) × \(a.columns) times \(k) × \(n)")
        let padded = MatrixBlock.paddedRows(rows)
        precondition(leading >= padded && a.leading >= padded, "columns \(leading) and \(a.leading) apart hold no \(padded) rows")
        if ck_simd_level() != Int32(CK_BASELINE) {
            let (row, column) = transposingSecond ? (b.leading, 1) : (1, b.leading)
            ck_row_product(padded, n, k, a.base, a.leading, b.base, row, column, accumulating ? 1 : 0, base, leading)
        } else {
            RawProducts.gemm(
                false, transposingSecond, rows, n, k, a.base, a.leading, b.base, b.leading, beta: accumulating ? 1 : 0, base, leading)
        }
    }

    /// self ← scale·(values + shift − targets); returns the sum of squares and the sum. self may be `values`.
    public func setToMisfit(of values: MatrixBlock, to targets: MatrixBlock, shift: Double, scale: Double) -> (squares: Double, sum: Double)
    {
        precondition(
            values.rows == rows && values.columns == columns && targets.rows == rows && targets.columns == columns,
            "values of \(values.rows) × \(values.columns), targets of \(targets.rows) × \(targets.columns)")
        var sums = (squares: 0.0, sum: 0.0)
        withUnsafeMutableBytes(of: &sums) { bytes in
            guard let sums = bytes.baseAddress?.assumingMemoryBound(to: Double.self) else { return }
            ck_column_misfit(rows, columns, shift, scale, values.base, values.leading, targets.base, targets.leading, base, leading, sums)
        }
        return sums
    }
}
