import Curvature
import Logging

/// A run as a configuration file describes it.
///
///     problem: {name: burgers, width: 20, depth: 4}
///     seed: 1
///     stages:
///       - {stage: explore, optimizer: {name: adam, learningRate: 1e-3}, until: {iterations: 1000}}
///     callbacks:
///       - {name: residual-adaptive-resampling, every: 500}
///     from: {run: runs/coarse, which: best}
///     output: {folder: runs/burgers, checkpoints: {every: 500, keep: 3}, trajectory: {every: 10}}
package struct RunConfiguration {
    /// The whole configuration, defaults not filled in: what is stored beside the run.
    var setting: Setting
    var problem: any ProblemConfiguration
    var seed: UInt64
    var stages: [StageConfiguration]
    var callbacks: [any Callback]
    /// The stored run whose parameters this one starts from; without one, it starts from the problem's own.
    var from: StartConfiguration?
    var output: OutputConfiguration

    struct StageConfiguration {
        var name: String
        var optimizer: any Optimizer
        var until: StoppingRule
        var onBreakdown: RecoveryPolicy
    }

    package init(_ setting: Setting, registry: Registry) throws {
        self.setting = setting
        try setting.requireKeys(["problem", "seed", "stages", "callbacks", "from", "output"], path: "")
        problem = try registry.problem(try setting.required("problem", path: ""), path: "problem")
        seed =
            try setting["seed"].map { seed in
                guard let text = seed.text, let value = UInt64(text) else {
                    throw ConfigurationError(path: "seed", line: seed.line, reason: "“\(seed)” must be a whole number ≥ 0")
                }
                return value
            } ?? 0
        let list = try setting.required("stages", path: "")
        guard case .list(let items) = list.value, !items.isEmpty else {
            throw ConfigurationError(path: "stages", line: list.line, reason: "should be a list of at least one stage")
        }
        stages = try items.enumerated().map { index, stage in
            let path = "stages.\(index)"
            try stage.requireKeys(["stage", "optimizer", "until", "onBreakdown"], path: path)
            return StageConfiguration(
                name: stage["stage"]?.text ?? "stage \(index + 1)",
                optimizer: try registry.optimizer(try stage.required("optimizer", path: path), path: "\(path).optimizer"),
                until: try StoppingRule(try stage.required("until", path: path), path: "\(path).until"),
                onBreakdown: try stage["onBreakdown"].map { try RecoveryPolicy($0, path: "\(path).onBreakdown") } ?? .handOver)
        }
        callbacks = try (setting["callbacks"]?.items(path: "callbacks") ?? []).enumerated().map { index, item in
            try registry.callback(item, path: "callbacks.\(index)")
        }
        from = try setting["from"].map { try StartConfiguration($0, path: "from") }
        output = try setting["output"].map { try OutputConfiguration($0, path: "output") } ?? OutputConfiguration()
    }

    /// Where the run is written, if it is.
    var directory: String? { output.folder.isEmpty ? nil : output.folder }

    /// The pipeline on a problem made of this configuration.
    func pipeline<P: Problem>(minimizing problem: P) -> Pipeline<P> {
        Pipeline(minimizing: problem, stages: stages.map { stage in makeStage(stage.optimizer, stage) })
    }

    private func makeStage<P: Problem, O: Optimizer>(_ optimizer: O, _ stage: StageConfiguration) -> Stage<P> {
        Stage(dynamic: stage.name, optimizer, until: stage.until, onBreakdown: stage.onBreakdown)
    }
}

/// The stored parameters that a run starts from.
struct StartConfiguration: Configurable {
    var run = ""
    var which = Which.last

    static var identifier: String { "from" }
    static var summary: String { "the stored parameters that a run starts from" }
    static var fields: [Field<StartConfiguration>] {
        [
            .text("run", \.run, meaning: "another run: its folder, its run.h5 or a checkpoint"),
            .choice("which", \.which, meaning: "which of its points"),
        ]
    }

    func validate() throws {
        guard !run.isEmpty else { throw ConfigurationError(path: "run", reason: "needs another run's folder or file") }
    }

    /// The parameters, if a run on `problem` can begin there.
    func parameters(for problem: any Problem, log: Logger) throws -> Parameters {
        let stored = try StoredRun(run)
        defer { stored.close() }
        let point = try stored.point(which)
        try point.require(layoutOf: problem, path: run)
        log.info("starts from the \(which.rawValue) point of \(run), iteration \(point.iteration)")
        return point.parameters
    }
}

/// Where a run is written, and how often.
struct OutputConfiguration: Configurable {
    var folder = ""
    var checkpoints = CheckpointConfiguration()
    var trajectory = TrajectoryConfiguration()

    static var identifier: String { "output" }
    static var summary: String { "where a run is written, and how often" }
    static var fields: [Field<OutputConfiguration>] {
        [
            .text("folder", \.folder, meaning: "the run's folder; made if it is missing"),
            .part("checkpoints", \.checkpoints, meaning: "what a killed run goes on from"),
            .part("trajectory", \.trajectory, meaning: "what is recorded of the iterations"),
        ]
    }
}

struct CheckpointConfiguration: Configurable {
    var cadence = 1000
    var kept = 3

    static var identifier: String { "checkpoints" }
    static var summary: String { "how often checkpoints are written, and how many are kept" }
    static var fields: [Field<CheckpointConfiguration>] {
        [
            .integer("every", \.cadence, atLeast: 1, meaning: "iterations between checkpoints"),
            .integer("keep", \.kept, atLeast: 1, meaning: "how many of the last are kept"),
        ]
    }
}

struct TrajectoryConfiguration: Configurable {
    var cadence = 1

    static var identifier: String { "trajectory" }
    static var summary: String { "how often a row is recorded" }
    static var fields: [Field<TrajectoryConfiguration>] {
        [.integer("every", \.cadence, atLeast: 1, meaning: "iterations between rows")]
    }
}

extension Setting {
    func required(_ key: String, path: String) throws -> Setting {
        guard let value = self[key] else {
            throw ConfigurationError(path: path, line: line, reason: "needs “\(key)”")
        }
        return value
    }

    func items(path: String) throws -> [Setting] {
        guard case .list(let items) = value else { throw ConfigurationError(path: path, line: line, reason: "should be a list") }
        return items
    }

    func requireKeys(_ known: [String], path: String) throws {
        guard case .map(let pairs) = value else {
            throw ConfigurationError(path: path, line: line, reason: "should be a map of: \(known.joined(separator: ", "))")
        }
        for pair in pairs where !known.contains(pair.key) {
            throw ConfigurationError(
                path: path.isEmpty ? pair.key : "\(path).\(pair.key)", line: pair.value.line,
                reason: "is unknown; there are: \(nearest(to: pair.key, among: known).joined(separator: ", "))")
        }
    }
}
