import Curvature
import CurvatureCLI
import Foundation
import Testing

/// `--json` prints one JSON object on standard output, with the members that scripts rely on; all else goes to standard error.
@Suite(.serialized) struct JSONReportTests {
    let tool: CommandLineTool
    let scratch: ScratchFolder

    init() throws { (tool, scratch) = (try CommandLineTool(), try ScratchFolder()) }

    // MARK: The encoder

    @Test func encodes() throws {
        let report: JSONReport = [
            "b": .number(1e-5), "a": .list([.integer(-3), .unsigned(.max), .truth(true), .null]), "t": "“ü”\\ \"\n\u{1}\u{2028}",
            "o": [:], "x": .number(-0.1),
        ]
        #expect(!report.encoded.contains("\n"))
        let value = try #require(try JSONSerialization.jsonObject(with: Data(report.encoded.utf8)) as? [String: Any])
        #expect(value["b"] as? Double == 1e-5 && value["x"] as? Double == -0.1)
        #expect(value["t"] as? String == "“ü”\\ \"\n\u{1}\u{2028}")
        #expect((value["a"] as? [Any])?.count == 4 && (value["o"] as? [String: Any])?.isEmpty == true)
        #expect(report.encoded.hasPrefix("{\"b\":1e-05,\"a\":[-3,18446744073709551615,true,null]"), "members keep their order")
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity]) func nonFiniteNumbersAreNull(value: Double) {
        #expect(JSONReport.number(value).encoded == "null")
    }

    // MARK: The commands

    static let poisson = """
        problem: {name: poisson-1d, frequency: 1, network: {width: 8, depth: 1}, points: {interior: 40, monitor: 30}}
        seed: 3
        stages:
          - {stage: first, optimizer: adam, until: {iterations: 5}}
          - {stage: second, optimizer: l-bfgs, until: {iterations: 30}}
        """

    @Test func runAndResume() throws {
        let (file, run) = (try scratch.write(Self.poisson, to: "run.yaml"), "\(scratch.path)/run")
        let output = try tool.run(["run", file, "-o", run, "--json"])
        try #require(output.status == 0, "\(output.errors)")
        let object = try output.object()
        #expect((object["outcome"] as? String)?.hasPrefix("budget spent: iterations = 30") == true)
        #expect(object["status"] as? String == "budgetSpent")
        for name in ["loss", "relativeL2", "seconds", "evaluations"] { #expect((object[name] as? Double ?? 0) > 0, "\(name)") }
        #expect(object["directory"] as? String == run && object["iterations"] as? Int == 35 && object["seed"] as? Int == 3)
        #expect((object["stages"] as? [[String: Any]])?.compactMap { $0["name"] as? String } == ["first", "second"])
        for part in ["rel. error", "second", "poisson-1d: P ="] { #expect(output.errors.contains(part), "\(output.errors)") }

        let resumed = try tool.run(["resume", run, "--json", "--quiet", "--until", "{iterations: 40}"])
        try #require(resumed.status == 0, "\(resumed.errors)")
        #expect(resumed.errors.isEmpty, "quiet: \(resumed.errors)")
        #expect(try resumed.object()["iterations"] as? Int == 45)
        #expect(try resumed.object()["directory"] as? String == run)
    }

    @Test func aRunWithoutAFolder() throws {
        let file = try scratch.write(Self.poisson, to: "run.yaml")
        let object = try tool.run(["run", file, "--json"]).object()
        #expect(object["directory"] is NSNull)
    }

    /// The loss of this start is infinite: null, and the outcome says why.
    @Test func aBreakdownWithoutALoss() throws {
        let (file, run) = (try scratch.write(Self.poisson, to: "run.yaml"), "\(scratch.path)/run")
        let output = try tool.run(["run", file, "-o", run, "--json", "--set", "problem.points.interiorWeight=1e308"])
        #expect(output.status == 3, "\(output)")
        let object = try output.object()
        #expect(object["loss"] is NSNull && object["status"] as? String == "brokeDown")
        #expect((object["outcome"] as? String)?.contains("the loss or its gradient is not finite") == true, "\(object)")
        let evaluated = try tool.run(["evaluate", run, "--json"]).object()
        #expect(evaluated["loss"] is NSNull)
        #expect((evaluated["outcome"] as? String)?.contains("not finite at this point: loss") == true, "\(evaluated)")
    }

    @Test func inspect() throws {
        let (file, run) = (try scratch.write(Self.poisson, to: "run.yaml"), "\(scratch.path)/run")
        try #require(try tool.run(["run", file, "-o", run, "--quiet"]).status == 0)
        let newest = try CheckpointFolder("\(run)/checkpoints").latest()
        let bytes = try #require(newest.parameters).flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init) }
        let hash = SHA256.hexadecimal(of: bytes)
        for path in [run, "\(run)/run.h5", newest.entry.file] {
            let output = try tool.run(["inspect", path, "--json"])
            try #require(output.status == 0, "\(output.errors)")
            let object = try output.object()
            #expect(object["parametersHash"] as? String == hash, "\(path)")
            let names = (object["stages"] as? [[String: Any]])?.compactMap { $0["name"] as? String }
            let outcome = try #require(object["outcome"] as? String)
            if path == newest.entry.file {
                #expect(names == ["first"] && outcome.hasPrefix("not ended"), "a checkpoint is written before the last stage is closed")
            } else {
                #expect(names == ["first", "second"] && outcome.hasPrefix("budget spent"))
            }
            let text = try tool.run(["inspect", path])
            #expect(text.status == 0 && text.text.contains("outcome: "), "\(text)")
        }
        let best = try tool.run(["inspect", run, "--which", "best", "--json"]).object()
        #expect(best["parametersHash"] as? String == hash, "the hash is that of the newest parameters")
    }

    @Test func listNewAndBench() throws {
        let all = try tool.run(["list", "--json"]).object()
        let optimizers = try #require(all["optimizers"] as? [[String: Any]])
        #expect(optimizers.compactMap { $0["name"] as? String }.contains("l-bfgs") && all["problems"] != nil && all["callbacks"] != nil)
        let adam = try tool.run(["list", "adam", "--json"]).object()
        let settings = try #require(adam["settings"] as? [[String: Any]])
        #expect(settings.first?["name"] as? String == "learningRate" && settings.first?["range"] as? String == "> 0")
        let made = try tool.run(["new", "problem", "Ripple", "-o", "\(scratch.path)/ripple", "--json"])
        #expect(try made.object()["directory"] as? String == "\(scratch.path)/ripple", "\(made.errors)")
        let sizes = ["--points", "100", "--width", "4", "--depth", "2", "--repeats", "2"]
        let bench = try tool.run(["bench", "gradient", "--json"] + sizes).object()
        let seconds = try #require(bench["seconds"] as? [String: Any])
        #expect(["median", "min", "max"].allSatisfy { (seconds[$0] as? Double ?? 0) > 0 })
        for name in ["gflops", "dgemmPeakGflops", "peakResidentMB", "loss"] { #expect((bench[name] as? Double ?? 0) > 0, "\(name)") }
    }
}
