import Globalization
import LeastSquares
import LinearAlgebra
import OptimizationCore
import Testing

@Suite struct GaussNewtonTests {
    @Test func rosenbrockIsSolvedToRounding() throws {
        let (state, reports) = try drive(GaussNewton(), on: Residuals.rosenbrock(), from: [-1.2, 1], steps: 100)
        #expect((state.parameters.values - [1, 1]).norm <= 1e-14)
        #expect(reports.last?.verdict == .stationary)
    }

    /// A linear residual is solved by one full step, tall, wide and rank-deficient, and the rank is reported.
    @Test(arguments: [(30, 8, 8), (8, 30, 8), (20, 10, 4)]) func linearResidualsTakeOneStep(m: Int, n: Int, rank: Int) throws {
        var random = RandomStream(seed: 6, name: "gn")
        func normal(_ rows: Int, _ columns: Int) -> Matrix {
            Matrix(rows: rows, columns: columns, elements: random.normalVector(rows * columns).elements)
        }
        let a = Matrix.product(normal(m, rank), normal(rank, n))
        let b = random.normalVector(m)
        var state = try GaussNewton().start(on: Residuals.linear(a, b), from: Parameters(.zeros(n)))
        let report = try GaussNewton().step(&state, on: Residuals.linear(a, b))
        #expect(report.stepLength == 1)
        #expect(report.details.contains(.init("rank", Double(rank))))
        let svd = try SVD.factorize(a).get()
        let condition = svd.singularValues[0] / svd.singularValues[rank - 1]
        let expected = svd.solveTruncated(b, relativeTolerance: 1e-10)
        #expect((state.parameters.values - expected).norm <= 100 * Double.ulpOfOne * condition * condition * expected.norm)
    }

    /// The reason for this method: on a Jacobian of condition 1.6e13 it finds the solution, where a solve with JᵀJ, whose condition
    /// is 1e26, finds nothing of it.
    @Test func theJacobianIsNotSquared() throws {
        let n = 10
        let hilbert = Matrix(rows: (0..<n).map { i in (0..<n).map { j in 1 / Double(i + j + 1) } })
        let ones = Vector(repeating: 1, count: n)
        let problem = Residuals.linear(hilbert, hilbert.times(ones))
        let (accurate, _) = try drive(GaussNewton(relativeCutoff: 1e-15), on: problem, from: .zeros(n), steps: 5)
        let error = (accurate.parameters.values - ones).norm
        // ε·κ = 2e-16 · 1.6e13 = 4e-3, times a modest constant.
        #expect(error <= 1e-2)
        if case .success(let squared) = Cholesky.factorize(hilbert.gram) {
            let solved = squared.solve(hilbert.transposedTimes(hilbert.times(ones)))
            #expect((solved - ones).norm > 10 * error)
        }
        // Truncation at 1e-10 trades accuracy for safety: the residual stays below 1e-10·σ₁·‖x‖.
        let (truncated, reports) = try drive(GaussNewton(), on: problem, from: .zeros(n), steps: 1)
        #expect(problem.residual(at: truncated.parameters.values).norm <= 1e-10 * 1.8 * ones.norm)
        let rank = try #require(reports.first?.details.first { $0.name == "rank" }).value
        #expect(rank < 10)
    }

    @Test func storedAndContinuedIsUninterrupted() throws {
        let problem = Residuals.circle
        var whole = try GaussNewton().start(on: problem, from: Parameters([1.5, -0.5, 0.5]))
        for _ in 0..<10 {
            var resumed: GaussNewtonState = try Archive(of: whole).decoded()
            #expect(resumed == whole)
            let verdict = try GaussNewton().step(&whole, on: problem).verdict
            _ = try GaussNewton().step(&resumed, on: problem)
            #expect(resumed == whole)
            if verdict != .accepted { break }
        }
    }

    @Test func troubleIsAVerdict() throws {
        // A Jacobian that is not finite, at a point whose loss is.
        var broken = Residuals.rosenbrock()
        broken.J = { _ in Matrix(rows: [[.nan, 0], [0, 1]]) }
        var state = GaussNewtonState(
            standpoint: Standpoint(at: Parameters([-1.2, 1]), Residuals.rosenbrock().lossAndGradient(at: [-1.2, 1])))
        let before = Archive(of: state)
        guard case .brokeDown(let breakdown) = try GaussNewton().step(&state, on: broken).verdict, breakdown.reason == .linearSolver else {
            Issue.record("a broken Jacobian was not reported")
            return
        }
        #expect(Archive(of: state) == before)

        // A Jacobian of the wrong sign: no step along it descends.
        var lying = Residuals.rosenbrock()
        lying.J = { x in Matrix(rows: [[20 * x[0], -10], [1, 0]]) }
        guard case .brokeDown(let other) = try GaussNewton().step(&state, on: lying).verdict, other.reason == .lineSearch else {
            Issue.record("an ascent direction was not reported")
            return
        }
        #expect(Archive(of: state) == before)
    }

    @Test func revisionsAreEvaluatedAnew() throws {
        var (state, _) = try drive(GaussNewton(), on: Residuals.circle, from: [1.5, -0.5, 0.5], steps: 2)
        var revised = Residuals.circle
        revised.version = 1
        revised.r = { c in 2 * Residuals.circle.r(c) }
        try GaussNewton().adapt(&state, to: revised)
        #expect(state.standpoint.loss == revised.loss(at: state.parameters.values))
    }
}
