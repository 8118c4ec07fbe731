/// A fully connected network u_θ: ℝᵈ → ℝᵐ: affine maps with an activation between them, none after the last.
///
/// Its parameters lie in ONE contiguous vector: for every layer its weights W ∈ ℝⁱⁿˣᵒᵘᵗ by rows (entry (i, j) at i·out + j),
/// then its biases b ∈ ℝᵒᵘᵗ; a layer maps x to Wᵀx + b. The coordinates may be scaled first: x̂ᵢ = aᵢxᵢ + cᵢ; derivatives are
/// still those in x.
public struct DenseNetwork: Sendable, Hashable {
    /// The number d of coordinates.
    public let inputs: Int
    /// The widths of the hidden layers.
    public let hidden: [Int]
    /// The number m of fields.
    public let outputs: Int
    public let activation: Activation
    /// The factors a of the scaled coordinates.
    public let inputFactors: [Double]
    /// The offsets c of the scaled coordinates.
    public let inputOffsets: [Double]

    public init(
        inputs: Int, hidden: [Int], outputs: Int, activation: Activation, inputFactors: [Double]? = nil, inputOffsets: [Double]? = nil
    ) {
        precondition(inputs > 0 && outputs > 0 && hidden.allSatisfy { $0 > 0 }, "a network of widths \([inputs] + hidden + [outputs])")
        (self.inputs, self.hidden, self.outputs, self.activation) = (inputs, hidden, outputs, activation)
        self.inputFactors = inputFactors ?? Array(repeating: 1, count: inputs)
        self.inputOffsets = inputOffsets ?? Array(repeating: 0, count: inputs)
        precondition(
            self.inputFactors.count == inputs && self.inputOffsets.count == inputs, "the input scaling is not of \(inputs) coordinates")
    }

    /// Where a layer's weights and biases lie in θ.
    public struct Layer: Sendable, Hashable {
        public let inputs: Int
        public let outputs: Int
        /// The index of W's first entry in θ.
        public let weightOffset: Int
        /// The index of b's first entry in θ.
        public var biasOffset: Int { weightOffset + inputs * outputs }
        public var parameterCount: Int { (inputs + 1) * outputs }
    }

    /// The layers from the first hidden one to the output.
    public var layers: [Layer] {
        var layers: [Layer] = []
        var (offset, width) = (0, inputs)
        for next in hidden + [outputs] {
            layers.append(Layer(inputs: width, outputs: next, weightOffset: offset))
            offset += (width + 1) * next
            width = next
        }
        return layers
    }

    public var parameterCount: Int { layers.reduce(0) { $0 + $1.parameterCount } }
}
