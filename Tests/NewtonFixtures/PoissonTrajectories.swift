import Foundation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import PhysicsInformed
import Poisson

/// Trajectories on a small network for Poisson's equation (`Tests/Reference/natural_gradient.py`).
package struct PoissonTrajectories: Decodable {
    package struct Case: Decodable {
        package var method: String
        package var settings: SettingValue
        package var after10, atEnd: [Double]
        package var steps: Int
        package var oneUlpMoves: Double
    }

    package var width: Int
    package var interior, boundary: [[Double]]
    package var start: [Double]
    package var cases: [Case]

    package static func read() throws -> PoissonTrajectories {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Reference/natural_gradient.json")
        return try JSONDecoder().decode(PoissonTrajectories.self, from: Data(contentsOf: file))
    }

    /// The network on the reference's points.
    package func problem() throws -> PhysicsInformedProblem {
        let pde = PoissonOnSquare()
        let drawn = try PhysicsInformedProblem(
            pde, model: try MultilayerPerceptron(inputs: 2, hidden: [width], outputs: 1),
            points: PointPlan(interior: interior.count, boundary: boundary.count, monitor: 0, boundaryWeight: 1), seed: 1,
            identity: .scalar(pde.name))
        return try drawn.revised(by: PointRevision(term: "poisson", points: Matrix(rows: interior)))
            .revised(by: PointRevision(term: "boundary", points: Matrix(rows: boundary)))
    }

    /// The largest differences from a reference after 10 steps of a method by this configuration, and after all, and how large they may be:
    /// 10⁻¹² of the parameters, and ten times what a rounding of every step does to the reference itself.
    package func distances(
        _ optimizer: any Optimizer, _ expected: Case
    ) throws -> (after10: Double, bound10: Double, atEnd: Double, bound: Double) {
        func follow<O: Optimizer>(_ optimizer: O) throws -> [Vector] {
            let network = try problem()
            guard let objective = network as? O.Objective else {
                throw ConfigurationError(path: expected.method, reason: "a method that does not take the problem")
            }
            var state = try optimizer.start(on: objective, from: Parameters(layout: network.layout, values: Vector(start)))
            var kept: [Vector] = []
            for step in 1...expected.steps {
                let report = try optimizer.step(&state, on: objective)
                guard report.verdict == .accepted else {
                    throw ConfigurationError(path: expected.method, reason: "step \(step) was \(report.verdict)")
                }
                if step == 10 || step == expected.steps { kept.append(state.parameters.values) }
            }
            return kept
        }
        let found = try follow(optimizer)
        let (early, late) = (Vector(expected.after10), Vector(expected.atEnd))
        return (
            (found[0] - early).maximumNorm, 1e-12 * early.maximumNorm, (found[1] - late).maximumNorm, 10 * expected.oneUlpMoves
        )
    }
}

/// A setting as JSON has it.
package struct SettingValue: Decodable {
    package var setting: Setting

    package init(from decoder: any Decoder) throws {
        if let map = try? decoder.singleValueContainer().decode([String: SettingValue].self) {
            setting = .map(map.sorted { $0.key < $1.key }.map { Setting.Pair($0.key, $0.value.setting) })
            return
        }
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
