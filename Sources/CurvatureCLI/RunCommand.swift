import ArgumentParser
import Curvature
import Foundation

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

    func applied(to setting: Setting) throws -> Setting { try overrides.reduce(setting) { try $0.overridden(by: $1) } }
}

/// `curvature run`: trains what a configuration file describes.
struct RunCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Train what a configuration file describes.",
        discussion: """
            Example: curvature run Examples/burgers.yaml --set problem.width=32 --seed 2 -o runs/wide
            The first SIGINT or SIGTERM writes a checkpoint and stops; `curvature resume FOLDER` goes on from it.
            """)

    @Argument(help: "The configuration file (YAML).")
    var file: String

    @OptionGroup var options: TrainingOptions

    @Option(help: "The seed, instead of the configuration's.")
    var seed: UInt64?

    @Option(help: "Several seeds, comma-separated: one run each, in folders of their own, and a table at the end.")
    var seeds: String?

    @Option(name: .shortAndLong, help: "The run's folder, instead of the configuration's.")
    var output: String?

    @Flag(help: "Replace what a run left in the folder before.")
    var overwrite = false

    func run(with registry: Registry) throws {
        try setThreads(options.threads)
        guard let data = FileManager.default.contents(atPath: file) else {
            var isFolder: ObjCBool = false
            let exists = FileManager.default.fileExists(atPath: file, isDirectory: &isFolder)
            let what = !exists ? "there is no such file" : isFolder.boolValue ? "is a folder" : "cannot be read; check its permissions"
            throw ConfigurationError(path: file, reason: "\(what); give the path of a configuration in YAML")
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw ConfigurationError(path: file, reason: "is not text in UTF-8; give a configuration in YAML")
        }
        var setting = try options.applied(to: try YAML.setting(from: text, file: file))
        if let output { setting = setting.setting(["output", "folder"], to: .scalar(output)) }
        guard let seeds else {
            if let seed { setting = setting.setting(["seed"], to: .scalar(String(seed))) }
            let result = try train(setting, registry: registry)
            print(result.description)
            if case .brokeDown = result.outcome { throw ExitCode(2) }
            return
        }
        var lines: [String] = []
        let folder = setting["output"]?["folder"]?.text ?? ""
        guard seeds.contains(where: { $0 != "," && $0 != " " }) else {
            throw ConfigurationError(path: "--seeds", reason: "names no seed; give whole numbers, as in --seeds 1,2,3")
        }
        let values = try seeds.split(separator: ",").map { text in
            guard let value = UInt64(text.trimmingCharacters(in: .whitespaces)) else {
                throw ConfigurationError(path: "--seeds", reason: "“\(text)” is not a whole number ≥ 0")
            }
            return value
        }
        for value in values {
            var one = setting.setting(["seed"], to: .scalar(String(value)))
            if !folder.isEmpty { one = one.setting(["output", "folder"], to: .scalar("\(folder)/seed-\(value)")) }
            let result = try train(one, registry: registry)
            print("seed \(value)\n\(result)\n")
            fflush(nil)  // each table is there when its run ends, also where the output is a file
            let error = result.stages.last?.referenceError.map { short($0) } ?? "–"
            lines.append("\(String(value).padded(to: 6))  \(error.padded(to: 10))  \(short(result.seconds))")
            if case .interrupted = result.outcome { break }
        }
        print("seed    rel. error  seconds")
        for line in lines { print(line) }
    }

    private func train(_ setting: Setting, registry: Registry) throws -> RunResult {
        let configuration = try RunConfiguration(setting, registry: registry)
        let problem = try configuration.problem.makeProblem(seed: configuration.seed)
        return try configuration.start(on: problem, registry: registry, overwrite: overwrite, quiet: options.quiet)
    }
}

/// `curvature resume`: goes on with an interrupted, killed or finished run.
struct ResumeCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Go on with a run from its last checkpoint.",
        discussion: "The stopping rules may be changed: curvature resume runs/burgers --set stages.1.until.iterations=20000")

    @Argument(help: "The run's folder.")
    var folder: String

    @OptionGroup var options: TrainingOptions

    @Flag(help: "Where the newest checkpoint is damaged, go on from the one before.")
    var acceptOlder = false

    func run(with registry: Registry) throws {
        try setThreads(options.threads)
        var setting = try options.applied(to: try storedConfiguration(in: folder))
        setting = setting.setting(["output", "folder"], to: .scalar(folder))
        let configuration = try RunConfiguration(setting, registry: registry)
        let problem = try configuration.problem.makeProblem(seed: configuration.seed)
        let result = try configuration.resume(on: problem, acceptingOlder: acceptOlder, quiet: options.quiet)
        print(result.description)
        if case .brokeDown = result.outcome { throw ExitCode(2) }
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

func setThreads(_ threads: Int?) throws {
    guard let threads else { return }
    guard threads > 0 else { throw ConfigurationError(path: "--threads", reason: "\(threads) must be ≥ 1") }
    ThreadPool.threadCount = threads
}

extension Setting {
    /// The setting with `path=value` applied; the value is read as YAML.
    package func overridden(by text: String) throws -> Setting {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
            throw ConfigurationError(path: "--set", reason: "“\(text)” should be path=value")
        }
        let path = text[..<equals].split(separator: ".").map(String.init)
        let value = try YAML.setting(from: String(text[text.index(after: equals)...]), file: "--set \(text)")
        return try setting(path, to: value.withoutLines, within: "--set \(text)")
    }

    /// Like `setting(_:to:)`, with whole numbers indexing lists.
    private func setting(_ path: [String], to newValue: Setting, within place: String) throws -> Setting {
        guard let key = path.first else { return newValue }
        let rest = Array(path.dropFirst())
        guard case .list(var items) = value else {
            // A name alone stands for {name: …}: a setting within it keeps the name.
            if let name = self.text { return try Setting.map([.init("name", .scalar(name))]).setting(path, to: newValue, within: place) }
            let child = self[key] ?? Setting.map([])
            return setting([key], to: try child.setting(rest, to: newValue, within: place))
        }
        guard let index = Int(key), items.indices.contains(index) else {
            throw ConfigurationError(path: place, reason: "“\(key)” is not an index of a list of \(items.count)")
        }
        items[index] = try items[index].setting(rest, to: newValue, within: place)
        return Setting(.list(items), line: line)
    }

    /// The setting without lines: one that does not stand in the configuration file.
    private var withoutLines: Setting {
        switch value {
        case .scalar: Setting(value)
        case .list(let items): .list(items.map(\.withoutLines))
        case .map(let pairs): .map(pairs.map { .init($0.key, $0.value.withoutLines) })
        }
    }
}
