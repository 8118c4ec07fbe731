import Curvature
import OptimizationTesting
import Testing

// Built by `check` in a package of a stranger, together with the code blocks of the guides, whose types it uses: what the guides show
// does not only compile, it works.

@Suite struct GuidedOptimizerTests {
    /// Clipped, because a fixed rate times the gradients of these functions (up to 1e6) is no method.
    @Test(arguments: ZooProblem.smooth) func firstOrderRule(problem: ZooProblem) throws {
        try OptimizerConformance.check(Clipped(NesterovMomentum(learningRate: 1e-4), norm: 1), on: problem, reaching: .descent())
    }

    @Test func fullOptimizer() throws {
        try checkContract(of: SpectralGradient(), reaching: declared)
        var registry = try Registry.withBuiltIns()
        try registry.install(SpectralGradientPlugin.self)
        #expect(registry.optimizers.last?.need == "DifferentiableProblem")
    }

    @Test func fullOptimizerInAFreshProcess() async throws {
        let cut = try OptimizerConformance.interrupted(SpectralGradient(), on: ZooProblem.wood)
        await #expect(processExitsWith: .success) { [cut = cut as InterruptedRun] in
            try cut.finish(SpectralGradient(), on: ZooProblem.wood)
        }
    }

    /// On a quadratic the step length finds the curvatures: to rounding within 50 steps (steepest descent would need about κ·ln ε = 650).
    @Test func stepLengthsOfBarzilaiAndBorwein() throws {
        let pipeline = Pipeline(minimizing: ZooProblem.linearFullRank()) {
            Stage("solve", SpectralGradient(), until: .gradientNorm(below: 1e-9) || .iterations(50))
        }
        let outcome = try pipeline.start().outcome
        #expect(outcome.name == "converged", "\(outcome)")
    }
}

@Suite struct GuidedProblemTests {
    @Test func derivatives() throws {
        try checkDerivatives(of: MembraneSetup())
        let check = try DerivativeCheck(of: Valley())
        #expect(check.passed, "\(check)")
        var registry = try Registry.withBuiltIns()
        try registry.install(MembranePlugin.self)
        #expect(registry.problems.last?.name == "membrane")
    }

    @Test func valleyTakesEveryDifferentiableMethod() throws {
        // The ridge leaves L = 9.9553e-4 at the minimum, 8.2267e-5 of the start's 12.1012: the gap counts from zero.
        try OptimizerConformance.check(LBFGS(), on: Valley(), reaching: DeclaredAccuracy(8.227e-5, within: 100))
        #expect(throws: PairingError.self) { try OptimizerConformance.check(GaussNewton(), on: Valley(), reaching: .descent()) }
    }

    /// What differences leave of the equation falls by 2⁶ with half the step.
    @Test func heatHasTheSolutionThatItStates() throws {
        let coarse = try Heat().residualsOfReference(at: [0.4, 0.3], step: 0.08)[0]
        let fine = try Heat().residualsOfReference(at: [0.4, 0.3], step: 0.04)[0]
        #expect(abs(fine) < abs(coarse) / 40, "\(coarse), \(fine)")
    }

    @Test func heatIsSolved() throws {
        let network = try MultilayerPerceptron(inputs: 2, hidden: [16, 16], outputs: 1)
        let problem = try PhysicsInformedProblem(
            Heat(), model: network, points: PointPlan(interior: 300, initial: 50, boundary: 50), seed: 1, identity: .scalar("heat"))
        let pipeline = Pipeline(minimizing: problem) { Stage("solve", LevenbergMarquardt(), until: .iterations(60)) }
        let error = try #require(try problem.referenceError(at: try pipeline.start(seed: 1).parameters.values))
        #expect(error < 1e-3, "\(error)")
    }
}

@Suite struct GuidedCallbackTests {
    private func problem() throws -> PhysicsInformedProblem {
        try #require(try PoissonOnIntervalSetup().makeProblem(seed: 1) as? PhysicsInformedProblem)
    }

    @Test func watcherStopsTheRun() throws {
        var watcher = WatchParameters()
        (watcher.cadence, watcher.limit) = (5, 1e-3)
        let result = try train(try problem(), watchedBy: watcher)
        #expect(result.outcome.name == "stopped" && result.iterations == 5, "\(result)")
        var registry = try Registry.withBuiltIns()
        try registry.install(WatchParametersPlugin.self)
        #expect(registry.callbacks.last?.name == "watch-parameters")
    }

    /// Weights 2, 4, 8 at iterations 5, 10, 15: the version rises thrice, then the bound is reached.
    @Test func weightsAreRaised() throws {
        let raise = RaiseWeight(term: "boundary", bound: 8, cadence: 5)
        let pipeline = Pipeline(minimizing: try problem()) { Stage("descend", LBFGS(), until: .iterations(30)) }
        let best = try #require(try pipeline.start(seed: 1, callbacks: [raise]).best)
        #expect(best.version == 3)
    }
}
