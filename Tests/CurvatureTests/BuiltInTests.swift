import Curvature
import OptimizationTesting
import Testing

@Suite struct BuiltInTests {
    @Test func everyBuiltInIsInstalledOnceAndDescribesItself() throws {
        let registry = try Registry.withBuiltIns()
        let names = registry.optimizers.map(\.name)
        for name in [
            "adam", "l-bfgs", "l-bfgs-b", "bfgs", "self-scaled-broyden", "trust-region-quasi-newton", "gradient-descent",
            "barzilai-borwein",
            "heavy-ball", "nesterov", "nonlinear-cg", "levenberg-marquardt", "gauss-newton", "newton-cg", "newton-minres",
            "nystrom-newton-cg",
            "newton", "saddle-free-newton", "cubic-regularization", "trust-region",
            "natural-gradient", "hessian-free", "shampoo", "soap", "muon", "psgd-kron", "kfac", "ekfac", "schedule-free-sgd",
            "schedule-free-adamw",
            "svrg", "l-svrg", "sarah", "saga",
            "subsampled-newton-cg", "subsampled-gauss-newton", "online-l-bfgs", "progressive-l-bfgs", "adahessian", "sophia", "sketchy-sgd",
            "stochastic-trust-region",
        ] { #expect(names.contains(name)) }
        let entries: [any RegistryEntry] = registry.optimizers + registry.problems + registry.callbacks
        for entry in entries {
            #expect(!entry.summary.isEmpty && entry.name == entry.name.lowercased())
            #expect(entry.schema.allSatisfy { !$0.meaning.isEmpty && !$0.range.isEmpty }, "\(entry.name)")
        }
        #expect(Set(entries.map(\.name)).count == entries.count)
    }

    /// Settings written out and read back make the same settings: what a stored configuration relies on.
    @Test func settingsOfEveryOptimizerSurviveARoundTrip() throws {
        let registry = try Registry.withBuiltIns()
        for entry in registry.optimizers {
            guard let optimizer = try registry.optimizer(.scalar(entry.name)) as? any Configurable else { continue }
            let again = try registry.optimizer(optimizer.settings) as? any Configurable
            #expect(again?.settings == optimizer.settings, "\(entry.name)")
        }
    }

    @Test func theWrongOptimizerIsRefusedByNameWithThoseThatFit() throws {
        let registry = try Registry.withBuiltIns()
        let problem = try registry.problem(.scalar("logistic-regression")).makeProblem(seed: 0)
        func refuse<P: Problem>(_ problem: P) throws {
            let pipeline = Pipeline(minimizing: problem, stages: [Stage(dynamic: "solve", GaussNewton(), until: .iterations(1))])
            _ = try pipeline.preflight(suggestingFrom: registry)
        }
        let error = #expect(throws: PairingError.self) { try refuse(problem) }
        let text = try #require(error).description
        #expect(text.contains("needs a LeastSquaresProblem"))
        #expect(text.contains("offers DifferentiableProblem"))
        #expect(error?.fitting.contains("l-bfgs") == true && error?.fitting.contains("levenberg-marquardt") == false)
    }

    /// A stationary end says what the method measured and the threshold that it is at or below, in a resumed run too.
    @Test func aStationaryEndSaysWhy() throws {
        let methods: [any Optimizer] = [
            LBFGS(), LBFGSB(), BFGS(), SelfScaledBroyden(), TrustRegionQuasiNewton(), ConjugateGradient(), LevenbergMarquardt(),
            GaussNewton(), NewtonCG(), NewtonMINRES(), NystromNewtonCG(), Newton(), SaddleFreeNewton(), CubicRegularization(),
            TrustRegion(), TrustRegion(.exact, learning: SecantModel(.dampedBFGS)),
            NaturalGradient(), HessianFree(),
        ]
        for method in methods {
            func stage<O: Optimizer>(_ method: O) -> Stage<ZooProblem> { Stage(dynamic: "only", method, until: .iterations(3000)) }
            let pipeline = Pipeline(minimizing: ZooProblem.helicalValley, stages: [stage(method)])
            let run = try pipeline.begin()
            while run.outcome == nil, run.lastReport?.verdict != .stationary { try run.advance() }
            let snapshot = run.snapshot()
            let outcome = try run.finish().outcome
            guard case .converged(let finding) = outcome else {
                Issue.record("\(type(of: method)): \(outcome)")
                continue
            }
            #expect(finding.relation == "≤" && finding.measured <= finding.threshold && finding.threshold.isFinite, "\(finding)")
            #expect(outcome.description.hasSuffix("✓"))
            #expect(try pipeline.restore(from: snapshot).finish().outcome == outcome)
        }
    }

    /// Methods that take several products with one J or H hold the forward passes that the engine keeps for these; others do not.
    @Test func thePreflightCountsKeptForwardPasses() throws {
        let problem = try FaultTests.network()
        let kept = problem.operatorMemory
        #expect(kept > 0)
        func held<O: Optimizer>(_ optimizer: O) throws -> Int? {
            let stage = Stage<PhysicsInformedProblem>(dynamic: "only", optimizer, until: .iterations(1))
            let own = optimizer.workingMemory(parameters: problem.layout.count, residuals: problem.residualCount)
            let line = try Pipeline(minimizing: problem, stages: [stage]).preflight().stages[0]
            return line.bytes.flatMap { all in own.map { all - $0 } }
        }
        #expect(try held(NewtonCG()) == kept)
        #expect(try held(HessianFree()) == kept)
        #expect(try held(LBFGS()) == 0)
        #expect(try held(NaturalGradient(momentum: .spring(SPRINGMomentum()))) != kept)
    }

    /// The preflight tells the cost of a step of every built-in method beside the bytes that it holds.
    @Test func thePreflightTellsTheCostOfAStep() throws {
        let registry = try Registry.withBuiltIns()
        func preflight<P: DifferentiableProblem>(of names: [String], on problem: P) throws -> Preflight {
            let stages = try names.map { name in
                func stage<O: Optimizer>(_ optimizer: O) -> Stage<P> { Stage(dynamic: name, optimizer, until: .iterations(1)) }
                return stage(try registry.optimizer(.scalar(name)))
            }
            return try Pipeline(minimizing: problem, stages: stages).preflight()
        }
        let fitting = registry.optimizers(fitting: ZooProblem.rosenbrock)
        let onPlane = try preflight(of: fitting, on: ZooProblem.rosenbrock)
        // What needs layers is asked on a network.
        let others = registry.optimizers.map(\.name).filter { !fitting.contains($0) }
        let stages = try onPlane.stages + preflight(of: others, on: try FaultTests.network()).stages
        for line in stages { #expect((line.cost?.flops ?? 0) > 0 && line.bytes != nil, "\(line.stage)") }
        #expect(stages.count == registry.optimizers.count && others.contains("kfac"))
        // P = 2 and N = 2: Adam at 10P flops, self-scaled Broyden at 7P².
        #expect(onPlane.description.contains("adam, holds 1 KiB, a step takes 1 gradient + 20 flop, until"), "\(onPlane)")
        #expect(onPlane.description.contains("a step takes 1 gradient + 28 flop, until"))
        #expect(onPlane.description.contains("a step takes 1 linearization + 31 losses + 1 gradient + 32 flop, until"))
        let clipped = Clipped(Adam(), norm: 1).stepCost(parameters: 1_000, residuals: nil)
        #expect(clipped?.description == "1 gradient + 12 kflop")
        let averaged = Averaged(Accumulated(Adam(), over: 4)).stepCost(parameters: 1_000, residuals: nil)
        #expect(averaged?.description == "1 gradient + 1 loss + 6.5 kflop")
        #expect(Batched(Adam(), size: 4).stepCost(parameters: 1_000, residuals: nil)?.description == "1 gradient of a batch + 10 kflop")
    }
}
