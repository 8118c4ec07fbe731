import Globalization
import LeastSquares
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

/// Every function of the zoo, badly scaled ones included, from its standard start to a known minimum, and to an end of its own accord.
@Suite struct LevenbergMarquardtZooTests {

    @Test(arguments: ZooProblem.all) func dampingByTheIdentityReachesAKnownMinimum(problem: ZooProblem) throws {
        try check(try drive(LevenbergMarquardt(), on: problem, from: problem.start, steps: 300).reports, on: problem)
    }

    /// To eight digits of the answers; a gradient below 1e-10 where the least loss is zero.
    @Test(arguments: ZooProblem.all) func theDefaultEndsAtAMinimum(problem: ZooProblem) throws {
        let (state, reports) = try drive(LevenbergMarquardt(), on: problem, from: problem.start, steps: 1000)
        let (loss, gradient) = (state.standpoint.loss.total, state.standpoint.gradient.norm)
        let reached = ([problem.minimum].compactMap { $0 } + problem.localMinima).contains { minimum in
            if minimum == 0 { return gradient <= 1e-10 && loss <= 1e-8 }
            return abs(loss - minimum) <= 1e-8 * minimum
        }
        #expect(reached, "ended at f = \(2 * loss) with ‖g‖ = \(gradient), \(reports.count) steps")
    }

    @Test(arguments: ZooProblem.all) func marquardtsScalingReachesAKnownMinimum(problem: ZooProblem) throws {
        let optimizer = LevenbergMarquardt(damping: NielsenDamping(), scaling: .marquardt, solver: .jacobian)
        try check(try drive(optimizer, on: problem, from: problem.start, steps: 300).reports, on: problem)
    }

    private func check(_ reports: [StepReport], on problem: ZooProblem) throws {
        let last = try #require(reports.last)
        // Tables give minima to six digits at least; those that are zero are reached to 1e-9.
        let minima = [problem.minimum].compactMap { $0 } + problem.localMinima
        #expect(minima.contains { abs(last.loss.total - $0) <= Swift.max(2e-6 * $0, 1e-9) }, "ended at \(last.loss.total)")
        if case .brokeDown(let breakdown) = last.verdict { Issue.record("broke down: \(breakdown)") }
    }
}
