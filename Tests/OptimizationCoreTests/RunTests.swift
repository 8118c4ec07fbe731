import LinearAlgebra
import OptimizationCore
import Synchronization
import Testing

/// Writes down every event of a run, and asks for checkpoints, revisions and a stop when it is told to.
struct Recorder: Callback {
    final class Log: Sendable {
        private let lines = Mutex<[String]>([])
        private let archives = Mutex<[Archive]>([])
        var events: [String] { lines.withLock { $0 } }
        var checkpoints: [Archive] { archives.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
        func add(_ archive: Archive) { archives.withLock { $0.append(archive) } }
    }

    /// Its own state: how many steps it has seen.
    struct State: Checkpointable {
        var steps = 0
        init() {}
        func encode(into archive: inout Archive) { archive.set("steps", steps) }
        init(from archive: Archive) throws { steps = try archive.integer("steps") }
    }

    let log = Log()
    var name = "recorder"
    var checkpointsAt: Set<Int> = []
    var movesAt: [Int: Vector] = [:]
    var stopsAt: Int?
    var checkpointsAtEnd = false
    var identity: Setting? { movesAt.isEmpty ? nil : .map([.init("moves", .integer(movesAt.count))]) }

    func start(in observation: Observation) -> State { State() }

    func handle(_ event: RunEvent, state: inout State, in observation: Observation) -> [RunRequest] {
        switch event {
        case .runStarted: log.add("run started")
        case .runResumed: log.add("run resumed")
        case .stageStarted: log.add("stage \(observation.stage.name) started")
        case .stepTaken(let report):
            state.steps += 1
            log.add("step \(observation.totalIteration) \(report.verdict.name), the recorder's \(state.steps)")
            var requests: [RunRequest] = []
            if let centre = movesAt[observation.totalIteration] { requests.append(.revise(Moving.Move(to: centre))) }
            if checkpointsAt.contains(observation.totalIteration) { requests.append(.checkpoint) }
            if observation.totalIteration == stopsAt { requests.append(.stop(.interrupted("as asked"))) }
            return requests
        case .recorded: log.add("recorded")
        case .recordedRows: log.add("recorded rows")
        case .revised(let summary): log.add("\(summary), version \(observation.version)")
        case .recovered(let recovery): log.add("recovered: \(recovery.action)")
        case .stageEnded(let summary): log.add("stage \(summary.name) ended: \(summary.outcome.name)")
        case .runEnding:
            log.add("run ending")
            return checkpointsAtEnd ? [.checkpoint] : []
        case .willCheckpoint: log.add("will checkpoint")
        case .checkpoint(let archive):
            log.add("checkpoint")
            log.add(archive)
        case .runEnded(let result): log.add("run ended: \(result.outcome.name)")
        }
        return []
    }
}

/// Gradient descent that counts how often it was brought to a new version, and refuses to mix them.
private struct Versioned: Optimizer {
    struct State: OptimizerState {
        var parameters: Parameters
        var gradient: Vector
        var version: Int
        var adaptations = 0

        init(parameters: Parameters, gradient: Vector, version: Int) {
            (self.parameters, self.gradient, self.version) = (parameters, gradient, version)
        }
        func encode(into archive: inout Archive) {
            archive.set("parameters", parameters)
            archive.set("gradient", gradient)
            archive.set("version", version)
            archive.set("adaptations", adaptations)
        }
        init(from archive: Archive) throws {
            self.init(
                parameters: try archive.value("parameters"), gradient: try archive.vector("gradient"),
                version: try archive.integer("version"))
            adaptations = try archive.integer("adaptations")
        }
    }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> State {
        State(parameters: parameters, gradient: try problem.lossAndGradient(at: parameters.values).gradient, version: problem.version)
    }

    func adapt(_ state: inout State, to problem: any DifferentiableProblem) throws {
        state.gradient = try problem.lossAndGradient(at: state.parameters.values).gradient
        state.version = problem.version
        state.adaptations += 1
    }

    func step(_ state: inout State, on problem: any DifferentiableProblem) throws -> StepReport {
        guard state.version == problem.version else {
            return StepReport(
                loss: try problem.loss(at: state.parameters.values), verdict: .brokeDown(Breakdown(.other, "was not told of a new version"))
            )
        }
        state.parameters.values.add(state.gradient, scaledBy: -0.25)
        let value = try problem.lossAndGradient(at: state.parameters.values)
        state.gradient = value.gradient
        return StepReport(
            loss: value.loss, gradientNorm: value.gradient.norm, details: [.init("adaptations", Double(state.adaptations))])
    }
}

@Suite struct RunEventTests {
    @Test func eventsComeInOrder() throws {
        let recorder = Recorder(checkpointsAt: [1, 3], checkpointsAtEnd: true)
        let pipeline = Pipeline(minimizing: Script()) {
            Stage("one", Reader(), until: .iterations(2))
            Stage("two", Reader(), until: .iterations(1))
        }
        _ = try pipeline.start(callbacks: [recorder])
        #expect(
            recorder.log.events == [
                "run started", "stage one started", "step 1 accepted, the recorder's 1", "will checkpoint", "checkpoint",
                "step 2 accepted, the recorder's 2", "stage one ended: budget spent", "stage two started",
                "step 3 accepted, the recorder's 3", "will checkpoint", "checkpoint", "run ending", "will checkpoint", "checkpoint",
                "stage two ended: budget spent", "run ended: budget spent",
            ])
    }

    @Test func aStopEndsTheRunAfterItsCheckpoint() throws {
        let recorder = Recorder(checkpointsAt: [2], stopsAt: 2)
        let pipeline = Pipeline(minimizing: Script()) { Stage("one", Reader(), until: .iterations(5)) }
        let result = try pipeline.start(callbacks: [recorder])
        #expect(result.outcome == .interrupted("as asked"))
        #expect(result.iterations == 2 && result.stages.map(\.outcome.name) == ["interrupted"])
        #expect(
            Array(recorder.log.events.suffix(5)) == [
                "will checkpoint", "checkpoint", "run ending", "stage one ended: interrupted", "run ended: interrupted",
            ])
        let stored = try #require(recorder.log.checkpoints.first)
        let resumed = try pipeline.resume(from: stored)
        #expect(resumed.iterations == 5 && resumed.stages.map(\.iterations) == [5])
    }

    @Test func callbacksAreToldApartByName() {
        let pipeline = Pipeline(minimizing: Script()) { Stage("one", Reader(), until: .iterations(1)) }
        let error = #expect(throws: StartError.self) { try pipeline.start(callbacks: [Recorder(), Recorder()]) }
        #expect(error?.reason.contains("two callbacks are named “recorder”") == true)
    }

    @Test func aRevisionOfAnUnrevisableProblemIsRefused() {
        let pipeline = Pipeline(minimizing: Bowl()) { Stage("one", Descent(), until: .iterations(5)) }
        let error = #expect(throws: StartError.self) { try pipeline.start(callbacks: [Recorder(movesAt: [2: [0, 0]])]) }
        #expect(error?.reason.contains("bowl, which is no RevisableProblem") == true)
    }

    @Test func aRunStartsFromFiniteParametersOfItsLayout() {
        let pipeline = Pipeline(minimizing: Moving()) { Stage("one", Versioned(), until: .iterations(1)) }
        #expect(throws: StartError.self) { try pipeline.start(from: Parameters([1, 2, 3])) }
        let error = #expect(throws: StartError.self) { try pipeline.start(from: Parameters([1, .nan])) }
        #expect(error?.reason == "the initial parameter 1 is nan; it must be finite")
    }
}

@Suite struct RevisionTests {
    @Test func aRevisionRaisesTheVersionAndTheMethodIsTold() throws {
        let recorder = Recorder(movesAt: [3: [10, 10], 5: [-4, 0]])
        let pipeline = Pipeline(minimizing: Moving()) { Stage("follow", Versioned(), until: .iterations(60)) }
        let run = try pipeline.begin(callbacks: [recorder])
        let result = try run.finish()
        #expect(result.outcome.name == "budget spent")
        #expect(run.currentProblem == Moving(centre: [-4, 0], version: 2))
        #expect(
            recorder.log.events.filter { $0.hasPrefix("moves") } == ["moves to [10.0, 10.0], version 1", "moves to [-4.0, 0.0], version 2"])
        #expect(run.lastReport?.details == [.init("adaptations", 2)])
        // 55 contractions by ¾ towards the last centre.
        #expect((result.parameters.values - [-4, 0]).norm < 1e-5)
    }

    @Test func theLossOfAnEarlierVersionIsNotCompared() throws {
        // At step 30 the loss is below the threshold and the centre moves away: the new problem is not solved.
        let recorder = Recorder(movesAt: [30: [10, 10]])
        let rule = StoppingRule.loss(below: 1e-4) && .iterations(30)
        let pipeline = Pipeline(minimizing: Moving()) { Stage("follow", Versioned(), until: rule || .iterations(200)) }
        let moved = try pipeline.start(callbacks: [recorder])
        let unmoved = try pipeline.start()
        #expect(unmoved.iterations == 30 && moved.iterations > 31)
        #expect((moved.parameters.values - [10, 10]).norm < 0.02)
    }

    @Test func aStationaryPointOfAnEarlierVersionIsNoEnd() throws {
        struct Arrive: Optimizer {
            func start(on problem: any LeastSquaresProblem, from parameters: Parameters) throws -> Reader.State {
                Reader.State(parameters: parameters)
            }
            func step(_ state: inout Reader.State, on problem: any LeastSquaresProblem) throws -> StepReport {
                let r = try problem.residual(at: state.parameters.values)
                if r.norm == 0 { return StepReport(loss: LossValue(0), gradientNorm: 0, verdict: .stationary) }
                state.parameters.values = state.parameters.values - r
                return StepReport(loss: try problem.loss(at: state.parameters.values))
            }
        }
        let pipeline = Pipeline(minimizing: Moving()) { Stage("arrive", Arrive(), until: .iterations(50)) }
        let start = Parameters([0, 0])
        #expect(try pipeline.start(from: start).iterations == 2)
        let moved = try pipeline.start(from: start, callbacks: [Recorder(movesAt: [2: [3, 3]])])
        #expect(moved.iterations == 4 && moved.parameters.values == [3, 3])
    }

    @Test func aStallIsNotSeenAcrossVersions() throws {
        // Between moves the loss falls; from before a move to after it, it rises. Six moves within the window of 4 iterations.
        let moves = Dictionary(uniqueKeysWithValues: (1...6).map { (3 * $0, Vector([Double(10 * $0), 0])) })
        let pipeline = Pipeline(minimizing: Moving()) {
            Stage("follow", Versioned(), until: .stalled(over: 4, relativeDecrease: 0.1) || .iterations(40))
        }
        #expect(try pipeline.start(callbacks: [Recorder(movesAt: moves)]).outcome.name == "budget spent")
    }

    @Test func theBestPointIsReevaluatedOnANewVersion() throws {
        let recorder = Recorder(movesAt: [40: [10, 10]])
        func pipeline(_ steps: Int) -> Pipeline<Moving> {
            Pipeline(minimizing: Moving()) { Stage("follow", Versioned(), until: .iterations(steps)) }
        }
        let before = try #require(try pipeline(39).start().best)
        #expect(before.version == 0 && before.value < 1e-8)
        let at = try #require(try pipeline(40).start(callbacks: [recorder]).best)
        #expect(at.version == 1 && at.totalIteration == 40)
        #expect(at.value == Moving(centre: [10, 10]).loss(at: at.parameters.values).total)
        let after = try #require(try pipeline(41).start(callbacks: [Recorder(movesAt: [40: [10, 10]])]).best)
        #expect(after.totalIteration == 41 && after.value < at.value)
    }

    /// Cut anywhere, at stage boundaries, revisions and within, a run goes on bit for bit, its callbacks' states included.
    @Test func resumedAnywhereItGoesOnBitForBit() throws {
        func recorder() -> Recorder { Recorder(movesAt: [3: [10, 10], 6: [5, 5], 7: [-4, 0], 12: [0, 1]]) }
        let pipeline = Pipeline(minimizing: Moving()) {
            Stage("first", Versioned(), until: .iterations(6))
            Stage("second", Versioned(), until: .stalled(over: 2, relativeDecrease: 0.6) || .iterations(9))
            Stage("third", Versioned(), until: .loss(below: 1e-6) || .iterations(200))
        }
        let recording = recorder()
        let whole = try pipeline.begin(seed: 9, callbacks: [recording])
        let expected = try whole.finish()
        #expect(expected.stages.count == 3 && expected.outcome.name == "converged")
        var advances = 0
        while true {
            let before = recorder()
            let first = try pipeline.begin(seed: 9, callbacks: [before])
            for _ in 0..<advances { try first.advance() }
            let after = recorder()
            let resumed = try pipeline.restore(from: first.snapshot(), callbacks: [after])
            #expect(resumed.snapshot().differences(from: first.snapshot()).filter { !$0.hasPrefix("seconds") }.isEmpty)
            let result = try resumed.finish()
            #expect(resumed.snapshot().withoutClock.differences(from: whole.snapshot().withoutClock).isEmpty, "cut after \(advances)")
            #expect(result.outcome == expected.outcome && result.best == expected.best && result.work == expected.work)
            #expect(result.stages.map(\.outcome) == expected.stages.map(\.outcome))
            #expect(result.stages.map(\.loss) == expected.stages.map(\.loss))
            if first.outcome == nil {
                #expect(before.log.events + after.log.events.dropFirst() == recording.log.events, "cut after \(advances)")
            } else {
                break
            }
            advances += 1
        }
        #expect(advances > 20)
    }
}

@Suite struct RecoveryTests {
    /// Losses that fall until step 3 and rise then; the method breaks down at step 6.
    private let script = Script(losses: [9, 8, 7, 1, 5, 5, 5, 0.5])

    private func pipeline(_ policy: RecoveryPolicy) -> Pipeline<Script> {
        Pipeline(minimizing: script) {
            Stage("fragile", Reader(breaksAt: 6), until: .iterations(50), onBreakdown: policy)
            Stage("last", Reader(), until: .iterations(1))
        }
    }

    @Test func theNextStageBeginsFromTheBestPoint() throws {
        let recorder = Recorder()
        let result = try pipeline(.handOver).start(callbacks: [recorder])
        #expect(result.stages.map(\.outcome.name) == ["broke down", "budget spent"])
        #expect(result.stages[0].iterations == 6)
        // Handed over at θ = 3, where L = 1, and stepped once.
        #expect(result.parameters.values == [4])
        #expect(result.best?.parameters.values == [3] && result.best?.value == 1 && result.best?.stage == 0)
        #expect(recorder.log.events.contains("recovered: hands over from the best point"))
    }

    @Test func aStageIsRestartedSoManyTimes() throws {
        let recorder = Recorder()
        let result = try pipeline(.restart(atMost: 2)).start(callbacks: [recorder])
        #expect(result.stages.map(\.name) == ["fragile", "fragile", "fragile", "last"])
        #expect(recorder.log.events.filter { $0.hasPrefix("recovered: begins anew") }.count == 2)
        #expect(recorder.log.events.filter { $0.hasPrefix("recovered: hands over") }.count == 1)
        // The second attempt begins at θ = 3 and comes to θ = 8, whose loss is the least.
        #expect(result.best?.parameters.values == [7] && result.best?.value == 0.5)
    }

    /// The summary names the stage that holds the best point, whatever was restarted before it.
    @Test func theBestPointsStageIsNamedAfterRestarts() throws {
        let script = Script(losses: [9, 8, 7, 1, 5, 5, 5, 5, 5, 0.5])
        let pipeline = Pipeline(minimizing: script) {
            Stage("fragile", Reader(breaksAt: 6), until: .iterations(50), onBreakdown: .restart(atMost: 2))
            Stage("last", Reader(), until: .iterations(6))
        }
        let result = try pipeline.start()
        #expect(result.stages.map(\.name) == ["fragile", "fragile", "fragile", "last"] && result.best?.stage == 1)
        #expect(result.description.hasSuffix("best point: last, iteration 24, value 0.5"), "\(result)")
    }

    /// With its memory cleared the stage goes on from θ = 5, where it stands, not from the best point.
    @Test func aStageGoesOnWithItsMemoryCleared() throws {
        let recorder = Recorder()
        let result = try pipeline(.clearMemory(atMost: 1)).start(callbacks: [recorder])
        #expect(result.stages.map(\.name) == ["fragile", "fragile", "last"])
        #expect(recorder.log.events.filter { $0 == "recovered: goes on where it stands, its memory cleared" }.count == 1)
        // 5 steps, 5 more, then handed over at θ = 7, the best, and stepped once.
        #expect(result.stages.map(\.iterations) == [6, 6, 1])
        #expect(result.parameters.values == [8])
    }

    /// L = ½(θ − 1)², no number beyond θ = 1.5. Steps of 1.7·∇L leap the wall from θ = 0, halved ones do not.
    private struct Walled: DifferentiableProblem {
        var name: String { "walled" }
        var identity: Setting { .scalar(name) }
        var layout: ParameterLayout { ParameterLayout(count: 1) }
        func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([0]) }
        func loss(at θ: Vector) -> LossValue { LossValue(θ[0] > 1.5 ? .nan : 0.5 * (θ[0] - 1) * (θ[0] - 1)) }
        func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: [θ[0] - 1]) }
    }

    @Test func stepsAreShortenedAndTriedAgain() throws {
        let recorder = Recorder()
        let pipeline = Pipeline(minimizing: Walled()) {
            Stage("long", Steepest(rate: 1.7), until: .iterations(20), onBreakdown: .shrink(atMost: 2))
        }
        let result = try pipeline.start(callbacks: [recorder])
        let run = try pipeline.begin()
        _ = try run.finish()
        #expect(result.stages.map(\.outcome.name) == ["broke down", "budget spent"])
        #expect(recorder.log.events.contains("recovered: goes on where it stands with shorter steps"))
        #expect(abs(result.parameters.values[0] - 1) < 1e-8)
        // Cut anywhere, the scale of the steps goes on with the run.
        for cut in 1..<20 {
            let first = try pipeline.begin()
            for _ in 0..<cut { try first.advance() }
            let resumed = try pipeline.restore(from: first.snapshot())
            _ = try resumed.finish()
            #expect(resumed.snapshot().withoutClock.differences(from: run.snapshot().withoutClock) == [], "cut after \(cut)")
        }
    }

    @Test func whatHasNoStepToShortenHandsOver() throws {
        let recorder = Recorder()
        let result = try pipeline(.shrink(atMost: 3)).start(callbacks: [recorder])
        #expect(result.stages.map(\.name) == ["fragile", "last"])
        #expect(recorder.log.events.contains("recovered: hands over from the best point"))
    }

    @Test func policiesAreRead() throws {
        let read = ["restart": RecoveryPolicy.restart(atMost: 2), "clearMemory": .clearMemory(atMost: 2), "shrink": .shrink(atMost: 2)]
        for (key, policy) in read {
            let setting = Setting.map([.init(key, .integer(2))])
            #expect(try RecoveryPolicy(setting, path: "onBreakdown") == policy)
        }
        for wrong in [Setting.map([.init("shrink", .integer(-1))]), .map([.init("grow", .integer(1))]), .scalar("shrink"), .map([])] {
            #expect(throws: ConfigurationError.self) { try RecoveryPolicy(wrong, path: "onBreakdown") }
        }
    }

    @Test func aRunCanEndWithABreakdown() throws {
        let result = try pipeline(.stop).start()
        #expect(result.outcome == .brokeDown(Breakdown(.lineSearch, "as the script says")))
        #expect(result.stages.count == 1)
        #expect(result.parameters.values == [5] && result.best?.parameters.values == [3])
    }

    @Test func aBreakdownOfTheLastStageEndsTheRun() throws {
        let only = Pipeline(minimizing: script) { Stage("fragile", Reader(breaksAt: 2), until: .iterations(50)) }
        #expect(try only.start().outcome.name == "broke down")
    }

    @Test func restartsAreCountedAcrossAResume() throws {
        let pipeline = pipeline(.restart(atMost: 2))
        let whole = try pipeline.begin()
        let expected = try whole.finish()
        for cut in 1..<22 {
            let first = try pipeline.begin()
            for _ in 0..<cut { try first.advance() }
            let resumed = try pipeline.restore(from: first.snapshot())
            let result = try resumed.finish()
            #expect(result.stages.map(\.outcome) == expected.stages.map(\.outcome), "cut after \(cut)")
            #expect(resumed.snapshot().withoutClock == whole.snapshot().withoutClock, "cut after \(cut)")
        }
    }

    @Test func stationaryConverges() throws {
        let pipeline = Pipeline(minimizing: script) { Stage("only", Reader(stationaryAt: 4), until: .iterations(50)) }
        let result = try pipeline.start()
        #expect(result.outcome.name == "converged" && result.iterations == 4)
        // A method that does not say what it measured: its gradient norm, without a threshold that nobody knows.
        #expect(result.outcome.description == "converged: ‖∇L‖ = 0 where the method finds nothing lower ✓")
    }

    /// The method reports the loss of the candidate that it could not take; the run's is that of the parameters.
    @Test func aBreakdownsLossIsThatOfTheParameters() throws {
        let script = Script(losses: [3, 2, .infinity])
        let pipeline = Pipeline(minimizing: script) { Stage("only", Reader(breaksAt: 2), until: .iterations(5)) }
        let result = try pipeline.start()
        #expect(result.outcome.name == "broke down" && result.parameters == Parameters([1]))
        #expect(result.stages.map(\.loss) == [2])
    }
}

@Suite struct BestPointTests {
    @Test func theBestPointIsChosenByTheMonitorAcrossStages() throws {
        // By the loss the last point is best; by the held-out loss the one at step 4.
        let script = Script(losses: (0..<20).map { 20 - Double($0) }, monitors: [9, 8, 7, 6, 1, 5, 5])
        var pipeline = Pipeline(minimizing: script) {
            Stage("one", Reader(), until: .iterations(5))
            Stage("two", Reader(), until: .iterations(5))
        }
        pipeline.monitorCadence = 2
        let result = try pipeline.start()
        #expect(result.best?.parameters == Parameters([4]) && result.best?.value == 1)
        #expect(result.best?.stage == 0 && result.best?.totalIteration == 4)
        let plain = Pipeline(minimizing: Script(losses: [5, 4, 1, 3, 0.5, .nan]), stages: pipeline.stages)
        #expect(try plain.start().best?.totalIteration == 4)
    }
}
