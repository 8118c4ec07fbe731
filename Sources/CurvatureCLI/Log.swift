import Foundation
import Logging

/// Log lines on standard error: what a command does that is neither its result nor the progress of a run.
struct StandardErrorLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let prefix = event.level >= .warning ? "\(event.level): " : ""
        writeToStandardError("\(prefix)\(event.message)\n")
    }

    /// A logger that says everything, or, where the command is to be quiet, what went wrong only.
    static func logger(quiet: Bool = false) -> Logger {
        Logger(label: "curvature") { _ in StandardErrorLog(logLevel: quiet ? .warning : .info) }
    }
}

/// Text on standard error as it is: tables, where standard output is kept for a JSON object.
func writeToStandardError(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }

/// Where a command's text for people goes: standard output, or, where that is kept for a JSON object, standard error.
struct Screen {
    var json: Bool
    var quiet = false

    func show(_ text: String) {
        if !json { print(text) } else if !quiet { writeToStandardError(text + "\n") }
    }
}
