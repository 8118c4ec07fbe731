import Differentiation
import LinearAlgebra
import OptimizationCore

extension ProgramJacobian {
    /// The Kronecker factors of every affine layer, term by term: what `LayeredCurvatureProblem` asks of a loss that is a program.
    public func layerCurvatures() -> [LayerCurvature] {
        var curvatures: [LayerCurvature] = []
        for factors in kroneckerFactors() {
            let weight = 1 / Double(factors.points * factors.channels)
            let product = KroneckerProduct(
                term: factors.term, vectors: factors.points * factors.channels, channels: factors.channels,
                input: Matrix(
                    rows: factors.input.rows, columns: factors.input.columns, elements: factors.input.elements.map { weight * $0 }),
                output: factors.output)
            if let index = curvatures.firstIndex(where: { $0.offset == factors.parameterOffset }) {
                curvatures[index].terms.append(product)
            } else {
                curvatures.append(LayerCurvature(offset: factors.parameterOffset, terms: [product]))
            }
        }
        return curvatures
    }
}
