import Foundation
import LinearAlgebra
import MatrixPreconditioners
import NewtonFixtures
import OptimizationCore
import Testing

/// Trajectories of pytorch_optimizer and Optax (`Tests/Reference/matrix_preconditioners.py`).
@Suite struct ReferenceTrajectoryTests {
    struct Reference: Decodable {
        struct Case: Decodable, CustomTestStringConvertible {
            var method: String
            var layer: String
            var settings: [String: Value]
            var after10, after100: [Double]
            var oneUlpMoves: Double

            var testDescription: String { "\(method) on \(layer)" }
        }

        /// A number, a truth value or a name.
        struct Value: Decodable {
            var setting: Setting

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let flag = try? container.decode(Bool.self) {
                    setting = .flag(flag)
                } else if let integer = try? container.decode(Int.self) {
                    setting = .integer(integer)
                } else if let number = try? container.decode(Double.self) {
                    setting = .number(number)
                } else {
                    setting = .scalar(try container.decode(String.self))
                }
            }
        }

        var layers: [String: TanhLayer]
        var cases: [Case]

        static func read() throws -> Reference {
            let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appendingPathComponent("Reference/matrix_preconditioners.json")
            return try JSONDecoder().decode(Reference.self, from: Data(contentsOf: file))
        }
    }

    /// 10 steps within 1e-12, 100 within ten times what a rounding of every step does to the reference itself.
    @Test func everyMethodFollowsItsReference() throws {
        let reference = try Reference.read()
        var registry = Registry()
        try registry.install(MatrixPreconditionersPlugin.self)
        var followed: Set<String> = []
        for expected in reference.cases {
            let name = String(expected.method.prefix { $0 != "," })
            let pairs = [Setting.Pair("name", .scalar(name))] + expected.settings.map { Setting.Pair($0.key, $0.value.setting) }
            let method = try #require(try registry.optimizer(.map(pairs)) as? any FirstOrderMethod)
            let layer = try #require(reference.layers[expected.layer])
            try follow(method, on: layer, expected)
            followed.insert(name)
        }
        #expect(followed == Set(registry.optimizers.map(\.name)), "a method without a reference")
    }

    private func follow<M: FirstOrderMethod>(_ method: M, on layer: TanhLayer, _ expected: Reference.Case) throws {
        var state = try method.start(on: layer, from: Parameters(layout: layer.layout, values: Vector(layer.start)))
        // SOAP's first gradient is for its bases alone, and the reference counts that as a step too.
        for step in 1...100 {
            let report = try method.step(&state, on: layer)
            #expect(report.verdict == .accepted)
            guard step == 10 || step == 100 else { continue }
            let (values, bound) = step == 10 ? (expected.after10, 1e-12) : (expected.after100, 10 * expected.oneUlpMoves)
            let distance = (state.parameters.values - Vector(values)).maximumNorm
            #expect(distance <= bound, "\(expected.testDescription) after \(step) steps: \(distance), not \(bound)")
        }
    }
}
