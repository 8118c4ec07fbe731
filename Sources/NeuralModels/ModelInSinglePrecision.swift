import Differentiation
import OptimizationCore

/// A model through which losses pass in single precision; its parameters stay Double.
public struct ModelInSinglePrecision: NetworkModel {
    public let base: any NetworkModel

    public init(base: any NetworkModel) { self.base = base }

    public var network: Network { base.network }
    public var precision: JetPrecision { .single }
    public var linearBlocks: [String] { base.linearBlocks }
    public var layout: ParameterLayout { base.layout }
    public func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
}
