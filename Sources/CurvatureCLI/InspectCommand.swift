import ArgumentParser
import Curvature

/// Which point of a run.
enum Which: String, CaseIterable, ExpressibleByArgument { case best, last }

/// `curvature inspect`: what a run's folder holds.
struct InspectCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show what a run's folder holds: its checkpoints, columns and last row.")

    @Argument(help: "The run's folder.")
    var folder: String

    @Option(help: "Whose parameters to describe: best or last.")
    var which = Which.last

    func run(with registry: Registry) throws {
        let point = try StoredPoint(folder: folder, which: which)
        print("configuration: \(try storedConfiguration(in: folder))")
        print("checkpoint \(point.checkpoint): \(which.rawValue) point of iteration \(point.iteration)")
        for block in point.parameters.layout.blocks {
            let values = Vector(point.parameters.values.elements[block.range])
            print("  \(block.name) \(block.shape.map(String.init).joined(separator: "×")): ‖·‖₂ = \(short(values.norm))")
        }
        let file = try RunFile.open("\(folder)/run.h5")
        defer { try? file.close() }
        let rows = file.rows(in: .trajectory)
        print("trajectory: \(rows) rows")
        guard rows > 0 else { return }
        for column in file.columns(in: .trajectory) where column.kind == .real {
            let last = try file.reals(column.name, in: .trajectory).last { !$0.isNaN }
            print("  \(column.name): \(last.map(short) ?? "–")\(column.unit.map { " \($0)" } ?? "")  (\(column.meaning))")
        }
    }
}

/// `curvature evaluate`: the loss and the error at a run's best or last point.
struct EvaluateCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Evaluate the loss and the error at a run's best or last point.",
        discussion: "With --below, the exit status is 3 where the error is not below the bound: for scripts.")

    @Argument(help: "The run's folder.")
    var folder: String

    @Option(help: "The point: best or last.")
    var which = Which.last

    @Option(help: "A bound on the relative error.")
    var below: Double?

    func run(with registry: Registry) throws {
        let point = try StoredPoint(folder: folder, which: which)
        let configuration = try RunConfiguration(try storedConfiguration(in: folder), registry: registry)
        let problem = try configuration.problem.makeProblem(seed: configuration.seed)
        guard point.parameters.layout == problem.layout else {
            throw ConfigurationError(path: folder, reason: "the stored parameters do not have the layout of \(problem.name)")
        }
        let θ = point.parameters.values
        if let loss = try (problem as? any DifferentiableProblem)?.loss(at: θ).total { print("loss on the first points: \(loss)") }
        let error = try (problem as? any ReferencedProblem)?.referenceError(at: θ)
        print("relative error: \(error.map { "\($0)" } ?? "there is no reference")")
        guard let below else { return }
        guard let error, error <= below else { throw ExitCode(3) }
        print("≤ \(below) ✓")
    }
}

/// A point read from the newest checkpoint of a run.
struct StoredPoint {
    var checkpoint: String
    var iteration: Int
    var parameters: Parameters

    init(folder: String, which: Which) throws {
        let content = try CheckpointFolder("\(folder)/checkpoints").latest()
        checkpoint = content.entry.name
        switch which {
        case .last:
            iteration = content.entry.iteration
            parameters = try content.archive.value("parameters")
        case .best:
            guard let best: BestPoint = try content.archive.groupIfPresent("best")?.decoded() else {
                throw ConfigurationError(path: folder, reason: "holds no best point yet; take --which last")
            }
            (iteration, parameters) = (best.totalIteration, best.parameters)
        }
    }
}
