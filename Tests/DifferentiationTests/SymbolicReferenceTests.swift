import Differentiation
import Foundation
import LinearAlgebra
import Testing

extension Engine {
    /// Derivatives up to order 4, and their slopes by parameters, against SymPy's (`Tests/Reference/jets.py`).
    @Suite struct SymbolicReferenceTests {
        struct Case: Decodable, Sendable, CustomTestStringConvertible {
            struct Layer: Decodable, Sendable {
                var kind: String
                var input, other, index, outputs: Int?
                var factors: [Double]?
                var activation: String?
            }

            var name: String
            var dimension: Int
            var layers: [Layer]
            var indices: [[UInt8]]
            var points: [[Double]]
            var parameters: [Double]
            /// `[index][point]`.
            var derivatives: [[Double]]
            /// `[index][point][parameter]`.
            var slopes: [[[Double]]]

            var testDescription: String { name }

            static func all() throws -> [Case] {
                let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                    .appendingPathComponent("Reference/jets.json")
                return try JSONDecoder().decode([Case].self, from: Data(contentsOf: file))
            }

            func network() throws -> Network {
                var builder = NetworkBuilder(coordinates: dimension)
                var features: [Features] = []
                for layer in layers {
                    func operand(_ place: Int?) throws -> Features { features[try #require(place)] }
                    let activation = try layer.activation.flatMap { $0.isEmpty ? nil : $0 }
                        .map { ActivationFunction.standard(try #require(Activation(rawValue: $0))) }
                    switch layer.kind {
                    case "coordinates": features.append(builder.coordinates)
                    case "selected":
                        let i = try #require(layer.index)
                        features.append(builder.selected(i..<(i + 1), of: try operand(layer.input)))
                    case "sum":
                        let f = try #require(layer.factors)
                        features.append(
                            builder.sum(try operand(layer.input), try operand(layer.other), α: f[0], β: f[1], plus: f[2]))
                    case "product": features.append(builder.product(try operand(layer.input), try operand(layer.other)))
                    case "activation":
                        features.append(builder.activation(try #require(activation), of: try operand(layer.input)))
                    case "dense":
                        features.append(
                            builder.dense(
                                try operand(layer.input), outputs: try #require(layer.outputs), activation: activation,
                                name: "layer\(features.count)"))
                    default: Issue.record("a layer “\(layer.kind)”")
                    }
                }
                return builder.network(output: try #require(features.last))
            }
        }

        /// What rounding may change: the largest value of the same order and the network's own size set the scale.
        static let tolerance = 1e4 * KernelTests.unit

        @Test(arguments: try Case.all(), [false, true])
        func everyDerivative(of reference: Case, usesGenericRule: Bool) throws {
            let network = try reference.network()
            #expect(network.parameterCount == reference.parameters.count)
            let program = Program(network: network, terms: [], options: ProgramOptions(usesGenericRule: usesGenericRule))
            let points = (0..<reference.dimension).map { c in reference.points.map { $0[c] } }
            let scale = reference.derivatives.joined().reduce(1) { max($0, abs($1)) }
            // All orders in one pass, and the orders of the written-out rule in one of their own.
            for highest in [4, 2] {
                let wanted = reference.indices.indices.filter { k in reference.indices[k].reduce(0, +) <= highest }
                let values = program.outputs(
                    wanted.map { Channel(field: 0, derivative: MultiIndex(reference.indices[$0])) }, at: points,
                    parameters: Vector(reference.parameters))
                for (row, k) in zip(values, wanted) {
                    for (value, expected) in zip(row, reference.derivatives[k]) {
                        #expect(abs(value - expected) <= Self.tolerance * scale, "\(reference.indices[k]): \(value), not \(expected)")
                    }
                }
            }
        }

        @Test(arguments: try Case.all().filter { !$0.parameters.isEmpty })
        func theirSlopesByParameters(of reference: Case) throws {
            let axes = Axes((0..<reference.dimension).map { "x\($0)" })
            let residual = try Trace.run(axes: axes, fields: 1) { u, _ in
                reference.indices.map { index in
                    let names = zip(axes.names, index).flatMap { Array(repeating: $0, count: Int($1)) }
                    return Residual("\(index)", names.reduce(u[0]) { $0.d($1) })
                }
            }.compiled
            let points = (0..<reference.dimension).map { c in reference.points.map { $0[c] } }
            let program = Program(
                network: try reference.network(), terms: [ProgramTerm(name: "jets", function: residual, points: points, scale: 1)])
            let J = program.jacobian(at: Vector(reference.parameters)).jacobian()
            let scale = reference.slopes.joined().joined().reduce(1) { max($0, abs($1)) }
            for k in reference.indices.indices {
                for i in reference.points.indices {
                    for p in reference.parameters.indices {
                        let (value, expected) = (J[k * reference.points.count + i, p], reference.slopes[k][i][p])
                        #expect(abs(value - expected) <= Self.tolerance * scale, "\(reference.indices[k]) by parameter \(p)")
                    }
                }
            }
        }
    }
}
