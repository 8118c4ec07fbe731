/// Rises whenever the layout of a run's snapshot changes.
let runFormatVersion = 1

extension Run {
    /// What a run is: its identity, layout and preflight.
    static func describe(_ pipeline: Pipeline<P>, seed: UInt64, callbacks: [any RunningCallback]) throws -> RunDescription {
        let preflight = try pipeline.preflight()
        let blocks = pipeline.problem.layout.blocks.map { block in
            Setting.Pair(block.name, .scalar(block.shape.map(String.init).joined(separator: "×")))
        }
        let stages = pipeline.stages.map { stage in
            Setting.map([
                .init("name", .scalar(stage.name)), .init("optimizer", stage.optimizer), .init("onBreakdown", stage.onBreakdown.setting),
            ])
        }
        let revising = callbacks.compactMap { callback in callback.identity.map { Setting.Pair(callback.name, $0) } }
        let identity = Setting.map([
            .init("format", .integer(runFormatVersion)), .init("problem", pipeline.problem.identity), .init("layout", .map(blocks)),
            .init("stages", .list(stages)), .init("monitorCadence", .integer(pipeline.monitorCadence)),
            .init("seed", .scalar(String(seed))), .init("callbacks", .map(revising)),
        ])
        return RunDescription(
            identity: identity, seed: seed, layout: pipeline.problem.layout,
            terms: (pipeline.problem as? any DifferentiableProblem)?.terms ?? [], preflight: preflight)
    }

    static func boxes(_ callbacks: [any Callback]) throws -> [any RunningCallback] {
        let boxes = callbacks.map(boxed)
        for (index, box) in boxes.enumerated() where boxes[..<index].contains(where: { $0.name == box.name }) {
            throw StartError(reason: "two callbacks are named “\(box.name)”; a run keeps their states by name")
        }
        return boxes
    }

    /// Throws a ``ResumeError`` that lists every difference between this run's identity and a stored one.
    static func checkIdentity(_ identity: Setting, against archive: Archive) throws {
        let version = try archive.integer("formatVersion")
        guard version == runFormatVersion else {
            throw ResumeError(differences: ["the checkpoint has format \(version); this program reads format \(runFormatVersion)"])
        }
        let stored = try archive.group("identity")
        let (paths, values) = (try stored.strings("paths"), try stored.strings("values"))
        guard paths.count == values.count else {
            throw ArchiveError(entry: "identity", reason: "\(paths.count) paths for \(values.count) values")
        }
        let there = Setting.map(zip(paths, values).map { Setting.Pair($0, .scalar($1)) })
        let here = Setting.map(identity.flattened().map { Setting.Pair($0.path, .scalar($0.text)) })
        let differences = here.differences(from: there)
        guard differences.isEmpty else { throw ResumeError(differences: differences) }
    }
}

/// A checkpoint belongs to another run than the one that is to go on.
public struct ResumeError: Error, CustomStringConvertible {
    /// A line for every setting that differs.
    public var differences: [String]

    public var description: String {
        "the checkpoint belongs to another run; these differ (here: this program's, there: the checkpoint's):\n"
            + differences.map { "  \($0)" }.joined(separator: "\n")
    }
}
