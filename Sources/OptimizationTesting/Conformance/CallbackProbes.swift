import LinearAlgebra
import OptimizationCore
import Synchronization

/// What was heard in a run, or found wrong.
final class Minutes: Sendable {
    /// An event that every run of the same course must have, bit for bit.
    struct Line: Sendable, Equatable, CustomStringConvertible {
        let iteration: Int
        let event: String
        let values: [UInt64]

        var description: String { "\(event) after step \(iteration)" }
    }

    private let content = Mutex<(lines: [Line], faults: [String])>(([], []))

    var lines: [Line] { content.withLock { $0.lines } }
    var faults: [String] { content.withLock { $0.faults } }
    /// The parameters after each step.
    var course: [Line] { lines.filter { $0.event == "step" } }
    var revisions: [Line] { lines.filter { $0.event.hasPrefix("revised") } }

    func add(_ event: String, _ values: some Sequence<Double>, at observation: Observation) {
        let line = Line(iteration: observation.totalIteration, event: event, values: values.map(\.bitPattern))
        content.withLock { $0.lines.append(line) }
    }

    func blame(_ fault: String) { content.withLock { if !$0.faults.contains(fault) { $0.faults.append(fault) } } }
}

/// Takes the minutes of a run; it observes only.
struct Listener: Callback {
    let minutes: Minutes
    let clockEntries: [String]

    var name: String { "conformance-listener" }

    func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) -> [RunRequest] {
        switch event {
        case .stepTaken(let report):
            minutes.add("step", [report.loss.total] + observation.parameters.values.elements, at: observation)
        case .recorded(let details):
            for detail in details where !clockEntries.contains(detail.name) {
                minutes.add("recorded \(detail.name)", [detail.value], at: observation)
            }
        case .recordedRows(let tables):
            for rows in tables { minutes.add("rows of \(rows.table)", rows.numbers, at: observation) }
        case .revised(let summary): minutes.add("revised (\(summary))", [Double(observation.version)], at: observation)
        case .recovered(let recovery): minutes.add("recovered: \(recovery.action)", [], at: observation)
        case .stageStarted: minutes.add("stage \(observation.stage.name) started", [], at: observation)
        case .stageEnded(let summary): minutes.add("stage \(summary.name) ended: \(summary.outcome)", [], at: observation)
        // Where a run is cut and written is no part of its course.
        case .runStarted, .runResumed, .runEnding, .willCheckpoint, .checkpoint, .runEnded: break
        }
        return []
    }
}

/// A callback under test: requests where they are not heard are noted and dropped, and its state is looked at.
struct Screened<Base: Callback>: Callback {
    let base: Base
    let minutes: Minutes
    /// Whether steps are handled twice, by a copy of the state first.
    var isForking = false

    var name: String { base.name }
    var identity: Setting? { base.identity }

    func start(in observation: Observation) throws -> Base.State { try base.start(in: observation) }

    func handle(_ event: RunEvent, state: inout Base.State, in observation: Observation) throws -> [RunRequest] {
        if isForking, case .stepTaken = event { try fork(event, state, observation) }
        let requests = try base.handle(event, state: &state, in: observation)
        return requests.filter { request in
            let isCheckpoint = if case .checkpoint = request { true } else { false }
            let heard: Bool
            switch event {
            case .stepTaken: heard = true
            case .runStarted, .runEnding: heard = isCheckpoint
            default: heard = false
            }
            if !heard { minutes.blame("asks for \(request.kind) in answer to \(event.kind)") }
            return heard
        }
    }

    private func fork(_ event: RunEvent, _ state: Base.State, _ observation: Observation) throws {
        let before = Archive(of: state)
        let decoded = try before.decoded(as: Base.State.self)
        let lost = Archive(of: decoded).differences(from: before)
        if !lost.isEmpty { minutes.blame("storing: its state loses \(lost.joined(separator: ", "))") }
        var copy = state
        _ = try base.handle(event, state: &copy, in: observation)
        let changed = Archive(of: state).differences(from: before)
        if !changed.isEmpty {
            minutes.blame("copying: handling an event with a copy changes the original's \(changed.joined(separator: ", "))")
        }
    }
}

extension RecordedRows {
    /// All values as numbers, texts by their bytes.
    fileprivate var numbers: [Double] {
        columns.flatMap { column -> [Double] in
            switch column.values {
            case .reals(let values): values
            case .integers(let values): values.map(Double.init)
            case .texts(let values): values.flatMap { $0.utf8.map(Double.init) }
            }
        }
    }
}

extension RunRequest {
    fileprivate var kind: String {
        switch self {
        case .stop: "a stop"
        case .checkpoint: "a checkpoint"
        case .revise: "a revision"
        case .record: "a record"
        case .recordRows: "a record of rows"
        }
    }
}

extension RunEvent {
    /// The case's name.
    fileprivate var kind: String {
        switch self {
        case .runStarted: "runStarted"
        case .runResumed: "runResumed"
        case .stageStarted: "stageStarted"
        case .stepTaken: "stepTaken"
        case .recorded: "recorded"
        case .recordedRows: "recordedRows"
        case .revised: "revised"
        case .recovered: "recovered"
        case .runEnding: "runEnding"
        case .stageEnded: "stageEnded"
        case .willCheckpoint: "willCheckpoint"
        case .checkpoint: "checkpoint"
        case .runEnded: "runEnded"
        }
    }
}
