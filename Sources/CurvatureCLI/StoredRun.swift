import ArgumentParser
import Curvature
import Foundation

/// Which point of a run.
enum Which: String, CaseIterable, ExpressibleByArgument { case best, last }

/// A point of a stored run.
struct StoredPoint {
    /// Where it was read from: a checkpoint's name, or `run.h5`.
    var source: String
    var which: Which
    var iteration: Int
    var parameters: Parameters
}

/// A run on disk: its folder, its `run.h5`, or one checkpoint of it.
struct StoredRun {
    enum Kind: String { case folder, runFile, checkpoint }

    let path: String
    let kind: Kind
    /// The newest checkpoint of a folder, or the one that the path names.
    let checkpoint: CheckpointFolder.Content?
    /// Opened for reading; the owner closes it.
    let file: RunFile?

    init(_ path: String) throws {
        self.path = path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw ConfigurationError(path: path, reason: "is not there; give a run's folder, its run.h5 or a checkpoint")
        }
        if isFolder.boolValue {
            kind = .folder
            checkpoint = try CheckpointFolder("\(path)/checkpoints").latest()
            // A run goes on without its trajectory, and can be looked at without it.
            let name = "\(path)/run.h5"
            file = FileManager.default.fileExists(atPath: name) ? try RunFile.open(name) : nil
        } else if let opened = try StoredRun.runFile(path) {
            (kind, checkpoint, file) = (.runFile, nil, opened)
        } else {
            (kind, checkpoint, file) = (.checkpoint, try CheckpointFolder.read(file: path), nil)
        }
    }

    /// The file as a run file; `nil` where its name is a checkpoint's, or its content is.
    private static func runFile(_ path: String) throws -> RunFile? {
        let name = URL(fileURLWithPath: path).lastPathComponent
        if name.prefix(while: \.isNumber).count >= 8 { return nil }
        do { return try RunFile.open(path) } catch let error as StorageError {
            guard error.kind == .mismatch else { throw error }
            return nil
        }
    }

    func close() { try? file?.close() }

    /// The best or the last point.
    func point(_ which: Which) throws -> StoredPoint {
        guard let checkpoint else { return try resultingPoint(which) }
        switch which {
        case .last:
            return StoredPoint(
                source: checkpoint.entry.name, which: which, iteration: checkpoint.entry.iteration,
                parameters: try checkpoint.archive.value("parameters"))
        case .best:
            guard let best: BestPoint = try checkpoint.archive.groupIfPresent("best")?.decoded() else {
                throw ConfigurationError(path: path, reason: "holds no best point yet; take --which last")
            }
            return StoredPoint(
                source: checkpoint.entry.name, which: which, iteration: best.totalIteration, parameters: best.parameters)
        }
    }

    /// The point that a run file holds: of its result, or, before the run has ended, of its last snapshot.
    private func resultingPoint(_ which: Which) throws -> StoredPoint {
        guard let run = file else { throw ConfigurationError(path: path, reason: "holds no point") }
        let name = which == .best ? "/result/best" : "/result/parameters"
        let (values, iteration): ([Double], Int)
        if run.file.exists(name) {
            values = try run.file.read(Double.self, at: name).values
            iteration = try run.file.integer("iteration", at: name) ?? run.file.integer("iterations", at: "/result") ?? 0
        } else if which == .last, case let rows = run.rows(in: .snapshots), rows > 0 {
            values = try run.vector("parameters", row: rows - 1, in: .snapshots)
            iteration = try run.integers("iteration", in: .snapshots)[rows - 1] ?? 0
        } else {
            throw ConfigurationError(
                path: path, reason: "holds no \(which.rawValue) point, as the run has not ended; give its folder or a checkpoint")
        }
        return StoredPoint(source: "run.h5", which: which, iteration: iteration, parameters: try parameters(values, of: run.file))
    }

    /// The values with the layout that the file says.
    private func parameters(_ values: [Double], of file: HDF5File) throws -> Parameters {
        let names = try file.readTexts(at: "/layout/name").values
        let shapes = try file.readTexts(at: "/layout/shape").values
        var archive = Archive()
        archive.set("values", Vector(values))
        archive.set("blocks", names)
        archive.set("shapes", shapes)
        return try Parameters(from: archive)
    }

    /// What became of the run.
    func outcome() throws -> String {
        if let reason = try file.flatMap({ $0.file.exists("/result") ? try $0.file.text("reason", at: "/result") : nil }) { return reason }
        guard let iteration = checkpoint?.entry.iteration else { return "not ended" }
        return kind == .checkpoint
            ? "not ended in this checkpoint, of iteration \(iteration)" : "not ended; its newest checkpoint is of iteration \(iteration)"
    }

    /// The stages that have ended.
    func stages() throws -> [JSONReport] {
        if let file = file?.file, file.exists("/stages") {
            let names = try file.members(of: "/stages").compactMap { Int($0) }.sorted()
            return try names.map { index in
                let path = "/stages/\(index)"
                return [
                    "name": .text(try file.text("name", at: path)), "optimizer": .text(try file.text("optimizer", at: path)),
                    "outcome": .text(try file.text("reason", at: path)),
                    "iterations": try file.integer("iterations", at: path).map(JSONReport.integer) ?? .null,
                    "seconds": .number(try file.double("seconds", at: path)),
                    "evaluations": .number(try file.double("evaluations", at: path)),
                    "loss": .number(try file.double("loss", at: path)),
                    "relativeL2": .number(try file.double("referenceError", at: path)),
                ]
            }
        }
        guard let ended = try checkpoint?.archive.groupIfPresent("stages") else { return [] }
        return try ended.entries.map { JSONReport(try StageSummary(from: try ended.group($0.name))) }
    }
}

/// The file in a run's folder that holds its configuration, overrides applied.
let configurationFile = "configuration.yaml"

func storedConfiguration(in folder: String) throws -> Setting {
    let path = "\(folder)/\(configurationFile)"
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
        throw ConfigurationError(path: folder, reason: "is not a run's folder: \(path) is missing or cannot be read")
    }
    return try YAML.setting(from: text, file: path)
}

extension StoredPoint {
    /// Throws where a run on `problem` cannot begin or be judged at the point: another layout, listed block by block, or a parameter that
    /// is no number.
    func require(layoutOf problem: any Problem, path: String) throws {
        let (here, there) = (problem.layout, parameters.layout)
        if here != there {
            func shapes(_ layout: ParameterLayout) -> Setting {
                .map(layout.blocks.map { .init($0.name, .scalar($0.shape.map(String.init).joined(separator: "×"))) })
            }
            let differences = shapes(here).differences(from: shapes(there)).map { "  \($0)" }.joined(separator: "\n")
            throw ConfigurationError(
                path: path,
                reason: "its parameters do not have the layout of \(problem.name) (here: the problem's, there: the stored ones'):\n"
                    + (differences.isEmpty ? "  the same blocks in another order" : differences))
        }
        if let bad = parameters.values.firstIndex(where: { !$0.isFinite }) {
            throw ConfigurationError(
                path: path,
                reason: "parameter \(bad) of its \(which.rawValue) point is \(parameters.values[bad]), which is not finite; "
                    + "take another point")
        }
    }
}
