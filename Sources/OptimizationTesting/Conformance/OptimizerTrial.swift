import LinearAlgebra
import OptimizationCore

/// An optimizer under test on one problem; each method returns what it finds broken.
struct OptimizerTrial<O: Optimizer, P: DifferentiableProblem> {
    let optimizer: O
    let problem: P
    let objective: O.Objective
    let start: Parameters
    let steps: Int

    /// The states, as stored, and the reports of a run.
    struct Trace: Equatable {
        var archives: [Archive]
        var parameters: [Parameters]
        var reports: [StepReport] = []

        static func == (a: Trace, b: Trace) -> Bool {
            a.archives == b.archives && a.reports.map(\.record) == b.reports.map(\.record)
        }

        /// The first step after which two runs differ.
        func difference(from other: Trace) -> String {
            for (step, pair) in zip(archives, other.archives).enumerated() where pair.0 != pair.1 {
                return "after step \(step) these differ: \(pair.0.differences(from: pair.1).joined(separator: ", "))"
            }
            return archives.count == other.archives.count
                ? "their reports differ" : "one took \(reports.count) steps, the other \(other.reports.count)"
        }
    }

    /// Steps until `count` are taken or the method ends.
    func run(_ state: inout O.State, _ count: Int) throws -> Trace {
        var trace = Trace(archives: [Archive(of: state)], parameters: [state.parameters])
        for _ in 0..<count {
            let report = try optimizer.step(&state, on: objective)
            trace.archives.append(Archive(of: state))
            trace.parameters.append(state.parameters)
            trace.reports.append(report)
            if report.verdict.ends { break }
        }
        return trace
    }

    func wholeRun(from parameters: Parameters? = nil) throws -> Trace {
        var state = try optimizer.start(on: objective, from: parameters ?? start)
        return try run(&state, steps)
    }

    /// A state after `count` steps, or fewer if the method ended before.
    func state(after count: Int) throws -> O.State {
        var state = try optimizer.start(on: objective, from: start)
        _ = try run(&state, count)
        return state
    }

    /// Numbers of steps after which runs are cut.
    private var cuts: [Int] { [0, 1, steps / 2, steps - 1] }
}

// MARK: Progress and reports

extension OptimizerTrial {
    func startsInPlace() throws -> [String] {
        let state = try optimizer.start(on: objective, from: start)
        return state.parameters.values.sameBits(as: start.values) && state.parameters.layout == start.layout
            ? [] : ["the state before the first step is elsewhere"]
    }

    func reportsItsLoss() throws -> [String] {
        let trace = try wholeRun()
        let count = (problem as? any LeastSquaresProblem)?.residualCount ?? start.count
        return try zip(trace.parameters.dropFirst(), trace.reports).enumerated().compactMap { step, pair -> String? in
            let (parameters, report) = pair
            guard report.coversAllSamples else { return nil }
            let value = try problem.lossAndGradient(at: parameters.values)
            // A breakdown leaves the parameters, and where they stand the loss may be no number.
            if case .brokeDown = report.verdict, !value.loss.isFinite, !report.loss.isFinite { return nil }
            // Two orders of summation, as in the derivative ladder.
            let allowed = Ladder.rounding(count) * abs(value.loss.total)
            if !(abs(report.loss.total - value.loss.total) <= allowed) {
                return "step \(step + 1) reports L = \(report.loss.total), which is \(value.loss.total) there"
            }
            guard let norm = report.gradientNorm, let start = trace.reports.first?.gradientNorm else { return nil }
            // Near a minimiser the gradient is what cancellation leaves of its terms, at most the first gradient's size here.
            let slack = 1e-8 * value.gradient.norm + Ladder.rounding(count) * max(start, value.gradient.norm)
            return abs(norm - value.gradient.norm) <= slack
                ? nil : "step \(step + 1) reports ‖∇L‖ = \(norm), which is \(value.gradient.norm) there"
        }
    }

    func movesOnlyWhenAccepting() throws -> [String] {
        let trace = try wholeRun()
        return trace.reports.indices.compactMap { step in
            let moved = !trace.parameters[step].values.sameBits(as: trace.parameters[step + 1].values)
            guard moved, trace.reports[step].verdict != .accepted else { return nil }
            return "step \(step + 1) was \(trace.reports[step].verdict.name) and moved the parameters"
        }
    }
}

// MARK: Determinism, values, storage

extension OptimizerTrial {
    func isDeterministic() throws -> [String] {
        let (one, two) = (try wholeRun(), try wholeRun())
        return one == two ? [] : ["two equal runs differ: \(one.difference(from: two))"]
    }

    func hasValueSemantics() throws -> [String] {
        var failures: [String] = []
        for cut in cuts {
            var original = try state(after: cut)
            let before = Archive(of: original)
            var copy = original
            let first = try run(&copy, 3)
            let changed = Archive(of: original).differences(from: before)
            if !changed.isEmpty {
                failures.append("stepping a copy after step \(cut) changed the original's \(changed.joined(separator: ", "))")
            }
            let second = try run(&original, 3)
            if first != second { failures.append("original and copy part after step \(cut): \(first.difference(from: second))") }
        }
        return failures
    }

    func keepsRunsApart() throws -> [String] {
        let elsewhere = start.with(Vector(start.values.map { 0.9 * $0 + 0.01 }))
        let alone = try [start, elsewhere].map { try wholeRun(from: $0) }
        var states = try [start, elsewhere].map { try optimizer.start(on: objective, from: $0) }
        var failures: [String] = []
        for step in 0..<steps {
            for which in 0...1 where step < alone[which].reports.count {
                _ = try run(&states[which], 1)
                if failures.isEmpty, Archive(of: states[which]) != alone[which].archives[step + 1] {
                    failures.append("a run that takes turns with another differs from itself alone after step \(step + 1)")
                }
            }
        }
        return failures
    }

    func roundTrips() throws -> [String] {
        var failures: [String] = []
        for cut in cuts {
            var state = try state(after: cut)
            let stored = Archive(of: state)
            var decoded = try stored.decoded(as: O.State.self)
            let lost = Archive(of: decoded).differences(from: stored)
            if !lost.isEmpty { failures.append("storing the state after step \(cut) changes \(lost.joined(separator: ", "))") }
            if !decoded.parameters.values.sameBits(as: state.parameters.values) {
                failures.append("storing the state after step \(cut) changes its parameters")
            }
            let (there, here) = (try run(&decoded, steps), try run(&state, steps))
            if there != here { failures.append("stored after step \(cut), it goes on differently: \(there.difference(from: here))") }
        }
        return failures
    }

    func resumes(_ pipeline: Pipeline<P>, seed: UInt64) throws -> [String] {
        /// What a run has come to, but for the clock's readings.
        func ending(_ run: Run<P>) throws -> (archive: Archive, outcome: String) {
            let result = try run.finish()
            var archive = run.snapshot()
            for reading in ["seconds", "secondsInStage"] { archive.remove(reading) }
            return (archive, result.outcome.description)
        }
        let whole = try ending(pipeline.begin(seed: seed, from: start))
        return try (cuts + [steps]).compactMap { cut in
            let first = try pipeline.begin(seed: seed, from: start)
            for _ in 0..<cut { try first.advance() }
            let resumed = try ending(pipeline.restore(from: first.snapshot()))
            let differences = resumed.archive.differences(from: whole.archive)
            if !differences.isEmpty { return "cut after step \(cut): \(differences.joined(separator: ", "))" }
            return resumed.outcome == whole.outcome ? nil : "cut after step \(cut): \(resumed.outcome), not \(whole.outcome)"
        }
    }
}

// MARK: Versions and settings

extension OptimizerTrial {
    func adapts() throws -> [String] {
        var state = try state(after: steps / 2)
        let before = state.parameters
        try optimizer.adapt(&state, to: objective)
        guard state.parameters.values.sameBits(as: before.values) else { return ["adapting moved the parameters"] }
        let after = try run(&state, 1)
        if case .brokeDown(let breakdown)? = after.reports.first?.verdict { return ["the step after adapting broke down: \(breakdown)"] }
        return []
    }

    func acceptsItsSettings() -> [String] {
        guard let configurable = optimizer as? any Configurable else { return [] }
        return SettingsConformance.acceptsOwn(configurable)
    }

    func refusesBadSettings() -> [String] {
        guard let configurable = optimizer as? any Configurable else { return [] }
        return SettingsConformance.acceptsWrong(configurable)
    }
}

// MARK: Comparing

extension StepReport {
    /// The report's content, comparable bit by bit.
    var record: Archive {
        var archive = Archive()
        archive.set("loss", [loss.total] + loss.terms)
        archive.set("gradientNorm", gradientNorm.map { [$0] } ?? [])
        archive.set("stepLength", stepLength.map { [$0] } ?? [])
        archive.set("verdict", verdict.name)
        archive.set("details", details.map(\.name))
        archive.set("values", details.map(\.value))
        return archive
    }
}

extension StepVerdict {
    /// Whether the method has nothing more to do after this.
    var ends: Bool {
        switch self {
        case .stationary, .brokeDown: true
        case .accepted, .rejected, .invalid: false
        }
    }
}

extension Vector {
    func sameBits(as other: Vector) -> Bool {
        count == other.count && zip(self, other).allSatisfy { $0.bitPattern == $1.bitPattern }
    }
}

extension Archive {
    /// Whether every stored double is finite.
    var isFinite: Bool {
        entries.allSatisfy { entry in
            switch entry.content {
            case .doubles(let values): values.allSatisfy(\.isFinite)
            case .group(let group): group.isFinite
            case .integers, .strings: true
            }
        }
    }
}
