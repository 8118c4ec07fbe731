import Foundation
import LinearAlgebra
import NewtonFixtures
import OptimizationCore
import StochasticCurvature
import Testing

/// Trajectories of pytorch_optimizer with the same signs (`Tests/Reference/diagonal_curvature.py`).
@Suite struct ReferenceTrajectoryTests {
    struct Reference: Decodable {
        struct Case: Decodable {
            var method: String
            var layer: String
            var settings: [String: Double]
            var after10, after100: [Double]
            var oneUlpMoves: Double
        }

        var layers: [String: TanhLayer]
        var cases: [Case]

        static func read() throws -> Reference {
            let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appendingPathComponent("Reference/diagonal_curvature.json")
            return try JSONDecoder().decode(Reference.self, from: Data(contentsOf: file))
        }
    }

    /// 10 steps within 1e-12, 100 within ten times what a rounding of every step does to the reference itself.
    @Test func bothMethodsFollowTheirReference() throws {
        let reference = try Reference.read()
        var registry = Registry()
        try registry.install(StochasticCurvaturePlugin.self)
        var followed: Set<String> = []
        for expected in reference.cases {
            let name = String(expected.method.prefix { $0 != "," })
            let pairs =
                [Setting.Pair("name", .scalar(name))]
                + expected.settings.map {
                    Setting.Pair($0.key, $0.value == $0.value.rounded() ? .integer(Int($0.value)) : .number($0.value))
                }
            let method = try #require(try registry.optimizer(.map(pairs)) as? any DiagonalCurvatureMethod)
            try follow(method, on: try #require(reference.layers[expected.layer]), expected)
            followed.insert(name)
        }
        #expect(followed == ["adahessian", "sophia"])
    }

    private func follow<M: DiagonalCurvatureMethod>(_ method: M, on layer: TanhLayer, _ expected: Reference.Case) throws {
        var state = try method.start(on: layer, from: Parameters(layout: layer.layout, values: Vector(layer.start)))
        for step in 1...100 {
            #expect(try method.step(&state, on: layer).verdict == .accepted)
            guard step == 10 || step == 100 else { continue }
            let (values, bound) = step == 10 ? (expected.after10, 1e-12) : (expected.after100, 10 * expected.oneUlpMoves)
            let distance = (state.parameters.values - Vector(values)).maximumNorm
            #expect(distance <= bound, "\(expected.method) on \(expected.layer) after \(step) steps: \(distance), not \(bound)")
        }
    }
}
