import LeastSquares
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

/// Robust losses and bounds as wrappers of a problem.
@Suite struct WrapperTests {
    private let line = Residuals(
        name: "line", parameterCount: 2, residualCount: 21,
        r: { b in
            // y = 1 + 2x with alternating errors of 0.1, and two outliers.
            Vector(
                (0...20).map { i in
                    let x = Double(i) / 10
                    let y = 1 + 2 * x + (i % 2 == 0 ? 0.1 : -0.1) + (i == 4 ? 30 : i == 17 ? -50 : 0)
                    return b[0] + b[1] * x - y
                })
        },
        J: { _ in Matrix(rows: (0...20).map { [1, Double($0) / 10] }) })

    @Test(arguments: RobustLoss.allCases) func robustLossesHaveRightDerivatives(loss: RobustLoss) throws {
        let problem = RobustProblem(ZooProblem.kowalikOsborne, loss: loss, scale: 0.02)
        let check = try DerivativeCheck(of: problem, at: [0.3, 0.5, 0.2, 0.6])
        #expect(check.passed, "\(check)")
        // Small residuals count as they are.
        let mild = RobustProblem(ZooProblem.kowalikOsborne, loss: loss, scale: 1e6)
        let (a, b) = (try mild.loss(at: [0.3, 0.5, 0.2, 0.6]).total, ZooProblem.kowalikOsborne.loss(at: [0.3, 0.5, 0.2, 0.6]).total)
        #expect(abs(a - b) <= 1e-9 * b)
    }

    @Test func robustLossesForgiveOutliers() throws {
        func fit(_ problem: any LeastSquaresProblem, from start: Vector) throws -> Vector {
            try drive(LevenbergMarquardt(), on: problem, from: start, steps: 200).state.parameters.values
        }
        #expect(abs(try fit(line, from: [0, 0])[1] - 2) > 5)
        // Huber's loss is convex; those that flatten far out begin where it ends.
        let convex = try fit(RobustProblem(line, loss: .huber, scale: 0.3), from: [0, 0])
        for loss in RobustLoss.allCases {
            let robust = try fit(RobustProblem(line, loss: loss, scale: 0.3), from: convex)
            #expect(abs(robust[0] - 1) < 0.2 && abs(robust[1] - 2) < 0.2, "\(loss): \(robust)")
        }
    }

    /// Huber's loss where |r| is beyond a: ½ρ = a|r| − ½a².
    @Test func hubersLossIsLinearFarOut() throws {
        let problem = RobustProblem(Residuals.linear(Matrix(rows: [[1]]), [0]), loss: .huber, scale: 0.5)
        #expect(try problem.loss(at: [3]).total == 0.5 * 3 - 0.125)
        #expect(try abs(problem.lossAndGradient(at: [-3]).gradient[0] + 0.5) <= 1e-15)
        #expect(try problem.loss(at: [0.25]).total == 0.5 * 0.0625)
    }

    @Test func boundedProblemsHaveRightDerivatives() throws {
        let problem = BoundedProblem(ZooProblem.wood, lower: [-5, -3, -.infinity, -.infinity], upper: [2, .infinity, 4, .infinity])
        let check = try DerivativeCheck(of: problem, at: [0.3, -0.7, 1.2, 0.4])
        #expect(check.passed, "\(check)")
        let x: Vector = [-3, -1, -3, -1]
        #expect((problem.parameters(at: problem.unbounded(x)) - x).norm <= 1e-14)
    }

    /// Rosenbrock's function in x₁ ≤ ½ has its least value on that bound, at (½, ¼); in x₁ ≤ 2 inside, at (1, 1).
    @Test(arguments: [(0.5, 0.5, 0.25), (2.0, 1.0, 1.0)]) func minimaOnAndWithinBounds(bound: Double, first: Double, second: Double) throws
    {
        let problem = BoundedProblem(ZooProblem.rosenbrock, lower: [-2, -.infinity], upper: [bound, .infinity])
        var random = RandomStream(seed: 0, name: "initialization")
        let start = problem.initialParameters(from: &random).values
        let (state, reports) = try drive(LevenbergMarquardt(), on: problem, from: start, steps: 300)
        let x = problem.parameters(at: state.parameters.values)
        #expect(abs(x[0] - first) <= 1e-6 && abs(x[1] - second) <= 1e-6, "\(x), \(reports.count) steps")
        #expect(x[0] <= bound)
        #expect(reports.last?.verdict == .stationary)
    }
}
