import OptimizationCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Turns the first SIGINT or SIGTERM into a checkpoint and the outcome `interrupted` after the step at work; a second one ends the
/// process at once, in the middle of a step, with status 130.
///
/// Signals are watched from the moment the callback is made until the run ends. What is on disk stays sound: checkpoints are renamed
/// into place, and a run file costs at most the rows since its last flush.
public struct GracefulInterrupt: Callback {
    private let watch = SignalWatch()

    public init() {}

    public var name: String { "graceful-interrupt" }

    public func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) -> [RunRequest] {
        switch event {
        case .stepTaken:
            guard let signal = watch.received else { return [] }
            return [.checkpoint, .stop(.interrupted("received \(signal); resume goes on from here"))]
        case .runEnded:
            watch.cancel()
            return []
        default: return []
        }
    }
}

/// Listens from the moment it is made until it is cancelled.
private final class SignalWatch: Sendable {
    private let isListening = Atomic(true)

    init() { Signals.listen() }

    var received: String? { isListening.load(ordering: .relaxed) ? Signals.name : nil }

    func cancel() {
        if isListening.exchange(false, ordering: .relaxed) { Signals.leave() }
    }

    deinit { cancel() }
}

/// SIGINT and SIGTERM, caught for as long as anyone listens. They are the process's: runs side by side all hear the same one.
///
/// By a handler, not a dispatch source: a second source for a signal, made after the first was cancelled, hears nothing under Linux.
private enum Signals {
    /// The first signal received; 0 before.
    private static let first = Atomic<Int32>(0)
    private static let listeners = Mutex(0)
    /// 128 + SIGINT, as shells have it; the command line's status for an interrupted run.
    private static let exitStatus: Int32 = 130

    static var name: String? {
        switch first.load(ordering: .relaxed) {
        case 0: nil
        case SIGINT: "SIGINT"
        default: "SIGTERM"
        }
    }

    static func listen() {
        listeners.withLock { count in
            count += 1
            guard count == 1 else { return }
            first.store(0, ordering: .relaxed)
            // What the handler does is allowed in one: an atomic exchange, and to end the process.
            for number in [SIGINT, SIGTERM] {
                signal(number) { received in
                    if Signals.first.exchange(received, ordering: .relaxed) != 0 { _exit(Signals.exitStatus) }
                }
            }
        }
    }

    static func leave() {
        listeners.withLock { count in
            count -= 1
            guard count == 0 else { return }
            for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
        }
    }
}
