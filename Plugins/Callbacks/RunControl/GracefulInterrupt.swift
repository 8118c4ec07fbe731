import Dispatch
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

/// Watches SIGINT and SIGTERM from the moment it is made until it is cancelled.
///
/// Unchecked, because the type of a dispatch source is not marked Sendable: the sources are set once, in `init`, and after that
/// only cancelled, which libdispatch allows from any thread and any number of times.
private final class SignalWatch: @unchecked Sendable {
    private let first = FirstSignal()
    private let sources: [any DispatchSourceSignal]

    init() {
        sources = [SIGINT, SIGTERM].map { [first] number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global(qos: .userInteractive))
            source.setEventHandler { first.receive(number) }
            source.resume()
            return source
        }
    }

    var received: String? { first.name }

    func cancel() {
        for source in sources { source.cancel() }
        signal(SIGINT, SIG_DFL)
        signal(SIGTERM, SIG_DFL)
    }

    deinit { cancel() }
}

/// The first signal received; on the second, the process ends.
private final class FirstSignal: Sendable {
    private let number = Mutex<Int32?>(nil)

    var name: String? { number.withLock { $0 }.map { $0 == SIGINT ? "SIGINT" : "SIGTERM" } }

    func receive(_ received: Int32) {
        let isFirst = number.withLock { number in
            guard number == nil else { return false }
            number = received
            return true
        }
        // Not by raising the signal anew: this runs on a thread of libdispatch, which blocks signals, so that it would stay pending.
        if !isFirst { _exit(FirstSignal.exitStatus) }
    }

    /// 128 + SIGINT, as shells have it; the command line's status for an interrupted run.
    static let exitStatus: Int32 = 130
}
