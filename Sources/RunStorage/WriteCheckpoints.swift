import LinearAlgebra
import OptimizationCore

/// How often something is done in a run.
public enum Cadence: Sendable, Hashable, CustomStringConvertible {
    /// Every so many iterations of the run.
    case iterations(Int)
    /// Every so many seconds of the run, by the wall clock.
    case seconds(Double)

    public var description: String {
        switch self {
        case .iterations(let count): "every \(count) iterations"
        case .seconds(let seconds): "every \(seconds) s"
        }
    }
}

/// Asks for a checkpoint every so often and at the run's end, and writes each into the run's folder.
///
/// It observes only: the course of a run does not depend on when checkpoints are written. Before the first step it makes sure that the
/// disk has room for them.
public struct WriteCheckpoints: Callback {
    public let folder: RunFolder
    public let every: Cadence
    /// How many checkpoints are kept, the newest.
    public let keep: Int

    public init(in folder: RunFolder, every: Cadence = .iterations(500), keep: Int = 3) {
        switch every {
        case .iterations(let count): precondition(count > 0, "a checkpoint every \(count) iterations")
        case .seconds(let seconds): precondition(seconds >= 0, "a checkpoint every \(seconds) seconds")
        }
        precondition(keep > 0, "at least one checkpoint is kept, not \(keep)")
        (self.folder, self.every, self.keep) = (folder, every, keep)
    }

    public var name: String { "checkpoints" }

    public func start(in observation: Observation) throws -> CheckpointsState { CheckpointsState(lastSeconds: observation.seconds) }

    public func handle(_ event: RunEvent, state: inout CheckpointsState, in observation: Observation) throws -> [RunRequest] {
        switch event {
        case .runStarted(let description):
            // The optimizer's state, the best point, θ twice; one file more than is kept while the newest is written.
            let state = description.preflight.stages.compactMap(\.bytes).max() ?? 0
            let bytes = state + 32 * description.layout.count + (1 << 18)
            try folder.requireFree((keep + 1) * bytes, for: "keeping \(keep) checkpoints")
            // The start is kept too: a run killed before its first checkpoint is due can then be resumed like any other.
            return [.checkpoint]
        case .runResumed: try folder.checkpoints.setAside(after: observation.totalIteration)
        case .stepTaken:
            switch every {
            case .iterations(let count): return observation.totalIteration % count == 0 ? [.checkpoint] : []
            case .seconds(let seconds): return observation.seconds - state.lastSeconds >= seconds ? [.checkpoint] : []
            }
        case .runEnding: return [.checkpoint]
        case .checkpoint(let archive):
            try folder.checkpoints.write(
                archive, iteration: observation.totalIteration, keep: keep, parameters: observation.parameters.values.elements,
                notes: [
                    ("problem", observation.problem.name), ("stage", observation.stage.name), ("optimizer", observation.stage.optimizer),
                ])
            state.lastSeconds = observation.seconds
        default: break
        }
        return []
    }
}

/// When the last checkpoint was written.
public struct CheckpointsState: Checkpointable, Equatable {
    /// Seconds of the run.
    var lastSeconds: Double

    init(lastSeconds: Double) { self.lastSeconds = lastSeconds }

    public func encode(into archive: inout Archive) { archive.set("lastSeconds", lastSeconds, unit: "s") }
    public init(from archive: Archive) throws { lastSeconds = try archive.double("lastSeconds") }
}
