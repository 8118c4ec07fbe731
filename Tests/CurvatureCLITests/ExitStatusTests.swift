import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// 0 done, 1 not below, 2 refused (``BadInputTests``), 3 broke down, 130 interrupted.
@Suite(.serialized) struct ExitStatusTests {
    let tool: CommandLineTool
    let scratch: ScratchFolder

    init() throws { (tool, scratch) = (try CommandLineTool(), try ScratchFolder()) }

    static let rosenbrock = """
        problem: {name: test-function, function: rosenbrock}
        stages: [{stage: only, optimizer: {name: adam}, until: {iterations: 3}}]
        """

    @Test(arguments: ["{iterations: 3}", "{gradientNorm: {below: 1e9}}", "{stalled: {window: 1, relativeDecrease: 0.999}}"])
    func endedStagesAreNoFailures(rule: String) throws {
        let file = try scratch.write(Self.rosenbrock, to: "run.yaml")
        let output = try tool.run(["run", file, "--quiet", "--set", "stages.0.until=\(rule)"])
        #expect(output.status == 0, "\(output)")
    }

    @Test func helpAndVersionAreNoFailures() throws {
        for arguments in [["--help"], ["run", "--help"], ["--version"]] {
            let output = try tool.run(arguments)
            #expect(output.status == 0 && !output.text.isEmpty && output.errors.isEmpty, "\(output)")
        }
    }

    /// The first step overflows: the parameters have not moved, and the loss is theirs.
    @Test func aBreakdown() throws {
        let (file, run) = (try scratch.write(Self.rosenbrock, to: "run.yaml"), "\(scratch.path)/run")
        let rate = "stages.0.optimizer.learningRate=1e300"
        let output = try tool.run(["run", file, "-o", run, "--json", "--set", rate])
        #expect(output.status == 3, "\(output)")
        // Rosenbrock's at (−1.2, 1): ½·24.2.
        let loss = try #require(try output.object()["loss"] as? Double)
        #expect(abs(loss - 12.1) < 1e-12)
        let again = try tool.run(["resume", run, "--quiet"])
        #expect(again.status == 3, "\(again)")
    }

    @Test func theWorstOfSeveralSeeds() throws {
        let file = try scratch.write(Self.rosenbrock, to: "run.yaml")
        let rate = "stages.0.optimizer.learningRate=1e300"
        #expect(try tool.run(["run", file, "--quiet", "--seeds", "1,2"]).status == 0)
        let output = try tool.run(["run", file, "--quiet", "--json", "--seeds", "1,2", "--set", rate])
        #expect(output.status == 3, "\(output)")
        #expect((try output.object()["outcome"] as? String)?.contains("broke down") == true)
    }

    @Test func evaluateBelow() throws {
        let (file, run) = (try scratch.write(JSONReportTests.poisson, to: "run.yaml"), "\(scratch.path)/run")
        try #require(try tool.run(["run", file, "-o", run, "--quiet"]).status == 0)
        #expect(try tool.run(["evaluate", run, "--below", "1e9"]).status == 0)
        let above = try tool.run(["evaluate", run, "--below", "1e-12", "--json"])
        #expect(above.status == 1 && above.errors.contains("is not ≤ 1e-12"), "\(above)")
        #expect(try above.object()["relativeL2"] as? Double != nil)
    }

    // MARK: Signals

    /// A stage whose steps take a minute: a singular value decomposition of 4 200 × 4 901.
    static let slow = """
        problem: {name: poisson-2d, network: {width: 48, depth: 3}, points: {interior: 4000, boundary: 200}}
        stages: [{stage: only, optimizer: gauss-newton, until: {iterations: 1000}}]
        """

    /// The time that a process may take to notice a signal: far below a step's, far above a busy machine's delays.
    static let patience = 8.0

    @Test(arguments: [[SIGINT, SIGINT], [SIGTERM, SIGTERM], [SIGINT, SIGTERM]]) func aSecondSignalQuitsAtOnce(signals: [Int32]) throws {
        let (file, run) = (try scratch.write(Self.slow, to: "run.yaml"), "\(scratch.path)/run")
        let (process, _, _) = try tool.launch(["run", file, "-o", run, "--quiet"], [:])
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        // The start's checkpoint stands on disk just before the first step.
        #expect(wait(60) { FileManager.default.fileExists(atPath: "\(run)/checkpoints/00000000.h5") })
        Thread.sleep(forTimeInterval: 0.5)
        kill(process.processIdentifier, signals[0])
        Thread.sleep(forTimeInterval: 0.5)
        try #require(process.isRunning, "the first signal waits for the step's end")
        kill(process.processIdentifier, signals[1])
        try #require(wait(Self.patience) { !process.isRunning }, "a second signal did not end the process")
        #expect(process.terminationReason == .exit && process.terminationStatus == 130)
        // What was on disk is sound.
        let inspected = try tool.run(["inspect", run])
        #expect(inspected.status == 0, "\(inspected)")
    }

    @Test(arguments: [SIGINT, SIGTERM]) func anInterruptedRun(signal: Int32) throws {
        let (file, run) = (try scratch.write(Self.rosenbrock, to: "run.yaml"), "\(scratch.path)/run")
        let endless = "stages.0.until.iterations=1000000000"
        for more in [["-o", run], ["--seeds", "1...3"]] {
            let (process, output, errors) = try tool.launch(["run", file, "--json", "--set", endless] + more, [:])
            defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
            Thread.sleep(forTimeInterval: 1.5)
            kill(process.processIdentifier, signal)
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            let complaints = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 130, "\(complaints)")
            let object = try CommandLineTool.Output(status: 130, text: text, errors: complaints).object()
            #expect((object["outcome"] as? String)?.contains("interrupted: received") == true, "\(object)")
        }
    }

    /// Of several runs in one process the later ones hear signals like the first.
    @Test(arguments: [SIGINT, SIGTERM]) func anInterruptedLaterSeed(signal: Int32) throws {
        let (file, run) = (try scratch.write(Self.rosenbrock, to: "run.yaml"), "\(scratch.path)/run")
        let twoSeconds = "stages.0.until={seconds: 2}"
        let (process, output, _) = try tool.launch(["run", file, "--json", "--set", twoSeconds, "--seeds", "1...40", "-o", run], [:])
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        #expect(wait(60) { FileManager.default.fileExists(atPath: "\(run)/seed-2/checkpoints/00000000.h5") })
        kill(process.processIdentifier, signal)
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 130 && text.contains("interrupted: received"), "\(text)")
    }

    private func wait(_ seconds: Double, until condition: () -> Bool) -> Bool {
        let end = Date().addingTimeInterval(seconds)
        while Date() < end {
            if condition() { return true }
            Thread.sleep(forTimeInterval: 0.05)
        }
        return condition()
    }
}
