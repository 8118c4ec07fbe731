import LinearAlgebra
import OptimizationCore

/// A linearisation whose J is held densely: what a small analytic least-squares problem returns.
public struct DenseLinearization: Linearization {
    public let residual: Vector
    /// J ∈ ℝᴺˣᴾ.
    public let matrix: Matrix

    public init(residual: Vector, jacobian: Matrix) {
        precondition(residual.count == jacobian.rows, "\(residual.count) residuals and a Jacobian of \(jacobian.rows) rows")
        (self.residual, matrix) = (residual, jacobian)
    }

    public var residualCount: Int { matrix.rows }
    public var parameterCount: Int { matrix.columns }
    public func product(_ v: Vector) -> Vector { matrix.times(v) }
    public func transposedProduct(_ w: Vector) -> Vector { matrix.transposedTimes(w) }
    public func jacobian(rows: Range<Int>) -> Matrix {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= matrix.rows, "rows \(rows) of \(matrix.rows)")
        var block: [Double] = []
        for j in 0..<matrix.columns { block += matrix.elements[(j * matrix.rows + rows.lowerBound)..<(j * matrix.rows + rows.upperBound)] }
        return Matrix(rows: rows.count, columns: matrix.columns, elements: block)
    }
}
