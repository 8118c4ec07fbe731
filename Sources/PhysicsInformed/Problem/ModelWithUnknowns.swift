import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore

/// A model and the unknown coefficients of an equation: θ is the network's, and then a number for each coefficient.
struct ModelWithUnknowns: NetworkModel {
    let base: any NetworkModel
    let unknowns: [UnknownCoefficient]

    var network: Network { base.network.adding(scalars: unknowns.map(\.name)) }
    var precision: JetPrecision { base.precision }

    var linearBlocks: [String] { base.linearBlocks }

    var layout: ParameterLayout {
        ParameterLayout(base.layout.blocks.map { ($0.name, $0.shape) } + unknowns.map { ("coefficients.\($0.name)", [1]) })
    }

    func initialParameters(from random: inout RandomStream) -> Parameters {
        let start = base.initialParameters(from: &random).values.elements
        return Parameters(layout: layout, values: Vector(start + unknowns.map(\.initial)))
    }
}
