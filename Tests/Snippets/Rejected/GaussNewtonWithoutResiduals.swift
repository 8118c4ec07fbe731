// expected-error: requires that 'Energy' conform to 'LeastSquaresProblem'
import Curvature

struct Energy: DifferentiableProblem {
    var name: String { "energy" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([1]) }
    func loss(at θ: Vector) -> LossValue { LossValue(θ[0] * θ[0]) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: [2 * θ[0]]) }
}

let pipeline = Pipeline(minimizing: Energy()) {
    Stage("solve", LevenbergMarquardt(), until: .iterations(10))
}
