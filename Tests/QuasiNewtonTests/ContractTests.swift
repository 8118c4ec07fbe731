import Globalization
import OptimizationCore
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

    @Test(arguments: ZooProblem.all) func selfScaledLBFGS(problem: ZooProblem) throws {
        try OptimizerConformance.check(LBFGS(memory: 50, scaling: .selfScaled), on: problem, reaching: Self.lbfgsAccuracy)
    }

    /// Backtracking does not ensure curvature: Powell's damping makes up for it.
    @Test(arguments: ZooProblem.all) func dampedLBFGS(problem: ZooProblem) throws {
        var optimizer = LBFGS(memory: 50, lineSearch: BacktrackingArmijo())
        optimizer.damped = true
        try OptimizerConformance.check(optimizer, on: problem, reaching: Self.lbfgsAccuracy)
    }

    @Test(arguments: ZooProblem.all) func lbfgsb(problem: ZooProblem) throws {
        try OptimizerConformance.check(LBFGSB(), on: problem, reaching: Self.lbfgsAccuracy)
    }

    @Test(arguments: ZooProblem.all) func bfgs(problem: ZooProblem) throws {
        try OptimizerConformance.check(BFGS(), on: problem, reaching: Self.broydenAccuracy)
    }

    /// Curves of exponentials with curvatures far apart are where a trust region of one radius for all parameters is slow.
    @Test(arguments: ZooProblem.all) func symmetricRankOne(problem: ZooProblem) throws {
        let accuracy = DeclaredAccuracy(
            1e-12, within: 500, except: ["meyer": 1e-3, "powell-badly-scaled": 1e-5, "penalty-2": 1e-7, "watson": 1e-9])
        try OptimizerConformance.check(TrustRegionQuasiNewton(), on: problem, reaching: accuracy)
    }

    @Test(arguments: ZooProblem.all) func powellSymmetricBroyden(problem: ZooProblem) throws {
        try OptimizerConformance.check(
            TrustRegionQuasiNewton(.powellSymmetricBroyden), on: problem, reaching: DeclaredAccuracy(1e-3, within: 500))
    }

    @Test(arguments: ZooProblem.smooth) func davidonFletcherPowell(problem: ZooProblem) throws {
        try OptimizerConformance.check(SelfScaledBroyden(.dfp), on: problem, reaching: DeclaredAccuracy(0.5, within: 500))
    }

    @Test func goesOnInAFreshProcess() async throws {
        let cuts = try ZooProblem.sample.map { problem in
            [
                try OptimizerConformance.interrupted(LBFGS(memory: 5), on: problem),
                try OptimizerConformance.interrupted(SelfScaledBroyden(), on: problem),
                try OptimizerConformance.interrupted(LBFGSB(memory: 5), on: problem),
                try OptimizerConformance.interrupted(TrustRegionQuasiNewton(), on: problem),
                try OptimizerConformance.interrupted(LBFGS(memory: 5, lineSearch: NonmonotoneArmijo()), on: problem),
            ]
        }
        await #expect(processExitsWith: .success) { [cuts = cuts as [[InterruptedRun]]] in
            for (cut, problem) in zip(cuts, ZooProblem.sample) {
                try cut[0].finish(LBFGS(memory: 5), on: problem)
                try cut[1].finish(SelfScaledBroyden(), on: problem)
                try cut[2].finish(LBFGSB(memory: 5), on: problem)
                try cut[3].finish(TrustRegionQuasiNewton(), on: problem)
                try cut[4].finish(LBFGS(memory: 5, lineSearch: NonmonotoneArmijo()), on: problem)
            }
        }
    }
}
