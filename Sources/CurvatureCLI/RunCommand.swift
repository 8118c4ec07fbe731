import ArgumentParser
import Curvature
import Foundation
import Logging

/// What `run` and `resume` share.
struct TrainingOptions: ParsableArguments {
    @Option(
        name: .customLong("set"),
        help: "Override a setting: path=value, e.g. stages.0.until.iterations=500. At resume only stopping rules and output may differ.")
    var overrides: [String] = []

    @Option(help: "Threads, the caller included; by default one a core.")
    var threads: Int?

    @Flag(help: "No progress on the terminal.")
    var quiet = false

    @Flag(help: "Print one JSON object; tables and progress go to standard error.")
    var json = false

    func applied(to setting: Setting) throws -> Setting { try overrides.reduce(setting) { try $0.overridden(by: $1) } }

    var log: Logger { StandardErrorLog.logger(quiet: quiet) }
    var screen: Screen { Screen(json: json, quiet: quiet) }
}

/// `curvature run`: trains what a configuration file describes.
struct RunCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Train what a configuration file describes.",
        discussion: """
            Example: curvature run Examples/burgers.yaml --set problem.network.width=32 --seed 2 -o runs/wide
            The first SIGINT or SIGTERM writes a checkpoint and stops, a second one quits at once; `curvature resume FOLDER` goes on.
            Exit status: 0 converged, stalled or budget spent; 2 bad usage or input; 3 broke down; 130 interrupted. Of several seeds, the \
            greatest.
            """)

    @Argument(help: "The configuration file (YAML).")
    var file: String

    @OptionGroup var options: TrainingOptions

    @Option(help: "The seed, instead of the configuration's.")
    var seed: UInt64?

    @Option(
        help: "Several seeds, as in 1...5 or 1,2,7: one run each, in folders of their own, and at the end medians and quartiles.")
    var seeds: String?

    @Option(help: "Start from the parameters of another run: its folder, its run.h5 or a checkpoint.")
    var from: String?

    @Option(help: "With --from, which of its points: best or last.")
    var which: Which?

    @Option(name: .shortAndLong, help: "The run's folder, instead of the configuration's.")
    var output: String?

    @Flag(help: "Replace what a run left in the folder before.")
    var overwrite = false

    func run(with registry: Registry) throws {
        try setThreads(options.threads)
        let setting = try configured()
        guard let seeds else {
            let (result, configuration) = try train(setting, registry: registry)
            options.screen.show(result.description)
            if options.json { JSONReport(result, seed: configuration.seed, directory: configuration.directory).show() }
            return try result.outcome.end()
        }
        guard seed == nil else {
            throw ConfigurationError(path: "--seed", reason: "says the same as --seeds, \(seeds); give one of the two")
        }
        try runAll(try SeedList.seeds(seeds), setting, registry: registry)
    }

    /// The file's configuration with what the options say in place of it.
    private func configured() throws -> Setting {
        var setting = try options.applied(to: try YAML.setting(from: try text(), file: file))
        if let output { setting = setting.setting(["output", "folder"], to: .scalar(output)) }
        if let seed { setting = setting.setting(["seed"], to: .scalar(String(seed))) }
        if let from { setting = setting.setting(["from", "run"], to: .scalar(from)) }
        if let which {
            guard setting["from"] != nil else {
                throw ConfigurationError(path: "--which", reason: "says which point to start from; give the run with --from")
            }
            setting = setting.setting(["from", "which"], to: .scalar(which.rawValue))
        }
        return setting
    }

    private func text() throws -> String {
        guard let data = FileManager.default.contents(atPath: file) else {
            var isFolder: ObjCBool = false
            let exists = FileManager.default.fileExists(atPath: file, isDirectory: &isFolder)
            let what = !exists ? "there is no such file" : isFolder.boolValue ? "is a folder" : "cannot be read; check its permissions"
            throw ConfigurationError(path: file, reason: "\(what); give the path of a configuration in YAML")
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw ConfigurationError(path: file, reason: "is not text in UTF-8; give a configuration in YAML")
        }
        return text
    }

    /// One run a seed; ends early only where a run is interrupted.
    private func runAll(_ seeds: [UInt64], _ setting: Setting, registry: Registry) throws {
        let folder = setting["output"]?["folder"]?.text ?? ""
        var series = SeedSeries()
        for seed in seeds {
            var one = setting.setting(["seed"], to: .scalar(String(seed)))
            if !folder.isEmpty { one = one.setting(["output", "folder"], to: .scalar("\(folder)/seed-\(seed)")) }
            let (result, configuration) = try train(one, registry: registry)
            series.append(seed, result, directory: configuration.directory)
            options.screen.show("seed \(seed)\n\(result)\n")
            fflush(nil)  // each table is there when its run ends, also where the output is a file
            if case .interrupted = result.outcome { break }
        }
        options.screen.show(series.table)
        if options.json { series.report(directory: folder.isEmpty ? nil : folder).show() }
        if series.exitStatus != 0 { throw ExitCode(series.exitStatus) }
    }

    private func train(_ setting: Setting, registry: Registry) throws -> (RunResult, RunConfiguration) {
        let configuration = try RunConfiguration(setting, registry: registry)
        let problem = try configuration.problem.makeProblem(seed: configuration.seed)
        let result = try configuration.start(
            on: problem, registry: registry, overwrite: overwrite, quiet: options.quiet, log: options.log)
        return (result, configuration)
    }
}

/// `curvature resume`: goes on with an interrupted, killed or finished run.
struct ResumeCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Go on with a run from its last checkpoint.",
        discussion: """
            The stopping rules may be changed, that of the last stage by --until, those of all by --set:
                curvature resume runs/burgers --until '{iterations: 20000}'
                curvature resume runs/burgers --set 'stages.0.until={iterations: 2000}'
            """)

    @Argument(help: "The run's folder.")
    var folder: String

    @OptionGroup var options: TrainingOptions

    @Option(help: "The rule that ends the last stage, and so the run, as in '{any: [{iterations: 20000}, {loss: {below: 1e-9}}]}'.")
    var until: String?

    @Flag(help: "Where the newest checkpoint is damaged, go on from the one before.")
    var acceptOlder = false

    func run(with registry: Registry) throws {
        try setThreads(options.threads)
        var setting = try options.applied(to: try storedConfiguration(in: folder))
        if let until { setting = try setting.endingLastStage(by: until) }
        setting = setting.setting(["output", "folder"], to: .scalar(folder))
        let configuration = try RunConfiguration(setting, registry: registry)
        let problem = try configuration.problem.makeProblem(seed: configuration.seed)
        let result = try configuration.resume(on: problem, acceptingOlder: acceptOlder, quiet: options.quiet, log: options.log)
        options.screen.show(result.description)
        if options.json { JSONReport(result, seed: configuration.seed, directory: folder).show() }
        try result.outcome.end()
    }
}

extension Outcome {
    /// Ends the command with the outcome's status, where that is not 0.
    fileprivate func end() throws {
        if exitStatus != 0 { throw ExitCode(exitStatus) }
    }
}

func setThreads(_ threads: Int?) throws {
    guard let threads else { return }
    guard threads > 0 else { throw ConfigurationError(path: "--threads", reason: "\(threads) must be ≥ 1") }
    ThreadPool.threadCount = threads
}
