/// The layers of a network in their order, as the passes run them.
struct CompiledNetwork: Sendable {
    let nodes: [NetworkNode]
    let dimension: Int
    let outputs: Int
    /// P, the trained numbers of the residuals included.
    let parameterCount: Int
    /// Where those begin.
    let scalarOffset: Int
    let scalarCount: Int
    /// For every node, whether it or something above it has parameters: only then is its cotangent wanted.
    let isTrained: [Bool]
    let needsTables: Bool
    let needsProducts: Bool

    init(_ network: Network) {
        nodes = network.nodes
        (dimension, outputs, parameterCount) = (network.inputs, network.outputs, network.parameterCount)
        (scalarOffset, scalarCount) = (network.scalarOffset, network.scalarCount)
        var isTrained: [Bool] = []
        for node in nodes { isTrained.append(node.layer.parameterCount > 0 || node.inputs.contains { isTrained[$0] }) }
        self.isTrained = isTrained
        needsTables = nodes.contains { if case .custom = $0.layer.element { true } else { false } }
        needsProducts = nodes.contains { $0.layer is ProductLayer }
    }

    var greatestWidth: Int { nodes.reduce(0) { max($0, $1.layer.outputs) } }
}
