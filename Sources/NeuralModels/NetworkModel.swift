import Differentiation
import OptimizationCore

/// A model whose derivatives the engine takes: a network with coordinates in and fields out, and its start.
public protocol NetworkModel: Model {
    /// The network that programs are built on. Its parameters lie in the order of ``OptimizationCore/Model/layout``.
    var network: Network { get }
    /// The precision in which a loss passes through it; double by default. What is evaluated to look at a model is double anyhow.
    var precision: JetPrecision { get }
    /// The blocks of θ in which the outputs are linear, whatever the others are: those of a last layer without activation.
    var linearBlocks: [String] { get }
}

extension NetworkModel {
    public var precision: JetPrecision { .double }
    public var linearBlocks: [String] { [] }
    /// The number of coordinates.
    public var inputCount: Int { network.inputs }
    /// The number of fields.
    public var outputCount: Int { network.outputs }
}

/// A model that cannot be made as asked.
public struct ModelError: Error, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
