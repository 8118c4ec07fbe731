import Curvature
import Foundation
import OptimizationTesting
import Synchronization
import Testing

/// Every registered problem passes the problems' suite, at sizes that let all products be formed.
@Suite(.serialized) struct BuiltInProblemTests {
    /// Settings by name, and revisions that act on the problem.
    private static let cases:
        [(name: String, problem: @Sendable () throws -> any Problem, revisions: @Sendable (any Problem) throws -> [any Revision])] = [
            ("test-function", { try TestFunction("wood").makeProblem(seed: 1) }, { _ in [] }),
            ("nist-regression", { try NISTRegression("thurber").makeProblem(seed: 1) }, { _ in [] }),
            ("logistic-regression", { try SyntheticLogisticRegression(samples: 41, heldOut: 10).makeProblem(seed: 1) }, { _ in [] }),
            ("softmax-regression", { try SoftmaxRegressionSetup().makeProblem(seed: 1) }, { _ in [] }),
            ("multi-frequency-regression", { try MultiFrequencyRegression().makeProblem(seed: 1) }, { _ in [] }),
            ("noisy-regression", { try NoisyRegression().makeProblem(seed: 1) }, { _ in [] }),
            (
                "deep-ritz-1d", { try DeepRitzSetup().makeProblem(seed: 1) },
                { _ in
                    let uneven = (0...20).map { Double($0 * $0) / 400 }
                    return [
                        QuadratureRevision(try CompositeGaussLegendre(mesh: uneven, nodesPerElement: 3)),
                        QuadratureRevision(try CompositeGaussLegendre(elements: 31, nodesPerElement: 5)),
                    ]
                }
            ),
            ("weak-poisson-1d", { try WeakPoissonSetup().makeProblem(seed: 1) }, { _ in [] }),
            (
                "poisson-1d",
                {
                    var setup = PoissonOnIntervalSetup()
                    setup.points.interior = 63
                    return try setup.makeProblem(seed: 1)
                }, { try revisions(of: $0) }
            ),
            (
                "poisson-2d",
                {
                    var setup = PoissonOnSquareSetup()
                    setup.network = PerceptronSettings(width: 8, depth: 2)
                    setup.points = PointPlan(interior: 70, boundary: 20)
                    return try setup.makeProblem(seed: 1)
                }, { try revisions(of: $0) }
            ),
            (
                "poisson-cube",
                {
                    var setup = PoissonOnCubeSetup()
                    (setup.dimension, setup.solution) = (4, .products)
                    setup.network = PerceptronSettings(width: 8, depth: 2)
                    setup.points = PointPlan(interior: 60, boundary: 24)
                    return try setup.makeProblem(seed: 1)
                }, { try revisions(of: $0) }
            ),
            (
                "helmholtz-2d",
                {
                    var setup = HelmholtzSetup()
                    setup.network = PerceptronSettings(width: 9, depth: 2)
                    setup.points = PointPlan(interior: 70, boundary: 20)
                    return try setup.makeProblem(seed: 1)
                }, { try revisions(of: $0) }
            ),
            (
                "allen-cahn",
                {
                    var setup = AllenCahnSetup()
                    setup.network = PerceptronSettings(width: 8, depth: 2)
                    setup.points = PointPlan(interior: 60, initial: 11, boundary: 12, monitor: 50)
                    return try setup.makeProblem(seed: 1)
                }, { try revisions(of: $0) }
            ),
            (
                "convection",
                {
                    var setup = ConvectionSetup()
                    setup.network = PerceptronSettings(width: 8, depth: 2)
                    setup.points = PointPlan(interior: 60, initial: 11, boundary: 12, monitor: 50)
                    return try setup.makeProblem(seed: 1)
                }, { try revisions(of: $0) }
            ),
            (
                "reaction",
                {
                    var setup = ReactionSetup()
                    setup.conditions = .hard
                    setup.network = PerceptronSettings(width: 8, depth: 2)
                    setup.points = PointPlan(interior: 60, boundary: 12, monitor: 50)
                    return try setup.makeProblem(seed: 1)
                }, { try revisions(of: $0) }
            ),
            (
                "wave",
                {
                    var setup = WaveSetup()
                    setup.network = PerceptronSettings(width: 8, depth: 2)
                    setup.points = PointPlan(interior: 60, initial: 22, boundary: 12, monitor: 50)
                    return try setup.makeProblem(seed: 1)
                }, { try revisions(of: $0) }
            ),
            ("burgers", { try smallBurgers() }, { try revisions(of: $0) }),
            (
                "heat",
                {
                    var setup = HeatSetup()
                    (setup.dimension, setup.solution) = (3, .sum)
                    setup.network = PerceptronSettings(width: 8, depth: 2)
                    setup.points = PointPlan(interior: 60, initial: 11, boundary: 12, monitor: 50)
                    return try setup.makeProblem(seed: 1)
                }, { try revisions(of: $0) }
            ),
            (
                "log-fokker-planck",
                {
                    var setup = LogFokkerPlanckSetup()
                    setup.dimension = 3
                    setup.network = PerceptronSettings(width: 8, depth: 2)
                    setup.points = PointPlan(interior: 60, initial: 15, monitor: 50)
                    return try setup.makeProblem(seed: 1)
                }, { try revisions(of: $0) }
            ),
            (
                "antiderivative",
                {
                    var setup = Antiderivative()
                    (setup.functions, setup.validationFunctions, setup.testFunctions) = (9, 3, 4)
                    (setup.sensors, setup.points, setup.network.features) = (12, 10, 5)
                    (setup.network.branchWidth, setup.network.trunkWidth) = (6, 6)
                    return try setup.makeProblem(seed: 1)
                }, { _ in [] }
            ),
        ]

    /// Other points of the equation, then other weights.
    private static func revisions(of problem: any Problem) throws -> [any Revision] {
        guard let problem = problem as? PhysicsInformedProblem else { return [] }
        var random = RandomStream(seed: 3, name: "revision")
        let (first, last) = (problem.terms[0], problem.terms[problem.terms.count - 1])
        let count = problem.sampleSets[0].count
        return [
            PointRevision(term: first, points: try problem.candidates(count, for: first, sampling: .uniform, random: &random)),
            PointWeightRevision(term: first, weights: .slabs(axis: 0, [1, 0.5, 0.1])),
            WeightRevision([(last, 2.5)]),
        ]
    }

    @Test(arguments: cases.map(\.name)) func conforms(name: String) throws {
        let entry = try #require(Self.cases.first { $0.name == name })
        let problem = try entry.problem()
        func check<P: Problem>(_ problem: P) throws { try ProblemConformance.check(problem, revisions: try entry.revisions(problem)) }
        try check(problem)
    }

    @Test func everyProblemIsTried() throws {
        #expect(Set(try Registry.withBuiltIns().problems.map(\.name)) == Set(Self.cases.map(\.name)))
    }
}

private func smallBurgers() throws -> PhysicsInformedProblem {
    var setup = BurgersSetup()
    setup.network = PerceptronSettings(width: 7, depth: 2)
    setup.points = PointPlan(interior: 60, initial: 11, boundary: 12, monitor: 50)
    guard let problem = try setup.makeProblem(seed: 1) as? PhysicsInformedProblem else {
        throw PhysicsError("the problem burgers is not physics-informed")
    }
    return problem
}

/// Every built-in optimizer passes the optimizers' suite on witnesses of other kinds than the zoo's too, and goes on in a fresh process:
/// a network's loss, an energy, samples in batches, functions. What it reaches on the zoo is declared beside its own tests.
@Suite(.serialized) struct BuiltInOptimizerTests {
    /// Problem, optimizer and batches by their settings: what is made twice, in two processes, is equal.
    struct Pairing: Codable, Sendable, CustomTestStringConvertible {
        var optimizer: String
        var problem: String
        var batch: Int?
        /// Of those that have several.
        var model: String?
        /// Other settings: a path and what stands there.
        var others: [String: Double] = [:]
        var testDescription: String {
            "\(optimizer)\(model.map { " (\($0))" } ?? "")\(batch.map { ", batches of \($0)" } ?? "") on \(problem)"
                + others.keys.sorted().map { ", \($0)" }.joined()
        }

        init(_ optimizer: String, _ problem: String, batch: Int? = nil, model: String? = nil, _ others: [String: Double] = [:]) {
            (self.optimizer, self.problem, self.batch, self.model, self.others) = (optimizer, problem, batch, model, others)
        }

        func makeOptimizer() throws -> any Optimizer {
            var setting = Setting.map([.init("name", .scalar(optimizer))])
            if let batch {
                setting = setting.setting(["batch", "size"], to: .integer(batch))
                // Variance-reduced methods draw a batch for each step.
                if !["svrg", "l-svrg", "sarah", "saga"].contains(optimizer) {
                    setting = setting.setting(["batch", "holding"], to: .integer(2))
                }
            }
            if let model { setting = setting.setting(["model"], to: .scalar(model)) }
            for (path, value) in others.sorted(by: { $0.key < $1.key }) {
                let number = Int(exactly: value).map(Setting.integer) ?? .number(value)
                setting = setting.setting(path.split(separator: "/").map(String.init), to: number)
            }
            if optimizer == "adam", problem == "logistic-regression" { setting = setting.setting(["clipNorm"], to: .number(0.2)) }
            return try Registry.withBuiltIns().optimizer(setting)
        }

        func makeProblem() throws -> any DifferentiableProblem {
            switch problem {
            case "burgers": return try smallBurgers()
            case "deep-ritz-1d":
                var setup = DeepRitzSetup()
                setup.network = PerceptronSettings(width: 6, depth: 1)
                return try setup.problem()
            case "logistic-regression":
                return try SyntheticLogisticRegression(samples: 60, classes: TwoGaussians(features: 4)).problem(seed: 2)
            default:
                var setup = Antiderivative()
                (setup.functions, setup.validationFunctions, setup.testFunctions) = (9, 3, 4)
                (setup.sensors, setup.points, setup.network.features) = (12, 10, 5)
                (setup.network.branchWidth, setup.network.trunkWidth) = (6, 6)
                return try setup.makeOperatorProblem(seed: 1)
            }
        }

        func check() throws {
            func check<P: DifferentiableProblem, O: Optimizer>(_ problem: P, _ optimizer: O) throws {
                try OptimizerConformance.check(optimizer, on: problem, reaching: .descent(), steps: 10)
            }
            try check(try makeProblem(), try makeOptimizer())
        }

        func interrupted() throws -> InterruptedRun {
            func cut<P: DifferentiableProblem, O: Optimizer>(_ problem: P, _ optimizer: O) throws -> InterruptedRun {
                try OptimizerConformance.interrupted(optimizer, on: problem, steps: 10, seed: 3)
            }
            return try cut(try makeProblem(), try makeOptimizer())
        }

        func finish(_ run: InterruptedRun) throws {
            func finish<P: DifferentiableProblem, O: Optimizer>(_ problem: P, _ optimizer: O) throws {
                try run.finish(optimizer, on: problem)
            }
            try finish(try makeProblem(), try makeOptimizer())
        }
    }

    static let pairings = [
        Pairing("adam", "burgers", batch: 16), Pairing("l-bfgs", "burgers", batch: 30), Pairing("self-scaled-broyden", "burgers"),
        Pairing("levenberg-marquardt", "burgers"), Pairing("gauss-newton", "burgers"), Pairing("dogleg", "burgers"),
        Pairing("singular-value-trust-region", "burgers"), Pairing("variable-projection", "burgers"), Pairing("adam", "deep-ritz-1d"),
        Pairing("l-bfgs", "deep-ritz-1d"), Pairing("self-scaled-broyden", "deep-ritz-1d"),
        Pairing("adam", "logistic-regression", batch: 20),
        Pairing("l-bfgs", "logistic-regression", batch: 40), Pairing("adam", "antiderivative", batch: 3),
        Pairing("l-bfgs", "antiderivative"), Pairing("levenberg-marquardt", "antiderivative"), Pairing("gauss-newton", "antiderivative"),
        Pairing("bfgs", "burgers"), Pairing("bfgs", "logistic-regression", batch: 40), Pairing("l-bfgs-b", "burgers", batch: 30),
        Pairing("l-bfgs-b", "deep-ritz-1d"), Pairing("trust-region-quasi-newton", "burgers"),
        Pairing("trust-region-quasi-newton", "deep-ritz-1d"), Pairing("gradient-descent", "burgers"),
        Pairing("gradient-descent", "logistic-regression", batch: 20), Pairing("barzilai-borwein", "burgers"),
        Pairing("barzilai-borwein", "deep-ritz-1d"), Pairing("heavy-ball", "antiderivative"), Pairing("heavy-ball", "deep-ritz-1d"),
        Pairing("nesterov", "burgers"), Pairing("nesterov", "logistic-regression"), Pairing("nonlinear-cg", "burgers"),
        Pairing("nonlinear-cg", "antiderivative"), Pairing("nonlinear-cg", "logistic-regression", batch: 20),
        Pairing("newton-cg", "burgers"), Pairing("newton-cg", "deep-ritz-1d"), Pairing("newton-cg", "logistic-regression", batch: 40),
        Pairing("newton-minres", "burgers"), Pairing("newton-minres", "deep-ritz-1d"), Pairing("nystrom-newton-cg", "burgers"),
        Pairing("nystrom-newton-cg", "logistic-regression"), Pairing("newton", "deep-ritz-1d"),
        Pairing("newton", "logistic-regression", batch: 40), Pairing("saddle-free-newton", "burgers"),
        Pairing("saddle-free-newton", "deep-ritz-1d"), Pairing("cubic-regularization", "burgers"),
        Pairing("cubic-regularization", "logistic-regression"), Pairing("trust-region", "burgers"), Pairing("trust-region", "deep-ritz-1d"),
        Pairing("trust-region", "logistic-regression", batch: 40), Pairing("trust-region", "burgers", model: "quasi-newton"),
        Pairing("trust-region", "antiderivative", model: "quasi-newton"), Pairing("trust-region", "antiderivative", model: "gauss-newton"),
        Pairing("trust-region", "logistic-regression", batch: 40, model: "quasi-newton"),
        Pairing("sgd", "logistic-regression", batch: 20), Pairing("adagrad", "burgers"), Pairing("rmsprop", "burgers", batch: 16),
        Pairing("adadelta", "burgers"), Pairing("adamw", "antiderivative", batch: 3), Pairing("amsgrad", "burgers"),
        Pairing("nadam", "burgers"), Pairing("radam", "burgers"), Pairing("adabelief", "deep-ritz-1d"), Pairing("lion", "burgers"),
        Pairing("adan", "logistic-regression", batch: 20),
        Pairing("schedule-free-sgd", "logistic-regression", batch: 20), Pairing("schedule-free-adamw", "burgers"),
        Pairing("schedule-free-adamw", "burgers", batch: 16, ["clipNorm": 1, "accumulate": 2]),
        Pairing("adam", "burgers", batch: 16, ["average/after": 2, "accumulate": 2, "plateau/patience": 1, "plateau/every": 2]),
        Pairing("adamw", "burgers", ["blocks/*.biases/weightDecay": 0, "blocks/layer1.*/rate": 0.5, "average/after": 1]),
        Pairing("soap", "burgers", ["blocks/layer1.*/rate": 0, "clipNorm": 0.5]),
        Pairing("l-bfgs", "logistic-regression", batch: 40, ["average/after": 1]),
        Pairing("natural-gradient", "burgers"), Pairing("natural-gradient", "burgers", batch: 30),
        Pairing("natural-gradient", "antiderivative"), Pairing("natural-gradient", "deep-ritz-1d"),
        Pairing("natural-gradient", "deep-ritz-1d", batch: 32), Pairing("hessian-free", "deep-ritz-1d"), Pairing("hessian-free", "burgers"),
        Pairing("hessian-free", "burgers", batch: 30),
        Pairing("hessian-free", "antiderivative"),
        Pairing("shampoo", "burgers"), Pairing("shampoo", "antiderivative", batch: 3), Pairing("soap", "burgers", batch: 16),
        Pairing("soap", "deep-ritz-1d"), Pairing("muon", "burgers"), Pairing("muon", "logistic-regression", batch: 20),
        Pairing("psgd-kron", "burgers"), Pairing("psgd-kron", "antiderivative", batch: 3),
        Pairing("kfac", "burgers"), Pairing("kfac", "burgers", batch: 30), Pairing("ekfac", "burgers"),
        Pairing("ekfac", "burgers", batch: 30),
        Pairing("svrg", "logistic-regression", batch: 20), Pairing("svrg", "burgers", batch: 30),
        Pairing("svrg", "antiderivative", batch: 3),
        Pairing("l-svrg", "logistic-regression", batch: 20), Pairing("l-svrg", "burgers", batch: 30),
        Pairing("sarah", "logistic-regression", batch: 20), Pairing("sarah", "antiderivative", batch: 3),
        Pairing("saga", "logistic-regression", batch: 20), Pairing("saga", "antiderivative", batch: 3),
        Pairing("subsampled-newton-cg", "burgers", batch: 30), Pairing("subsampled-newton-cg", "logistic-regression"),
        Pairing("subsampled-gauss-newton", "burgers", batch: 30), Pairing("subsampled-gauss-newton", "antiderivative", batch: 3),
        Pairing("online-l-bfgs", "logistic-regression", batch: 20), Pairing("stochastic-trust-region", "logistic-regression"),
        Pairing("progressive-l-bfgs", "burgers", batch: 30), Pairing("progressive-l-bfgs", "logistic-regression", batch: 16),
        Pairing("adahessian", "burgers"), Pairing("adahessian", "logistic-regression", batch: 20), Pairing("sophia", "deep-ritz-1d"),
        Pairing("sophia", "burgers", batch: 30), Pairing("sketchy-sgd", "logistic-regression"),
        Pairing("stochastic-trust-region", "burgers"),
    ]

    @Test(arguments: pairings) func conforms(pairing: Pairing) throws { try pairing.check() }

    @Test func goOnInAFreshProcess() async throws {
        let cuts = try Self.pairings.map { try $0.interrupted() }
        await #expect(processExitsWith: .success) { [cuts = cuts as [InterruptedRun]] in
            for (cut, pairing) in zip(cuts, BuiltInOptimizerTests.pairings) { try pairing.finish(cut) }
        }
    }

    @Test func everyOptimizerIsTried() throws {
        #expect(Set(try Registry.withBuiltIns().optimizers.map(\.name)) == Set(Self.pairings.map(\.optimizer)))
    }
}

/// Every setting of whatever is registered refuses what its listing says that it does not take, in its own name.
@Suite struct BuiltInSettingsTests {
    private func failures(of value: Any) -> [String] {
        guard let value = value as? any Configurable else { return ["\(type(of: value)) has no settings"] }
        return SettingsConformance.failures(of: value)
    }

    @Test func ofOptimizers() throws {
        let registry = try Registry.withBuiltIns()
        for entry in registry.optimizers { #expect(failures(of: try registry.optimizer(.scalar(entry.name))) == [], "\(entry.name)") }
        #expect(SettingsConformance.failures(of: Batched(Clipped(Adam(), norm: 1), size: 3)) == [])
        let wrapped = Averaged(Bounded(Plateau(Accumulated(PerBlock(AdamW(), [.init("*", rate: 0.5)]), over: 2)), ParameterBounds()))
        #expect(SettingsConformance.failures(of: wrapped) == [])
    }

    @Test func ofProblems() throws {
        let registry = try Registry.withBuiltIns()
        for entry in registry.problems { #expect(failures(of: try registry.problem(.scalar(entry.name))) == [], "\(entry.name)") }
    }

    @Test func ofCallbacks() throws {
        let registry = try Registry.withBuiltIns()
        for entry in registry.callbacks { #expect(failures(of: try registry.callback(.scalar(entry.name))) == [], "\(entry.name)") }
    }
}

/// Every built-in callback passes the callbacks' suite, with settings by which it acts within the suite's steps.
@Suite(.serialized) struct BuiltInCallbackTests {
    @Test func residualAdaptiveResampling() throws {
        try CallbackConformance.check(on: try smallBurgers()) { ResidualAdaptiveResampling(every: 3, pool: 200) }
    }

    @Test func causalWeights() throws {
        try CallbackConformance.check(on: try smallBurgers()) { CausalWeights(every: 3, slabs: 6, causality: [0.1, 10]) }
    }

    @Test func recordedErrors() throws {
        try CallbackConformance.check(on: ZooProblem.wood) { RecordReferenceError(every: 2) }
        try CallbackConformance.check(on: try smallBurgers()) { RecordReferenceError(every: 5) }
        try CallbackConformance.check(on: try smallBurgers()) { RecordMonitorLoss(every: 3) }
    }

    @Test func diagnostics() throws {
        try CallbackConformance.check(on: try smallBurgers()) { RecordSpectrum(every: 5, probes: 2, steps: 4) }
        try CallbackConformance.check(on: ZooProblem.wood) { RecordSpectrum(every: 3, probes: 1, steps: 9) }
        try CallbackConformance.check(on: try smallBurgers()) { RecordTermGradients(every: 3) }
        try CallbackConformance.check(on: ZooProblem.wood) { RecordJacobianRank(every: 2) }
    }

    /// With a patience that lasts to the end, and with one that ends the run.
    @Test(arguments: [(100, 0.0), (2, 0.9)]) func earlyStop(patience: Int, improvement: Double) throws {
        try CallbackConformance.check(on: ZooProblem.wood) {
            EarlyStop(.referenceError, every: 1, patience: patience, minimumImprovement: improvement)
        }
        try CallbackConformance.check(on: try smallBurgers()) {
            EarlyStop(.monitorLoss, every: 2, patience: patience, minimumImprovement: improvement)
        }
    }

    @Test func gracefulInterrupt() throws { try CallbackConformance.check(on: ZooProblem.wood) { GracefulInterrupt() } }

    @Test func progressBar() throws {
        try CallbackConformance.check(on: ZooProblem.wood) { ProgressBar(isTerminal: true, write: { _ in }) }
    }

    @Test func trajectory() throws {
        let folders = Folders()
        try CallbackConformance.check(on: try smallBurgers(), reopen: { RecordTrajectory(in: $0.folder, referenceErrorEvery: 2) }) {
            RecordTrajectory(in: try folders.next(), referenceErrorEvery: 2)
        }
    }

    @Test func checkpoints() throws {
        let folders = Folders()
        try CallbackConformance.check(
            on: ZooProblem.wood, clockEntries: ["lastSeconds"], reopen: { WriteCheckpoints(in: $0.folder, every: .iterations(3)) }
        ) { WriteCheckpoints(in: try folders.next(), every: .iterations(3)) }
    }

    @Test func everyCallbackIsTried() throws {
        let registered = try Registry.withBuiltIns().callbacks.map(\.name)
        #expect(
            Set(registered) == [
                "residual-adaptive-resampling", "causal-weights", "reference-error", "monitor-loss", "early-stop", "spectrum",
                "term-gradients",
                "jacobian-rank",
            ])
    }

    /// Empty run folders, removed with their maker.
    private final class Folders: Sendable {
        private let path = FileManager.default.temporaryDirectory.appendingPathComponent("curvature-\(UUID().uuidString)").path
        private let made = Mutex(0)

        func next() throws -> RunFolder {
            let number = made.withLock {
                $0 += 1; return $0
            }
            return try RunFolder.create("\(path)/\(number)")
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }
    }
}
