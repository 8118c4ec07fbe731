import LinearAlgebra
import OptimizationCore

/// A run that was cut at several steps, to be ended in another process: what a checkpoint is for.
///
/// A state that keeps something outside itself (a table of the process, an order of hashing, an address) goes on bit for bit in the
/// process that wrote it, and differently in the next one. So the second half belongs in a process of its own, which swift-testing's
/// exit tests are:
///
///     @Test func goesOnInAFreshProcess() async throws {
///         let cut = try OptimizerConformance.interrupted(Lion(), on: ZooProblem.wood)
///         await #expect(processExitsWith: .success) { [cut = cut as InterruptedRun] in
///             try cut.finish(Lion(), on: ZooProblem.wood)
///         }
///     }
///
/// It is stored text and numbers (`Codable`), every bit of which is kept; the optimizer and the problem are made anew in the other
/// process, by the same lines of code.
public struct InterruptedRun: Codable, Sendable {
    private var subject: String
    private var seed: UInt64
    private var steps: Int
    private var cuts: [Cut]
    /// What the run that nothing interrupted came to.
    private var whole: Ending

    private struct Cut: Codable, Sendable {
        var step: Int
        var snapshot: StoredArchive
    }

    private struct Ending: Codable, Sendable {
        var archive: StoredArchive
        var outcome: String
    }

    /// Goes on from every cut; throws a ``ConformanceFailure`` where a run does not end with the bits of the one that was not cut.
    public func finish<O: Optimizer, P: DifferentiableProblem>(_ optimizer: O, on problem: P) throws {
        var report = ConformanceReport(subject: "\(O.self) on \(problem.name), in a fresh process")
        report.add("interrupted = uninterrupted") {
            guard subject == Self.subject(optimizer, problem) else {
                return ["the run that was cut is one of \(subject), not of \(Self.subject(optimizer, problem))"]
            }
            let pipeline = Self.pipeline(optimizer, problem, steps)
            let expected = try whole.archive.restored()
            // The last cut first: a run from the beginning would leave in this process what the others must do without.
            return try cuts.reversed().compactMap { cut in
                let (archive, outcome) = try Self.ending(of: pipeline.restore(from: try cut.snapshot.restored()))
                let differences = archive.differences(from: expected)
                if !differences.isEmpty { return "cut after step \(cut.step): \(differences.joined(separator: ", "))" }
                return outcome == whole.outcome ? nil : "cut after step \(cut.step): \(outcome), not \(whole.outcome)"
            }
        }
        guard report.passed else { throw ConformanceFailure(report: report) }
    }

    init<O: Optimizer, P: DifferentiableProblem>(of optimizer: O, on problem: P, steps: Int, seed: UInt64) throws {
        let pipeline = Self.pipeline(optimizer, problem, steps)
        let (archive, outcome) = try Self.ending(of: pipeline.begin(seed: seed))
        (subject, self.seed, self.steps) = (Self.subject(optimizer, problem), seed, steps)
        whole = Ending(archive: StoredArchive(archive), outcome: outcome)
        cuts = try [0, 1, steps / 2, steps - 1].map { step in
            let run = try pipeline.begin(seed: seed)
            for _ in 0..<step { try run.advance() }
            return Cut(step: step, snapshot: StoredArchive(run.snapshot()))
        }
    }

    private static func subject<O: Optimizer, P: Problem>(_ optimizer: O, _ problem: P) -> String { "\(O.self) on \(problem.identity)" }

    private static func pipeline<O: Optimizer, P: DifferentiableProblem>(_ optimizer: O, _ problem: P, _ steps: Int) -> Pipeline<P> {
        Pipeline(minimizing: problem, stages: [Stage(dynamic: "conformance", optimizer, until: .iterations(steps))])
    }

    /// What a run comes to, but for the clock's readings.
    private static func ending<P: Problem>(of run: Run<P>) throws -> (archive: Archive, outcome: String) {
        let result = try run.finish()
        var archive = run.snapshot()
        for reading in ["seconds", "secondsInStage"] { archive.remove(reading) }
        return (archive, result.outcome.description)
    }
}

extension OptimizerConformance {
    /// A run of `steps` steps cut before the first, after it, in the middle and before the last one, to be ended in another process by
    /// ``InterruptedRun/finish(_:on:)``. Throws where the optimizer does not fit the problem.
    public static func interrupted<O: Optimizer, P: DifferentiableProblem>(
        _ optimizer: O, on problem: P, steps: Int = 20, seed: UInt64 = 0
    ) throws -> InterruptedRun {
        precondition(steps >= 4, "a run is cut at four steps")
        return try InterruptedRun(of: optimizer, on: problem, steps: steps, seed: seed)
    }
}

/// An archive as text and whole numbers, so that any coder keeps its bits (JSON has no NaN, and may round).
private struct StoredArchive: Codable, Sendable {
    struct Entry: Codable, Sendable {
        var name: String
        var doubles: [UInt64]?
        var integers: [Int64]?
        var strings: [String]?
        var group: StoredArchive?
        var shape: [Int]
        var unit: String?
    }

    var entries: [Entry]

    init(_ archive: Archive) {
        entries = archive.entries.map { entry in
            var stored = Entry(name: entry.name, shape: entry.shape, unit: entry.unit)
            switch entry.content {
            case .doubles(let values): stored.doubles = values.map(\.bitPattern)
            case .integers(let values): stored.integers = values
            case .strings(let values): stored.strings = values
            case .group(let group): stored.group = StoredArchive(group)
            }
            return stored
        }
    }

    func restored() throws -> Archive {
        var archive = Archive()
        for entry in entries {
            let content: Archive.Content
            if let values = entry.doubles {
                content = .doubles(values.map { Double(bitPattern: $0) })
            } else if let values = entry.integers {
                content = .integers(values)
            } else if let values = entry.strings {
                content = .strings(values)
            } else if let group = entry.group {
                content = .group(try group.restored())
            } else {
                throw ArchiveError(entry: entry.name, reason: "holds nothing")
            }
            archive.set(.init(name: entry.name, content: content, shape: entry.shape, unit: entry.unit))
        }
        return archive
    }
}
