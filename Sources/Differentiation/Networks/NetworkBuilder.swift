/// Writes down a network layer by layer.
///
///     var network = NetworkBuilder(coordinates: 2)
///     let x = network.coordinates
///     let gate = network.dense(x, outputs: 32, activation: .standard(.tanh), name: "gate")
///     …
///     return network.network(output: network.dense(h, outputs: 1, name: "output"))
///
/// A layer of one's own is a function that composes these (see ``NetworkLayer``), with a ``CustomActivation`` where it needs an
/// element-wise map that is not here; every derivative follows.
public struct NetworkBuilder: Sendable {
    private let dimension: Int
    private var nodes: [NetworkNode] = []
    private var blocks: [Network.ParameterBlock] = []
    private var parameterCount = 0
    private var point: Features?

    public init(coordinates dimension: Int) {
        precondition(dimension > 0, "a network of \(dimension) coordinates")
        self.dimension = dimension
    }

    /// The coordinates of the point as they are.
    public var coordinates: Features {
        mutating get {
            if let point { return point }
            let features = add(PointLayer(outputs: dimension), [], outputs: dimension)
            point = features
            return features
        }
    }

    // MARK: Trained maps

    /// σ(Wᵀx + b), without σ the affine map: blocks `NAME.weights` ∈ ℝⁱⁿˣᵒᵘᵗ and, unless `hasBias` is false, `NAME.biases` ∈ ℝᵒᵘᵗ.
    public mutating func dense(
        _ x: Features, outputs: Int, activation: ActivationFunction? = nil, hasBias: Bool = true, name: String
    ) -> Features {
        precondition(outputs > 0, "layer \(name) has \(outputs) outputs")
        let shapes = [("weights", [x.count, outputs])] + (hasBias ? [("biases", [outputs])] : [])
        // An activation without a bias of its own stands apart.
        let fused = hasBias ? activation : nil
        let affine = add(
            DenseLayer(inputs: x.count, outputs: outputs, activation: fused, hasBias: hasBias), [x], outputs: outputs, blocks: shapes,
            name: name)
        guard !hasBias, let activation else { return affine }
        return self.activation(activation, of: affine)
    }

    /// The dense layer on the scaled coordinates x̂ᵢ = aᵢxᵢ + cᵢ: what a first layer is, at no more cost than its size.
    public mutating func coordinateDense(
        outputs: Int, activation: ActivationFunction? = nil, factors: [Double]? = nil, offsets: [Double]? = nil, name: String
    ) -> Features {
        precondition(outputs > 0, "layer \(name) has \(outputs) outputs")
        let layer = CoordinateLayer(
            inputs: dimension, outputs: outputs, activation: activation, factors: factors ?? Array(repeating: 1, count: dimension),
            offsets: offsets ?? Array(repeating: 0, count: dimension))
        precondition(
            layer.factors.count == dimension && layer.offsets.count == dimension, "the input scaling is not of \(dimension) coordinates")
        return add(layer, [], outputs: outputs, blocks: [("weights", [dimension, outputs]), ("biases", [outputs])], name: name)
    }

    /// f(s)·x with a trained factor for each feature (block `NAME.scales`), or one for all, plus trained `NAME.shifts` if asked.
    public mutating func scaled(
        _ x: Features, by scaling: TrainedScaling, isShared: Bool = false, hasShift: Bool = false, name: String
    ) -> Features {
        let layer = ScaleLayer(outputs: x.count, scaling: scaling, isShared: isShared, hasShift: hasShift)
        let shapes = [("scales", [isShared ? 1 : x.count])] + (hasShift ? [("shifts", [x.count])] : [])
        return add(layer, [x], outputs: x.count, blocks: shapes, name: name)
    }

    // MARK: Fixed maps

    /// Aᵀx + c with numbers that are not trained: A ∈ ℝⁱⁿˣᵒᵘᵗ by rows, c ∈ ℝᵒᵘᵗ.
    public mutating func fixed(_ x: Features, weights: [Double], offsets: [Double]) -> Features {
        add(
            FixedAffineLayer(inputs: x.count, outputs: offsets.count, weights: weights, offsets: offsets), [x], outputs: offsets.count)
    }

    /// σ(x), or σ on a range of features and the others as they are.
    public mutating func activation(_ σ: ActivationFunction, of x: Features, range: Range<Int>? = nil) -> Features {
        add(ActivationLayer(outputs: x.count, activation: σ, range: range ?? 0..<x.count), [x], outputs: x.count)
    }

    /// αx + γ.
    public mutating func multiple(_ α: Double, of x: Features, plus γ: Double = 0) -> Features {
        add(SumLayer(outputs: x.count, factors: [α], constant: γ), [x], outputs: x.count)
    }

    /// αa + βb + γ, feature by feature.
    public mutating func sum(_ a: Features, _ b: Features, α: Double = 1, β: Double = 1, plus γ: Double = 0) -> Features {
        precondition(a.count == b.count, "a sum of \(a.count) and \(b.count) features")
        return add(SumLayer(outputs: a.count, factors: [α, β], constant: γ), [a, b], outputs: a.count)
    }

    /// a·b, feature by feature.
    public mutating func product(_ a: Features, _ b: Features) -> Features {
        precondition(a.count == b.count, "a product of \(a.count) and \(b.count) features")
        return add(ProductLayer(outputs: a.count), [a, b], outputs: a.count)
    }

    /// The features of several layers side by side.
    public mutating func concatenated(_ parts: [Features]) -> Features {
        precondition(!parts.isEmpty, "nothing to put side by side")
        let layer = SelectionLayer(ranges: parts.map { 0..<$0.count }, widths: parts.map(\.count))
        return add(layer, parts, outputs: layer.outputs)
    }

    /// Some of the features.
    public mutating func selected(_ range: Range<Int>, of x: Features) -> Features {
        precondition(!range.isEmpty && range.lowerBound >= 0 && range.upperBound <= x.count, "features \(range) of \(x.count)")
        return add(SelectionLayer(ranges: [range], widths: [x.count]), [x], outputs: range.count)
    }

    // MARK: The network

    /// The network whose fields are these features.
    ///
    /// Layers that they do not depend on are left out; their parameters may not be: each parameter must act.
    public mutating func network(output: Features) -> Network {
        var isUsed = Array(repeating: false, count: nodes.count)
        isUsed[output.node] = true
        for index in nodes.indices.reversed() where isUsed[index] { for input in nodes[index].inputs { isUsed[input] = true } }
        var place = Array(repeating: -1, count: nodes.count)
        var kept: [NetworkNode] = []
        for index in nodes.indices {
            guard isUsed[index] else {
                precondition(nodes[index].layer.parameterCount == 0, "a layer with parameters on which no field depends")
                continue
            }
            place[index] = kept.count
            let node = nodes[index]
            kept.append(
                NetworkNode(layer: node.layer, inputs: node.inputs.map { place[$0] }, parameterOffset: node.parameterOffset))
        }
        precondition(place[output.node] == kept.count - 1, "the output is not the last layer that was added")
        return Network(inputs: dimension, outputs: output.count, blocks: blocks, scalarCount: 0, nodes: kept)
    }

    private mutating func add(
        _ layer: any JetLayer, _ inputs: [Features], outputs: Int, blocks shapes: [(String, [Int])] = [], name: String = ""
    ) -> Features {
        nodes.append(NetworkNode(layer: layer, inputs: inputs.map(\.node), parameterOffset: parameterCount))
        for (part, shape) in shapes {
            let block = Network.ParameterBlock(name: "\(name).\(part)", shape: shape, offset: parameterCount)
            precondition(!blocks.contains { $0.name == block.name }, "two blocks of parameters are named \(block.name)")
            blocks.append(block)
            parameterCount += block.count
        }
        return Features(node: nodes.count - 1, count: outputs)
    }
}

/// A layer as a function on features: what a target of one's own adds to the networks.
///
/// Its rule is stated once, by composition; jets of any order, J·v, Jᵀ·w, H·v and the rest follow. `LayerConformance` in
/// OptimizationTesting checks all of them on it.
public protocol NetworkLayer: Sendable {
    /// Adds the layer to a network and returns its output. Names of parameters begin with `name`.
    func applied(to x: Features, in network: inout NetworkBuilder, name: String) -> Features
}
