import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import QuasiNewton
import Testing

/// Every function of the zoo, badly scaled ones included, from its standard start to a known minimum, and to an end of its own accord.
@Suite struct QuasiNewtonZooTests {
    @Test(arguments: ZooProblem.all) func limitedMemoryReachesAKnownMinimum(problem: ZooProblem) throws {
        try check(try drive(LBFGS(memory: 20), on: problem, from: problem.start, steps: 1_000).reports, on: problem)
    }

    @Test(arguments: ZooProblem.all) func selfScaledBroydenReachesAKnownMinimum(problem: ZooProblem) throws {
        try check(try drive(SelfScaledBroyden(), on: problem, from: problem.start, steps: 500).reports, on: problem)
    }

    private func check(_ reports: [StepReport], on problem: ZooProblem) throws {
        let last = try #require(reports.last)
        // Tables give minima to six digits at least; those that are zero are reached to 1e-9.
        let minima = [problem.minimum].compactMap { $0 } + problem.localMinima
        #expect(minima.contains { abs(last.loss.total - $0) <= Swift.max(2e-6 * $0, 1e-9) }, "ended at \(last.loss.total)")
        if case .brokeDown(let breakdown) = last.verdict { Issue.record("broke down: \(breakdown)") }
    }
}
