import Foundation
import OptimizationCore
import Testing

/// How many cases are tried, from which seed, and in which processes.
///
/// `CURVATURE_FUZZ` is the number of cases of all kinds together, `CURVATURE_FUZZ_SEED` their seed,
/// `CURVATURE_FUZZ_FIRST` the first one. A case is a pure function of the seed
/// and its number, so that a failure is repeated by the seed alone.
enum Fuzzing {
    static let cases = variable("CURVATURE_FUZZ") ?? 2000
    static let seed = variable("CURVATURE_FUZZ_SEED") ?? 1
    /// The first case tried, to come to a failed one at once.
    static let first = variable("CURVATURE_FUZZ_FIRST") ?? 0
    /// Seconds after which a case counts as hung.
    static let limit = 30.0

    private static func variable(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap(Int.init) }

    static func random(_ kind: String, _ number: Int, seed: Int) -> RandomStream {
        RandomStream(seed: UInt64(seed), name: "\(kind) \(number)")
    }

    /// Runs cases in child processes: where one crashes or hangs, says which, and goes on behind it.
    ///
    /// `child` runs the cases from a number on until `count`, each after a call of `Progress.begin`, in a process of its own.
    static func survey(
        _ kind: String, count: Int, _ child: (_ first: Int, _ count: Int, _ progress: String) async -> Void
    ) async throws {
        let scratch = try ScratchFolder()
        let progress = "\(scratch.path)/progress"
        var (first, deaths) = (Fuzzing.first, 0)
        while first < count, deaths < 10 {
            try "".write(toFile: progress, atomically: false, encoding: .utf8)
            await child(first, count, progress)
            let noted = try String(contentsOfFile: progress, encoding: .utf8)
            if noted == Progress.end { return }
            guard let number = noted.prefix(while: { $0 != "\n" }).split(separator: " ").last.flatMap({ Int($0) }) else {
                Issue.record("\(kind): the child process ended before its first case: \(noted)")
                return
            }
            deaths += 1
            Issue.record("\(kind), seed \(seed), case \(number) ended or hung its process:\n\(noted)")
            first = number + 1
        }
    }
}

/// What a child process notes of the case it is at, for the parent to read if that is its last; and its end, if a case hangs.
final class Progress: Sendable {
    static let end = "all done"
    private let path: String

    init(_ path: String) { self.path = path }

    /// Notes a case before it is tried; the process is killed where it takes longer than `Fuzzing.limit`.
    func begin(_ number: Int, _ text: String) {
        note("case \(number)\n\(text)")
        alarm(UInt32(Fuzzing.limit))
    }

    func finish() {
        alarm(0)
        note(Progress.end)
    }

    private func note(_ text: String) { _ = FileManager.default.createFile(atPath: path, contents: Data(text.utf8)) }
}

extension RandomStream {
    mutating func element<T>(of list: [T]) -> T { list[index(below: list.count)] }
    mutating func chance(_ probability: Double) -> Bool { uniform() < probability }
}
