/// Observes a run's events with a checkpointed state of its own, and answers with requests.
///
/// It never holds the problem's or the optimizer's state; what it wants changed, it asks for, and the loop does it after
/// the step is committed.
public protocol Callback: Sendable {
    associatedtype State: Checkpointable = Stateless

    /// Names the callback's state in checkpoints; two callbacks of a run must differ in it.
    var name: String { get }

    /// The settings, where the callback changes the run's course (it revises the problem): they are part of the run's
    /// identity. `nil` for one that only observes.
    var identity: Setting? { get }

    /// The state before the run.
    func start(in observation: Observation) throws -> State

    func handle(_ event: RunEvent, state: inout State, in observation: Observation) throws -> [RunRequest]
}

extension Callback {
    public var identity: Setting? { nil }
}

extension Callback where State == Stateless {
    public func start(in observation: Observation) throws -> Stateless { Stateless() }
}

/// What happens in a run, in this order within a step.
public enum RunEvent: Sendable {
    /// A new run begins; its identity and preflight.
    case runStarted(RunDescription)
    /// A stored run goes on from its checkpoint.
    case runResumed(RunDescription)
    case stageStarted
    /// A step was taken and, if accepted, committed.
    case stepTaken(StepReport)
    /// Values that callbacks measured after the step, for trajectories and displays.
    case recorded([StepReport.Detail])
    /// Rows that callbacks add to tables of their own, for the run's file.
    case recordedRows([RecordedRows])
    /// The problem was revised; its version has risen.
    case revised(summary: String)
    /// A broken-down stage is being recovered.
    case recovered(Recovery)
    /// The run is about to end: the last moment to ask for a checkpoint.
    case runEnding(Outcome)
    /// A stage has ended; the last one, after the run's last checkpoint.
    case stageEnded(StageSummary)
    /// A checkpoint is about to be handed out: what must be on disk before it, goes there now.
    case willCheckpoint
    /// Everything needed to go on, as it is after the step.
    case checkpoint(Archive)
    case runEnded(RunResult)
}

/// What a callback may ask of the loop: anything in answer to ``RunEvent/stepTaken(_:)``, a checkpoint also in answer to
/// ``RunEvent/runStarted(_:)`` and ``RunEvent/runEnding(_:)``. A request in answer to another event is a programmer's mistake.
public enum RunRequest: Sendable {
    /// End the run; a run that was interrupted can be resumed.
    case stop(Outcome)
    /// Hand out a checkpoint after this step.
    case checkpoint
    /// Revise the problem.
    case revise(any Revision)
    /// Announce a measured value to the other callbacks, as ``RunEvent/recorded(_:)``: an error, an eigenvalue, a norm.
    case record(StepReport.Detail)
    /// Announce rows of a table to the other callbacks, as ``RunEvent/recordedRows(_:)``: a spectrum, a profile.
    case recordRows(RecordedRows)
}

/// What a run is, for files and reports.
public struct RunDescription: Sendable {
    /// Problem, layout, stages, settings, seed, revising callbacks: what must match at resume.
    public let identity: Setting
    public let seed: UInt64
    public let layout: ParameterLayout
    /// The names of the loss's terms.
    public let terms: [String]
    public let preflight: Preflight
}

/// What the loop did about a breakdown.
public struct Recovery: Sendable, Hashable {
    public let breakdown: Breakdown
    public let policy: RecoveryPolicy
    /// In words.
    public let action: String
}

/// What follows when a stage breaks down.
public enum RecoveryPolicy: Sendable, Hashable {
    /// The next stage begins from the best point; after the last stage the run ends.
    case handOver
    /// The stage begins anew from the best point, at most so many times, then hands over.
    case restart(atMost: Int)
    /// The stage goes on from where it stands with the method's memory cleared, at most so many times, then hands over.
    case clearMemory(atMost: Int)
    /// The stage goes on from where it stands, with what the method has learned and shorter steps (``Optimizer/shortenSteps(_:)``), at most so
    /// many times, then hands over; at once where the method has no step to shorten.
    case shrink(atMost: Int)
    /// The run ends.
    case stop

    var setting: Setting {
        switch self {
        case .handOver: .scalar("hand-over")
        case .restart(let count): .map([.init("restart", .integer(count))])
        case .clearMemory(let count): .map([.init("clearMemory", .integer(count))])
        case .shrink(let count): .map([.init("shrink", .integer(count))])
        case .stop: .scalar("stop")
        }
    }

    /// How often the stage may go on itself.
    var attempts: Int {
        switch self {
        case .restart(let count), .clearMemory(let count), .shrink(let count): count
        case .handOver, .stop: 0
        }
    }
}

/// A callback and its state, without their types.
protocol RunningCallback: AnyObject {
    var name: String { get }
    var identity: Setting? { get }
    func start(in observation: Observation) throws
    func handle(_ event: RunEvent, in observation: Observation) throws -> [RunRequest]
    func encode(into archive: inout Archive)
    func restore(from archive: Archive) throws
}

final class CallbackBox<C: Callback>: RunningCallback {
    private let callback: C
    private var state: C.State?

    init(_ callback: C) { self.callback = callback }

    var name: String { callback.name }
    var identity: Setting? { callback.identity }

    func start(in observation: Observation) throws { state = try callback.start(in: observation) }

    func handle(_ event: RunEvent, in observation: Observation) throws -> [RunRequest] {
        guard var current = state else { preconditionFailure("callback \(name) was not started") }
        state = nil  // so that `current` is the only reference and large states are changed in place
        defer { state = current }
        return try callback.handle(event, state: &current, in: observation)
    }

    func encode(into archive: inout Archive) {
        if let state { archive.set(name, state) }
    }

    func restore(from archive: Archive) throws { state = try archive.value(name, as: C.State.self) }
}

func boxed(_ callback: any Callback) -> any RunningCallback {
    func box<C: Callback>(_ callback: C) -> any RunningCallback { CallbackBox(callback) }
    return box(callback)
}
