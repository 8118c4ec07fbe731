import Curvature
import Foundation
import Testing

/// What the world can do wrong, through the executable: each time a message that says what, where and what to do, the exit status 2, and
/// nothing half-written left.
@Suite(.serialized) struct BadInputTests {
    let tool: CommandLineTool
    let scratch: ScratchFolder

    init() throws { (tool, scratch) = (try CommandLineTool(), try ScratchFolder()) }

    static let sound = """
        problem: {name: test-function, function: rosenbrock}
        seed: 3
        stages:
          - {stage: first, optimizer: {name: l-bfgs}, until: {iterations: 3}}
          - {stage: second, optimizer: {name: adam}, until: {iterations: 4}}
        """

    /// A setting that is refused, and what the message must say.
    struct Refusal: Sendable, CustomTestStringConvertible {
        var override: String
        var says: [String]
        init(_ override: String, _ says: String...) { (self.override, self.says) = (override, says) }
        var testDescription: String { override }
    }

    @Test(arguments: [
        Refusal("problem.function=rosenbrok", "problem.function", "rosenbrok", "one of: rosenbrock,"),
        Refusal("problem.name=burgrs", "no problem “burgrs”", "there are: burgers,"),
        Refusal("problem.dimension=7", "rosenbrock has no dimension 7"),
        Refusal("problem={name: extended-rosenbrock}", "no problem “extended-rosenbrock”"),
        Refusal("problem={name: burgers, network: {width: -3}}", "problem.network.width", "-3 must be ≥ 1"),
        Refusal("problem={name: burgers, network: {width: 9223372036854775807}}", "problem.network.width", "must be ≤"),
        Refusal("problem={name: burgers, network: {width: 2147483647}}", "2147483647 units would take", "smaller width"),
        Refusal("problem={name: burgers, network: {depth: 99999999999999999999}}", "problem.network.depth", "not a whole number"),
        Refusal("problem={name: burgers, points: {interior: 0}}", "problem.points.interior", "0 must be ≥ 1"),
        Refusal("problem={name: burgers, points: {interior: 2e9}}", "problem.points.interior", "not a whole number"),
        Refusal("problem={name: burgers, points: {interior: 2147483647}}", "points in 2 dimensions would take", "take fewer points"),
        Refusal("problem={name: burgers, points: {boundary: 0}}", "“left” gets no points", "give more boundary points"),
        Refusal("problem={name: burgers, points: {boundaryWeight: nan}}", "problem.points.boundaryWeight", "must be ≥ 0"),
        Refusal("problem={name: burgers, viscosity: 1e-300}", "problem.viscosity", "must be in"),
        Refusal("problem={name: logistic-regression, samples: 2147483647, features: 2147483647}", "would take", "take fewer samples"),
        Refusal("problem={name: logistic-regression, labelNoise: 0.7}", "problem.labelNoise", "must be in [0.0, 0.5]"),
        Refusal("problem=[rosenbrock]", "problem", "needs the name of a registered problem"),
        Refusal("stages=[]", "stages", "at least one stage"),
        Refusal("stages.2.stage=x", "“2” is not an index of a list of 2"),
        Refusal("stages.first.stage=x", "“first” is not an index"),
        Refusal("stages.0.optimizer.name=l-bgfs", "stages.0.optimizer", "no optimizer “l-bgfs”", "there are: l-bfgs,"),
        Refusal("stages.0.optimizer.memry=3", "stages.0.optimizer.memry", "is not a setting of l-bfgs", "it has: memory,"),
        Refusal("stages.0.optimizer.memory=0", "stages.0.optimizer.memory", "0 must be ≥ 1"),
        Refusal("stages.1.optimizer.learningRate=inf", "stages.1.optimizer.learningRate", "must be > 0"),
        Refusal("stages.1.optimizer.learningRate=fast", "learningRate", "“fast” is not a number"),
        Refusal("stages.1.optimizer.batch={size: 10}", "SampledProblem", "rosenbrock offers", "optimizers fit"),
        Refusal("stages.0.until={iteration: 5}", "stages.0.until.iteration", "not a stopping rule", "there are: iterations,"),
        Refusal("stages.0.until={iterations: -1}", "stages.0.until.iterations", "not a whole number ≥ 0"),
        Refusal("stages.0.until={loss: 3}", "stages.0.until.loss", "should be a map of: below"),
        Refusal("stages.0.until={all: []}", "stages.0.until.all", "should be a list of rules"),
        Refusal("stages.0.onBreakdown=explode", "stages.0.onBreakdown", "hand-over, stop, {restart: N}, {clearMemory: N} or {shrink: N}"),
        Refusal("callbacks=[{name: early-stop, patience: 0}]", "callbacks.0.patience", "0 must be ≥ 1"),
        Refusal("callbacks=[{name: residual-adaptive-resampling}]", "whose points can be drawn anew", "rosenbrock is none"),
        Refusal("callbacks=[monitor-loss, monitor-loss]", "two callbacks are named “monitor-loss”"),
        Refusal("seed=-1", "seed", "must be a whole number ≥ 0"),
        Refusal("output.trajectory.every=0", "output.trajectory.every", "0 must be ≥ 1"),
        Refusal("output.folders=x", "output.folders", "it has: folder,"),
        Refusal("stage=3", "stage", "is unknown; there are: stages,"),
        Refusal("problem=[}", "--set problem=[}", "is not YAML"),
        Refusal("nothing", "“nothing” should be path=value"),
        Refusal("=3", "should be path=value"),
    ]) func refusedSetting(_ example: Refusal) throws {
        let file = try scratch.write(Self.sound, to: "run.yaml")
        let output = "\(scratch.path)/run"
        try refused(["run", file, "-o", output, "--set", example.override], saying: example.says)
        #expect(!FileManager.default.fileExists(atPath: output), "the folder of a refused run is not made")
    }

    @Test func contradictorySettings() throws {
        let file = try scratch.write(
            """
            problem: {name: burgers, network: {width: 4, depth: 1}, points: {interior: 300}}
            stages: [{optimizer: adam, until: {iterations: 200}}]
            callbacks: [{name: residual-adaptive-resampling, every: 100, pool: 20}]
            """, to: "run.yaml")
        let output = "\(scratch.path)/run"
        try refused(["run", file, "-o", output], saying: ["a pool of 20 points for 300 points", "enlarge the pool"])
        #expect(!FileManager.default.fileExists(atPath: output))
        let term = "callbacks.0.term=burger"
        try refused(["run", file, "-o", output, "--set", "callbacks.0.pool=500", "--set", term], saying: ["no term “burger”", "burgers"])
        #expect(!FileManager.default.fileExists(atPath: output))
    }

    @Test(arguments: [
        ("problem: {name: burgers\nstages: [\n", ["is not YAML", "2:"]),
        ("problem: test-function\n\nstags: 3\n", ["line 3", "stags", "there are: stages,"]),
        ("problem: test-function\nproblem: burgers\n", ["run.yaml", "duplicated key(s): 'problem'"]),
        ("- a\n- b\n", ["needs “problem”"]),
        ("problem: &a test-function\nstages: *a\n", ["line 2", "stages", "should be a list"]),
        (laughs, ["run.yaml", "more than 100000 parts"]),
        ("? [a]\n: b\n", ["a key must be a word"]),
        ("", ["is empty", "“problem” and “stages”"]),
        ("problem: test-function\n", ["needs “stages”"]),
        ("problem: test-function\nstages:\n  - stage: a\n    optimizer: l-bfgs\n", ["line 3", "stages.0", "needs “until”"]),
        (String(repeating: "[", count: 5000), [".yaml", "is n"]),
        (String(repeating: "{a: ", count: 200) + "b" + String(repeating: "}", count: 200), ["nested more than 64 deep"]),
    ]) func malformedFile(_ text: String, _ says: [String]) throws {
        let file = try scratch.write(text, to: "run.yaml")
        try refused(["run", file, "-o", "\(scratch.path)/run"], saying: says)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["run.yaml"])
    }

    /// Nine lists of nine aliases each of the one before: 9⁹ items.
    static let laughs =
        "l0: &l0 [x]\n"
        + (1...9).map { "l\($0): &l\($0) [\(Array(repeating: "*l\($0 - 1)", count: 9).joined(separator: ", "))]\n" }.joined()

    @Test func filesThatCannotBeRead() throws {
        try refused(["run", "\(scratch.path)/nowhere.yaml"], saying: ["nowhere.yaml", "there is no such file", "YAML"])
        try refused(["run", scratch.path], saying: [scratch.path, "is a folder"])
        let file = "\(scratch.path)/binary.yaml"
        try Data([0xff, 0xfe, 0x00, 0x80]).write(to: URL(fileURLWithPath: file))
        try refused(["run", file], saying: ["binary.yaml", "not text in UTF-8"])
    }

    @Test func arguments() throws {
        let file = try scratch.write(Self.sound, to: "run.yaml")
        try refused(["run", file, "--threads", "0"], saying: ["--threads", "0 must be ≥ 1"])
        try refused(["run", file, "--seeds", "1,x"], saying: ["--seeds", "“x” is not a whole number"])
        try refused(["run", file, "--seeds", ""], saying: ["--seeds", "names no seed"])
        try refused(["run", file, "--seeds", "5...1"], saying: ["--seeds", "“5...1” runs backwards"])
        try refused(["run", file, "--seeds", "1...3,2"], saying: ["--seeds", "names 2 twice"])
        try refused(["run", file, "--seeds", "0...18446744073709551615"], saying: ["--seeds", "more than 10000 seeds"])
        try refused(["run", file, "--seed", "1", "--seeds", "1,2"], saying: ["--seed", "--seeds", "give one of the two"])
        try refused(["run", file, "--which", "best"], saying: ["--which", "--from"])
        try refused(["list", "adamm"], saying: ["adamm", "there are: adam,"])
        try refused(["bench", "gradient", "--repeats", "0"], saying: ["--repeats", "must be ≥ 1"])
        try refused(["trian"], saying: ["trian"])
        try refused(["run"], saying: ["Missing expected argument"])
        try refused(["run", file, "--seed", "-1.5"], saying: ["--seed"])
        try refused(["run", file, "--no-such-option"], saying: ["--no-such-option"])
    }

    @Test func foldersThatCannotBeWritten() throws {
        let file = try scratch.write(Self.sound, to: "run.yaml")
        let blocked = try scratch.write("a file", to: "blocked")
        for folder in [blocked, "\(blocked)/below", "\(blocked)/below/further"] {
            try refused(["run", file, "-o", folder], saying: [blocked, "a file is where a folder should be"])
        }
        #expect(try String(contentsOfFile: blocked, encoding: .utf8) == "a file")
        let run = "\(scratch.path)/run"
        try #require(try tool.run(["run", file, "-o", run, "--quiet"]).status == 0)
        let before = try contents(of: run)
        try refused(["run", file, "-o", run], saying: [run, "holds a run already", "Resume it"])
        // A run that is refused does not replace the one that is there.
        let clash = "callbacks=[residual-adaptive-resampling]"
        try refused(["run", file, "-o", run, "--overwrite", "--set", clash], saying: ["rosenbrock is none"])
        #expect(try contents(of: run) == before)
        try refused(["plot", run, "-o", "\(blocked)/x.png"], saying: ["\(blocked)/x.png", "cannot be written"])
    }

    @Test func resumingWhatIsNoRun() throws {
        let empty = "\(scratch.path)/empty"
        try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: true)
        for folder in [empty, "\(scratch.path)/nowhere", try scratch.write("", to: "file")] {
            try refused(["resume", folder], saying: [folder, "is not a run's folder"])
            try refused(["evaluate", folder], saying: [folder])
            try refused(["inspect", folder], saying: [folder])
            try refused(["plot", folder, "-o", "\(scratch.path)/x.png"], saying: [folder])
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: empty).isEmpty)
        _ = try scratch.write(Self.sound, to: "empty/configuration.yaml")
        try refused(["resume", empty], saying: [empty, "holds no run", "Give the folder of a run"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: empty) == ["configuration.yaml"])
    }

    @Test func aRunOfAnotherProblem() throws {
        let file = try scratch.write(Self.sound, to: "run.yaml")
        let (here, there) = ("\(scratch.path)/here", "\(scratch.path)/there")
        try #require(try tool.run(["run", file, "-o", here, "--quiet"]).status == 0)
        let others = ["problem.function=helical-valley", "seed=4", "stages.1.optimizer.learningRate=0.5", "stages.0.stage=begin"]
        try #require(try tool.run(["run", file, "-o", there, "--quiet"] + others.flatMap { ["--set", $0] }).status == 0)
        try FileManager.default.removeItem(atPath: "\(here)/checkpoints")
        try FileManager.default.copyItem(atPath: "\(there)/checkpoints", toPath: "\(here)/checkpoints")
        let before = try contents(of: here)
        try refused(
            ["resume", here, "--set", "stages.1.until.iterations=9"],
            saying: [
                "belongs to another run", "problem.function: rosenbrock here, helical-valley there", "layout.x: 2 here, 3 there",
                "stages.1.optimizer.learningRate: 0.001 here, 0.5 there", "stages.0.name: first here, begin there",
            ])
        #expect(try contents(of: here) == before, "a refused resume changes nothing")
        // Its own way: only the stopping rules differ.
        #expect(try tool.run(["resume", there, "--quiet", "--set", "stages.1.until.iterations=9"]).status == 0)
    }

    @Test(arguments: ["run.h5", "checkpoints/00000007.h5"]) func damagedFiles(_ name: String) throws {
        let file = try scratch.write(Self.sound, to: "run.yaml")
        let run = "\(scratch.path)/run"
        try #require(try tool.run(["run", file, "-o", run, "--quiet"]).status == 0)
        let path = "\(run)/\(name)"
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let other = name == "run.h5" ? "checkpoints/00000007.h5" : "run.h5"
        var garbled = whole
        garbled[whole.count / 2] ^= 0x40
        let damages: [(Data, String)] = [
            (Data(), ""), (Data(whole.prefix(100)), ""), (Data(whole.dropLast(1000)), ""), (garbled, "was changed after it was written"),
            (Data("no HDF5 at all".utf8), ""), (try Data(contentsOf: URL(fileURLWithPath: "\(run)/\(other)")), "not a"),
        ]
        for (bytes, says) in damages {
            try bytes.write(to: URL(fileURLWithPath: path))
            let before = try contents(of: run)
            let more = ["--set", "stages.1.until.iterations=9", "--quiet"]
            try refused(["resume", run] + more, saying: [path, says])
            try refused(["inspect", run], saying: [path, says])
            #expect(try contents(of: run) == before, "a refused resume changes nothing")
        }
        try FileManager.default.removeItem(atPath: path)
        if name == "run.h5" {
            // Without its trajectory a run goes on from the checkpoint.
            let resumed = try tool.run(["resume", run, "--quiet", "--set", "stages.1.until.iterations=9"])
            #expect(resumed.status == 0, "\(resumed.errors)")
        } else {
            let damaged = "\(run)/checkpoints/00000008.h5"
            try Data(whole.dropLast(1000)).write(to: URL(fileURLWithPath: damaged))
            try refused(["resume", run, "--quiet"], saying: [damaged, "00000000.h5, the one before, is sound"])
            let resumed = try tool.run(["resume", run, "--quiet", "--accept-older"])
            #expect(resumed.status == 0, "\(resumed.errors)")
        }
    }

    /// A limit on the size of files stands for a full disk: both are errors of the same kind to the writer.
    @Test(arguments: [1, 40, 600, 2000, 5000]) func fullDisk(blocks: Int) throws {
        let file = try scratch.write(
            """
            problem: {name: logistic-regression, samples: 50, features: 2000}
            stages: [{optimizer: {name: adam, learningRate: 1e-4}, until: {iterations: 30000}}]
            output: {checkpoints: {every: 400, keep: 2}}
            """, to: "run.yaml")
        let run = "\(scratch.path)/run"
        let output = try tool.run(["run", file, "-o", run, "--quiet"], after: "ulimit -f \(blocks)")
        check(output, saying: ["no space is left", run])
        let names = try FileManager.default.subpathsOfDirectory(atPath: run)
        #expect(!names.contains { $0.hasSuffix(".part") }, "\(names)")
        let checkpoints = CheckpointFolder("\(run)/checkpoints")
        for entry in try checkpoints.list() { _ = try checkpoints.read(iteration: entry.iteration) }
        if blocks >= 2000 {
            #expect(try !checkpoints.list().isEmpty)
            let resumed = try tool.run(["resume", run, "--quiet", "--set", "stages.0.until.iterations=500"])
            #expect(resumed.status == 0, "\(resumed.errors)")
        }
    }

    @Test func nonFiniteParameters() throws {
        let problem = try TestFunction("rosenbrock").problem()
        let pipeline = Pipeline(minimizing: problem) { Stage("only", LBFGS(), until: .iterations(3)) }
        for bad in [Double.nan, .infinity] {
            let start = Parameters(layout: problem.layout, values: Vector([1, bad]))
            let error = #expect(throws: StartError.self) { try pipeline.start(from: start) }
            #expect(error?.description == "the initial parameter 1 is \(bad); it must be finite")
        }
    }

    // MARK: Support

    private func refused(_ arguments: [String], saying parts: [String], sourceLocation: SourceLocation = #_sourceLocation) throws {
        check(try tool.run(arguments), saying: parts, sourceLocation: sourceLocation)
    }

    private func check(_ output: CommandLineTool.Output, saying parts: [String], sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(!output.crashed && output.status == 2 && output.text.isEmpty, "\(output)", sourceLocation: sourceLocation)
        #expect(output.errors.hasPrefix("Error: "), "\(output.errors)", sourceLocation: sourceLocation)
        for part in parts where !part.isEmpty { #expect(output.errors.contains(part), "\(output.errors)", sourceLocation: sourceLocation) }
    }

    /// Every file below a folder with its bytes.
    private func contents(of folder: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            files[name] = FileManager.default.contents(atPath: "\(folder)/\(name)")
        }
        return files
    }
}
