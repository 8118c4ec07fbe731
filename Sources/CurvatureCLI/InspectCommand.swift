import ArgumentParser
import Curvature

/// `curvature inspect`: what a run's folder, or one file of it, holds.
struct InspectCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show what a run holds: its stages, checkpoints, columns and last row.",
        discussion: "Takes a run's folder, its run.h5, or one checkpoint.")

    @Argument(help: "The run's folder, or one of its files.")
    var path: String

    @Option(help: "Whose parameters to describe: best or last.")
    var which = Which.last

    @Flag(help: "Print one JSON object.")
    var json = false

    func run(with registry: Registry) throws {
        let stored = try StoredRun(path)
        defer { stored.close() }
        let screen = Screen(json: json)
        let point = try shownPoint(of: stored)
        if json {
            try report(stored, point).show()
        } else {
            try describe(stored, point, on: screen)
        }
    }

    /// The point to describe. A run file that holds none can still be looked at.
    private func shownPoint(of stored: StoredRun) throws -> StoredPoint? {
        guard stored.kind == .runFile, which == .last else { return try stored.point(which) }
        return try? stored.point(which)
    }

    private func describe(_ stored: StoredRun, _ point: StoredPoint?, on screen: Screen) throws {
        // A run that was made in code has none.
        if stored.kind == .folder, let setting = try? storedConfiguration(in: path) { screen.show("configuration: \(setting)") }
        for stage in try stored.stages() { screen.show("stage \(stage["name"]): \(stage["outcome"]), loss \(stage["loss"])") }
        screen.show("outcome: \(try stored.outcome())")
        if let point {
            screen.show("\(point.source): \(which.rawValue) point of iteration \(point.iteration)")
            for block in point.parameters.layout.blocks {
                screen.show("  \(block.name) \(shape(block)): ‖·‖₂ = \(short(norm(of: block, in: point.parameters)))")
            }
        }
        guard let file = stored.file else { return }
        let rows = file.rows(in: .trajectory)
        screen.show("trajectory: \(rows) rows")
        guard rows > 0 else { return }
        for column in file.columns(in: .trajectory) where column.kind == .real {
            let last = try lastValue(of: column, in: file)
            screen.show("  \(column.name): \(last.map(short) ?? "–")\(column.unit.map { " \($0)" } ?? "")  (\(column.meaning))")
        }
    }

    private func report(_ stored: StoredRun, _ point: StoredPoint?) throws -> JSONReport {
        let newest = which == .last ? point : try? stored.point(.last)
        var report: JSONReport = [
            "path": .text(path), "kind": .text(stored.kind.rawValue), "outcome": .text(try stored.outcome()),
            "parametersHash": .text(newest.map { SHA256.hexadecimal(ofLittleEndian: $0.parameters.values.elements) }),
            "stages": .list(try stored.stages()), "which": .text(which.rawValue),
        ]
        if let point {
            let blocks = point.parameters.layout.blocks.map { block -> JSONReport in
                ["name": .text(block.name), "shape": .text(shape(block)), "norm": .number(norm(of: block, in: point.parameters))]
            }
            report = report.adding([
                "iteration": .integer(point.iteration), "parameters": .integer(point.parameters.count), "blocks": .list(blocks),
            ])
        }
        if stored.kind == .folder {
            let names = try CheckpointFolder("\(path)/checkpoints").list().map { JSONReport.text($0.name) }
            report = report.adding(["checkpoints": .list(names)])
        }
        if let file = stored.file {
            let rows = file.rows(in: .trajectory)
            let columns = rows == 0 ? [] : file.columns(in: .trajectory).filter { $0.kind == .real }
            let last = try columns.map { JSONReport.Member($0.name, .number(try lastValue(of: $0, in: file))) }
            report = report.adding(["trajectory": ["rows": .integer(rows), "last": .object(last)]])
        }
        return report
    }

    private func shape(_ block: ParameterBlock) -> String { block.shape.map(String.init).joined(separator: "×") }

    private func norm(of block: ParameterBlock, in parameters: Parameters) -> Double {
        Vector(parameters.values.elements[block.range]).norm
    }

    private func lastValue(of column: Column, in file: RunFile) throws -> Double? {
        try file.reals(column.name, in: .trajectory).last { !$0.isNaN }
    }
}

extension JSONReport {
    /// A member for people: text as it is, numbers short.
    fileprivate subscript(name: String) -> String {
        guard case .object(let members) = self, let value = members.first(where: { $0.name == name })?.value else { return "–" }
        switch value {
        case .text(let text): return text
        case .number(let value): return short(value)
        case .null: return "–"
        default: return value.encoded
        }
    }
}
