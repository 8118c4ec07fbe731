import ArgumentParser
import Curvature
import Foundation

/// `curvature bench startup`: from the start of a process to its first step.
struct BenchStartup: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "startup", abstract: "Time a process from its start to the first step of Adam.",
        discussion: """
            Starts this program anew for each repetition; such a process makes the problem, its reference included, and ends after the
            step.
            """)

    @OptionGroup var subject: CaseOptions
    @OptionGroup var timing: TimingOptions

    @Flag(help: .hidden)
    var once = false

    func run(with registry: Registry) throws {
        if once {
            try setThreads(timing.threads)
            let bench = try subject.load(from: registry)
            let method = Adam()
            var state = try method.start(
                on: bench.problem, from: Parameters(layout: bench.problem.layout, values: bench.parameters))
            let step = try method.step(&state, on: bench.problem)
            guard step.verdict == .accepted else { throw ExitCode.failure }
            return
        }
        let arguments = CommandLine.arguments.dropFirst() + ["--once"]
        var report = StartupReport(problem: subject.problem, width: subject.width, depth: subject.depth, points: subject.points)
        let times = try timing.measure(repeats: 15, report: { report }) {
            let process = Process()
            process.executableURL = Self.executable
            process.arguments = Array(arguments)
            process.standardInput = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            guard process.terminationStatus == 0 else {
                throw ConfigurationError(path: "startup", reason: "the process ended with status \(process.terminationStatus)")
            }
        }
        guard let times else { return }
        (report.seconds, report.repeats, report.load) = (Seconds(times), times.count, loadAverage())
        try print(timing.json ? JSON.text(of: report) : report.text)
    }

    /// This program's file.
    private static var executable: URL {
        Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
    }
}

struct StartupReport: Encodable {
    var problem: String
    var width, depth, points: Int
    var repeats = 0
    var seconds: Seconds?
    var load: Double?

    init(problem: String, width: Int, depth: Int, points: Int) {
        (self.problem, self.width, self.depth, self.points) = (problem, width, depth, points)
    }

    var text: String {
        """
        \(problem), \(depth) hidden layers of \(width), \(points) points
        process to first step: \(seconds?.text ?? "") over \(repeats)
        """
    }
}
