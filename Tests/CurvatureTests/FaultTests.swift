import Curvature
import Foundation
import OptimizationTesting
import Synchronization
import Testing

/// NaN and infinity in the middle of whole pipelines: a breakdown that says where, a state that was not touched, and the recovery as
/// an event in the run's file.
@Suite struct FaultTests {
    // MARK: Faults in evaluations

    /// An optimizer as the first stage of a pipeline on a problem whose evaluations can be made to go wrong.
    struct Method: Sendable, CustomTestStringConvertible {
        /// How a run went, with what the watch saw.
        struct Course {
            var result: RunResult
            var seen: Watch.Seen
            var term: String
        }

        var name: String
        var run: @Sendable (FaultInjector.Kind, _ iteration: Int, _ healthy: Int, RecoveryPolicy, RunFolder) throws -> Course
        var testDescription: String { name }

        init(_ name: String, _ optimizer: some Optimizer, samples: Bool = false, layers: Bool = false) {
            self.name = name
            run = { kind, iteration, healthy, policy, folder in
                func run<P: DifferentiableProblem>(_ base: P) throws -> Course {
                    let problem = FaultInjecting(base)
                    let watch = Watch(problem.injector, arming: kind, atIteration: iteration, after: healthy)
                    let pipeline = Pipeline(
                        minimizing: problem,
                        stages: [
                            Stage(dynamic: name, optimizer, until: .iterations(30), onBreakdown: policy),
                            Stage(dynamic: "last", Adam(), until: .iterations(3)),
                        ])
                    let result = try pipeline.start(seed: 1, callbacks: [watch, RecordTrajectory(in: folder)])
                    return Course(result: result, seen: watch.seen.withLock { $0 }, term: problem.terms[0])
                }
                if layers { return try run(try FaultTests.network()) }
                guard samples else { return try run(ZooProblem.named("extended-rosenbrock") ?? .rosenbrock) }
                return try run(try SyntheticLogisticRegression(samples: 60, classes: TwoGaussians(features: 4)).problem(seed: 2))
            }
        }
    }

    static func network() throws -> PhysicsInformedProblem {
        var setup = PoissonOnSquareSetup()
        setup.network = PerceptronSettings(width: 5, depth: 1)
        setup.points = PointPlan(interior: 40, boundary: 12)
        guard let problem = try setup.makeProblem(seed: 1) as? PhysicsInformedProblem else { throw PhysicsError("no network") }
        return problem
    }

    private static var sketched: SingularValueTrustRegion {
        var method = SingularValueTrustRegion()
        method.sketch = 3
        return method
    }

    static let methods = [
        Method("adam", Adam(learningRate: 1e-2)), Method("l-bfgs", LBFGS()), Method("self-scaled-broyden", SelfScaledBroyden()),
        Method("levenberg-marquardt", LevenbergMarquardt()), Method("gauss-newton", GaussNewton()),
        Method("dogleg", Dogleg()), Method("singular-value-trust-region", SingularValueTrustRegion()),
        Method("sketched-trust-region", sketched), Method("variable-projection", VariableProjection(linearParameters: [1, 3])),
        Method("levenberg-marquardt-lsmr", LevenbergMarquardt(damping: DelayedGratification(), scaling: .marquardt, solver: .lsmr)),
        Method("l-bfgs-b", LBFGSB()), Method("bfgs", BFGS()), Method("trust-region-quasi-newton", TrustRegionQuasiNewton()),
        Method("gradient-descent", GradientDescent()), Method("barzilai-borwein", BarzilaiBorwein()), Method("heavy-ball", HeavyBall()),
        Method("nesterov", Nesterov()), Method("nonlinear-cg", ConjugateGradient()), Method("newton-cg", NewtonCG()),
        Method("newton-minres", NewtonMINRES()), Method("nystrom-newton-cg", NystromNewtonCG()), Method("newton", Newton()),
        Method("saddle-free-newton", SaddleFreeNewton()), Method("cubic-regularization", CubicRegularization()),
        Method("trust-region", TrustRegion()), Method("trust-region-exact", TrustRegion(.exact)),
        Method("trust-region-structured", TrustRegion(.exact, model: .structuredSecant)),
        Method("trust-region-learnt", TrustRegion(.gltr, learning: SecantModel())),
        Method("trust-region-limited", TrustRegion(.exact, learning: SecantModel(.dampedBFGS, memory: 5))),
        Method("bounded", Bounded(LevenbergMarquardt(), ParameterBounds(["all": -5...5]))),
        Method("natural-gradient", NaturalGradient()),
        Method("spring", NaturalGradient(momentum: .spring(SPRINGMomentum()), stepLength: .fixed(CappedRate()))),
        Method("natural-gradient-full", NaturalGradient(damping: NielsenDamping(), momentum: .spring(SPRINGMomentum(decay: 0.3)))),
        Method("hessian-free", HessianFree()), Method("shampoo", Shampoo(), layers: true), Method("soap", SOAP(), layers: true),
        Method("muon", Muon(learningRate: 1e-3), layers: true), Method("psgd-kron", PSGDKron(), layers: true),
        Method("kfac", KFAC(), layers: true),
        Method("kfac-automatic", KFAC(stepLength: .automatic(QuadraticModelStep())), layers: true),
        Method("ekfac", EKFAC(), layers: true),
        Method(
            "subsampled-newton-cg",
            SubsampledNewtonCG(batch: BatchSettings(size: 20), curvatureBatch: BatchSettings(size: 12), sampleSize: NormTest(tolerance: 1)),
            samples: true),
        Method(
            "subsampled-gauss-newton",
            SubsampledGaussNewton(batch: BatchSettings(size: 20), probeBatch: BatchSettings(size: 16, holding: 3)), layers: true),
        Method("subsampled-kernel", SubsampledGaussNewton(batch: BatchSettings(size: 20, holding: 2), solver: .kernel), layers: true),
        Method("online-l-bfgs", OnlineLBFGS(batch: BatchSettings(size: 20)), samples: true),
        Method("online-l-bfgs-same", OnlineLBFGS(batch: BatchSettings(size: 20), pairs: .sameSample), samples: true),
        Method("progressive-l-bfgs", ProgressiveLBFGS(batch: BatchSettings(size: 16)), samples: true),
        Method("adahessian", AdaHessian(learningRate: 1e-2)), Method("sophia", Sophia()),
        Method(
            "sketchy-sgd", SketchySGD(batch: BatchSettings(size: 20), curvatureBatch: BatchSettings(size: 30), refresh: 2), samples: true),
        Method(
            "stochastic-trust-region",
            StochasticTrustRegion(
                batch: BatchSettings(size: 20), curvatureBatch: BatchSettings(size: 12), probeBatch: BatchSettings(size: 20)),
            samples: true),
        Method("clipped", Clipped(Adam(learningRate: 1e-2), norm: 1)),
        Method("averaged", Averaged(Adam(learningRate: 1e-2), .mean(after: 1))),
        Method("plateau", Plateau(Adam(learningRate: 1e-2), PlateauSettings(factor: 0.5, patience: 0))),
        Method("by-blocks", PerBlock(Adam(learningRate: 1e-2), [.init("x", rate: 0.5)])),
        Method("schedule-free-sgd", Clipped(ScheduleFreeSGD(learningRate: 1e-3), norm: 1)),
        Method("schedule-free-adamw", ScheduleFreeAdamW()),
        Method("accumulated", Batched(Accumulated(Adam(learningRate: 1e-2), over: 3), size: 20), samples: true),
        Method("averaged-lbfgs", Batched(Averaged(LBFGS()), size: 20, holding: 5), samples: true),
        Method("batched", Batched(Adam(learningRate: 1e-2), size: 20, holding: 2), samples: true),
        Method("batched-lbfgs", Batched(LBFGS(), size: 20, holding: 5), samples: true),
        Method("svrg", SVRG(learningRate: 0.1, snapshotEvery: 0.7, batch: RandomBatchSettings(size: 20)), samples: true),
        Method("l-svrg", LooplessSVRG(learningRate: 0.1, batch: RandomBatchSettings(size: 20)), samples: true),
        Method("sarah", SARAH(learningRate: 0.1, batch: RandomBatchSettings(size: 20)), samples: true),
        Method("saga", SAGA(learningRate: 0.1, batch: RandomBatchSettings(size: 20)), samples: true),
        Method("saga-batches", SAGA(learningRate: 0.1, table: .batches, batch: RandomBatchSettings(size: 20)), samples: true),
    ]

    @Test(arguments: methods, FaultInjector.Kind.allCases) func inEvaluations(_ method: Method, kind: FaultInjector.Kind) throws {
        for (iteration, healthy) in [(0, 0), (0, 1), (1, 0), (3, 1), (4, 2)] {
            for policy in [RecoveryPolicy.handOver, .restart(atMost: 2), .clearMemory(atMost: 2), .shrink(atMost: 2), .stop] {
                let folder = try Folder()
                let course = try method.run(kind, iteration, healthy, policy, folder.run)
                let (result, seen) = (course.result, course.seen)
                let events = try folder.events()
                let place = "\(method.name), \(kind) after iteration \(iteration), evaluation \(healthy + 1), \(policy): \(events)"
                #expect(seen.breakdowns.count == 1, "\(place)")
                #expect(seen.movedAtBreakdown == false, "the breakdown moved the parameters: \(place)")
                #expect(result.parameters.values.isFinite && result.stages.allSatisfy { $0.loss != nil }, "\(place)")
                // The term and the place of the fault, in the verdict and in the run's file.
                let fault = seen.breakdowns.first?.fault
                #expect(fault?.term == course.term && fault?.sample.hasPrefix("injected fault ") == true, "\(place)")
                let named = "term “\(course.term)” at injected fault "
                let ends = events.filter { $0.event == "stage ended" && $0.detail.contains("\(method.name): broke down: ") }
                #expect(ends.count == 1 && ends[0].detail.contains(named), "\(place)")
                let recoveries = events.filter { $0.event == "recovered" }
                #expect(recoveries.allSatisfy { $0.detail.contains(named) }, "\(place)")
                switch policy {
                case .handOver:
                    #expect(recoveries.count == 1 && recoveries[0].detail.hasSuffix("hands over from the best point"), "\(place)")
                    #expect(result.stages.map(\.name) == [method.name, "last"], "\(place)")
                case .restart:
                    #expect(recoveries.count == 1 && recoveries[0].detail.hasSuffix("begins anew from the best point"), "\(place)")
                    #expect(result.stages.map(\.name) == [method.name, method.name, "last"], "\(place)")
                case .clearMemory:
                    #expect(
                        recoveries.count == 1 && recoveries[0].detail.hasSuffix("goes on where it stands, its memory cleared"), "\(place)")
                    #expect(result.stages.map(\.name) == [method.name, method.name, "last"], "\(place)")
                case .shrink:
                    // A method without a step to shorten hands over.
                    let shortens = recoveries.first?.detail.hasSuffix("goes on where it stands with shorter steps") == true
                    #expect(
                        recoveries.count == 1 && (shortens || recoveries[0].detail.hasSuffix("hands over from the best point")), "\(place)")
                    #expect(
                        result.stages.map(\.name) == (shortens ? [method.name, method.name, "last"] : [method.name, "last"]), "\(place)")
                case .stop:
                    #expect(recoveries.isEmpty && result.stages.count == 1, "\(place)")
                    guard case .brokeDown = result.outcome else {
                        Issue.record("the run did not end with the breakdown: \(place)")
                        continue
                    }
                }
                guard policy != .stop, case .brokeDown = result.outcome else { continue }
                Issue.record("the run did not recover: \(place)")
            }
        }
    }

    // MARK: Faults in points and data

    /// u″ + 1/x = 0 on [0, 1]: infinite at x = 0 only, where no point is drawn.
    struct Singular: PDEProblem {
        var name: String { "singular" }
        var domain: Domain { .box(x: 0...1) }
        var conditions: [Condition] { [.dirichlet(at: .x(1), 0)] }
        func residuals(_ u: Fields, at p: Point) -> [Residual] { [Residual("singular", u[0].xx + 1 / p.x)] }
    }

    private func singular() throws -> PhysicsInformedProblem {
        let model = try MultilayerPerceptron(inputs: 1, hidden: [4], outputs: 1)
        let plan = PointPlan(interior: 10, boundary: 1, monitor: 0, sampling: .grid)
        return try PhysicsInformedProblem(Singular(), model: model, points: plan, seed: 1, identity: .scalar("singular"))
    }

    @Test func aBadPointIsNamed() throws {
        for (name, optimizer) in [
            ("adam", Adam() as any Optimizer), ("l-bfgs", LBFGS()), ("lm", LevenbergMarquardt()), ("gn", GaussNewton()),
            ("natural-gradient", NaturalGradient()), ("hessian-free", HessianFree()), ("soap", SOAP()), ("kfac", KFAC()),
            ("ekfac", EKFAC()),
            ("self-scaled-broyden", SelfScaledBroyden()), ("clipped", Clipped(Adam(), norm: 1)),
            // One of the two batches of an epoch has the bad point.
            ("batched", Batched(Adam(), size: 5)), ("svrg", SVRG(learningRate: 1e-3, batch: RandomBatchSettings(size: 5))),
            ("saga", SAGA(learningRate: 1e-3, batch: RandomBatchSettings(size: 5))),
        ] {
            let folder = try Folder()
            func stage<O: Optimizer>(_ optimizer: O) throws -> Stage<PhysicsInformedProblem> {
                Stage(dynamic: name, optimizer, until: .iterations(8), onBreakdown: .restart(atMost: 1))
            }
            let pipeline = Pipeline(minimizing: try singular(), stages: [try stage(optimizer)])
            let result = try pipeline.start(seed: 1, callbacks: [MovePoint(to: 0), RecordTrajectory(in: folder.run)])
            let events = try folder.events()
            guard case .brokeDown(let breakdown) = result.outcome else {
                Issue.record("\(name): \(result.outcome), \(events)")
                continue
            }
            #expect(breakdown.reason == .nonFinite && breakdown.fault?.term == "singular", "\(name): \(breakdown)")
            #expect(breakdown.fault?.sample.contains("x = 0") == true, "\(name): \(breakdown)")
            #expect(
                events.contains { $0.event == "recovered" && $0.detail.contains("singular") && $0.detail.contains("x = 0") }, "\(events)")
            #expect(result.parameters.values.isFinite)
        }
    }

    @Test(arguments: [Double.nan, .infinity, 7]) func pointsOutsideTheDomainAreRefused(_ x: Double) throws {
        let pipeline = Pipeline(minimizing: try singular(), stages: [Stage(dynamic: "only", Adam(), until: .iterations(8))])
        let error = #expect(throws: PhysicsError.self) { try pipeline.start(seed: 1, callbacks: [MovePoint(to: x)]) }
        #expect(error?.description.contains("term “singular” lies outside the domain") == true, "\(String(describing: error))")
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity]) func aBadDatumIsNamed(_ bad: Double) throws {
        var random = RandomStream(seed: 1, name: "samples")
        let drawn = TwoGaussians(features: 3).samples(20, from: &random)
        var features = drawn.features
        features.elements[3 * 13 + 1] = bad
        let problem = try LogisticRegression(LabelledSamples(features: features, labels: drawn.labels), regularization: 1e-3)
        let folder = try Folder()
        let pipeline = Pipeline(
            minimizing: problem,
            stages: [
                Stage(dynamic: "l-bfgs", LBFGS(), until: .iterations(5)), Stage(dynamic: "adam", Adam(), until: .iterations(5)),
            ])
        let result = try pipeline.start(seed: 1, callbacks: [RecordTrajectory(in: folder.run)])
        #expect(result.stages.count == 2)
        for stage in result.stages {
            guard case .brokeDown(let breakdown) = stage.outcome else {
                Issue.record("\(stage.name): \(stage.outcome)")
                continue
            }
            #expect(breakdown.fault == Fault(term: "log-loss", sample: "sample 13"), "\(breakdown)")
        }
        #expect(result.parameters.values.elements == [0, 0, 0, 0], "the start was not left")
        #expect(try folder.events().contains { $0.event == "recovered" && $0.detail.contains("sample 13") })
    }

    @Test func aBadTargetIsRefused() throws {
        struct Holed: PDEProblem {
            var name: String { "holed" }
            var domain: Domain { .box(x: 0...1) }
            var conditions: [Condition] { [.dirichlet(at: .x(1), .nan)] }
            func residuals(_ u: Fields, at p: Point) -> [Residual] { [Residual("holed", u[0].xx)] }
        }
        let model = try MultilayerPerceptron(inputs: 1, hidden: [4], outputs: 1)
        let error = #expect(throws: PhysicsError.self) {
            try PhysicsInformedProblem(Holed(), model: model, points: PointPlan(interior: 5), seed: 1, identity: .scalar("holed"))
        }
        #expect(error?.description.contains("must be finite") == true, "\(String(describing: error))")
    }
}

// MARK: Support

/// Makes evaluations go wrong after some iteration until the run recovers, and watches what a breakdown leaves.
struct Watch: Callback {
    struct Seen {
        var breakdowns: [Breakdown] = []
        var movedAtBreakdown = false
        var parameters: Vector?
        var isDone = false
    }

    let injector: FaultInjector
    let kind: FaultInjector.Kind
    let iteration: Int
    let healthy: Int
    let seen = Box()

    final class Box: Sendable {
        private let value = Mutex(Seen())
        func withLock<R: Sendable>(_ body: (inout Seen) -> R) -> R { value.withLock { body(&$0) } }
    }

    init(_ injector: FaultInjector, arming kind: FaultInjector.Kind, atIteration iteration: Int, after healthy: Int) {
        (self.injector, self.kind, self.iteration, self.healthy) = (injector, kind, iteration, healthy)
    }

    var name: String { "watch" }

    func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) throws -> [RunRequest] {
        let here = observation.parameters.values
        switch event {
        case .stageStarted where iteration == 0 && observation.totalIteration == 0: arm(here)
        case .stepTaken(let report):
            if case .brokeDown(let breakdown) = report.verdict {
                seen.withLock {
                    $0.breakdowns.append(breakdown)
                    $0.movedAtBreakdown = $0.parameters.map { $0.elements.map(\.bitPattern) != here.elements.map(\.bitPattern) } ?? false
                }
                injector.disarm()
            } else {
                seen.withLock { $0.parameters = here }
                if observation.totalIteration == iteration { arm(here) }
            }
        default: break
        }
        return []
    }

    private func arm(_ here: Vector) {
        let isFirst = seen.withLock { seen in
            defer { (seen.isDone, seen.parameters) = (true, here) }
            return !seen.isDone
        }
        if isFirst { injector.arm(kind, after: healthy) }
    }
}

/// Moves the first point of the interior after three steps.
private struct MovePoint: Callback {
    let x: Double

    init(to x: Double) { self.x = x }

    var name: String { "move-point" }
    var identity: Setting? { .number(x) }

    func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) throws -> [RunRequest] {
        guard case .stepTaken = event, observation.totalIteration == 3 else { return [] }
        guard let problem = observation.problem as? PhysicsInformedProblem else { return [] }
        var points = try problem.points(of: "singular")
        points.elements[0] = x
        return [.revise(PointRevision(term: "singular", points: points, reason: "a bad point"))]
    }
}

/// A run's folder that is removed with the test.
private final class Folder {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("curvature-\(UUID().uuidString)").path
    let run: RunFolder

    init() throws { run = try RunFolder.create(path) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func events() throws -> [(event: String, detail: String)] {
        let file = try run.readableFile()
        return Array(zip(try file.texts("event", in: .events), try file.texts("detail", in: .events)))
    }
}
