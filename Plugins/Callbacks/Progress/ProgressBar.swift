import OptimizationCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// One line on the terminal that shows where the run is: stage, iterations, rate, loss, error, time left.
///
/// Quiet when standard error is not a terminal, but for a line at each stage's end and each recovery. It redraws at most ten
/// times a second.
public struct ProgressBar: Callback {
    private let screen: Screen

    public init() { self.init(isTerminal: isatty(STDERR_FILENO) == 1, write: { writeToStandardError($0) }) }

    /// For tests: where the text goes, and whether that is a terminal.
    package init(isTerminal: Bool, write: @escaping @Sendable (String) -> Void) {
        screen = Screen(Display(isTerminal: isTerminal, write: write))
    }

    public var name: String { "progress" }

    public func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) -> [RunRequest] {
        screen.display.withLock { display in
            switch event {
            case .runStarted(let run): display.line("\(run.preflight)")
            case .runResumed(let run):
                display.line("\(run.preflight)")
                display.line("resumed at iteration \(observation.totalIteration)")
            case .stageStarted: display.beginStage(at: observation)
            case .recorded(let details):
                if let error = details.first(where: { $0.name == "referenceError" }) { display.error = error.value }
            case .stepTaken: display.draw(observation)
            case .recovered(let recovery): display.line("\(observation.stage.name): \(recovery.breakdown); \(recovery.action)")
            case .stageEnded(let summary):
                let loss = summary.loss.map { ", loss \(short($0))" } ?? ""
                let error = summary.referenceError.map { ", error \(short($0))" } ?? ""
                display.line("\(summary.name): \(summary.outcome)\(loss)\(error)")
            case .runEnded: display.clear()
            case .recordedRows, .revised, .runEnding, .willCheckpoint, .checkpoint: break
            }
        }
        return []
    }
}

/// The one display that all copies of a progress bar draw on.
private final class Screen: Sendable {
    let display: Mutex<Display>

    init(_ display: sending Display) { self.display = Mutex(display) }
}

/// The terminal's line.
private struct Display {
    let isTerminal: Bool
    let write: @Sendable (String) -> Void
    var error: Double?
    private var lastDrawn: ContinuousClock.Instant?
    private var rateOrigin: (iteration: Int, seconds: Double) = (0, 0)

    init(isTerminal: Bool, write: @escaping @Sendable (String) -> Void) { (self.isTerminal, self.write) = (isTerminal, write) }

    mutating func beginStage(at observation: Observation) {
        rateOrigin = (observation.iteration, observation.secondsInStage)
        lastDrawn = nil
    }

    mutating func draw(_ observation: Observation) {
        guard isTerminal else { return }
        let now = ContinuousClock.now
        if let lastDrawn, now - lastDrawn < .milliseconds(100) { return }
        lastDrawn = now
        write("\r\u{1B}[K" + text(observation))
    }

    private func text(_ observation: Observation) -> String {
        let stage = observation.stage
        let steps = observation.iteration - rateOrigin.iteration
        let seconds = observation.secondsInStage - rateOrigin.seconds
        let rate = seconds > 0 ? Double(steps) / seconds : 0
        var parts = ["[\(stage.index + 1)/\(stage.count)] \(stage.name) (\(stage.optimizer))"]
        if let limit = stage.iterationLimit, limit > 0 {
            let filled = min(20, 20 * observation.iteration / limit)
            parts.append(String(repeating: "█", count: filled) + String(repeating: "░", count: 20 - filled))
            parts.append("\(observation.iteration)/\(limit)")
        } else {
            parts.append("\(observation.iteration)")
        }
        parts.append("\(short(rate)) it/s")
        if let loss = observation.loss { parts.append("loss \(short(loss))") }
        if let error { parts.append("error \(short(error))") }
        if let limit = stage.iterationLimit, rate > 0 {
            parts.append("ETA \(clockTime(Double(max(0, limit - observation.iteration)) / rate))")
        }
        return parts.joined(separator: "  ")
    }

    private func clockTime(_ seconds: Double) -> String {
        guard seconds < 1e6 else { return "–" }
        let whole = Int(seconds.rounded(.up))
        let (minutes, rest) = (whole / 60, whole % 60)
        return "\(minutes):\(rest < 10 ? "0" : "")\(rest)"
    }

    func clear() { if isTerminal { write("\r\u{1B}[K") } }

    func line(_ text: String) {
        clear()
        write(text + "\n")
    }
}

private func writeToStandardError(_ text: String) {
    var text = text
    text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
}
