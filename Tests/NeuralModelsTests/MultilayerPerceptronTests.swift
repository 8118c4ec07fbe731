import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import Testing

@Suite struct MultilayerPerceptronTests {
    private func start(_ initialization: WeightInitialization, seed: UInt64 = 1) throws -> Parameters {
        let model = try MultilayerPerceptron(inputs: 2, hidden: [300, 200], outputs: 1, initialization: initialization)
        var random = RandomStream(seed: seed, name: "initialization")
        return model.initialParameters(from: &random)
    }

    @Test func layoutNamesEveryLayer() throws {
        let model = try MultilayerPerceptron(inputs: 2, hidden: [20, 20, 20, 20], outputs: 1)
        #expect(model.layout.count == 1341)
        #expect(model.layout.count == model.network.parameterCount)
        #expect(model.layout.blocks.map(\.name).prefix(4) == ["layer1.weights", "layer1.biases", "layer2.weights", "layer2.biases"])
        for (layer, index) in zip(model.architecture.layers, 1...) {
            #expect(model.layout["layer\(index).weights"]?.offset == layer.weightOffset)
            #expect(model.layout["layer\(index).weights"]?.shape == [layer.inputs, layer.outputs])
            #expect(model.layout["layer\(index).biases"]?.offset == layer.biasOffset)
        }
    }

    /// The second layer has 60 000 weights: their sample variance has the relative standard deviation √(2/60 000) = 0.6 % if they are
    /// normal, less if they are uniform; 4 % is seven of them. The mean has the standard deviation σ/245; 0.03σ is seven of them.
    @Test(arguments: WeightInitialization.allCases) func varianceOfTheWeights(initialization: WeightInitialization) throws {
        let parameters = try start(initialization)
        let weights = try #require(parameters.block("layer2.weights"))
        let expected: Double
        switch initialization {
        case .glorotNormal, .glorotUniform: expected = 2.0 / 500
        case .heNormal: expected = 2.0 / 300
        case .lecunNormal: expected = 1.0 / 300
        }
        let mean = weights.reduce(0, +) / Double(weights.count)
        let variance = weights.reduce(0) { $0 + $1 * $1 } / Double(weights.count)
        #expect(abs(mean) < 0.03 * expected.squareRoot())
        #expect(abs(variance / expected - 1) < 0.04)
        if initialization == .glorotUniform {
            let bound = (6.0 / 500).squareRoot()
            #expect(weights.allSatisfy { abs($0) <= bound })
        } else {
            // A normal sample of this size passes three standard deviations some 160 times.
            #expect(weights.contains { abs($0) > 3 * expected.squareRoot() })
        }
        for layer in 1...3 { #expect(parameters.block("layer\(layer).biases")?.allSatisfy { $0 == 0 } == true) }
    }

    @Test func startFollowsTheSeed() throws {
        #expect(try start(.glorotNormal, seed: 4) == start(.glorotNormal, seed: 4))
        #expect(try start(.glorotNormal, seed: 4) != start(.glorotNormal, seed: 5))
    }

    @Test func scalingMapsTheBoxToTheUnitCube() throws {
        let model = try MultilayerPerceptron(inputs: 2, hidden: [4], outputs: 1, scaling: [0...1, -3...5])
        for (range, i) in zip([0.0...1.0, -3.0...5.0], 0...) {
            let (a, c) = (model.architecture.inputFactors[i], model.architecture.inputOffsets[i])
            #expect(a * range.lowerBound + c == -1)
            #expect(a * range.upperBound + c == 1)
        }
    }

    /// Each unit of a spread first layer of one input vanishes at a point of the box, and half of them in each half: the count of 400
    /// has the standard deviation 10.
    @Test(arguments: [false, true]) func aSpreadFirstLayerVanishesOverTheBox(scaled: Bool) throws {
        var settings = PerceptronSettings(width: 400, depth: 1)
        (settings.firstLayerSlope, settings.scalesInputs) = (4, scaled)
        let model = try settings.perceptron(over: [2...6], outputs: 1)
        var random = RandomStream(seed: 3, name: "initialization")
        let parameters = model.initialParameters(from: &random)
        let weights = try #require(parameters.block("layer1.weights"))
        let biases = try #require(parameters.block("layer1.biases"))
        let (a, c) = (model.architecture.inputFactors[0], model.architecture.inputOffsets[0])
        let zeros = zip(weights, biases).map { w, b in (-b / w - c) / a }
        #expect(zeros.allSatisfy { $0 > 2 - 1e-9 && $0 < 6 + 1e-9 })
        #expect(abs(zeros.count { $0 < 4 } - 200) < 60)
        let variance = weights.reduce(0) { $0 + $1 * $1 } / 400
        #expect(abs(variance / 16 - 1) < 0.5)
        #expect(throws: ModelError.self) {
            try MultilayerPerceptron(inputs: 2, hidden: [3], outputs: 1, firstLayer: .spread(slope: 1, over: [0...1]))
        }
    }

    @Test func impossibleNetworksAreRefused() {
        #expect(throws: ModelError.self) { try MultilayerPerceptron(inputs: 2, hidden: [20, -1], outputs: 1) }
        #expect(throws: ModelError.self) { try MultilayerPerceptron(inputs: 0, hidden: [20], outputs: 1) }
        #expect(throws: ModelError.self) { try MultilayerPerceptron(inputs: 2, hidden: [20], outputs: 1, scaling: [0...1]) }
        #expect(throws: ModelError.self) { try PerceptronSettings(width: 20, depth: -2).perceptron(over: [0...1], outputs: 1) }
    }

    /// A section of settings keeps what is not given, and its errors name their place.
    @Test func sectionsOfSettings() throws {
        struct Whole: Configurable {
            var network = PerceptronSettings(width: 32, depth: 2)
            static let identifier = "whole"
            static let summary = ""
            static var fields: [Field<Self>] { [.section("network", \.network, meaning: "")] }
        }
        let setting = Setting.map([.init("network", .map([.init("activation", .scalar("sin"))]))])
        let whole = try Whole(setting, path: "problem")
        #expect(whole.network == PerceptronSettings(width: 32, depth: 2, activation: .sin))
        let wrong = Setting.map([.init("network", .map([.init("widht", Setting(.scalar("3"), line: 7))]))])
        let error = #expect(throws: ConfigurationError.self) { try Whole(wrong, path: "problem") }
        #expect(error?.line == 7)
        #expect(error?.path == "problem.network.widht")
    }
}
