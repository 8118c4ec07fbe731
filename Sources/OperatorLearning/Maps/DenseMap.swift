import CKernels
import Differentiation
import LinearAlgebra
import OptimizationCore

/// A fully connected network f_θ: ℝⁱⁿ → ℝᵒᵘᵗ of which values, and derivatives in θ, are needed, but none in its input: what
/// operator learners are assembled from.
///
/// The layers map x to σ(Wᵀx + b); the last one is affine unless `activatesOutput`. θ holds, layer by layer, W ∈ ℝⁱⁿˣᵒᵘᵗ by rows
/// and then b ∈ ℝᵒᵘᵗ. A layer of n samples is one matrix product.
///
/// The passes are in `DenseMap+Passes.swift`; they read θ in a packed form (`DenseMap+Packing.swift`) and work in memory of the caller's, on
/// samples of the caller's choice.
public struct DenseMap: Sendable, Hashable {
    /// The widths from the input to the output, both included.
    public let widths: [Int]
    public let activation: Activation
    /// Whether σ follows the last layer too.
    public let activatesOutput: Bool
    public let layers: [Layer]

    public init(inputs: Int, hidden: [Int], outputs: Int, activation: Activation = .tanh, activatesOutput: Bool = false) {
        precondition(inputs > 0 && outputs > 0 && hidden.allSatisfy { $0 > 0 }, "a network of widths \([inputs] + hidden + [outputs])")
        (widths, self.activation, self.activatesOutput) = ([inputs] + hidden + [outputs], activation, activatesOutput)
        var (layers, offset, packed, state) = ([Layer](), 0, 0, 0)
        for (index, (a, b)) in zip(widths, widths.dropFirst()).enumerated() {
            let layer = Layer(
                inputs: a, outputs: b, offset: offset, isActivated: activatesOutput || index < hidden.count, packedOffset: packed,
                stateOffset: state)
            layers.append(layer)
            offset += layer.parameterCount
            packed += (a + 1) * layer.leading
            state += (layer.isActivated ? 2 : 1) * layer.leading
        }
        (packedGradientCount, stateWidth) = (packed, state)
        for index in layers.indices.dropFirst() {
            layers[index].transposedOffset = packed
            packed += layers[index].outputs * layers[index - 1].leading
        }
        (self.layers, packedCount) = (layers, packed)
    }

    /// Doubles of θ, and of a gradient, in the packed form.
    public let packedCount: Int
    public let packedGradientCount: Int
    /// Doubles a sample that a forward pass keeps for the other passes.
    let stateWidth: Int

    /// A layer: its widths, and where it lies in θ.
    public struct Layer: Sendable, Hashable {
        public let inputs: Int
        public let outputs: Int
        /// The index of W's first entry in θ.
        public let offset: Int
        public let isActivated: Bool
        /// Where W, b after it, and Wᵀ begin in the packed form.
        let packedOffset: Int
        var transposedOffset = 0
        /// Where the layer's h begins in the state, a sample's share of it.
        let stateOffset: Int

        /// The distance between the columns of a matrix of the layer's outputs, and its rows.
        var leading: Int { MatrixBlock.paddedLeading(outputs) }
        var paddedOutputs: Int { MatrixBlock.paddedRows(outputs) }
        var packedBiasOffset: Int { packedOffset + inputs * leading }

        public var biasOffset: Int { offset + inputs * outputs }
        public var parameterCount: Int { (inputs + 1) * outputs }
    }

    public var inputs: Int { widths[0] }
    public var outputs: Int { widths[widths.count - 1] }
    public var parameterCount: Int { layers.reduce(0) { $0 + $1.parameterCount } }
    var greatestLeading: Int { layers.reduce(0) { max($0, $1.leading) } }

    /// The blocks of θ: "branch/1/weights", "branch/1/biases", …
    public func blocks(named prefix: String) -> [(name: String, shape: [Int])] {
        layers.enumerated().flatMap { index, layer in
            [("\(prefix)/\(index + 1)/weights", [layer.inputs, layer.outputs]), ("\(prefix)/\(index + 1)/biases", [layer.outputs])]
        }
    }

    /// Weights from N(0, 2/(in + out)), biases zero (Glorot & Bengio, AISTATS 2010; the normal variant, DeepXDE's default).
    public func initialParameters(from random: inout RandomStream) -> [Double] {
        layers.flatMap { layer -> [Double] in
            let deviation = (2 / Double(layer.inputs + layer.outputs)).squareRoot()
            let weights = (0..<(layer.inputs * layer.outputs)).map { _ in deviation * random.normal() }
            return weights + Array(repeating: 0, count: layer.outputs)
        }
    }

    var activationCode: Int32 {
        switch activation {
        case .tanh: Int32(CK_TANH)
        case .sin: Int32(CK_SIN)
        case .gelu: Int32(CK_GELU)
        case .silu: Int32(CK_SILU)
        case .softplus: Int32(CK_SOFTPLUS)
        }
    }
}
