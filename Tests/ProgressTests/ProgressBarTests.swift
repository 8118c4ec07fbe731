import OptimizationCore
import OptimizationTesting
import Progress
import StochasticGradient
import Synchronization
import Testing

/// Collects what a progress bar writes.
private final class Screen: Sendable {
    let text = Mutex("")
    func write(_ more: String) { text.withLock { $0 += more } }
}

@Suite struct ProgressBarTests {
    private func run(isTerminal: Bool) throws -> String {
        let screen = Screen()
        let problem = try #require(ZooProblem.all.first { $0.name == "rosenbrock" })
        let pipeline = Pipeline(minimizing: problem) { Stage("explore", Adam(learningRate: 1e-2), until: .iterations(40)) }
        _ = try pipeline.start(callbacks: [ProgressBar(isTerminal: isTerminal, write: screen.write)])
        return screen.text.withLock { $0 }
    }

    @Test func aTerminalSeesStageIterationsRateAndLoss() throws {
        let text = try run(isTerminal: true)
        for part in ["explore (adam)", "/40", "it/s", "loss ", "ETA "] { #expect(text.contains(part), "\(part) is missing in \(text)") }
        #expect(text.hasSuffix("\r\u{1B}[K"), "the line is cleared at the end")
    }

    @Test func elsewhereItIsQuietButForTheStages() throws {
        let text = try run(isTerminal: false)
        #expect(!text.contains("\r") && !text.contains("it/s"))
        #expect(text.contains("explore: budget spent: iterations = 40 ≥ 40"))
        #expect(text.contains("P = 2 parameters, N = 2 residuals"), "the preflight is shown")
    }
}
