import LinearAlgebra
import NaturalGradient
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Testing

@Suite struct HessianFreeTests {
    /// On a linear residual q is the loss: ρ = 1, λ falls by ⅔ a step, and the steps converge to the least-squares solution.
    @Test func linearResidualsAreSolved() throws {
        let problem = try LinearResiduals.random(30, 10, singularValues: (0..<10).map { 2 / Double($0 + 1) })
        let (state, reports) = try drive(HessianFree(), on: problem, from: Parameters(.zeros(10)), steps: 80)
        let solution = try QR.factorize(problem.a).get().solveLeastSquares(problem.b).get()
        // The loss is flat to ε there: √ε of the solution is hidden.
        #expect((state.parameters.values - solution).norm <= 1e-6 * solution.norm)
        for (k, report) in reports.prefix(5).enumerated() {
            let details = Dictionary(uniqueKeysWithValues: report.details.map { ($0.name, $0.value) })
            #expect(abs((details["gainRatio"] ?? 0) - 1) < 1e-6)
            #expect(abs((details["damping"] ?? 0) * (0..<k).reduce(1.0) { product, _ in 1.5 * product } - 1) < 1e-12)
        }
    }

    /// The first step with an exact inner solution is that of the damped normal equations.
    @Test func theStepIsTheDampedOne() throws {
        let problem = try LinearResiduals.random(30, 8, singularValues: [3, 2.5, 2, 1.5, 1, 0.8, 0.6, 0.4])
        var method = HessianFree(initialDamping: 0.3)
        method.progress = 1e-15
        let (state, _) = try drive(method, on: problem, from: Parameters(.zeros(8)), steps: 1)
        let exact = try SVD.factorize(problem.a).get().solveDamped(problem.b, damping: 0.3)
        #expect((state.parameters.values - exact).norm <= 1e-10 * exact.norm)
    }

    /// On a network: the loss falls by orders of magnitude, warm starts save iterations or lower the loss, the iterations are counted.
    @Test func trainsANetwork() throws {
        let problem = try smallPoisson(width: 16, interior: 120)
        let start = startingPoint(of: problem)
        let first = try problem.loss(at: start.values).total
        let (warm, reports) = try drive(HessianFree(), on: problem, from: start, steps: 60)
        let (cold, _) = try drive(HessianFree(initialDamping: 1, warmStart: 0), on: problem, from: start, steps: 60)
        #expect(warm.standpoint.loss.total < 1e-4 * first, "\(warm.standpoint.loss.total / first)")
        #expect(warm.parameters != cold.parameters)
        #expect(reports.allSatisfy { $0.linearIterations > 0 && $0.linearIterations <= 350 })
        #expect(warm.solution != nil)
    }

    /// λ grows where the model promises too much.
    @Test func dampingFollowsTheModel() throws {
        let (_, reports) = try drive(HessianFree(initialDamping: 1e-8), on: ZooProblem.rosenbrock, from: Parameters([-1.2, 1]), steps: 8)
        let dampings = reports.map { $0.details.first { $0.name == "damping" }?.value ?? 0 }
        #expect(dampings.last.map { $0 > 1e-8 } == true, "\(dampings)")
    }
}
