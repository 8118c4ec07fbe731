import LinearAlgebra
import OptimizationCore

/// Rosenbrock's function as ½‖(10(x₂ − x₁²), 1 − x₁)‖² (Moré, Garbow & Hillstrom, no. 1): minimum 0 at (1, 1).
struct Rosenbrock: DifferentiableProblem {
    /// Beyond this value of x₁ the loss is not a number.
    var wall = Double.infinity
    /// The minimiser is (centre, centre²).
    var centre = 1.0
    var version = 0

    var name: String { "rosenbrock" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 2) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([-1.2, 1]) }
    func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        if θ[0] > wall { return Evaluation(loss: LossValue(.nan), gradient: [.nan, .nan]) }
        let (r1, r2) = (10 * (θ[1] - θ[0] * θ[0]), centre - θ[0])
        return Evaluation(loss: LossValue(0.5 * (r1 * r1 + r2 * r2)), gradient: [-20 * θ[0] * r1 - r2, 10 * r1])
    }
}

/// ½ Σ dᵢ(xᵢ − 1)² with dᵢ from 1 to `condition`, along a cubic.
struct Bowl: DifferentiableProblem {
    var count: Int
    var condition: Double

    var name: String { "bowl" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: count) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(random.normalVector(count)) }
    private func curvature(_ i: Int) -> Double {
        let fraction = Double(i) / Double(count - 1)
        return 1 + (condition - 1) * fraction * fraction * fraction
    }
    func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        var (loss, gradient) = (0.0, Vector.zeros(count))
        for i in 0..<count {
            gradient[i] = curvature(i) * (θ[i] - 1)
            loss += 0.5 * gradient[i] * (θ[i] - 1)
        }
        return Evaluation(loss: LossValue(loss), gradient: gradient)
    }
}

/// Steps of a method driven by hand, up to the first verdict that is not an acceptance.
func drive<O: Optimizer>(
    _ optimizer: O, on problem: O.Objective, from start: Vector, steps: Int
) throws -> (state: O.State, reports: [StepReport]) {
    var state = try optimizer.start(on: problem, from: Parameters(start))
    var reports: [StepReport] = []
    for _ in 0..<steps {
        reports.append(try optimizer.step(&state, on: problem))
        if reports.last?.verdict != .accepted { break }
    }
    return (state, reports)
}
