import Foundation

/// The built `curvature` executable, run in a process of its own.
struct CommandLineTool {
    struct Output {
        var status: Int32
        var text: String
        var errors: String
        /// Whether a signal ended the process.
        var crashed = false
    }

    let executable: URL

    init() throws {
        // The test bundle lies beside the products of the same build.
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        executable = bundle.appendingPathComponent("curvature")
        guard FileManager.default.isExecutableFile(atPath: executable.path) else {
            throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: executable.path])
        }
    }

    /// Runs to the end.
    func run(_ arguments: [String], environment: [String: String] = [:], by program: URL? = nil) throws -> Output {
        let (process, output, errors) = try launch(arguments, environment, by: program)
        // Both pipes stay small: the tool prints tables, and progress only on a terminal.
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let complaints = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Output(
            status: process.terminationStatus, text: String(decoding: text, as: UTF8.self),
            errors: String(decoding: complaints, as: UTF8.self), crashed: process.terminationReason == .uncaughtSignal)
    }

    /// Runs to the end in a shell that first executes a command, such as a limit.
    func run(_ arguments: [String], after command: String) throws -> Output {
        try run(["-c", "\(command); exec \"$0\" \"$@\"", executable.path] + arguments, by: URL(fileURLWithPath: "/bin/sh"))
    }

    /// Starts, sends a signal after a while, and waits; whether the process was still running then.
    func run(_ arguments: [String], environment: [String: String] = [:], sending signal: Int32, after seconds: Double) throws -> Bool {
        let (process, _, _) = try launch(arguments, environment)
        Thread.sleep(forTimeInterval: seconds)
        let wasRunning = process.isRunning
        if wasRunning { kill(process.processIdentifier, signal) }
        process.waitUntilExit()
        return wasRunning && (process.terminationReason == .uncaughtSignal || signal != SIGKILL)
    }

    func launch(
        _ arguments: [String], _ environment: [String: String], by program: URL? = nil
    ) throws -> (Process, Pipe, Pipe) {
        let process = Process()
        let (output, errors) = (Pipe(), Pipe())
        process.executableURL = program ?? executable
        process.arguments = arguments
        // Without the report of a crash, which takes seconds: the signal says enough.
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }.merging(environment) {
            $1
        }
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = FileHandle.nullDevice
        try process.run()
        return (process, output, errors)
    }
}

extension CommandLineTool.Output {
    /// The one JSON object that the command printed: all of standard output, on one line.
    func object() throws -> [String: Any] {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 2, lines[1].isEmpty else { throw NotOneObject(text: text, errors: errors) }
        let value = try JSONSerialization.jsonObject(with: Data(lines[0].utf8))
        guard let object = value as? [String: Any] else { throw NotOneObject(text: text, errors: errors) }
        return object
    }

    struct NotOneObject: Error {
        var text: String
        var errors: String
    }
}

/// A folder that is removed when the test ends.
final class ScratchFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("curvature-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, to name: String) throws -> String {
        let file = "\(path)/\(name)"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return file
    }
}
