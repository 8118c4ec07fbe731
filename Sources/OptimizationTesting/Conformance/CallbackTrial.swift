import LinearAlgebra
import OptimizationCore

/// A callback under test in runs of one small pipeline; each method returns what it finds broken.
struct CallbackTrial<C: Callback, P: DifferentiableProblem> {
    let make: () throws -> C
    let reopen: (C) throws -> C
    let pipeline: Pipeline<P>
    let steps: Int
    let clockEntries: [String]
    let seed: UInt64

    /// How a run went: what was heard in it and what it came to, but for the clock's readings.
    struct Ending: Equatable {
        var lines: [Minutes.Line]
        var archive: Archive
        var outcome: String
        var faults: [String] = []

        func difference(from other: Ending) -> String? {
            for (mine, theirs) in zip(lines, other.lines) where mine != theirs {
                return mine.event == theirs.event ? "\(mine) has other values" : "\(mine) stands for \(theirs)"
            }
            if lines.count != other.lines.count { return "\(lines.count) events stand for \(other.lines.count)" }
            if outcome != other.outcome { return "ends “\(outcome)”, not “\(other.outcome)”" }
            let differences = archive.differences(from: other.archive)
            return differences.isEmpty ? nil : "these differ at the end: \(differences.joined(separator: ", "))"
        }
    }

    private func callbacks(_ callback: C, _ minutes: Minutes, forking: Bool = false) -> [any Callback] {
        [Screened(base: callback, minutes: minutes, isForking: forking), Listener(minutes: minutes, clockEntries: clockEntries)]
    }

    private func ending(of run: Run<P>, _ minutes: Minutes, name: String, before: [Minutes.Line] = []) throws -> Ending {
        let result = try run.finish()
        var archive = run.snapshot()
        for reading in ["seconds", "secondsInStage", "stages"] { archive.remove(reading) }
        var states = try archive.group("callbacks")
        if var state = try states.groupIfPresent(name) {
            for entry in clockEntries { state.remove(entry) }
            states.set(name, state)
        }
        archive.set("callbacks", states)
        return Ending(lines: before + minutes.lines, archive: archive, outcome: result.outcome.description, faults: minutes.faults)
    }

    private func wholeRun(forking: Bool = false) throws -> Ending {
        let (callback, minutes) = (try make(), Minutes())
        let run = try pipeline.begin(seed: seed, callbacks: callbacks(callback, minutes, forking: forking))
        return try ending(of: run, minutes, name: callback.name)
    }
}

extension CallbackTrial {
    func hasAName() throws -> [String] {
        let names = [try make().name, try make().name]
        if names[0].isEmpty || names[0].contains("/") { return ["“\(names[0])” is no name to keep a state under: not empty, no slash"] }
        return names[0] == names[1] ? [] : ["two equal callbacks are named “\(names[0])” and “\(names[1])”"]
    }

    func asksWhereItIsHeard() throws -> [String] { try wholeRun().faults }

    func isDeterministic() throws -> [String] {
        try wholeRun().difference(from: wholeRun()).map { ["two equal runs differ: \($0)"] } ?? []
    }

    func hasValueSemantics() throws -> [String] { try wholeRun(forking: true).faults.filter { $0.hasPrefix("copying") } }

    func isStored() throws -> [String] { try wholeRun(forking: true).faults.filter { $0.hasPrefix("storing") } }

    /// Cut after no step, one, at the stages' border and at the last but one; where the callback has stopped the run before, there.
    func resumes() throws -> [String] {
        let whole = try wholeRun()
        let taken = whole.lines.count { $0.event == "step" }
        var failures: [String] = []
        for cut in [0, 1, steps / 2, steps / 2 + 1, steps - 1] where cut < taken {
            let (callback, minutes) = (try make(), Minutes())
            let first = try pipeline.begin(seed: seed, callbacks: callbacks(callback, minutes))
            while minutes.course.count < cut { try first.advance() }
            let (archive, heard) = (first.snapshot(), minutes.lines)
            let (again, rest) = (try reopen(callback), Minutes())
            let run = try pipeline.restore(from: archive, callbacks: callbacks(again, rest))
            let resumed = try ending(of: run, rest, name: again.name, before: heard)
            if let difference = resumed.difference(from: whole) { failures.append("cut after step \(cut): \(difference)") }
        }
        return failures
    }

    func changesCourseByIdentity() throws -> [String] {
        let (callback, other) = (try make(), try make())
        let (with, alone) = (Minutes(), Minutes())
        _ = try pipeline.begin(seed: seed, callbacks: callbacks(callback, with)).finish()
        _ = try pipeline.begin(seed: seed, callbacks: [Listener(minutes: alone, clockEntries: [])]).finish()
        guard let identity = callback.identity else {
            if let revision = with.revisions.first { return ["has no identity, but: \(revision)"] }
            let pair = zip(with.course, alone.course).first { $0 != $1 }
            return pair.map { ["has no identity, but the run takes another course with it from step \($0.0.iteration) on"] } ?? []
        }
        if other.identity.map({ $0.description != identity.description }) ?? true {
            return ["two equal callbacks have different identities"]
        }
        return with.revisions.isEmpty ? ["has an identity, but revises nothing in \(steps) steps: choose settings by which it acts"] : []
    }

    func acceptsItsSettings() throws -> [String] {
        guard let configurable = try make() as? any Configurable else { return [] }
        return SettingsConformance.acceptsOwn(configurable)
    }

    func refusesBadSettings() throws -> [String] {
        guard let configurable = try make() as? any Configurable else { return [] }
        return SettingsConformance.acceptsWrong(configurable)
    }
}
