import Foundation
import LinearAlgebra
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

        var layers: [String: Layer]
        var cases: [Case]

        static func read() throws -> Reference {
            let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appendingPathComponent("Reference/diagonal_curvature.json")
            return try JSONDecoder().decode(Reference.self, from: Data(contentsOf: file))
        }
    }

    /// ½ Σᵢ ‖tanh(Wᵀxᵢ + b) − yᵢ‖².
    struct Layer: TwiceDifferentiableProblem, Decodable {
        var rows, columns: Int
        var x, y: [[Double]]
        var start: [Double]

        var name: String { "layer" }
        var identity: Setting { .scalar(name) }
        var layout: ParameterLayout { ParameterLayout([("weights", [rows, columns]), ("biases", [columns])]) }
        func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(layout: layout, values: Vector(start)) }
        func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
        func lossAndGradient(at θ: Vector) -> Evaluation {
            var loss = 0.0
            let gradient = gathered { sample, j in
                let t = tanh(sum(θ, sample, j))
                loss += 0.5 * (t - y[sample][j]) * (t - y[sample][j])
                return (t - y[sample][j]) * (1 - t * t)
            }
            return Evaluation(loss: LossValue(loss), gradient: gradient)
        }
        func hessian(at θ: Vector) -> any HessianOperator { LayerHessian(layer: self, θ: θ) }

        /// What sample puts into output j.
        func sum(_ θ: Vector, _ sample: Int, _ j: Int) -> Double {
            (0..<rows).reduce(θ[rows * columns + j]) { $0 + x[sample][$1] * θ[$1 * columns + j] }
        }

        /// The derivatives of the outputs gathered in the parameters.
        func gathered(_ derivative: (_ sample: Int, _ output: Int) -> Double) -> Vector {
            var gradient = Vector.zeros(rows * columns + columns)
            for sample in x.indices {
                for j in 0..<columns {
                    let d = derivative(sample, j)
                    for i in 0..<rows { gradient[i * columns + j] += d * x[sample][i] }
                    gradient[rows * columns + j] += d
                }
            }
            return gradient
        }
    }

    struct LayerHessian: HessianOperator {
        var layer: Layer
        var θ: Vector
        var parameterCount: Int { θ.count }
        func product(_ v: Vector) -> Vector {
            layer.gathered { sample, j in
                let t = tanh(layer.sum(θ, sample, j))
                let s = 1 - t * t
                return (s * s - 2 * (t - layer.y[sample][j]) * t * s) * layer.sum(v, sample, j)
            }
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

    private func follow<M: DiagonalCurvatureMethod>(_ method: M, on layer: Layer, _ expected: Reference.Case) throws {
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
