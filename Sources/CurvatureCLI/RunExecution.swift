import Curvature
import Foundation
import Logging

extension RunConfiguration {
    /// Makes the problem and checks that every stage fits it and the machine's memory: what refuses a run before anything is evaluated.
    package func preflight(registry: Registry) throws -> Preflight {
        func check<P: Problem>(_ problem: P) throws -> Preflight {
            try pipeline(minimizing: problem).preflight(suggestingFrom: registry)
        }
        return try check(try problem.makeProblem(seed: seed))
    }

    /// Runs the pipeline from the start, into the configured folder if there is one.
    func start(on problem: any Problem, registry: Registry, overwrite: Bool, quiet: Bool, log: Logger) throws -> RunResult {
        func start<P: Problem>(_ problem: P) throws -> RunResult {
            let pipeline = self.pipeline(minimizing: problem)
            _ = try pipeline.preflight(suggestingFrom: registry)
            // What can refuse the run is asked before the folder is made or an older run in it is replaced.
            let start = try from?.parameters(for: problem, log: log)
            _ = try pipeline.begin(seed: seed, from: start, callbacks: callbacks)
            let folder = output.folder.isEmpty ? nil : try RunFolder.create(output.folder, replacing: overwrite)
            if let folder { try store(in: folder.path) }
            defer { try? folder?.close() }
            if let folder { log.info("writes to \(folder.path)") }
            let result = try pipeline.start(seed: seed, from: start, callbacks: observers(writingTo: folder, quiet: quiet))
            try folder?.writableFile().writeFields(of: problem, at: result.best?.parameters ?? result.parameters)
            return result
        }
        return try start(problem)
    }

    /// Goes on from the newest checkpoint in the configured folder.
    func resume(on problem: any Problem, acceptingOlder: Bool, quiet: Bool, log: Logger) throws -> RunResult {
        func resume<P: Problem>(_ problem: P) throws -> RunResult {
            let folder = try RunFolder.open(output.folder)
            defer { try? folder.close() }
            let checkpoint = try folder.checkpoints.latest(acceptingOlder: acceptingOlder)
            for damage in checkpoint.damaged { log.warning("passed over: \(damage)") }
            let result = try pipeline(minimizing: problem).resume(
                from: checkpoint.archive, callbacks: observers(writingTo: folder, quiet: quiet))
            try store(in: folder.path)
            try folder.writableFile().writeFields(of: problem, at: result.best?.parameters ?? result.parameters)
            return result
        }
        return try resume(problem)
    }

    /// The configured callbacks, then those that watch and write: measurements are taken before rows are written.
    private func observers(writingTo folder: RunFolder?, quiet: Bool) -> [any Callback] {
        var all = callbacks
        if !quiet { all.append(ProgressBar()) }
        if let folder {
            all.append(RecordTrajectory(in: folder, every: output.trajectory.cadence))
            all.append(WriteCheckpoints(in: folder, every: .iterations(output.checkpoints.cadence), keep: output.checkpoints.kept))
        }
        all.append(GracefulInterrupt())
        return all
    }

    /// Writes the configuration beside the run, aside and renamed.
    private func store(in folder: String) throws {
        let path = "\(folder)/\(configurationFile)"
        do {
            try YAML.text(of: setting).write(toFile: path, atomically: true, encoding: .utf8)
        } catch {
            throw ConfigurationError(path: path, reason: "cannot be written: \(error.localizedDescription)")
        }
    }
}
