import Curvature
import Foundation
import Testing

/// Where a run begins and ends: `--from`, `--until`, `--seeds`.
@Suite(.serialized) struct StartingPointTests {
    let tool: CommandLineTool
    let scratch: ScratchFolder

    init() throws { (tool, scratch) = (try CommandLineTool(), try ScratchFolder()) }

    /// A run on a valley, whose last point is worse than its best: Adam overshoots.
    private func valley() throws -> (file: String, run: String) {
        let file = try scratch.write(
            """
            problem: {name: test-function, function: rosenbrock}
            stages: [{stage: only, optimizer: {name: adam, learningRate: 0.5}, until: {iterations: 9}}]
            """, to: "valley.yaml")
        let run = "\(scratch.path)/valley"
        try #require(try tool.run(["run", file, "-o", run, "--quiet"]).status == 0)
        return (file, run)
    }

    /// Runs no step, so that the last parameters are the first.
    private func start(_ file: String, _ arguments: [String], in folder: String) throws -> Parameters {
        let run = "\(scratch.path)/\(folder)"
        let output = try tool.run(["run", file, "-o", run, "--set", "stages.0.until.iterations=0"] + arguments)
        try #require(output.status == 0, "\(output)")
        #expect(output.errors.contains("starts from the"), "\(output.errors)")
        return try CheckpointFolder("\(run)/checkpoints").latest().archive.value("parameters")
    }

    @Test func fromAnotherRun() throws {
        let (file, run) = try valley()
        let newest = try CheckpointFolder("\(run)/checkpoints").latest()
        let last: Parameters = try newest.archive.value("parameters")
        let best: BestPoint = try newest.archive.value("best")
        try #require(last != best.parameters)
        #expect(try start(file, ["--from", run], in: "a") == last)
        #expect(try start(file, ["--from", run, "--which", "best"], in: "b") == best.parameters)
        #expect(try start(file, ["--from", newest.entry.file], in: "c") == last)
        #expect(try start(file, ["--from", "\(run)/run.h5", "--which", "best"], in: "d") == best.parameters)
        #expect(try start(file, ["--set", "from={run: \(run), which: last}"], in: "e") == last)
        // It is a run like any other, and says where it came from.
        #expect(try tool.run(["resume", "\(scratch.path)/a", "--until", "{iterations: 3}", "--quiet"]).status == 0)
        #expect(try String(contentsOfFile: "\(scratch.path)/a/configuration.yaml", encoding: .utf8).contains(run))
        // A run may replace the one that it starts from.
        #expect(try tool.run(["run", file, "--from", run, "-o", run, "--overwrite", "--quiet"]).status == 0)
    }

    @Test func fromAPointThatDoesNotFit() throws {
        let (file, run) = try valley()
        func refused(_ arguments: [String], _ says: [String]) throws {
            let output = try tool.run(["run", file, "-o", "\(scratch.path)/new"] + arguments)
            #expect(output.status == 2)
            for part in says { #expect(output.errors.contains(part), "\(output.errors)") }
            #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/new"))
        }
        try refused(
            ["--from", run, "--set", "problem.function=helical-valley"],
            [run, "do not have the layout of helical-valley", "x: 3 here, 2 there"])
        try refused(["--from", "\(scratch.path)/nowhere"], ["nowhere", "is not there"])
        try refused(["--set", "from={which: best}"], ["from.run", "needs another run's folder or file"])
        try refused(["--set", "from={run: \(run), which: worst}"], ["from.which", "one of: "])
        // A checkpoint that someone else wrote, with a parameter that is no number.
        var archive = try CheckpointFolder("\(run)/checkpoints").latest().archive
        archive.set("parameters", Parameters([1, .nan]))
        try CheckpointFolder("\(scratch.path)/bad").write(archive, iteration: 9)
        try refused(["--from", "\(scratch.path)/bad/00000009.h5"], ["parameter 1 of its last point is nan", "take another point"])
    }

    // MARK: --until

    @Test func resumeUntil() throws {
        let file = try scratch.write(
            """
            problem: {name: test-function, function: rosenbrock}
            stages:
              - {stage: first, optimizer: adam, until: {iterations: 4}}
              - {stage: second, optimizer: l-bfgs, until: {iterations: 3}}
            """, to: "run.yaml")
        let run = "\(scratch.path)/run"
        try #require(try tool.run(["run", file, "-o", run, "--quiet"]).status == 0)
        let resumed = try tool.run(["resume", run, "--until", "{any: [{loss: {below: 1e-3}}, {iterations: 500}]}", "--json", "--quiet"])
        let object = try resumed.object()
        #expect(object["status"] as? String == "converged" && (object["loss"] as? Double ?? 1) <= 1e-3, "\(object)")
        // The new rule is the run's from then on.
        #expect(try String(contentsOfFile: "\(run)/configuration.yaml", encoding: .utf8).contains("below: 1e-3"))
        for (rule, says) in [("{iteration: 5}", "not a stopping rule"), ("{", "is not YAML"), ("9", "should be a rule")] {
            let output = try tool.run(["resume", run, "--until", rule])
            #expect(output.status == 2 && output.errors.contains("--until") && output.errors.contains(says), "\(output)")
        }
    }

    // MARK: --seeds

    @Test func rangesAndLists() throws {
        let file = try scratch.write(JSONReportTests.poisson, to: "run.yaml")
        let folder = "\(scratch.path)/many"
        let output = try tool.run(["run", file, "-o", folder, "--seeds", "1...3,7", "--json"])
        try #require(output.status == 0, "\(output.errors)")
        let object = try output.object()
        let runs = try #require(object["runs"] as? [[String: Any]])
        #expect(runs.compactMap { $0["seed"] as? Int } == [1, 2, 3, 7])
        #expect(runs.compactMap { $0["directory"] as? String } == ["1", "2", "3", "7"].map { "\(folder)/seed-\($0)" })
        // Of four numbers: the quartiles lie a quarter, half and three quarters of the way along the three gaps.
        let errors = runs.compactMap { $0["relativeL2"] as? Double }.sorted()
        try #require(errors.count == 4 && Set(errors).count == 4)
        let expected = [
            "lowerQuartile": errors[0] + 0.75 * (errors[1] - errors[0]), "median": (errors[1] + errors[2]) / 2,
            "upperQuartile": errors[2] + 0.25 * (errors[3] - errors[2]),
        ]
        let quartiles = try #require((object["quartiles"] as? [String: Any])?["relativeL2"] as? [String: Double])
        for (name, value) in expected { #expect(abs((quartiles[name] ?? .nan) - value) <= 1e-14 * value, "\(name)") }
        #expect(object["relativeL2"] as? Double == quartiles["median"] && (object["loss"] as? Double ?? 0) > 0)
        for part in ["lower quartile", "median", "upper quartile", "seed 7"] { #expect(output.errors.contains(part)) }
    }
}
