import Globalization
import LeastSquares
import OptimizationTesting
import Testing

@Suite struct ContractTests {
    /// All of the zoo, to the digits of its tables.
    static let marquardtAccuracy = DeclaredAccuracy(1e-12, within: 300)
    static let scaledAccuracy = DeclaredAccuracy(1e-12, within: 300)
    /// Without damping: exact where the residual vanishes or the model holds, and stuck where it is large and curved (Freudenstein and
    /// Roth, Jennrich and Sampson, Chebyquad, Biggs, the second penalty function of ten variables) or J loses its rank on the way (Gulf).
    static let gaussNewtonAccuracy = DeclaredAccuracy(
        1e-12, within: 300,
        except: [
            "freudenstein-roth": 0.03, "jennrich-sampson": 0.9, "gulf": 0.2, "biggs-exp6": 0.8, "chebyquad": 0.9, "penalty-2": 0.01,
            "brown-dennis": 1e-4,
        ])

    @Test(arguments: ZooProblem.all) func levenbergMarquardt(problem: ZooProblem) throws {
        try OptimizerConformance.check(LevenbergMarquardt(), on: problem, reaching: Self.marquardtAccuracy)
    }

    @Test(arguments: ZooProblem.all) func levenbergMarquardtWithScaling(problem: ZooProblem) throws {
        try OptimizerConformance.check(
            LevenbergMarquardt(damping: ClassicalDamping(), scaling: .marquardt), on: problem, reaching: Self.scaledAccuracy)
    }

    @Test(arguments: ZooProblem.all) func gaussNewton(problem: ZooProblem) throws {
        try OptimizerConformance.check(GaussNewton(), on: problem, reaching: Self.gaussNewtonAccuracy)
    }

    @Test func goesOnInAFreshProcess() async throws {
        let cuts = try ZooProblem.sample.map { problem in
            [
                try OptimizerConformance.interrupted(LevenbergMarquardt(), on: problem),
                try OptimizerConformance.interrupted(GaussNewton(), on: problem),
            ]
        }
        await #expect(processExitsWith: .success) { [cuts = cuts as [[InterruptedRun]]] in
            for (cut, problem) in zip(cuts, ZooProblem.sample) {
                try cut[0].finish(LevenbergMarquardt(), on: problem)
                try cut[1].finish(GaussNewton(), on: problem)
            }
        }
    }
}
