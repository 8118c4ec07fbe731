import Differentiation
import LeastSquares
import NeuralModels
import OptimizationCore
import PhysicsInformed
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// −κu″ = π² sin πx on (0, 1), u = 0 at both ends, −u′(0) = −π/2, κ unknown: u = sin(πx)/κ, so that κ = 2.
private struct UnknownConductivity: PDEProblem {
    var name: String { "unknown-conductivity" }
    var domain: Domain { .box(x: 0...1) }
    var conditions: [Condition] { [.dirichlet(at: .x(0), 0), .dirichlet(at: .x(1), 0), .neumann(at: .x(0), -.pi / 2)] }
    var unknowns: [UnknownCoefficient] { [UnknownCoefficient("conductivity", initial: 1)] }
    func residuals(_ u: Fields, at p: Point) -> [Residual] {
        [Residual("poisson", p.trainable("conductivity") * u[0].xx + .pi * .pi * sin(.pi * p.x))]
    }
    var reference: Reference? { .closedForm(grid: [51]) { sin(.pi * $0[0]) / 2 } }
}

@Suite struct InverseProblemTests {
    /// Levenberg–Marquardt finds coefficient and solution together, starting from half the coefficient.
    @Test func conductivityIsFound() throws {
        let model = try MultilayerPerceptron(inputs: 1, hidden: [12, 12], outputs: 1)
        let problem = try PhysicsInformedProblem(
            UnknownConductivity(), model: model, points: PointPlan(interior: 60, boundary: 3, monitor: 20), seed: 2,
            identity: .scalar("unknown-conductivity"))
        let result = try Pipeline(minimizing: problem) {
            Stage("solve", LevenbergMarquardt(), until: .iterations(150))
        }.start(seed: 3)
        let θ = result.parameters
        let (κ, error) = (θ.block("coefficients.conductivity")?[0] ?? .nan, try problem.referenceError(at: θ.values) ?? .nan)
        #expect(abs(κ - 2) < 1e-5 && error < 1e-4, "κ = \(κ), relative error \(error)")
    }
}
