import Curvature
import Foundation

/// The course of a run: the least error so far, where one was measured.
struct RunCourse {
    struct Row {
        var seconds: Double
        var evaluations: Double
        var iteration: Double
        var error: Double
    }

    var rows: [Row] = []

    /// The rows at which `values` is a positive number, with the least so far.
    init(_ history: RunHistory, of values: [Double]) {
        var least = Double.infinity
        for i in values.indices where values[i] > 0 && values[i].isFinite {
            least = min(least, values[i])
            rows.append(
                Row(seconds: history.seconds[i], evaluations: history.evaluations[i], iteration: history.iteration[i], error: least))
        }
    }

    /// The first row at or below a level.
    func reaching(_ level: Double) -> Row? { rows.first { $0.error <= level } }

    /// The error that is known at a place along an axis.
    func error(at place: Double, along axis: KeyPath<Row, Double>) -> Double? { rows.last { $0[keyPath: axis] <= place }?.error }
}

/// Several kinds of runs beside each other.
struct RunComparison {
    /// Runs of one kind, as of several seeds.
    struct Kind {
        var name: String
        var courses: [RunCourse]

        func quartiles(_ value: (RunCourse) -> Double?) -> Quartiles { Quartiles(courses.map(value)) }
        var errors: Quartiles { quartiles { $0.rows.last?.error } }
        var best: Double { courses.compactMap { $0.rows.last?.error }.min() ?? .nan }
    }

    static let levels = [1e-2, 1e-4, 1e-6, 1e-8, 1e-10]

    private(set) var kinds: [Kind] = []
    /// Whether the runs are compared by the relative error; else by the loss.
    let measuresError: Bool

    init(of folders: [String]) throws {
        let groups = try folders.map { folder in (folder, try Self.runs(in: folder)) }
        let histories = try groups.map { _, runs in try runs.map { try Self.history(of: $0) } }
        let measured = histories.map { $0.map { $0.error.contains { $0 > 0 && $0.isFinite } } }
        measuresError = measured.contains { $0.contains(true) }
        for (g, (folder, runs)) in groups.enumerated() {
            if measuresError, let without = measured[g].firstIndex(of: false) {
                throw ConfigurationError(
                    path: runs[without], reason: "has no measured error, as others have; run it with the callback reference-error")
            }
            let name = URL(fileURLWithPath: folder).lastPathComponent
            let isTwice = folders.filter { URL(fileURLWithPath: $0).lastPathComponent == name }.count > 1
            kinds.append(
                Kind(
                    name: isTwice ? folder : name,
                    courses: histories[g].map { RunCourse($0, of: measuresError ? $0.error : $0.loss.values) }))
        }
    }

    /// The run that a folder is, or the runs in it, by name.
    private static func runs(in folder: String) throws -> [String] {
        func isRun(_ path: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/run.h5") }
        if isRun(folder) { return [folder] }
        let inside = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let runs = inside.sorted().map { "\(folder)/\($0)" }.filter(isRun)
        guard !runs.isEmpty else {
            throw ConfigurationError(
                path: folder, reason: "is no run's folder and holds none: there is no run.h5 in it or one folder below")
        }
        return runs
    }

    private static func history(of folder: String) throws -> RunHistory {
        let file = try RunFile.open("\(folder)/run.h5")
        defer { try? file.close() }
        guard file.rows(in: .trajectory) > 0 else {
            throw ConfigurationError(path: folder, reason: "has no recorded iteration to compare")
        }
        return try RunHistory(of: file)
    }

    var measure: String { measuresError ? "relative error" : "loss" }

    /// A line for each kind: quartiles of the least error, the best run's, and medians of what it took to each level.
    var table: String {
        func number(_ value: Double) -> String { value.isFinite ? short(value) : "–" }
        let levels = Self.levels.filter { level in kinds.contains { $0.best <= level } }
        var rows = [["", "runs", measure, "quartiles", "best", "iterations", "seconds"] + levels.map { "s to \(short($0))" }]
        for kind in kinds {
            let errors = kind.errors
            rows.append(
                [
                    kind.name, String(kind.courses.count), number(errors.median), "\(number(errors.lower)), \(number(errors.upper))",
                    number(kind.best), number(kind.quartiles { $0.rows.last?.iteration }.median),
                    number(kind.quartiles { $0.rows.last?.seconds }.median),
                ] + levels.map { level in number(kind.quartiles { $0.reaching(level)?.seconds }.median) })
        }
        return TextTable.text(rows)
    }

    var report: JSONReport {
        let listed = kinds.map { kind -> JSONReport in
            [
                "name": .text(kind.name), "runs": .integer(kind.courses.count), "error": kind.errors.report, "best": .number(kind.best),
                "iterations": kind.quartiles { $0.rows.last?.iteration }.report,
                "seconds": kind.quartiles { $0.rows.last?.seconds }.report,
                "evaluations": kind.quartiles { $0.rows.last?.evaluations }.report,
                "levels": .list(
                    Self.levels.map { level in
                        [
                            "error": .number(level), "reached": .integer(kind.courses.filter { $0.reaching(level) != nil }.count),
                            "seconds": kind.quartiles { $0.reaching(level)?.seconds }.report,
                            "evaluations": kind.quartiles { $0.reaching(level)?.evaluations }.report,
                        ]
                    }),
            ]
        }
        return ["outcome": "compared", "measure": .text(measure), "kinds": .list(listed)]
    }
}
