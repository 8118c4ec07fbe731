/// The layers of a network in their order, as the passes run them.
final class CompiledNetwork: Sendable {
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

    /// The layers from the first to the last that have parameters in `block`; none beyond all where it holds trained numbers alone.
    func layers(of block: Range<Int>) -> Range<Int> {
        let touched = nodes.indices.filter { nodes[$0].parameters.overlaps(block) }
        guard let first = touched.first, let last = touched.last else { return nodes.count..<nodes.count }
        return first..<(last + 1)
    }

    /// `block` widened to whole portions of the layers in which it begins and ends.
    func portions(of block: Range<Int>) -> Range<Int> {
        var (low, high) = (block.lowerBound, block.upperBound)
        for l in layers(of: block) {
            let (own, stride) = (nodes[l].parameters, nodes[l].layer.parameterStride)
            if own.contains(low) { low -= (low - own.lowerBound) % stride }
            if own.contains(high) { high += (stride - (high - own.lowerBound) % stride) % stride }
        }
        return low..<high
    }

    var greatestWidth: Int { nodes.reduce(0) { max($0, $1.layer.outputs) } }
}
