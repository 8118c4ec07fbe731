import Differentiation
import OperatorLearning
import OptimizationCore

/// An unstacked DeepONet: G_θ(a)(y) = Σₖ bₖ(a) tₖ(y) + b₀, the branch network b: ℝˢ → ℝᴷ reading the input function at S sensors,
/// the trunk network t: ℝᵈ → ℝᴷ the point.
///
/// The branch ends in an affine layer, the trunk in an activated one, as in Lu et al. and DeepXDE; an affine trunk would add
/// K² directions of θ that change nothing. θ holds the branch's layers, the trunk's layers, and b₀.
///
/// Lu, Jin, Pang, Zhang & Karniadakis, doi:10.1038/s42256-021-00302-5.
public struct DeepONet: Model, Hashable {
    public let branch: DenseMap
    public let trunk: DenseMap
    public let layout: ParameterLayout

    public init(
        sensors: Int, branch branchHidden: [Int], pointDimension: Int = 1, trunk trunkHidden: [Int], features: Int,
        activation: Activation = .tanh
    ) {
        branch = DenseMap(inputs: sensors, hidden: branchHidden, outputs: features, activation: activation)
        trunk = DenseMap(
            inputs: pointDimension, hidden: trunkHidden, outputs: features, activation: activation, activatesOutput: true)
        layout = ParameterLayout(branch.blocks(named: "branch") + trunk.blocks(named: "trunk") + [("bias", [1])])
    }

    /// K, the number of products that are summed.
    public var features: Int { branch.outputs }
    var trunkOffset: Int { branch.parameterCount }
    var biasOffset: Int { branch.parameterCount + trunk.parameterCount }

    public func initialParameters(from random: inout RandomStream) -> Parameters {
        let values = branch.initialParameters(from: &random) + trunk.initialParameters(from: &random) + [0]
        return Parameters(layout: layout, values: .init(values))
    }

    /// What decides the function besides θ.
    var identity: Setting {
        func widths(_ map: DenseMap) -> Setting { .list(map.widths.map(Setting.integer)) }
        return .map([
            .init("branch", widths(branch)), .init("trunk", widths(trunk)), .init("activation", .scalar(branch.activation.rawValue)),
        ])
    }
}
