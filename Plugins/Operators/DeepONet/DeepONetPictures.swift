import LinearAlgebra
import OptimizationCore

extension DeepONetProblem: PicturedProblem {
    /// The outputs for the first test functions (training functions where none were set aside for tests), beside what they should be.
    ///
    /// None where points have several coordinates.
    public func picture(at θ: Vector) throws -> SolutionPicture? {
        guard training.grid.pointDimension == 1 else { return nil }
        let source = try test ?? training.functions(0..<min(3, training.functionCount))
        let data = source.functions(0..<min(3, source.functionCount))
        let points = data.grid.pointCount
        func columns(_ values: [Double]) -> Matrix { Matrix(rows: points, columns: data.functionCount, elements: values) }
        let kind = test == nil ? "training" : "test"
        return SolutionPicture(
            axes: [.init("y", data.grid.points)], fields: (1...data.functionCount).map { "s, \(kind) function \($0)" },
            values: columns(try passes(over: data).predictions(at: θ)), reference: columns(data.outputs))
    }
}
