import ArgumentParser
import Curvature

/// `curvature evaluate`: the loss and the error at a run's best or last point.
struct EvaluateCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Evaluate the loss and the error at a run's best or last point.",
        discussion: """
            The loss is that of the run's points and weights as they are now, resampled or not. The error is measured on a grid other than \
            the one that the run measured itself on; a problem without a reference gets the norms of its residuals on the points that \
            were kept out of training. With --below, the exit status is 1 where the error is not below the bound: for scripts.
            """)

    @Argument(help: "The run's folder.")
    var folder: String

    @Option(help: "The point: best or last.")
    var which = Which.last

    @Option(
        help: """
            The grid that errors are measured on: points along each axis, as in 101x201, or one number for all. By default half as many again \
            as the reference's own.
            """)
    var grid: String?

    @Option(help: "A bound on the relative error.")
    var below: Double?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run(with registry: Registry) throws {
        let stored = try StoredRun(folder)
        defer { stored.close() }
        guard stored.kind == .folder, let checkpoint = stored.checkpoint else {
            throw ConfigurationError(path: folder, reason: "is a file; give the run's folder, which holds its configuration too")
        }
        let configuration = try RunConfiguration(try storedConfiguration(in: folder), registry: registry)
        let problem = try configuration.currentProblem(of: checkpoint.archive)
        let point = try stored.point(which)
        try point.require(layoutOf: problem, path: folder)
        let measured = try Measurements(of: problem, at: point.parameters.values, grid: try grid.map(gridSizes))
        if let below, measured.relativeL2 == nil {
            throw ConfigurationError(
                path: "--below", reason: "\(problem.name) has no reference, so that no error can be compared with \(below); leave it out")
        }
        if json {
            let place: JSONReport = [
                "directory": .text(folder), "which": .text(which.rawValue), "iteration": .integer(point.iteration),
                "version": .integer(problem.version),
            ]
            measured.report.adding(place).show()
        } else {
            print("\(which.rawValue) point of iteration \(point.iteration)\n\(measured)")
        }
        guard let below, let error = measured.relativeL2 else { return }
        guard error <= below else {
            StandardErrorLog.logger().warning("the relative error, \(error), is not ≤ \(below)")
            throw ExitCode(ExitStatus.notBelow)
        }
        if !json { print("≤ \(below) ✓") }
    }

    private func gridSizes(_ text: String) throws -> [Int] {
        try text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "x" || $0 == "×" || $0 == "," }).map { part in
            guard let count = Int(part), (2...1_000_000).contains(count) else {
                throw ConfigurationError(
                    path: "--grid", reason: "“\(text)” should be points along each axis, 2 or more, as in 101x201 or 150")
            }
            return count
        }
    }
}

/// What is measured of a problem at one point.
struct Measurements {
    var problem: String
    var version: Int
    var terms: [String]
    var loss: LossValue?
    var errors: ReferenceErrors?
    var monitorLoss: Double?
    /// The residuals on held-out points, where no error can be measured.
    var residuals: [ResidualNorm]?
    /// An error that has no companion: of a problem whose reference has one grid only.
    private var plainError: Double?

    init(of problem: any Problem, at θ: Vector, grid: [Int]?) throws {
        (self.problem, version) = (problem.name, problem.version)
        let differentiable = problem as? any DifferentiableProblem
        terms = differentiable?.terms ?? []
        loss = try differentiable?.loss(at: θ)
        if let fresh = problem as? any FreshlyReferencedProblem {
            errors = try fresh.freshErrors(at: θ, grid: grid)
        } else {
            plainError = try (problem as? any ReferencedProblem)?.referenceError(at: θ)
        }
        monitorLoss = try (problem as? any MonitoredProblem)?.monitorLoss(at: θ)
        if errors == nil, plainError == nil { residuals = try (problem as? any ResidualMonitoredProblem)?.monitorResiduals(at: θ) }
    }

    var relativeL2: Double? { errors?.relativeL2 ?? plainError }

    /// In words what was measured, and which numbers are missing or not finite, and why.
    private var outcome: String {
        let values = [("loss", loss?.total), ("relativeL2", relativeL2), ("maxError", errors?.maximum), ("monitorLoss", monitorLoss)]
        let bad = values.filter { $0.1.map { !$0.isFinite } ?? false }.map(\.0)
        if !bad.isEmpty { return "not finite at this point: \(bad.joined(separator: ", "))" }
        if relativeL2 == nil { return "evaluated; \(problem) has no reference to measure errors against" }
        return errors == nil ? "evaluated; \(problem) offers no greatest error" : "evaluated"
    }

    var report: JSONReport {
        let parts = zip(terms, loss?.terms ?? []).map { JSONReport.Member($0, .number($1)) }
        let norms = residuals?.map { norm -> JSONReport in
            ["term": .text(norm.term), "rootMeanSquare": .number(norm.rootMeanSquare), "maximum": .number(norm.maximum)]
        }
        return [
            "outcome": .text(outcome), "problem": .text(problem), "relativeL2": .number(relativeL2), "maxError": .number(errors?.maximum),
            "samples": .text(errors?.samples), "loss": .number(loss?.total), "terms": .object(parts), "monitorLoss": .number(monitorLoss),
            "residuals": norms.map(JSONReport.list) ?? .null,
        ]
    }
}

extension Measurements: CustomStringConvertible {
    var description: String {
        var lines: [String] = []
        if let loss {
            lines.append("loss on the run's \(version == 0 ? "first" : "present") points: \(loss.total)")
            if terms.count > 1 { lines += zip(terms, loss.terms).map { "  \($0): \($1)" } }
        }
        if let errors {
            lines.append("relative error: \(errors.relativeL2), greatest error: \(errors.maximum) (\(errors.samples))")
        } else {
            lines.append("relative error: \(relativeL2.map { "\($0)" } ?? "there is no reference")")
        }
        if let monitorLoss { lines.append("loss on held-out samples: \(monitorLoss)") }
        if let residuals {
            lines.append("residuals on held-out points:")
            lines += residuals.map { "  \($0.term): root mean square \($0.rootMeanSquare), greatest \($0.maximum)" }
        }
        return lines.joined(separator: "\n")
    }
}

extension RunConfiguration {
    /// The problem as a checkpoint's run has revised it.
    func currentProblem(of archive: Archive) throws -> any Problem {
        let problem = try problem.makeProblem(seed: seed)
        guard let revisions = try archive.groupIfPresent("revisions"), let revisable = problem as? any RevisableProblem else {
            return problem
        }
        return try revisable.restoringRevisions(from: revisions)
    }
}
