/// A network u_θ: ℝᵈ → ℝᵐ: a graph of layers from the coordinates to the fields, with one contiguous θ.
///
/// It is written down with a ``NetworkBuilder``; ``DenseNetwork`` makes the commonest one. Coordinate derivatives, gradients and all
/// curvature products of a ``Program`` follow from the layers' rules.
///
/// θ holds the layers' parameters in the order in which they were added, and after them `scalars` trained numbers that belong to the
/// residuals: unknown coefficients of an inverse problem.
public struct Network: Sendable {
    /// The number d of coordinates.
    public let inputs: Int
    /// The number m of fields.
    public let outputs: Int
    /// Named parts of θ in their order, without gaps.
    public let blocks: [ParameterBlock]
    /// How many trained numbers of the residuals stand at the end of θ.
    public let scalarCount: Int
    let nodes: [NetworkNode]

    /// A part of θ.
    public struct ParameterBlock: Sendable, Hashable {
        public let name: String
        /// Row-major.
        public let shape: [Int]
        /// The index of its first entry in θ.
        public let offset: Int
        public var count: Int { shape.reduce(1, *) }
    }

    /// The length P of θ.
    public var parameterCount: Int { blocks.reduce(0) { $0 + $1.count } }
    /// Where the trained numbers of the residuals begin in θ.
    public var scalarOffset: Int { parameterCount - scalarCount }

    /// The network of fully connected layers.
    public init(_ dense: DenseNetwork) {
        var builder = NetworkBuilder(coordinates: dense.inputs)
        let activation = ActivationFunction.standard(dense.activation)
        var x: Features?
        for (index, width) in (dense.hidden + [dense.outputs]).enumerated() {
            let σ = index < dense.hidden.count ? activation : nil
            let name = "layer\(index + 1)"
            if let below = x {
                x = builder.dense(below, outputs: width, activation: σ, name: name)
            } else {
                x = builder.coordinateDense(
                    outputs: width, activation: σ, factors: dense.inputFactors, offsets: dense.inputOffsets, name: name)
            }
        }
        guard let x else { preconditionFailure("a network without layers") }
        self = builder.network(output: x)
    }

    init(inputs: Int, outputs: Int, blocks: [ParameterBlock], scalarCount: Int, nodes: [NetworkNode]) {
        (self.inputs, self.outputs, self.blocks, self.scalarCount, self.nodes) = (inputs, outputs, blocks, scalarCount, nodes)
    }

    /// The same network with trained numbers of the residuals at the end of θ: `coefficients.NAME`, one each.
    public func adding(scalars names: [String]) -> Network {
        precondition(scalarCount == 0, "the network has trained numbers already")
        var blocks = blocks
        for (index, name) in names.enumerated() {
            blocks.append(ParameterBlock(name: "coefficients.\(name)", shape: [1], offset: parameterCount + index))
        }
        return Network(inputs: inputs, outputs: outputs, blocks: blocks, scalarCount: names.count, nodes: nodes)
    }
}

/// A layer in its place: what it reads, and where its parameters begin.
final class NetworkNode: Sendable {
    let layer: any JetLayer
    /// Nodes before it.
    let inputs: [Int]
    let parameterOffset: Int

    init(layer: any JetLayer, inputs: [Int], parameterOffset: Int) {
        (self.layer, self.inputs, self.parameterOffset) = (layer, inputs, parameterOffset)
    }

    /// Its part of θ.
    var parameters: Range<Int> { parameterOffset..<(parameterOffset + layer.parameterCount) }
}

/// Features of a network under construction: the output of one of its layers.
public struct Features: Sendable, Hashable {
    let node: Int
    /// How many there are.
    public let count: Int
}
