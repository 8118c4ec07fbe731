import LinearAlgebra

/// A pipeline at work: the one loop of the framework.
///
/// Everything that decides how it goes on is in the archive of its ``snapshot()``; wall-clock readings are not.
public final class Run<P: Problem> {
    public let pipeline: Pipeline<P>
    public let seed: UInt64
    public let description: RunDescription
    public private(set) var outcome: Outcome?
    public private(set) var summaries: [StageSummary] = []

    private var problem: Counted<P>
    private var execution: any Execution
    private let callbacks: [any RunningCallback]
    private var cursor = Cursor()
    private var report: StepReport?
    /// The problem's version that the report's values belong to.
    private var reportVersion = 0
    private var best: BestPoint?
    private var ruleMemory = RuleMemory()
    private var workBeforeStage = WorkCounts()
    private var clock = Stopwatch()
    private var pendingStop: Outcome?
    private var hasMonitor: Bool?
    /// How many stages, restarts included, ended before the present one began.
    private var endedStages = 0

    /// Where the run stands.
    private struct Cursor: Equatable {
        var stage = 0
        var iteration = 0
        var total = 0
        var restarts = 0
        var lossOfLastStep: LossValue?
    }

    init(_ pipeline: Pipeline<P>, seed: UInt64, from start: Parameters?, callbacks: [any Callback]) throws {
        (self.pipeline, self.seed) = (pipeline, seed)
        self.callbacks = try Run.boxes(callbacks)
        description = try Run.describe(pipeline, seed: seed, callbacks: self.callbacks)
        problem = Counted(pipeline.problem)
        var random = RandomStream(seed: seed, name: "initialization")
        let parameters = start ?? pipeline.problem.initialParameters(from: &random)
        guard parameters.layout == pipeline.problem.layout else {
            throw StartError(reason: "\(parameters.count) parameters do not have the layout of \(pipeline.problem.name)")
        }
        if let bad = parameters.values.firstIndex(where: { !$0.isFinite }) {
            throw StartError(reason: "the initial parameter \(bad) is \(parameters.values[bad]); it must be finite")
        }
        execution = try pipeline.stages[0].begin(problem, parameters)
        let observation = observe()
        for callback in self.callbacks { try callback.start(in: observation) }
        let requests = try announce(.runStarted(description))
        try announce(.stageStarted)
        if requests.contains(where: \.isCheckpoint) { try handOutCheckpoint() }
    }

    init(_ pipeline: Pipeline<P>, restoring archive: Archive, callbacks: [any Callback]) throws {
        (self.pipeline, self.seed) = (pipeline, try archive.unsigned("seed"))
        self.callbacks = try Run.boxes(callbacks)
        description = try Run.describe(pipeline, seed: seed, callbacks: self.callbacks)
        try Run.checkIdentity(description.identity, against: archive)

        let place = try archive.group("cursor")
        cursor.stage = try place.count("stage")
        cursor.iteration = try place.count("iteration")
        cursor.total = try place.count("total")
        cursor.restarts = try place.count("restarts")
        guard pipeline.stages.indices.contains(cursor.stage) else {
            throw ArchiveError(entry: "cursor/stage", reason: "\(cursor.stage) of \(pipeline.stages.count) stages")
        }
        var base = pipeline.problem
        if let revisions = try archive.groupIfPresent("revisions"), let revisable = base as? any RevisableProblem {
            guard let restored = try revisable.restoringRevisions(from: revisions) as? P else {
                preconditionFailure("a revised \(P.self) is of another type")
            }
            base = restored
        }
        let stored: WorkCounts = try archive.value("work")
        workBeforeStage = try archive.value("workBeforeStage")
        problem = Counted(base, counter: WorkCounter(stored))
        execution = try pipeline.stages[cursor.stage].restore(problem, try archive.group("optimizer"))
        guard execution.parameters.layout == problem.layout else {
            throw ArchiveError(entry: "optimizer", reason: "its parameters do not have the layout of \(base.name)")
        }
        ruleMemory = try archive.value("rule")
        best = try archive.groupIfPresent("best")?.decoded()
        if let last = try archive.groupIfPresent("report") {
            (report, reportVersion) = (try StepReport(from: last), try last.integer("version"))
        }
        summaries = try (archive.groupIfPresent("stages")?.entries ?? []).map { entry in
            try StageSummary(from: try archive.group("stages").group(entry.name))
        }
        endedStages = summaries.count
        clock = Stopwatch(total: try archive.double("seconds"), stage: try archive.double("secondsInStage"))
        let observation = observe()
        let states = try archive.group("callbacks")
        for callback in self.callbacks {
            if states[callback.name] != nil { try callback.restore(from: states) } else { try callback.start(in: observation) }
        }
        try announce(.runResumed(description))
    }

    /// Steps until the run ends.
    public func finish() throws -> RunResult {
        while outcome == nil { try advance() }
        return result
    }

    /// Ends the stage if its rule has fired, else takes one step.
    public func advance() throws {
        guard outcome == nil else { return }
        if let ending = try stageEnding() { return try endStage(ending) }
        let report = try execution.step()
        if report.linearIterations > 0 { problem.counter.add(.linearIteration, calls: report.linearIterations) }
        cursor.iteration += 1
        cursor.total += 1
        (self.report, reportVersion) = (report, problem.version)
        try updateBest()
        let requests = try announce(.stepTaken(report))
        try fulfil(requests)
        if let stop = pendingStop { try end(with: stop) }
    }

    /// How the run stands, or ended.
    public var result: RunResult {
        RunResult(
            outcome: outcome ?? .interrupted("the run has not ended"), stages: summaries, stageNames: pipeline.stages.map(\.name),
            parameters: execution.parameters, best: best, iterations: cursor.total, seconds: clock.total, work: problem.counter.counts)
    }

    public var parameters: Parameters { execution.parameters }
    /// The problem as revised so far.
    public var currentProblem: P { problem.base }
    /// The last step's report.
    public var lastReport: StepReport? { report }
}

// MARK: Stages

extension Run {
    private var stage: Stage<P> { pipeline.stages[cursor.stage] }

    /// How the stage ended, if it did. The rule's memory takes the check in only where the stage goes on, so that a run resumed from its
    /// last checkpoint finds the same ending.
    private func stageEnding() throws -> Outcome? {
        switch (report, report?.verdict) {
        case (_, .brokeDown(let breakdown)): return .brokeDown(breakdown)
        case (.some(let report), .stationary) where reportVersion == problem.version: return .converged(.stationary(report))
        default:
            var memory = ruleMemory
            if let finding = try stage.until.finding(in: observe(), memory: &memory) { return finding.outcome }
            ruleMemory = memory
            return nil
        }
    }

    private enum Continuation {
        /// The same stage again: from the best point or where it stands, by a state of its own or with the one that it has.
        case again(Recovery, fromBest: Bool, keepingState: Bool)
        case nextStage(Recovery?)
    }

    /// What follows a stage's end; `nil` where the run ends with it.
    private func continuation(after ending: Outcome) -> Continuation? {
        let isLast = cursor.stage + 1 == pipeline.stages.count
        guard case .brokeDown(let breakdown) = ending else { return isLast ? nil : .nextStage(nil) }
        func recovery(_ action: String) -> Recovery { Recovery(breakdown: breakdown, policy: stage.onBreakdown, action: action) }
        if cursor.restarts < stage.onBreakdown.attempts {
            switch stage.onBreakdown {
            case .restart: return .again(recovery("begins anew from the best point"), fromBest: true, keepingState: false)
            case .clearMemory:
                return .again(recovery("goes on where it stands, its memory cleared"), fromBest: false, keepingState: false)
            case .shrink where execution.shortenSteps():
                return .again(recovery("goes on where it stands with shorter steps"), fromBest: false, keepingState: true)
            case .shrink, .handOver, .stop: break
            }
        }
        if isLast || stage.onBreakdown == .stop { return nil }
        return .nextStage(recovery("hands over from the best point"))
    }

    private func endStage(_ ending: Outcome) throws {
        try updateBest(atEnd: true)
        guard let continuation = continuation(after: ending) else { return try end(with: ending) }
        try closeStage(with: ending)
        switch continuation {
        case .again(let recovery, let fromBest, let keepingState):
            cursor.restarts += 1
            try announce(.recovered(recovery))
            let start = fromBest ? best?.parameters ?? execution.parameters : execution.parameters
            try beginStage(cursor.stage, from: start, keepingState: keepingState)
        case .nextStage(let recovery):
            cursor.restarts = 0
            if let recovery { try announce(.recovered(recovery)) }
            try beginStage(cursor.stage + 1, from: recovery == nil ? execution.parameters : best?.parameters ?? execution.parameters)
        }
    }

    private func closeStage(with ending: Outcome) throws {
        let observation = observe()
        let summary = StageSummary(
            name: stage.name, optimizer: observation.stage.optimizer, outcome: ending, iterations: cursor.iteration,
            seconds: clock.stage, work: problem.counter.counts - workBeforeStage, loss: try observation.wholeLoss(),
            referenceError: try observation.referenceError())
        summaries.append(summary)
        try announce(.stageEnded(summary))
    }

    private func beginStage(_ index: Int, from parameters: Parameters, keepingState: Bool = false) throws {
        cursor.stage = index
        cursor.iteration = 0
        (ruleMemory, report) = (RuleMemory(), nil)
        workBeforeStage = problem.counter.counts
        endedStages = summaries.count
        clock.beginStage()
        if !keepingState { execution = try stage.begin(problem, parameters) }
        try announce(.stageStarted)
    }

    /// The last checkpoint is handed out before the stage is closed: resumed, the run closes it again, and once only.
    private func end(with ending: Outcome) throws {
        let requests = try announce(.runEnding(ending))
        if requests.contains(where: \.isCheckpoint) { try handOutCheckpoint() }
        try closeStage(with: ending)
        outcome = ending
        try announce(.runEnded(result))
    }
}

// MARK: Events and requests

extension Run {
    /// Tells every callback, and gathers what they ask for: only what the event's documentation says is heard.
    @discardableResult
    private func announce(_ event: RunEvent) throws -> [RunRequest] {
        let observation = observe()
        return try callbacks.flatMap { callback in
            let requests = try callback.handle(event, in: observation)
            precondition(
                requests.allSatisfy(event.hears),
                "callback “\(callback.name)” asks for something where it is not heard; ask in answer to stepTaken (see RunRequest)")
            return requests
        }
    }

    private func fulfil(_ requests: [RunRequest]) throws {
        let records = requests.compactMap { if case .record(let detail) = $0 { detail } else { nil } }
        if !records.isEmpty { try announce(.recorded(records)) }
        let rows = requests.compactMap { if case .recordRows(let rows) = $0 { rows } else { nil } }
        if !rows.isEmpty { try announce(.recordedRows(rows)) }
        for case .revise(let revision) in requests { try revise(by: revision) }
        if requests.contains(where: \.isCheckpoint) { try handOutCheckpoint() }
        for case .stop(let ending) in requests where pendingStop == nil { pendingStop = ending }
    }

    private func revise(by revision: any Revision) throws {
        guard let revisable = problem.base as? any RevisableProblem else {
            throw StartError(reason: "“\(revision.summary)” asks to revise \(problem.name), which is no RevisableProblem")
        }
        guard let revised = try revisable.revised(by: revision) as? P else {
            preconditionFailure("a revised \(P.self) is of another type")
        }
        precondition(revised.version > problem.version, "a revision must raise the problem's version")
        problem = Counted(revised, counter: problem.counter)
        hasMonitor = nil
        try execution.adapt(to: problem)
        try reevaluateBest()
        try announce(.revised(summary: revision.summary))
    }

    private func handOutCheckpoint() throws {
        try announce(.willCheckpoint)
        try announce(.checkpoint(snapshot()))
    }

    private func observe() -> Observation {
        let stage = self.stage
        return Observation(
            stage: StageInfo(
                index: cursor.stage, count: pipeline.stages.count, name: stage.name,
                optimizer: stage.optimizer["name"]?.text ?? stage.optimizer.description, until: stage.until.description,
                iterationLimit: stage.until.iterationLimit),
            iteration: cursor.iteration, totalIteration: cursor.total, secondsInStage: clock.stage, seconds: clock.total,
            workInStage: problem.counter.counts - workBeforeStage, work: problem.counter.counts, parameters: execution.parameters,
            problem: problem.base, report: report, reportVersion: reportVersion, best: best, seed: seed,
            cadenceOnBatches: pipeline.monitorCadence)
    }
}

// MARK: The best point

extension Run {
    /// What points are compared by: the monitor loss every few iterations where the problem has one, else the whole problem's
    /// loss, which a step on a batch does not report: it is then measured as seldom.
    private func updateBest(atEnd: Bool = false) throws {
        guard let report else { return }
        let monitored = try monitoredProblem()
        if monitored == nil, report.coversAllSamples {
            guard !atEnd, report.verdict == .accepted || best == nil, report.loss.isFinite else { return }
        } else {
            // A stage's last point is measured unless its last step was measured already.
            let isDue = cursor.total % pipeline.monitorCadence == 0
            guard best == nil || (atEnd ? !isDue : isDue) else { return }
        }
        let parameters = execution.parameters
        let value = try monitored?.monitorLoss(at: parameters.values) ?? observe().wholeLoss()
        guard let value, value.isFinite, best.map({ value < $0.value || $0.version != problem.version }) ?? true else { return }
        best = BestPoint(
            parameters: parameters, value: value, stage: cursor.stage, totalIteration: cursor.total, version: problem.version)
    }

    /// The problem, if it has set samples aside to monitor: asked once, for the answer may cost a loss.
    private func monitoredProblem() throws -> (any MonitoredProblem)? {
        guard let monitored = problem.base as? any MonitoredProblem else { return nil }
        if hasMonitor == nil { hasMonitor = try monitored.monitorLoss(at: execution.parameters.values) != nil }
        return hasMonitor == true ? monitored : nil
    }

    /// On a new version the best point keeps its place only with its value there.
    private func reevaluateBest() throws {
        guard var point = best else { return }
        if let monitored = problem.base as? any MonitoredProblem, let value = try monitored.monitorLoss(at: point.parameters.values) {
            point.value = value
        } else if let differentiable = problem.base as? any DifferentiableProblem {
            point.value = try differentiable.loss(at: point.parameters.values).total
        }
        point.version = problem.version
        best = point.value.isFinite ? point : nil
    }
}

// MARK: Snapshots

extension Run {
    /// Everything needed to go on, after the last step.
    public func snapshot() -> Archive {
        var archive = Archive()
        archive.set("formatVersion", runFormatVersion)
        archive.set("seed", seed)
        let identity = description.identity.flattened()
        var lines = Archive()
        lines.set("paths", identity.map(\.path))
        lines.set("values", identity.map(\.text))
        archive.set("identity", lines)
        var place = Archive()
        place.set("stage", cursor.stage)
        place.set("iteration", cursor.iteration)
        place.set("total", cursor.total)
        place.set("restarts", cursor.restarts)
        archive.set("cursor", place)
        archive.set("parameters", execution.parameters)
        archive.set("optimizer", execution.archive())
        if let revisable = problem.base as? any RevisableProblem {
            var revisions = Archive()
            revisable.encodeRevisions(into: &revisions)
            archive.set("revisions", revisions)
        }
        archive.set("work", problem.counter.counts)
        archive.set("workBeforeStage", workBeforeStage)
        archive.set("rule", ruleMemory)
        if let best { archive.set("best", best) }
        if let report {
            var last = Archive()
            report.encode(into: &last)
            last.set("version", reportVersion)
            archive.set("report", last)
        }
        var ended = Archive()
        for (index, summary) in summaries.prefix(endedStages).enumerated() {
            var line = Archive()
            summary.encode(into: &line)
            ended.set(String(index), line)
        }
        archive.set("stages", ended)
        var states = Archive()
        for callback in callbacks { callback.encode(into: &states) }
        archive.set("callbacks", states)
        archive.set("seconds", clock.total, unit: "s")
        archive.set("secondsInStage", clock.stage, unit: "s")
        return archive
    }
}

extension RunEvent {
    /// Whether a request in answer to this event is fulfilled.
    fileprivate func hears(_ request: RunRequest) -> Bool {
        switch self {
        case .stepTaken: true
        case .runStarted, .runEnding: request.isCheckpoint
        default: false
        }
    }
}

extension RunRequest {
    fileprivate var isCheckpoint: Bool {
        if case .checkpoint = self { true } else { false }
    }
}

/// A run cannot begin.
public struct StartError: Error, CustomStringConvertible {
    public var reason: String
    public var description: String { reason }
}
