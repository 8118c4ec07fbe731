import Globalization
import LeastSquares
import OptimizationCore
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

    /// By QR and several cut-offs, as by one: what it reaches is less, since a full step is taken where it gains at all.
    @Test(arguments: ZooProblem.sample, JacobianFactorization.allCases)
    func gaussNewtonByAdaptiveTruncation(problem: ZooProblem, factorization: JacobianFactorization) throws {
        try OptimizerConformance.check(
            GaussNewton(relativeCutoff: 1e-12, factorization: factorization, cutoffs: 8), on: problem,
            reaching: DeclaredAccuracy(1e-9, within: 300))
    }

    /// Biggs' function has a long plateau, along which the radius grows slowly.
    static let doglegAccuracy = DeclaredAccuracy(1e-9, within: 500, except: ["biggs-exp6": 0.9])

    @Test(arguments: ZooProblem.all) func dogleg(problem: ZooProblem) throws {
        try OptimizerConformance.check(Dogleg(), on: problem, reaching: Self.doglegAccuracy)
    }

    @Test(arguments: ZooProblem.all) func singularValueTrustRegion(problem: ZooProblem) throws {
        try OptimizerConformance.check(SingularValueTrustRegion(), on: problem, reaching: DeclaredAccuracy(1e-9, within: 500))
    }

    @Test(arguments: ZooProblem.sample) func variableProjection(problem: ZooProblem) throws {
        try OptimizerConformance.check(VariableProjection(), on: problem, reaching: DeclaredAccuracy(1e-9, within: 300))
    }

    @Test(arguments: ["thurber", "mgh17", "misra1a"]) func variableProjectionOfLinearParameters(name: String) throws {
        let data = try #require(NISTDataSet.named(name))
        try OptimizerConformance.check(
            VariableProjection(linearParameters: data.linearParameters), on: NISTProblem(data, start: 2), reaching: .descent())
        // The problem says which they are where the settings do not.
        let problem = NISTProblem(data, start: 2)
        var random = RandomStream(seed: 0, name: "initialization")
        let start = problem.initialParameters(from: &random)
        let (told, own) = (VariableProjection(linearParameters: data.linearParameters), VariableProjection())
        var (one, other) = (try told.start(on: problem, from: start), try own.start(on: problem, from: start))
        for _ in 0..<5 {
            _ = try told.step(&one, on: problem)
            _ = try own.step(&other, on: problem)
            #expect(one == other)
        }
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
