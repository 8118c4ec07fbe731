/// The layers of a network in their order, with one contiguous θ.
struct LayerSequence: Sendable {
    let layers: [any JetLayer]
    let dimension: Int
    let activation: Activation

    init(_ network: DenseNetwork) {
        let last = network.layers.count - 1
        layers = network.layers.enumerated().map { index, layer -> any JetLayer in
            index == 0
                ? CoordinateLayer(
                    inputs: layer.inputs, outputs: layer.outputs, isActivated: index < last, factors: network.inputFactors,
                    offsets: network.inputOffsets)
                : DenseLayer(
                    inputs: layer.inputs, outputs: layer.outputs, parameterOffset: layer.weightOffset, isActivated: index < last)
        }
        (dimension, activation) = (network.inputs, network.activation)
    }

    var outputs: Int { layers[layers.count - 1].outputs }
    var parameterCount: Int { layers.reduce(0) { $0 + $1.parameterCount } }
    var greatestWidth: Int { layers.reduce(0) { max($0, $1.outputs) } }
}
