import OptimizationTesting
import QuasiNewton
import Testing

@Suite struct ContractTests {
    /// All of the zoo, to the digits of its tables. Meyer's curve and the second penalty function take most of the steps.
    static let lbfgsAccuracy = DeclaredAccuracy(1e-12, within: 500, except: ["meyer": 1e-5, "penalty-2": 1e-7, "watson": 1e-9])
    static let broydenAccuracy = DeclaredAccuracy(1e-12, within: 500, except: ["meyer": 1e-5, "penalty-2": 1e-7])

    @Test(arguments: ZooProblem.all) func lbfgs(problem: ZooProblem) throws {
        try OptimizerConformance.check(LBFGS(), on: problem, reaching: Self.lbfgsAccuracy)
    }

    @Test(arguments: ZooProblem.all) func selfScaledBroyden(problem: ZooProblem) throws {
        try OptimizerConformance.check(SelfScaledBroyden(), on: problem, reaching: Self.broydenAccuracy)
    }

    @Test func goesOnInAFreshProcess() async throws {
        let cuts = try ZooProblem.sample.map { problem in
            [
                try OptimizerConformance.interrupted(LBFGS(memory: 5), on: problem),
                try OptimizerConformance.interrupted(SelfScaledBroyden(), on: problem),
            ]
        }
        await #expect(processExitsWith: .success) { [cuts = cuts as [[InterruptedRun]]] in
            for (cut, problem) in zip(cuts, ZooProblem.sample) {
                try cut[0].finish(LBFGS(memory: 5), on: problem)
                try cut[1].finish(SelfScaledBroyden(), on: problem)
            }
        }
    }
}
