import Differentiation
import LinearAlgebra
import OptimizationCore

/// A fully connected network: x ↦ W_Dᵀ σ(… σ(W₁ᵀ x̂ + b₁) …) + b_D, with the coordinates scaled to x̂ = ax + c if asked.
///
/// Blocks: `layer1.weights` ∈ ℝᵈˣᵂ, `layer1.biases` ∈ ℝᵂ, …, the last ones being the output's, each in row-major order. Weights are
/// drawn layer by layer as ``initialization`` says, biases start at zero; ``FirstLayer`` may say otherwise for the first one.
/// P = Σ (in + 1)·out.
public struct MultilayerPerceptron: NetworkModel, Hashable {
    /// Its layers, and the scaling of the coordinates before them.
    public let architecture: DenseNetwork
    public let initialization: WeightInitialization
    public let firstLayer: FirstLayer
    public let layout: ParameterLayout

    /// How the first layer is drawn.
    public enum FirstLayer: Sendable, Hashable {
        /// As the others.
        case likeTheOthers
        /// Weights slope·N(0, 1); biases −wᵀx₀ with x₀ uniform over the box, so that the units' midpoints are spread over it. With one
        /// hidden layer this lets networks for oscillating solutions start with features where the solution has them.
        case spread(slope: Double, over: [ClosedRange<Double>])
    }

    /// Throws a ``ModelError`` where there is a layer without units or `scaling` is not of `inputs` ranges of positive length.
    ///
    /// `scaling` gives the range of each coordinate; it is mapped to [−1, 1] before the first layer. Derivatives are in the
    /// coordinates as they are.
    public init(
        inputs: Int, hidden: [Int], outputs: Int, activation: Activation = .tanh, initialization: WeightInitialization = .glorotNormal,
        firstLayer: FirstLayer = .likeTheOthers, scaling: [ClosedRange<Double>]? = nil
    ) throws {
        guard inputs > 0, outputs > 0 else { throw ModelError("a network of \(inputs) inputs and \(outputs) outputs: each must be ≥ 1") }
        if let bad = hidden.firstIndex(where: { $0 < 1 }) {
            throw ModelError("hidden layer \(bad + 1) of the network has \(hidden[bad]) units: it needs at least one")
        }
        if let scaling {
            guard scaling.count == inputs, scaling.allSatisfy({ $0.lowerBound < $0.upperBound }) else {
                throw ModelError("the inputs are scaled by the ranges \(scaling): \(inputs) of positive length are needed")
            }
        }
        if case .spread(let slope, let box) = firstLayer {
            guard slope > 0, slope.isFinite, box.count == inputs else {
                throw ModelError(
                    "the first layer is spread with slope \(slope) over \(box.count) ranges: a positive slope and \(inputs) ranges are needed"
                )
            }
        }
        self.initialization = initialization
        self.firstLayer = firstLayer
        architecture = DenseNetwork(
            inputs: inputs, hidden: hidden, outputs: outputs, activation: activation,
            inputFactors: scaling?.map { 2 / ($0.upperBound - $0.lowerBound) },
            inputOffsets: scaling?.map { -($0.upperBound + $0.lowerBound) / ($0.upperBound - $0.lowerBound) })
        layout = ParameterLayout(
            architecture.layers.enumerated().flatMap { index, layer in
                [("layer\(index + 1).weights", [layer.inputs, layer.outputs]), ("layer\(index + 1).biases", [layer.outputs])]
            })
    }

    public var network: Network { Network(architecture) }
    public var linearBlocks: [String] { layout.blocks.suffix(2).map(\.name) }

    public func initialParameters(from random: inout RandomStream) -> Parameters {
        var θ = Vector.zeros(architecture.parameterCount)
        for layer in architecture.layers {
            if layer.weightOffset == 0, case .spread(let slope, let box) = firstLayer {
                spread(slope, over: box, layer, &θ, &random)
                continue
            }
            for i in layer.weightOffset..<layer.biasOffset {
                θ[i] = initialization.weight(inputs: layer.inputs, outputs: layer.outputs, random: &random)
            }
        }
        return Parameters(layout: layout, values: θ)
    }

    private func spread(
        _ slope: Double, over box: [ClosedRange<Double>], _ layer: DenseNetwork.Layer, _ θ: inout Vector, _ random: inout RandomStream
    ) {
        for j in 0..<layer.outputs {
            var bias = 0.0
            for i in 0..<layer.inputs {
                let weight = slope * random.normal()
                // Where the unit's midpoint lies, as the network sees it: x̂ = ax + c.
                let midpoint = architecture.inputFactors[i] * random.uniform(in: box[i]) + architecture.inputOffsets[i]
                θ[layer.weightOffset + i * layer.outputs + j] = weight
                bias -= weight * midpoint
            }
            θ[layer.biasOffset + j] = bias
        }
    }
}

/// How the hidden layers are put together.
public enum NetworkStructure: String, Sendable, Hashable, CaseIterable {
    /// One after another.
    case plain
    /// Blocks of two layers with a way around them: ``ResidualBlock``.
    case residual
    /// Gates between two encoders of the input: ``GatedLayers``.
    case gated
}

/// The settings of a network with hidden layers of one width: a ``MultilayerPerceptron``, or one of its relatives.
public struct PerceptronSettings: ModelConfiguration, Hashable {
    /// Units of each hidden layer.
    public var width = 20
    /// Hidden layers.
    public var depth = 4
    public var activation = Activation.tanh
    public var initialization = WeightInitialization.glorotNormal
    /// The slope of a first layer that is spread over the domain; 0 for one that is drawn like the others.
    public var firstLayerSlope = 0.0
    /// Whether each coordinate's range is mapped to [−1, 1] before the first layer.
    public var scalesInputs = false
    public var structure = NetworkStructure.plain
    /// Pairs of Fourier features in place of the coordinates; 0 for none.
    public var fourierFeatures = 0
    /// The standard deviation of their frequencies.
    public var fourierScale = 1.0
    /// Whether weights are factorised: ``FactorisedDense``.
    public var factorisesWeights = false
    /// Whether the activations have trained slopes, one for each unit: ``AdaptiveDense``.
    public var trainsSlopes = false
    /// The fields are outputScale·(network's output) + outputOffset.
    public var outputScale = 1.0
    public var outputOffset = 0.0
    /// The precision of the layers and their derivatives in training.
    public var precision = JetPrecision.double

    public init() {}

    public init(
        width: Int, depth: Int, activation: Activation = .tanh, initialization: WeightInitialization = .glorotNormal,
        firstLayerSlope: Double = 0
    ) {
        (self.width, self.depth, self.activation) = (width, depth, activation)
        (self.initialization, self.firstLayerSlope) = (initialization, firstLayerSlope)
    }

    public static let identifier = "multilayer-perceptron"
    public static let summary = "network with hidden layers of one width: fully connected, residual or gated"
    public static var fields: [Field<Self>] {
        [
            .integer("width", \.width, atLeast: 1, meaning: "units of each hidden layer"),
            .integer("depth", \.depth, atLeast: 0, meaning: "hidden layers"),
            .choice("activation", \.activation, meaning: "the activation between the layers"),
            .choice("initialization", \.initialization, meaning: "how the weights are drawn; biases start at zero"),
            .number(
                "firstLayerSlope", \.firstLayerSlope, in: .nonNegative,
                meaning: "slope of a first layer whose units are spread over the domain; 0 draws it like the others"),
            .flag("scalesInputs", \.scalesInputs, meaning: "whether each coordinate's range is mapped to [−1, 1] first"),
            .choice("structure", \.structure, meaning: "how the hidden layers are put together"),
            .integer(
                "fourierFeatures", \.fourierFeatures, atLeast: 0,
                meaning: "pairs of Fourier features (cos Bx, sin Bx) in place of the coordinates; 0 for none"),
            .number("fourierScale", \.fourierScale, in: .positive, meaning: "the standard deviation of the Fourier frequencies B"),
            .flag("factorisesWeights", \.factorisesWeights, meaning: "whether weights are V·diag(eˢ), s trained (plain structure)"),
            .flag("trainsSlopes", \.trainsSlopes, meaning: "whether each unit's activation has a trained slope (plain structure)"),
            .number("outputScale", \.outputScale, in: .positive, meaning: "what the network's outputs are multiplied by"),
            .number("outputOffset", \.outputOffset, meaning: "what is added to the network's outputs"),
            .choice(
                "precision", \.precision,
                meaning: "of the layers and their derivatives in training: single is about twice as fast and good to some 1e-6"),
        ]
    }

    /// The model on the box `ranges`, one for each coordinate: a ``MultilayerPerceptron`` where no relative of it is asked for.
    ///
    /// With `periods`, one for each coordinate and nil where it has none, the model is periodic: a ``PeriodicEmbedding`` comes first.
    public func model(over ranges: [ClosedRange<Double>], outputs: Int, periods: [Double?] = []) throws -> any NetworkModel {
        let model = try doubleModel(over: ranges, outputs: outputs, periods: periods)
        return precision == .double ? model : ModelInSinglePrecision(base: model)
    }

    private func doubleModel(over ranges: [ClosedRange<Double>], outputs: Int, periods: [Double?]) throws -> any NetworkModel {
        let perceptron = try perceptron(over: ranges, outputs: outputs)
        guard periods.isEmpty || periods.count == ranges.count else {
            throw ModelError("\(periods.count) periods for \(ranges.count) coordinates: each needs one, or nil")
        }
        let isScaled = outputScale != 1 || outputOffset != 0
        let isPeriodic = periods.contains { $0 != nil }
        guard structure != .plain || fourierFeatures > 0 || factorisesWeights || trainsSlopes || isScaled || isPeriodic else {
            return perceptron
        }
        guard depth > 0 else { throw ModelError("a network of structure \(structure.rawValue) needs at least one hidden layer") }
        guard !(factorisesWeights && trainsSlopes), structure == .plain || !(factorisesWeights || trainsSlopes) else {
            throw ModelError("factorised weights and trained slopes are offered one at a time, and in the plain structure")
        }
        guard firstLayerSlope == 0 else {
            throw ModelError(
                "a first layer that is spread over the domain is offered in the plain perceptron only: set firstLayerSlope to 0")
        }
        return layered(over: ranges, outputs: outputs, scaling: perceptron.architecture, periods: isPeriodic ? periods : nil)
    }

    private func layered(
        over ranges: [ClosedRange<Double>], outputs: Int, scaling: DenseNetwork, periods: [Double?]?
    ) -> LayeredNetwork {
        let (d, σ) = (ranges.count, ActivationFunction.standard(activation))
        return LayeredNetwork(
            inputs: d, outputs: outputs, initialization: initialization, outputScale: outputScale, outputOffset: outputOffset
        ) { network in
            var x = network.coordinates
            if scalesInputs {
                // A coordinate with a period becomes a wave, which has the range already.
                let scaled = (0..<d).map { periods?[$0] == nil }
                let factors = (0..<d).map { scaled[$0] ? scaling.inputFactors[$0] : 1 }
                let diagonal = (0..<(d * d)).map { $0 / d == $0 % d ? factors[$0 / d] : 0 }
                x = network.fixed(x, weights: diagonal, offsets: (0..<d).map { scaled[$0] ? scaling.inputOffsets[$0] : 0 })
            }
            if let periods { x = PeriodicEmbedding(periods: periods).applied(to: x, in: &network, name: "embedding") }
            if fourierFeatures > 0 {
                var random = RandomStream(seed: 0, name: "Fourier frequencies")
                let frequencies = (0..<fourierFeatures).map { _ in (0..<x.count).map { _ in fourierScale * random.normal() } }
                x = FourierFeatures(frequencies: frequencies).applied(to: x, in: &network, name: "fourier")
            }
            if structure == .gated {
                return GatedLayers(width: width, depth: depth, activation: σ).applied(to: x, in: &network, name: "gated")
            }
            for layer in 1...depth {
                let name = "layer\(layer)"
                if structure == .residual, layer > 1 {
                    x = ResidualBlock(activation: σ).applied(to: x, in: &network, name: name)
                } else if factorisesWeights {
                    x = FactorisedDense(outputs: width, activation: σ).applied(to: x, in: &network, name: name)
                } else if trainsSlopes {
                    x = AdaptiveDense(outputs: width, activation: σ).applied(to: x, in: &network, name: name)
                } else {
                    x = network.dense(x, outputs: width, activation: σ, name: name)
                }
            }
            return x
        }
    }

    /// The fully connected network on the box `ranges`, one for each coordinate.
    public func perceptron(over ranges: [ClosedRange<Double>], outputs: Int) throws -> MultilayerPerceptron {
        guard depth >= 0 else { throw ModelError("a network of \(depth) hidden layers: there cannot be fewer than none") }
        let (w, inOut) = (Double(width), Double(ranges.count + outputs))
        try requireMemory(
            forNumbers: w * (inOut + 1) + Double(max(0, depth - 1)) * w * (w + 1),
            as: "a network of \(depth) hidden layers of \(width) units", path: "network", advice: "take a smaller width or depth")
        return try MultilayerPerceptron(
            inputs: ranges.count, hidden: Array(repeating: width, count: depth), outputs: outputs, activation: activation,
            initialization: initialization,
            firstLayer: firstLayerSlope == 0 ? .likeTheOthers : .spread(slope: firstLayerSlope, over: ranges),
            scaling: scalesInputs ? ranges : nil)
    }
}

extension Field {
    /// A part with settings of its own, of which those that are not given keep the values they have in the whole.
    public static func section<Value: Configurable>(_ name: String, _ path: Path<Value>, meaning: String) -> Field {
        @Sendable func write(_ root: inout Root, _ setting: Setting, _ place: String) throws {
            guard case .map(let given) = setting.value else {
                throw ConfigurationError(path: place, line: setting.line, reason: "should be a map of the settings of \(Value.identifier)")
            }
            let present = root[keyPath: path].settings
            guard case .map(let pairs) = present.value else { preconditionFailure("settings are a map") }
            let kept = pairs.filter { pair in !given.contains { $0.key == pair.key } }
            root[keyPath: path] = try Value(Setting(.map(kept + given), line: setting.line), path: place)
        }
        return Field(
            name, range: Value.identifier, meaning: meaning, kinds: [Value.self], read: { $0[keyPath: path].settings.removing("name") },
            write: { try write(&$0, $1, $2) }, parts: { [$0[keyPath: path]] })
    }
}

/// Registers the model `multilayer-perceptron`.
public enum NeuralModelsPlugin: Plugin {
    public static let identifier = "neural-models"

    public static func register(in registry: inout Registry) throws { try registry.register(model: PerceptronSettings.self) }
}
