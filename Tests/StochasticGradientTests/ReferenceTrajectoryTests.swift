import Foundation
import LinearAlgebra
import OptimizationCore
import StochasticGradient
import Testing

/// Trajectories of PyTorch, Optax and pytorch_optimizer (`Tests/Reference/first_order.py`).
@Suite struct ReferenceTrajectoryTests {
    struct Reference: Decodable {
        struct Case: Decodable, CustomTestStringConvertible {
            var method: String
            var settings: [String: Value]
            var after10, after100: [Double]
            var oneUlpMoves: Double

            var testDescription: String { method }
        }

        /// A number, a truth value, a name, or a map of these; whole numbers as such.
        struct Value: Decodable {
            var setting: Setting

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let flag = try? container.decode(Bool.self) {
                    setting = .flag(flag)
                } else if let number = try? container.decode(Double.self) {
                    setting = Int(exactly: number).map(Setting.integer) ?? .number(number)
                } else if let text = try? container.decode(String.self) {
                    setting = .scalar(text)
                } else {
                    setting = .map(try container.decode([String: Value].self).map { Setting.Pair($0.key, $0.value.setting) })
                }
            }
        }

        var a: [[Double]]
        var b, start: [Double]
        var cases: [Case]

        static func read() throws -> Reference {
            let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appendingPathComponent("Reference/first_order.json")
            return try JSONDecoder().decode(Reference.self, from: Data(contentsOf: file))
        }
    }

    /// ½ Σᵢ (tanh(aᵢ·x) − bᵢ)².
    struct Layer: DifferentiableProblem {
        var a: [[Double]]
        var b: [Double]

        var name: String { "layer" }
        var identity: Setting { .scalar(name) }
        var layout: ParameterLayout { ParameterLayout(count: a[0].count) }
        func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(.zeros(a[0].count)) }
        func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
        func lossAndGradient(at θ: Vector) -> Evaluation {
            var (loss, gradient) = (0.0, Vector.zeros(θ.count))
            for (row, b) in zip(a, b) {
                let t = tanh(Vector(row).dot(θ))
                loss += 0.5 * (t - b) * (t - b)
                gradient.add(Vector(row), scaledBy: (t - b) * (1 - t * t))
            }
            return Evaluation(loss: LossValue(loss), gradient: gradient)
        }
    }

    /// 10 steps within 1e-12, 100 within ten times what a rounding of every step does to the reference itself.
    @Test func everyMethodFollowsItsReference() throws {
        let reference = try Reference.read()
        let problem = Layer(a: reference.a, b: reference.b)
        var registry = Registry()
        try registry.install(StochasticGradientPlugin.self)
        var followed: Set<String> = []
        for expected in reference.cases {
            let name = String(expected.method.prefix { $0 != "," })
            let pairs = [Setting.Pair("name", .scalar(name))] + expected.settings.map { Setting.Pair($0.key, $0.value.setting) }
            let method = try registry.optimizer(.map(pairs))
            try follow(method, from: reference.start, on: problem, expected)
            followed.insert(name)
        }
        #expect(followed == Set(registry.optimizers.map(\.name)), "a method without a reference")
    }

    private func follow(_ method: any Optimizer, from start: [Double], on problem: Layer, _ expected: Reference.Case) throws {
        guard let method = method as? any FirstOrderMethod else {
            Issue.record("\(expected.method) is no first-order method")
            return
        }
        func run<M: FirstOrderMethod>(_ method: M) throws {
            var state = try method.start(on: problem, from: Parameters(Vector(start)))
            for step in 1...100 {
                let report = try method.step(&state, on: problem)
                #expect(report.verdict == .accepted)
                guard step == 10 || step == 100 else { continue }
                // RAdam's ρₖ is a difference of numbers near ρ∞ = 1999, whose rounding is 5e-14 of the first steps after the rectification.
                let cancellation = expected.method == "radam" ? 2e-13 : 0
                let (values, bound) = step == 10 ? (expected.after10, 1e-12) : (expected.after100, 10 * expected.oneUlpMoves + cancellation)
                let distance = (state.parameters.values - Vector(values)).maximumNorm
                #expect(distance <= bound, "\(expected.method) after \(step) steps: \(distance), not \(bound)")
            }
        }
        try run(method)
    }
}
