import Differentiation
import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A model of layers that are composed in code.
///
///     let model = LayeredNetwork(inputs: 2, outputs: 1) { network in
///         let x = PeriodicEmbedding(periods: [nil, 2]).applied(to: network.coordinates, in: &network, name: "embedding")
///         return GatedLayers(width: 32, depth: 4).applied(to: x, in: &network, name: "gated")
///     }
///
/// The output is a dense layer (`output`) on the features that the closure returns. Weights are drawn block by block as `initialization` says
/// from the block's own shape; biases and shifts start at zero, slopes (`….slope.scales`) so that they act as 1, the factors of factorised
/// weights (`….factor.scales`) at N(1, 0.1²), with the weights divided by them.
public struct LayeredNetwork: NetworkModel {
    public let network: Network
    public let initialization: WeightInitialization
    public let layout: ParameterLayout
    private let slopeScale: Double

    /// `slopeScale` is the n of ``AdaptiveDense`` layers, whose slopes start at 1/n. The output is multiplied by `outputScale`, and
    /// `outputOffset` is added: fields that are far from the size of 1 are so brought to where networks are at the start.
    public init(
        inputs: Int, outputs: Int, initialization: WeightInitialization = .glorotNormal, slopeScale: Double = 1, outputScale: Double = 1,
        outputOffset: Double = 0, _ features: (inout NetworkBuilder) -> Features
    ) {
        var builder = NetworkBuilder(coordinates: inputs)
        let last = features(&builder)
        var output = builder.dense(last, outputs: outputs, name: "output")
        if outputScale != 1 || outputOffset != 0 { output = builder.multiple(outputScale, of: output, plus: outputOffset) }
        network = builder.network(output: output)
        layout = ParameterLayout(network.blocks.map { ($0.name, $0.shape) })
        (self.initialization, self.slopeScale) = (initialization, slopeScale)
    }

    public var linearBlocks: [String] { layout.blocks.map(\.name).filter { $0.hasPrefix("output.") } }

    public func initialParameters(from random: inout RandomStream) -> Parameters {
        var θ = Vector.zeros(network.parameterCount)
        for block in network.blocks {
            let range = block.offset..<(block.offset + block.count)
            if block.name.hasSuffix(".weights") {
                for i in range { θ[i] = initialization.weight(inputs: block.shape[0], outputs: block.shape[1], random: &random) }
            } else if block.name.hasSuffix(".slope.scales") {
                for i in range { θ[i] = 1 / slopeScale }
            } else if block.name.hasSuffix(".factor.scales") {
                for i in range { θ[i] = 1 + 0.1 * random.normal() }
                divideWeights(before: block, in: &θ)
            }
        }
        return Parameters(layout: layout, values: θ)
    }

    /// V = W·diag(e⁻ˢ), so that the product is distributed as W.
    private func divideWeights(before factors: Network.ParameterBlock, in θ: inout Vector) {
        let name = factors.name.replacing(".factor.scales", with: ".weights")
        guard let weights = network.blocks.first(where: { $0.name == name }) else { return }
        for i in 0..<weights.shape[0] {
            for j in 0..<weights.shape[1] { θ[weights.offset + i * weights.shape[1] + j] /= exp(θ[factors.offset + j]) as Double }
        }
    }
}

extension String {
    /// The string with its ending replaced.
    fileprivate func replacing(_ ending: String, with other: String) -> String { hasSuffix(ending) ? dropLast(ending.count) + other : self }
}
