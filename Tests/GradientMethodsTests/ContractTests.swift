import Globalization
import GradientMethods
import OptimizationCore
import OptimizationTesting
import Testing

/// What methods of gradients reach in 300 steps on the zoo. Where curvatures are far apart (exponentials, bad scaling) that is a part of the
/// way; Broyden's banded function has a local minimum where exact searches along gradients end, at 8.5e-3 of the start.
@Suite struct GradientMethodContractTests {
    static let stiff = ["meyer": 0.5, "powell-badly-scaled": 0.9, "brown-badly-scaled": 0.995, "osborne-1": 0.5, "gulf": 0.7]

    private static func accuracy(_ gap: Double, _ exceptions: [String: Double] = [:]) -> DeclaredAccuracy {
        DeclaredAccuracy(gap, within: 300, except: stiff.merging(["broyden-banded": 1e-2]) { $1 }.merging(exceptions) { $1 })
    }

    @Test(arguments: ZooProblem.all) func gradientDescent(problem: ZooProblem) throws {
        try OptimizerConformance.check(GradientDescent(), on: problem, reaching: Self.accuracy(0.3))
    }

    @Test(arguments: ZooProblem.all) func barzilaiBorwein(problem: ZooProblem) throws {
        try OptimizerConformance.check(BarzilaiBorwein(), on: problem, reaching: Self.accuracy(0.2))
    }

    @Test(arguments: ZooProblem.all) func heavyBall(problem: ZooProblem) throws {
        try OptimizerConformance.check(HeavyBall(), on: problem, reaching: Self.accuracy(0.3))
    }

    @Test(arguments: ZooProblem.all) func nesterov(problem: ZooProblem) throws {
        try OptimizerConformance.check(Nesterov(), on: problem, reaching: Self.accuracy(0.2))
    }

    @Test(arguments: ZooProblem.all) func conjugateGradient(problem: ZooProblem) throws {
        try OptimizerConformance.check(ConjugateGradient(), on: problem, reaching: Self.accuracy(1e-3))
    }

    @Test(arguments: ConjugacyFormula.allCases, ZooProblem.sample) func everyFormula(formula: ConjugacyFormula, problem: ZooProblem) throws
    {
        let optimizer = ConjugateGradient(formula, preconditioner: .diagonal)
        try OptimizerConformance.check(optimizer, on: problem, reaching: Self.accuracy(1e-3))
    }

    @Test func goesOnInAFreshProcess() async throws {
        let cuts = try ZooProblem.sample.map { problem in
            [
                try OptimizerConformance.interrupted(GradientDescent(), on: problem),
                try OptimizerConformance.interrupted(BarzilaiBorwein(), on: problem),
                try OptimizerConformance.interrupted(HeavyBall(), on: problem),
                try OptimizerConformance.interrupted(Nesterov(), on: problem),
                try OptimizerConformance.interrupted(ConjugateGradient(.hagerZhang, preconditioner: .diagonal), on: problem),
            ]
        }
        await #expect(processExitsWith: .success) { [cuts = cuts as [[InterruptedRun]]] in
            for (cut, problem) in zip(cuts, ZooProblem.sample) {
                try cut[0].finish(GradientDescent(), on: problem)
                try cut[1].finish(BarzilaiBorwein(), on: problem)
                try cut[2].finish(HeavyBall(), on: problem)
                try cut[3].finish(Nesterov(), on: problem)
                try cut[4].finish(ConjugateGradient(.hagerZhang, preconditioner: .diagonal), on: problem)
            }
        }
    }
}
