import Differentiation
import NeuralModels
import OptimizationCore
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A system with every kind of condition: wave equation as two first-order equations with a nonlinear source, in two fields.
struct CoupledWaves: PDEProblem {
    var name: String { "coupled-waves" }
    var domain: Domain { .timeSpace(t: 0...1, x: 0...2) }
    var fieldCount: Int { 2 }
    var conditions: [Condition] {
        [
            .initial { x in sin(x) },
            .initialRate(field: 1) { $0[1] },
            .dirichlet(at: .x(0), field: 1, 0.5),
            .neumann(at: .x(2)) { $0[0] },
        ]
    }
    func residuals(_ u: Fields, at p: Point) -> [Residual] {
        [
            Residual("first", u[0].t - u[1].x - tanh(u[0] * u[1]) * p.x),
            Residual("second", u[1].t - u[0].x + u[1] * u[1].xx),
        ]
    }
}

/// −u″ = 0 with u(0) = 1, u(1) = 3 held exactly: u = 1 + 2x + x(1 − x)·N.
struct HardLine: PDEProblem {
    var name: String { "hard-line" }
    var domain: Domain { .box(x: 0...1) }
    var conditions: [Condition] { [] }
    func fields(of network: Fields, at p: Point) -> [Expression] { [1 + 2 * p.x + p.x * (1 - p.x) * network[0]] }
    func residuals(_ u: Fields, at p: Point) -> [Residual] { [Residual("line", -u[0].xx)] }
    var reference: Reference? { .closedForm(grid: [11]) { 1 + 2 * $0[0] } }
}

/// Drift and diffusion on a ring, at a speed that is not known: pairs of points, a trained number and an initial state.
struct DriftOnARing: PDEProblem {
    var name: String { "drift-on-a-ring" }
    var domain: Domain { .timeSpace(t: 0...1, x: -1...1) }
    var conditions: [Condition] { [.initial { x in sin(.pi * x) }, .periodic(along: "x")] }
    var unknowns: [UnknownCoefficient] { [UnknownCoefficient("speed", initial: 0.7)] }
    func residuals(_ u: Fields, at p: Point) -> [Residual] {
        [Residual("drift", u[0].t + p.trainable("speed") * u[0].x - 0.05 * u[0].xx)]
    }
}

/// An equation given by a closure, for what single tests need.
struct AdHoc: PDEProblem {
    var name: String { "ad-hoc" }
    var domain = Domain.timeSpace(t: 0...1, x: -1...1)
    var fieldCount = 1
    var conditions: [Condition] = []
    var equation: @Sendable (Fields, Point) -> [Residual] = { u, _ in [Residual("equation", u[0].t)] }
    var reference: Reference?
    func residuals(_ u: Fields, at p: Point) -> [Residual] { equation(u, p) }
}

func coupledWaves(_ plan: PointPlan = smallPlan, seed: UInt64 = 1, hidden: [Int] = [7, 6]) throws -> PhysicsInformedProblem {
    try problem(CoupledWaves(), plan, seed: seed, hidden: hidden)
}

let smallPlan = PointPlan(interior: 60, initial: 21, boundary: 15, monitor: 30, initialWeight: 3, boundaryWeight: 0.5)

func problem(
    _ pde: any PDEProblem, _ plan: PointPlan = smallPlan, seed: UInt64 = 1, hidden: [Int] = [7, 6]
) throws -> PhysicsInformedProblem {
    let model = try MultilayerPerceptron(inputs: pde.domain.dimension, hidden: hidden, outputs: pde.outputCount)
    return try PhysicsInformedProblem(pde, model: model, points: plan, seed: seed, identity: .scalar(pde.name))
}

func start(_ problem: PhysicsInformedProblem, seed: UInt64 = 9) -> Parameters {
    var random = RandomStream(seed: seed, name: "initialization")
    var parameters = problem.initialParameters(from: &random)
    // Off the zero biases of the start.
    for i in 0..<parameters.count { parameters.values[i] += 0.1 * random.normal() }
    return parameters
}
