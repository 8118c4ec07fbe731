import LinearAlgebra
import OptimizationCore
import Testing

@Suite struct BatchedRunTests {
    private func pipeline(until rule: StoppingRule, size: Int = 1) -> Pipeline<Clouds> {
        var pipeline = Pipeline(minimizing: Clouds()) {
            Stage("stir", Batched(Clipped(Steepest(rate: 0.2, momentum: 0.3), norm: 20), size: size), until: rule)
        }
        pipeline.monitorCadence = 7
        return pipeline
    }

    @Test func resumedInTheMiddleOfAnEpochEqualsUninterrupted() throws {
        let pipeline = pipeline(until: .stalled(over: 14, relativeDecrease: -10) || .iterations(47), size: 3)
        let expected = try pipeline.begin(seed: 2)
        _ = try expected.finish()
        for cut in [1, 2, 5, 7, 20, 29, 46] {
            let first = try pipeline.begin(seed: 2)
            for _ in 0..<cut { try first.advance() }
            let resumed = try pipeline.restore(from: first.snapshot())
            let result = try resumed.finish()
            var (one, other) = (resumed.snapshot(), expected.snapshot())
            for clock in ["seconds", "secondsInStage"] {
                one.remove(clock)
                other.remove(clock)
            }
            // The summaries hold seconds too: all but them is compared bit by bit.
            #expect(one.differences(from: other).filter { !$0.hasSuffix("/seconds") } == [])
            #expect(result.best == expected.result.best)
        }
    }

    @Test func theBestPointIsTheBestByTheWholeLoss() throws {
        let run = try pipeline(until: .iterations(50)).begin()
        var (smallestOnABatch, measured) = (Double.infinity, [Double]())
        while run.outcome == nil {
            try run.advance()
            guard run.outcome == nil else { break }
            smallestOnABatch = min(smallestOnABatch, run.lastReport?.loss.total ?? .infinity)
            if run.result.iterations == 1 || run.result.iterations % 7 == 0 || run.result.iterations == 50 {
                measured.append(Clouds().loss(at: run.parameters.values).total)
            }
        }
        let best = try #require(run.result.best)
        #expect(best.value == Clouds().loss(at: best.parameters.values).total)
        #expect(best.value == measured.min())
        #expect(smallestOnABatch < best.value)
        #expect(run.result.stages[0].loss == Clouds().loss(at: run.parameters.values).total)
    }

    @Test func rulesOnTheLossMeasureTheWholeLoss() throws {
        // The minimum of the whole loss is at θ* = ½(4.5 + 101); batches reach lower.
        let minimum = Clouds().loss(at: [52.75]).total
        let never = try pipeline(until: .loss(below: minimum - 1) || .iterations(200)).start()
        #expect(never.stages[0].iterations == 200)
        let run = try pipeline(until: .loss(below: minimum + 100) || .iterations(200)).begin()
        _ = try run.finish()
        guard case .converged(let finding) = run.result.outcome else {
            Issue.record("ended with \(run.result.outcome)")
            return
        }
        #expect(finding.measured == Clouds().loss(at: run.parameters.values).total)
        #expect(run.result.stages[0].iterations % 7 == 0 && run.result.stages[0].iterations < 200)
    }

    @Test func rulesOnTheGradientMeasureTheWholeGradient() throws {
        let run = try pipeline(until: .gradientNorm(below: 10) || .iterations(200)).begin()
        _ = try run.finish()
        guard case .converged(let finding) = run.result.outcome else {
            Issue.record("ended with \(run.result.outcome)")
            return
        }
        #expect(finding.measured == Clouds().lossAndGradient(at: run.parameters.values).gradient.norm)
    }

    @Test func aStageAfterBatchesComparesItsLossesWithTheWholeLoss() throws {
        let pipeline = Pipeline(minimizing: Clouds()) {
            Stage("stir", Batched(Steepest(rate: 0.2), size: 1), until: .iterations(30))
            Stage("settle", Steepest(rate: 0.2), until: .iterations(100))
        }
        let best = try #require(try pipeline.start().best)
        #expect(best.stage == 1)
        // L = L* + (θ − θ*)²: points are told apart down to the rounding of L's 13 terms.
        let minimum = Clouds().loss(at: [52.75]).total
        #expect(abs(best.parameters.values[0] - 52.75) < (13 * minimum.ulp).squareRoot())
    }

    @Test func batchesOfAProblemWithoutSamplesAreRefusedBeforeTheFirstStep() {
        let pipeline = Pipeline(minimizing: Bowl(), stages: [Stage(dynamic: "stir", Batched(Steepest(), size: 1), until: .iterations(1))])
        let error = #expect(throws: PairingError.self) { try pipeline.preflight() }
        #expect(error?.need == "DifferentiableProblem & SampledProblem")
    }
}

@Suite struct WrapperSettingsTests {
    private func registry() throws -> Registry {
        var registry = Registry()
        try registry.register(optimizer: Steepest.self)
        try registry.register(optimizer: Patient.self)
        return registry
    }

    private let written = Setting.map([
        .init("name", .scalar("steepest")), .init("rate", .number(0.25)), .init("clipNorm", .number(2)),
        .init(
            "batch", .map([.init("size", .integer(64)), .init("sizes", .map([.init("b", .integer(2))])), .init("holding", .integer(3))])),
    ])

    @Test func wrappersAreSettingsBesideTheMethodsOwn() throws {
        let optimizer = try #require(try registry().optimizer(written) as? Batched<Clipped<Steepest>>)
        #expect(optimizer.base.base.rate == 0.25 && optimizer.base.norm == 2)
        #expect(optimizer.batches == BatchSettings(size: 64, sizes: [SampleSet(name: "b", count: 2)], holding: 3))
        #expect(try registry().optimizer(.scalar("steepest")) is Steepest)
    }

    @Test func boundsLieWithinTheBatches() throws {
        let setting = written.setting(["bounds"], to: .map([.init("x", .list([.scalar("-inf"), .number(2)]))]))
        let optimizer = try #require(try registry().optimizer(setting) as? Batched<Bounded<Clipped<Steepest>>>)
        #expect(optimizer.base.bounds.entries.map(\.upper) == [2] && optimizer.base.bounds.entries[0].lower == -.infinity)
        let again = try #require(try registry().optimizer(optimizer.settings) as? Batched<Bounded<Clipped<Steepest>>>)
        #expect(again.settings == optimizer.settings)
    }

    @Test func whatAWrapperWritesIsReadBackAlike() throws {
        let optimizer = Batched(Clipped(Steepest(rate: 0.5, momentum: 0.25), norm: 3), size: 8, holding: 2, seed: 4)
        let again = try #require(try registry().optimizer(optimizer.settings) as? Batched<Clipped<Steepest>>)
        #expect(again.settings == optimizer.settings)
        #expect(again.base.base.momentum == 0.25 && again.batches.seed == 4)
    }

    @Test func theStagesIdentityHoldsTheWrappersSettings() {
        let stage = Stage<Clouds>("stir", Batched(Clipped(Steepest(), norm: 3), size: 8), until: .iterations(1))
        #expect(stage.optimizer["clipNorm"]?.text == "3.0")
        #expect(stage.optimizer["batch"]?["size"]?.text == "8")
    }

    @Test func wrongSettingsAreRefusedWithTheirPlace() throws {
        let registry = try registry()
        func error(_ path: [String], _ value: Setting) -> ConfigurationError? {
            #expect(throws: ConfigurationError.self) { try registry.optimizer(written.setting(path, to: value)) }
        }
        #expect(error(["batch", "size"], .integer(0))?.path == "optimizer.batch.size")
        #expect(error(["batch", "holding"], .scalar("long"))?.path == "optimizer.batch.holding")
        #expect(error(["batch", "sizes", "b"], .integer(-1))?.path == "optimizer.batch.sizes.b")
        #expect(error(["batch", "sise"], .integer(1))?.reason.contains("size") == true)
        #expect(error(["clipNorm"], .number(0))?.path == "optimizer.clipNorm")
        #expect(error(["rate"], .number(-1))?.path == "optimizer.rate")
    }

    @Test func clippingAMethodThatIsNotFirstOrderIsRefused() throws {
        let error = #expect(throws: ConfigurationError.self) {
            try registry().optimizer(.map([.init("name", .scalar("patient")), .init("clipNorm", .number(1))]))
        }
        #expect(error?.reason.contains("is not a setting of patient") == true)
    }

    @Test func aMethodsOwnSettingOfThatNameIsItsOwn() throws {
        let optimizer = try registry().optimizer(.map([.init("name", .scalar("patient")), .init("batch", .integer(5))]))
        #expect((optimizer as? Patient)?.batch == 5)
    }
}

/// An optimizer, not first-order, with a setting of its own named `batch`.
private struct Patient: Optimizer, Configurable {
    var batch = 1

    static let identifier = "patient"
    static let summary = "Stands still."
    static var fields: [Field<Patient>] { [.integer("batch", \.batch, meaning: "what it waits for")] }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> Descent.State {
        Descent.State(parameters: parameters, gradient: [])
    }

    func step(_ state: inout Descent.State, on problem: any DifferentiableProblem) throws -> StepReport {
        StepReport(loss: try problem.loss(at: state.parameters.values), verdict: .rejected)
    }
}

@Suite struct ClippedTests {
    @Test func longGradientsAreShortenedAndKeepTheirDirection() {
        let method = Clipped(Steepest(rate: 1), norm: 2)
        var memory = method.start(count: 2)
        var g: Vector = [30, -40]
        method.update(&g, at: [0, 0], step: 1, memory: &memory)
        // One division and one product an entry: two roundings, 2⁻⁵² relative.
        #expect(abs(g[0] - 1.2) <= 1.2 * 0x1p-52 && abs(g[1] + 1.6) <= 1.6 * 0x1p-52)
        #expect(memory.clippings == 1)
        g = [0.3, -0.4]
        method.update(&g, at: [0, 0], step: 2, memory: &memory)
        #expect(g == [0.3, -0.4] && memory.clippings == 1)
        g = [0, 0]
        method.update(&g, at: [0, 0], step: 3, memory: &memory)
        #expect(g == [0, 0] && memory.clippings == 1)
    }

    @Test func stepsAreBoundedWhereTheBasesAreNot() throws {
        let (free, bound) = (Steepest(rate: 1e-3), Clipped(Steepest(rate: 1e-3), norm: 5))
        var (a, b) = (try free.start(on: Bowl(), from: Parameters([4, -3])), try bound.start(on: Bowl(), from: Parameters([4, -3])))
        let (one, other) = (try free.step(&a, on: Bowl()), try bound.step(&b, on: Bowl()))
        // ‖g‖ = ‖(3, −500)‖ at the start.
        #expect((one.stepLength ?? 0) > 0.5)
        let length = try #require(other.stepLength)
        #expect(abs(length - 5e-3) <= 5e-3 * 0x1p-50)
        #expect(other.gradientNorm == Bowl().lossAndGradient(at: b.parameters.values).gradient.norm)
    }

    @Test func aBoundThatIsNeverReachedChangesNothing() throws {
        let (free, bound) = (Steepest(rate: 1e-3, momentum: 0.9), Clipped(Steepest(rate: 1e-3, momentum: 0.9), norm: 1e6))
        var (a, b) = (try free.start(on: Bowl(), from: Parameters([4, -3])), try bound.start(on: Bowl(), from: Parameters([4, -3])))
        for _ in 0..<50 {
            _ = try free.step(&a, on: Bowl())
            _ = try bound.step(&b, on: Bowl())
        }
        #expect(a.parameters == b.parameters)
    }

    @Test func theBasesMemoryLiesUnderBase() throws {
        let method = Clipped(Clipped(Steepest(rate: 0.1, momentum: 0.5), norm: 2), norm: 3)
        var state = try method.start(on: Bowl(), from: Parameters([4, -3]))
        for _ in 0..<3 { _ = try method.step(&state, on: Bowl()) }
        let archive = Archive(of: state)
        let inner = try archive.group("memory").group("base").group("base")
        #expect(try inner.vector("mean") == state.memory.base.base.mean)
        #expect(try Archive(of: archive.decoded(as: FirstOrderState<ClippedMemory<ClippedMemory<Steepest.Memory>>>.self)) == archive)
    }
}
