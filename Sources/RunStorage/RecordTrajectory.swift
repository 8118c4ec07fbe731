import LinearAlgebra
import OptimizationCore

/// Writes what happens in a run into its `run.h5`: a row every few iterations, events, snapshots of θ, the stages' and the run's results.
///
/// It observes only: with or without it a run takes the same course. Its state in a checkpoint is how many rows there are, so that a
/// resumed run cuts what was recorded past the checkpoint and goes on with the very next row.
///
/// Cost: some microseconds a row, and about a millisecond for each flush of 25 columns (every 256 rows or every second).
public struct RecordTrajectory: Callback {
    /// The run's folder.
    public let folder: RunFolder
    /// A row every so many iterations of the run.
    public let every: Int
    /// The error against the reference every so many iterations; nil: at the end of stages only. It is not counted as work.
    public let referenceErrorEvery: Int?
    /// θ every so many iterations; nil: only at the end.
    public let snapshotEvery: Int?
    public let environment: RunEnvironment

    public init(
        in folder: RunFolder, every: Int = 1, referenceErrorEvery: Int? = nil, snapshotEvery: Int? = nil,
        environment: RunEnvironment = .current()
    ) {
        precondition(every > 0 && referenceErrorEvery ?? 1 > 0 && snapshotEvery ?? 1 > 0, "a cadence is at least one iteration")
        (self.folder, self.every, self.snapshotEvery) = (folder, every, snapshotEvery)
        (self.referenceErrorEvery, self.environment) = (referenceErrorEvery, environment)
    }

    public var name: String { "trajectory" }

    public func start(in observation: Observation) throws -> TrajectoryState {
        let file = try folder.writableFile()
        return TrajectoryState(
            rows: file.rows(in: .trajectory), events: file.rows(in: .events), snapshots: file.rows(in: .snapshots), stage: -1,
            lastIteration: -1)
    }

    public func handle(_ event: RunEvent, state: inout TrajectoryState, in observation: Observation) throws -> [RunRequest] {
        let file = try folder.writableFile()
        switch event {
        case .runStarted(let description):
            try describe(description, in: file)
            try beginSession(file, observation)
        case .runResumed(let description):
            try file.truncate(.trajectory, toRow: state.rows)
            try file.truncate(.events, toRow: state.events)
            try file.truncate(.snapshots, toRow: state.snapshots)
            try cutRows(of: file, past: observation.totalIteration)
            try forgetResults(file, from: state.stage)
            try describe(description, in: file)
            try beginSession(file, observation)
        case .stageStarted:
            state.stage += 1
            try note("stage began", "\(observation.stage.name): \(observation.stage.optimizer)", file, &state, observation)
        case .stepTaken(let report):
            let isDue = observation.totalIteration % every == 0
            if isDue || report.verdict.isFailure { try record(report, file, &state, observation) }
            for recovery in report.recoveries { try note("recovered in step", recovery, file, &state, observation) }
            if let snapshotEvery, observation.totalIteration % snapshotEvery == 0 { try snapshot(file, &state, observation) }
        case .recorded(let details):
            try add(details, file, &state, observation)
        case .recordedRows(let tables):
            for rows in tables { try add(rows, to: file, at: observation) }
        case .revised(let summary): try note("revised", summary, file, &state, observation)
        case .recovered(let recovery): try note("recovered", "\(recovery.breakdown): \(recovery.action)", file, &state, observation)
        case .stageEnded(let summary):
            try note("stage ended", "\(summary.name): \(summary.outcome)", file, &state, observation)
            try write(summary, at: "/stages/\(state.stage)", in: file)
        case .willCheckpoint: try file.synchronize()
        case .runEnded(let result):
            try write(result, in: file)
            try file.synchronize()
        case .runEnding, .checkpoint: break
        }
        return []
    }
}

/// How many rows of each table belong to the run so far.
public struct TrajectoryState: Checkpointable, Equatable {
    var rows: Int
    var events: Int
    var snapshots: Int
    /// The stage begun last, counted from 0, a restart as one more.
    var stage: Int
    /// The iteration of the last row.
    var lastIteration: Int

    init(rows: Int, events: Int, snapshots: Int, stage: Int, lastIteration: Int) {
        (self.rows, self.events, self.snapshots, self.stage, self.lastIteration) = (rows, events, snapshots, stage, lastIteration)
    }

    public func encode(into archive: inout Archive) {
        archive.set("rows", rows)
        archive.set("events", events)
        archive.set("snapshots", snapshots)
        archive.set("stage", stage)
        archive.set("lastIteration", lastIteration)
    }

    public init(from archive: Archive) throws {
        self.init(
            rows: try archive.count("rows"), events: try archive.count("events"), snapshots: try archive.count("snapshots"),
            stage: try archive.integer("stage"), lastIteration: try archive.integer("lastIteration"))
        // Before the first stage and the first row: −1.
        guard (-1..<(1 << 62)).contains(stage), lastIteration >= -1 else {
            throw ArchiveError(entry: "stage", reason: "\(stage) with a last row at iteration \(lastIteration) is no place in a run")
        }
    }
}

// MARK: Rows

extension RecordTrajectory {
    private static let base: [Column] = [
        Column("iteration", .integer, meaning: "steps taken in the run"),
        Column("stage", .integer, meaning: "the stage, counted from 0"),
        Column("stageIteration", .integer, meaning: "steps taken in the stage"),
        Column("seconds", unit: "s", meaning: "wall-clock time of the run, earlier sessions included"),
        Column("version", .integer, meaning: "the version of the problem; it rises with every revision"),
        Column("verdict", .integer, meaning: "how the step ended: \(StepVerdict.codes)"),
        Column("loss", meaning: "L = ½‖r‖², or the objective"),
        Column("gradientNorm", meaning: "‖∇L‖₂, where the method knows it"),
        Column("stepLength", meaning: "α, where the method has one"),
        Column("evaluations", meaning: "evaluations of the objective so far, in full-problem equivalents"),
    ]

    private func record(
        _ report: StepReport, _ file: RunFile, _ state: inout TrajectoryState, _ observation: Observation
    ) throws {
        var row = place(observation)
        row += [("verdict", .integer(report.verdict.code)), ("loss", .real(report.loss.total))]
        row += [("gradientNorm", .real(report.gradientNorm ?? .nan)), ("stepLength", .real(report.stepLength ?? .nan))]
        var extra: [(Column, Double)] = []
        let terms = (observation.problem as? any DifferentiableProblem)?.terms ?? []
        if terms.count > 1 {
            for (name, value) in zip(terms, report.loss.terms) {
                extra.append((Column("loss: \(name)", meaning: "the part of the loss from the term “\(name)”"), value))
            }
        }
        for work in Work.allCases where observation.work[work] > 0 {
            extra.append((Column(work.name, meaning: "\(work.name) so far, in full-problem equivalents"), observation.work[work]))
        }
        for detail in report.details {
            extra.append((Column(detail.name, meaning: "\(detail.name), of \(observation.stage.optimizer)").sanitized, detail.value))
        }
        if let referenceErrorEvery, observation.totalIteration % referenceErrorEvery == 0, let error = try observation.referenceError() {
            extra.append((Column("referenceError", meaning: "the relative error against the reference"), error))
        }
        state.rows = try append(row, extra, to: file)
        state.lastIteration = observation.totalIteration
    }

    /// Values that other callbacks measured after the step: into the step's row, or into one of their own.
    private func add(
        _ details: [StepReport.Detail], _ file: RunFile, _ state: inout TrajectoryState, _ observation: Observation
    ) throws {
        let extra = details.map { (Column($0.name, meaning: "\($0.name), measured by a callback").sanitized, $0.value) }
        if state.lastIteration == observation.totalIteration {
            try file.declare(extra.map(\.0), in: .trajectory)
            if try file.amend(extra.map { ($0.0.name, .real($0.1)) }, in: .trajectory) { return }
        }
        state.rows = try append(place(observation), extra, to: file)
        state.lastIteration = observation.totalIteration
    }

    /// Rows of a callback's own table, after the iteration.
    private func add(_ rows: RecordedRows, to file: RunFile, at observation: Observation) throws {
        let table = TableName(rows.table)
        let iteration = Column("iteration", .integer, meaning: "steps taken in the run when it was measured")
        try file.declare([iteration] + rows.columns.map { Column($0.name, $0.values.kind, meaning: $0.meaning) }, in: table)
        for row in 0..<rows.count {
            let cells = rows.columns.map { ($0.name, $0.values.cell(row)) }
            try file.append([("iteration", .integer(observation.totalIteration))] + cells, to: table)
        }
    }

    /// Cuts what callbacks have added to tables of their own past an iteration.
    private func cutRows(of file: RunFile, past iteration: Int) throws {
        for table in file.tableNames where ![.trajectory, .events, .snapshots].contains(table) {
            guard file.columns(in: table).contains(where: { $0.name == "iteration" && $0.kind == .integer }) else { continue }
            let kept = try file.integers("iteration", in: table).prefix { $0.map { $0 <= iteration } ?? false }.count
            try file.truncate(table, toRow: kept)
        }
    }

    private func place(_ observation: Observation) -> [(column: String, cell: Cell)] {
        [
            ("iteration", .integer(observation.totalIteration)), ("stage", .integer(observation.stage.index)),
            ("stageIteration", .integer(observation.iteration)), ("seconds", .real(observation.seconds)),
            ("version", .integer(observation.version)), ("evaluations", .real(observation.work.evaluations)),
        ]
    }

    private func append(_ row: [(column: String, cell: Cell)], _ extra: [(Column, Double)], to file: RunFile) throws -> Int {
        try file.declare(RecordTrajectory.base + extra.map(\.0), in: .trajectory)
        return try file.append(row + extra.map { ($0.0.name, .real($0.1)) }, to: .trajectory)
    }

    private func snapshot(_ file: RunFile, _ state: inout TrajectoryState, _ observation: Observation) throws {
        let θ = observation.parameters.values.elements
        let columns = [
            Column("iteration", .integer, meaning: "steps taken in the run"),
            Column("parameters", .vector(θ.count), meaning: "θ after that step, in the order of /layout"),
        ]
        try file.declare(columns, in: .snapshots)
        state.snapshots = try file.append(
            [("iteration", .integer(observation.totalIteration)), ("parameters", .vector(θ))], to: .snapshots)
    }

    private func note(
        _ kind: String, _ detail: String, _ file: RunFile, _ state: inout TrajectoryState, _ observation: Observation
    ) throws {
        let columns = [
            Column("iteration", .integer, meaning: "steps taken in the run when it happened"),
            Column("event", .text(bytes: 24), meaning: "what happened"),
            Column("detail", .text(bytes: 400), meaning: "in words"),
        ]
        try file.declare(columns, in: .events)
        state.events = try file.append(
            [("iteration", .integer(observation.totalIteration)), ("event", .text(kind)), ("detail", .text(detail))], to: .events)
    }
}

extension Column {
    /// A name that HDF5 can hold: no slash, not empty.
    fileprivate var sanitized: Column {
        var column = self
        column.name = String(name.map { $0 == "/" ? "∕" : $0 })
        if column.name.isEmpty || column.name == "." { column.name = "unnamed" }
        return column
    }
}

extension RecordedRows.Values {
    fileprivate var kind: Column.Kind {
        switch self {
        case .reals: .real
        case .integers: .integer
        case .texts: .text(bytes: 64)
        }
    }

    fileprivate func cell(_ row: Int) -> Cell {
        switch self {
        case .reals(let values): .real(values[row])
        case .integers(let values): .integer(values[row])
        case .texts(let values): .text(values[row])
        }
    }
}

extension StepVerdict {
    fileprivate static let codes = "0 accepted, 1 rejected, 2 invalid, 3 stationary, 4 broke down"

    fileprivate var code: Int {
        switch self {
        case .accepted: 0
        case .rejected: 1
        case .invalid: 2
        case .stationary: 3
        case .brokeDown: 4
        }
    }

    /// Whether a row is due whatever the cadence.
    fileprivate var isFailure: Bool {
        switch self {
        case .invalid, .brokeDown: true
        case .accepted, .rejected, .stationary: false
        }
    }
}
