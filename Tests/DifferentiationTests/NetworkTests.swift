import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// Networks as graphs of layers, and second-order operators as channels.
    @Suite struct NetworkTests {
        /// Coordinate derivatives up to order 4 of random graphs of all kinds of layers, against truncated power series.
        @Test(arguments: Array(0..<25))
        func layersAgainstSeries(seed: Int) {
            var rng = Seeded(7000 + seed)
            let activation = Activation.allCases[seed % Activation.allCases.count]
            let twin = SeriesTwin.random(activation: activation, using: &rng)
            let network = twin.network
            let θ = twin.parameters(using: &rng)
            #expect(θ.count == network.parameterCount)
            let order = twin.dimension > 2 ? 3 : 4
            let points = rng.columns(twin.dimension, of: 2)
            let indices = TruncatedSeries.indices(dimension: twin.dimension, order: order)
            let exact = (0..<2).map { i in twin.series(θ, at: points.map { $0[i] }, order: order) }
            let program = Program(network: network, terms: [])
            for highest in [order, min(order, 2)] {
                let wanted = indices.filter { $0.order <= highest }
                let channels = (0..<network.outputs).flatMap { field in wanted.map { Channel(field: field, derivative: $0) } }
                let values = program.outputs(channels, at: points, parameters: θ)
                for k in channels.indices {
                    let scale = exact.reduce(1.0) { max($0, abs($1[channels[k].field].derivative(channels[k].derivative))) }
                    for i in 0..<2 {
                        let value = exact[i][channels[k].field].derivative(channels[k].derivative)
                        #expect(abs(values[k][i] - value) <= 1e4 * KernelTests.unit * scale, "\(channels[k].derivative) of \(seed)")
                    }
                }
            }
        }

        /// L = Σ aᵢⱼ∂ᵢ∂ⱼ as one channel is the sum of its derivatives, in dense networks and graphs, by both rules, at every level.
        @Test(arguments: Array(0..<30))
        func operatorsAgainstTheirDerivatives(seed: Int) {
            var rng = Seeded(9000 + seed)
            let activation = Activation.allCases[seed % Activation.allCases.count]
            let twin = SeriesTwin.random(activation: activation, using: &rng)
            let (d, θ) = (twin.dimension, twin.parameters(using: &rng))
            var entries: [SecondOrderOperator.Entry] = []
            for i in 0..<d { for j in i..<d { entries.append(.init(i, j, .constant(rng.uniform()))) } }
            let operators = [SecondOrderOperator.laplacian(over: Array(0..<d)), SecondOrderOperator(entries)]
            let points = rng.columns(d, of: 11)
            for options in [ProgramOptions(), ProgramOptions(usesGenericRule: true)] {
                let program = Program(network: twin.network, terms: [], options: options)
                KernelTests.atEveryLevel { level in
                    for contraction in operators {
                        let whole = program.outputs(
                            [Channel(field: 0, contraction: contraction, dimension: d)], at: points, parameters: θ)[0]
                        let singles = contraction.entries.map { entry in
                            Channel(field: 0, derivative: MultiIndex.along(entry.first, dimension: d).raised(along: entry.second))
                        }
                        let parts = program.outputs(singles, at: points, parameters: θ)
                        for i in 0..<11 {
                            var (sum, size) = (0.0, 1.0)
                            for (k, entry) in contraction.entries.enumerated() {
                                guard case .constant(let a) = entry.coefficient else { continue }
                                sum += a * parts[k][i]
                                size += abs(a * parts[k][i])
                            }
                            #expect(abs(whole[i] - sum) <= 1e4 * KernelTests.unit * size, "\(level)")
                        }
                    }
                }
            }
        }

        /// A Laplacian in 100 dimensions is two channels beside the gradient: u = Σ sin-free closed form on one hidden layer.
        @Test func laplacianInHundredDimensions() throws {
            let d = 100
            var rng = Seeded(3)
            let network = DenseNetwork(inputs: d, hidden: [16], outputs: 1, activation: .tanh)
            let θ = parameters(of: network, using: &rng)
            let axes = Axes((1...d).map { "x\($0)" })
            let residual = try Trace.run(axes: axes, fields: 1) { u, _ in [Residual("laplace", u[0].laplacian)] }.compiled
            #expect(residual.channels.count == 1)
            let points = rng.columns(d, of: 9)
            let term = ProgramTerm(name: "laplace", function: residual, points: points, scale: 1)
            let program = Program(network: network, terms: [term])
            #expect(program.channelCounts == [d + 2])
            let r = program.residuals(at: θ)
            let (hidden, output) = (network.layers[0], network.layers[1])
            for i in 0..<9 {
                var (sum, size) = (0.0, 0.0)
                for j in 0..<16 {
                    var (z, square) = (θ[hidden.biasOffset + j], 0.0)
                    for k in 0..<d {
                        let w = θ[hidden.weightOffset + k * 16 + j]
                        z += w * points[k][i]
                        square += w * w
                    }
                    let part = θ[output.weightOffset + j] * square * Activation.tanh.derivatives(upTo: 2, at: [z])[2][0]
                    sum += part
                    size += abs(part)
                }
                #expect(abs(r[i] - sum) <= 1e-12 * size)
            }
        }

        /// What a Laplacian takes grows linearly with the dimension: d + 2 channels, a product (∂ᵢz)² for each coordinate, and passes whose
        /// memory is a linear function of d to the byte. All second derivatives would be 1 + d + d(d + 1)/2 channels.
        @Test func laplacianIsLinearInDimension() throws {
            let dimensions = [20, 40, 60, 80]
            func programs(blockSize: Int?) throws -> [Program] {
                try dimensions.map { d in
                    var rng = Seeded(d)
                    let residual = try Trace.run(axes: Axes((1...d).map { "x\($0)" }), fields: 1) { u, p in
                        [Residual("poisson", u[0].laplacian - u[0] * u[0])]
                    }.compiled
                    return Program(
                        network: DenseNetwork(inputs: d, hidden: [32, 32], outputs: 1, activation: .tanh),
                        terms: [ProgramTerm(name: "poisson", function: residual, points: rng.columns(d, of: 64), scale: 1)],
                        options: ProgramOptions(blockSize: blockSize))
                }
            }
            let fixed = try programs(blockSize: 16)
            #expect(fixed.map(\.channelCounts) == dimensions.map { [$0 + 2] })
            #expect(fixed.map(\.secondOrderProductCounts) == dimensions.map { [$0] })
            let bytes = fixed.map(\.workspaceBytes)
            let steps = zip(bytes, bytes.dropFirst()).map { $1 - $0 }
            #expect(Set(steps).count == 1 && steps[0] > 0, "\(bytes)")
            // Blocks as the engine chooses them hold fewer points where there are more channels: memory hardly grows.
            let chosen = try programs(blockSize: nil).map(\.workspaceBytes)
            #expect(chosen.allSatisfy { $0 < 2 * chosen[0] }, "\(chosen)")
        }

        /// Two sub-networks side by side: each field depends on its own parameters and coordinates only.
        @Test func coefficientNetwork() {
            var builder = NetworkBuilder(coordinates: 2)
            let x = builder.coordinates
            let u = builder.dense(
                builder.dense(x, outputs: 6, activation: .standard(.tanh), name: "u1"), outputs: 1, name: "u2")
            let k = builder.dense(
                builder.dense(builder.selected(1..<2, of: x), outputs: 4, activation: .standard(.tanh), name: "k1"), outputs: 1, name: "k2")
            let network = builder.network(output: builder.concatenated([u, k]))
            var rng = Seeded(5)
            let θ = rng.vector(network.parameterCount)
            let program = Program(network: network, terms: [])
            let slope = Channel(field: 1, derivative: .along(0, dimension: 2))
            #expect(program.outputs([slope], at: rng.columns(2, of: 4), parameters: θ)[0] == [0, 0, 0, 0])
            var moved = θ
            moved[0] += 1
            let points = rng.columns(2, of: 4)
            let (before, after) = (program.outputs(at: points, parameters: θ), program.outputs(at: points, parameters: moved))
            #expect(before[1] == after[1] && before[0] != after[0])
            #expect(network.blocks.map(\.name).prefix(3) == ["u1.weights", "u1.biases", "u2.weights"])
        }
    }
}
