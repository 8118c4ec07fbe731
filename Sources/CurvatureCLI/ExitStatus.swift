import ArgumentParser
import Curvature
import Foundation

/// The exit statuses of the command line.
///
/// | status | meaning |
/// |---|---|
/// | 0 | done; a run converged, stalled, spent its budget or was stopped by a callback, as `outcome` says |
/// | 1 | `evaluate --below`: the error is not below the bound |
/// | 2 | bad usage or input, or a file that cannot be read or written: the message says which |
/// | 3 | the run broke down |
/// | 130 | the run was interrupted (SIGINT or SIGTERM) |
///
/// Of several runs, the greatest status of any counts.
enum ExitStatus {
    static let notBelow: Int32 = 1
    static let refused: Int32 = 2
    static let brokeDown: Int32 = 3
    static let interrupted: Int32 = 130

    /// Ends the process as an error asks: help and versions are no failures, a command's own status is kept, and everything else is told
    /// on standard error and refused.
    static func end(with error: any Error) -> Never {
        let isStatus = error is ExitCode || Root.exitCode(for: error).isSuccess
        if isStatus { Root.exit(withError: error) }
        FileHandle.standardError.write(Data((Root.fullMessage(for: error) + "\n").utf8))
        Foundation.exit(refused)
    }
}

extension Outcome {
    var exitStatus: Int32 {
        switch self {
        case .converged, .stalled, .budgetSpent, .stopped: 0
        case .brokeDown: ExitStatus.brokeDown
        case .interrupted: ExitStatus.interrupted
        }
    }

    /// The outcome's name as a word for scripts.
    var status: String {
        switch self {
        case .converged: "converged"
        case .budgetSpent: "budgetSpent"
        case .stalled: "stalled"
        case .brokeDown: "brokeDown"
        case .interrupted: "interrupted"
        case .stopped: "stopped"
        }
    }
}
