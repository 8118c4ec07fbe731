import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct LayeredNetworkTests {
    private func random() -> RandomStream { RandomStream(seed: 4, name: "initialization") }

    /// Slopes that start at 1/n, and factors with the weights divided by them, leave the network what it is without them.
    @Test func startsAsThePlainNetwork() {
        let plain = LayeredNetwork(inputs: 2, outputs: 1) { network in
            network.dense(network.coordinates, outputs: 7, activation: .standard(.tanh), name: "layer")
        }
        let sloped = LayeredNetwork(inputs: 2, outputs: 1, slopeScale: 5) { network in
            AdaptiveDense(outputs: 7, scale: 5).applied(to: network.coordinates, in: &network, name: "layer")
        }
        var (first, second) = (random(), random())
        let points = [[0.3, -0.2], [0.5, 0.9]]
        func values(_ model: LayeredNetwork, _ stream: inout RandomStream) -> [Double] {
            let θ = model.initialParameters(from: &stream).values
            return Program(network: model.network, terms: []).outputs(at: points, parameters: θ)[0]
        }
        #expect(zip(values(plain, &first), values(sloped, &second)).allSatisfy { abs($0 - $1) <= 1e-15 })

        let factorised = LayeredNetwork(inputs: 2, outputs: 1) { network in
            FactorisedDense(outputs: 40).applied(to: network.coordinates, in: &network, name: "layer")
        }
        var stream = random()
        let start = factorised.initialParameters(from: &stream)
        let (v, s) = (start.block("layer.weights") ?? [], start.block("layer.factor.scales") ?? [])
        #expect(s.count == 40 && abs(s.reduce(0, +) / 40 - 1) < 0.1 && Set(s).count == 40)
        // W = V·diag(eˢ) has Glorot's variance 2/(2 + 40): of 80 entries within a factor of 2.
        let variance = zip(v.indices, v).reduce(0.0) { sum, entry in
            let scale = Activation.sin.derivatives(upTo: 0, at: [0])[0][0] + exponential(s[entry.0 % 40])
            return sum + entry.1 * entry.1 * scale * scale / 80
        }
        #expect(variance > 1.0 / 42 && variance < 4.0 / 42)
    }

    private func exponential(_ x: Double) -> Double { (1...30).reversed().reduce(1.0) { 1 + x / Double($1) * $0 } }

    /// u and its derivatives take the same values a period apart.
    @Test func embeddingsArePeriodic() {
        let model = LayeredNetwork(inputs: 2, outputs: 1) { network in
            let x = PeriodicEmbedding(periods: [nil, 2]).applied(to: network.coordinates, in: &network, name: "embedding")
            return GatedLayers(width: 6, depth: 2).applied(to: x, in: &network, name: "gated")
        }
        var stream = random()
        let θ = model.initialParameters(from: &stream).values
        let program = Program(network: model.network, terms: [])
        let channels = [[0, 0], [0, 1], [1, 1], [0, 3]].map { Channel(field: 0, derivative: MultiIndex($0)) }
        let (here, there) = ([[0.4, 0.7], [0.3, -0.9]], [[0.4, 0.7], [2.3, 1.1]])
        let (a, b) = (
            program.outputs(channels, at: here, parameters: θ), program.outputs(channels, at: there, parameters: θ)
        )
        for k in channels.indices { for i in 0..<2 { #expect(abs(a[k][i] - b[k][i]) <= 1e-12 * (1 + abs(a[k][i]))) } }
        let moved = program.outputs(channels, at: [[1.4, 0.7], [0.3, -0.9]], parameters: θ)
        #expect(moved[0][0] != a[0][0])
    }

    /// Settings with periods: periodic along those coordinates, the others scaled to [−1, 1] where asked, as (cos, sin, x̂) is.
    @Test func settingsWithPeriods() throws {
        var settings = PerceptronSettings(width: 5, depth: 1)
        settings.scalesInputs = true
        let model = try settings.model(over: [0...4, 0...3], outputs: 1, periods: [nil, 3])
        var stream = random()
        let start = model.initialParameters(from: &stream)
        let θ = start.values
        #expect(start.block("layer1.weights")?.count == 15)
        func u(_ columns: [[Double]]) -> [Double] {
            Program(network: model.network, terms: []).outputs(at: columns, parameters: θ)[0]
        }
        let values = u([[1, 1, 3], [0.5, 3.5, 0.5]])
        #expect(abs(values[0] - values[1]) < 1e-14 && abs(values[0] - values[2]) > 1e-3)
        // By hand: the waves come first, then the coordinate that stays.
        let (weights, biases) = (start.block("layer1.weights") ?? [], start.block("layer1.biases") ?? [])
        let outer = start.block("output.weights") ?? []
        let phase: Double = 0.5 * 2 * .pi / 3
        let features: [Double] = [cos(phase), sin(phase), -0.5]
        var output: Double = (start.block("output.biases") ?? [0])[0]
        for j in 0..<5 {
            var affine: Double = biases[j]
            for i in 0..<3 { affine += features[i] * weights[5 * i + j] }
            let unit: Double = tanh(affine)
            output += unit * outer[j]
        }
        #expect(abs(values[0] - output) < 1e-14)
        #expect(throws: ModelError.self) { try settings.model(over: [0...4, 0...3], outputs: 1, periods: [3]) }
        settings.firstLayerSlope = 1
        #expect(throws: ModelError.self) { try settings.model(over: [0...4, 0...3], outputs: 1, periods: [nil, 3]) }
    }

    /// The same parameters with a scale and an offset give s·u + c, and s times its derivatives.
    @Test func outputsAreScaled() throws {
        var settings = PerceptronSettings(width: 5, depth: 2)
        let plain = LayeredNetwork(inputs: 2, outputs: 1) { network in
            let x = network.dense(network.coordinates, outputs: 5, activation: .standard(.tanh), name: "layer1")
            return network.dense(x, outputs: 5, activation: .standard(.tanh), name: "layer2")
        }
        (settings.outputScale, settings.outputOffset) = (40, -3)
        let scaled = try settings.model(over: [0...1, 0...1], outputs: 1)
        var stream = random()
        let θ = plain.initialParameters(from: &stream).values
        #expect(scaled.layout == plain.layout)
        let channels = [[0, 0], [1, 0], [0, 2]].map { Channel(field: 0, derivative: MultiIndex($0)) }
        let points = [[0.2, 0.9], [0.4, -0.3]]
        let (u, v) = (
            Program(network: plain.network, terms: []).outputs(channels, at: points, parameters: θ),
            Program(network: scaled.network, terms: []).outputs(channels, at: points, parameters: θ)
        )
        for k in channels.indices {
            for i in 0..<2 { #expect(abs(v[k][i] - (40 * u[k][i] - (k == 0 ? 3 : 0))) <= 1e-12 * (1 + abs(v[k][i]))) }
        }
    }

    @Test func settingsChooseTheNetwork() throws {
        func blocks(_ change: (inout PerceptronSettings) -> Void) throws -> [String] {
            var settings = PerceptronSettings(width: 6, depth: 2)
            change(&settings)
            return try settings.model(over: [0...1, -1...1], outputs: 1).layout.blocks.map(\.name)
        }
        #expect(
            try blocks { _ in } == [
                "layer1.weights", "layer1.biases", "layer2.weights", "layer2.biases", "layer3.weights", "layer3.biases",
            ])
        #expect(try blocks { $0.structure = .residual }.contains("layer2.inner.weights"))
        #expect(try blocks { $0.structure = .gated }.contains("gated.encoder1.weights"))
        #expect(try blocks { $0.factorisesWeights = true }.contains("layer1.factor.scales"))
        #expect(try blocks { $0.trainsSlopes = true }.contains("layer2.slope.scales"))
        var fourier = PerceptronSettings(width: 6, depth: 1)
        fourier.fourierFeatures = 8
        #expect(try fourier.model(over: [0...1], outputs: 1).layout.blocks[0].shape == [16, 6])
        for contradiction: (inout PerceptronSettings) -> Void in [
            { ($0.structure, $0.trainsSlopes) = (.gated, true) }, { ($0.factorisesWeights, $0.trainsSlopes) = (true, true) },
            { ($0.structure, $0.firstLayerSlope) = (.residual, 2) }, { ($0.structure, $0.depth) = (.gated, 0) },
        ] {
            #expect(throws: ModelError.self) { try blocks(contradiction) }
        }
    }
}
