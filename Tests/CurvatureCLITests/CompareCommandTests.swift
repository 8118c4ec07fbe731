import Curvature
import Foundation
import Testing

/// `curvature compare`: its numbers are those of the runs' own records.
@Suite(.serialized) struct CompareCommandTests {
    let tool: CommandLineTool
    let scratch: ScratchFolder

    init() throws { (tool, scratch) = (try CommandLineTool(), try ScratchFolder()) }

    /// Runs of seeds 1 to 3 in a folder of that name.
    private func train(_ name: String, optimizer: String, hasReference: Bool = true, isMeasuredOften: Bool = true) throws -> String {
        let file = try scratch.write(
            """
            problem: \(hasReference ? "{name: poisson-1d, network: {width: 8, depth: 1}}" : "logistic-regression")
            stages: [{optimizer: \(optimizer), until: {iterations: 12}}]
            callbacks: [\(hasReference && isMeasuredOften ? "{name: reference-error, every: 3}" : "")]
            """, to: "\(name).yaml")
        let folder = "\(scratch.path)/\(name)"
        let output = try tool.run(["run", file, "--seeds", "1...3", "-o", folder, "--quiet"])
        try #require(output.status == 0, "\(output.errors)")
        return folder
    }

    /// Of each run in a folder, the errors that were measured, with their iterations, seconds and evaluations.
    private func records(_ folder: String) throws -> [[(error: Double, iteration: Double, seconds: Double, evaluations: Double)]] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { name in
            let file = try RunFile.open("\(folder)/\(name)/run.h5")
            defer { try? file.close() }
            let columns = try ["referenceError", "iteration", "seconds", "evaluations"].map { try file.reals($0, in: .trajectory) }
            return columns[0].indices.filter { columns[0][$0].isFinite }.map {
                (columns[0][$0], columns[1][$0], columns[2][$0], columns[3][$0])
            }
        }
    }

    @Test func numbersAreTheRuns() throws {
        // Steps too long, so that errors rise between.
        let folders = [
            try train("rough", optimizer: "{name: adam, learningRate: 0.5}"), try train("fast", optimizer: "levenberg-marquardt"),
        ]
        #expect(try records(folders[0]).contains { run in zip(run, run.dropFirst()).contains { $0.error < $1.error } })
        let output = try tool.run(["compare"] + folders + ["--json"])
        try #require(output.status == 0, "\(output)")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(output.text.utf8)) as? [String: Any])
        #expect(report["measure"] as? String == "relative error")
        let kinds = try #require(report["kinds"] as? [[String: Any]])
        #expect(kinds.compactMap { $0["name"] as? String } == ["rough", "fast"])
        for (folder, kind) in zip(folders, kinds) {
            let runs = try records(folder)
            try #require(runs.count == 3 && runs.allSatisfy { !$0.isEmpty })
            let least = runs.map { $0.map(\.error).min() ?? .nan }.sorted()
            let error = try #require(kind["error"] as? [String: Double])
            // To a last bit of the number as a text.
            #expect(abs(try #require(error["median"]) - least[1]) <= 1e-15 * least[1])
            #expect(abs(try #require(kind["best"] as? Double) - least[0]) <= 1e-15 * least[0])
            #expect(abs(try #require(error["upperQuartile"]) - (least[1] + least[2]) / 2) <= 1e-12 * least[2])
            for level in try #require(kind["levels"] as? [[String: Any]]) {
                let goal = try #require(level["error"] as? Double)
                let reached = runs.compactMap { run in run.first { $0.error <= goal } }
                #expect(level["reached"] as? Int == reached.count, "\(goal)")
                let seconds = try #require(level["seconds"] as? [String: Any])
                if reached.count == 3 {
                    #expect(seconds["median"] as? Double == reached.map(\.seconds).sorted()[1], "\(goal)")
                    let evaluations = try #require(level["evaluations"] as? [String: Any])
                    #expect(evaluations["median"] as? Double == reached.map(\.evaluations).sorted()[1], "\(goal)")
                } else if reached.count < 2 {
                    #expect(seconds["median"] is NSNull, "\(goal)")
                }
            }
        }
        let table = try tool.run(["compare"] + folders)
        #expect(table.status == 0 && table.text.split(separator: "\n").count == 3, "\(table)")
    }

    /// A picture names each kind; a run alone counts as one of its kind; folders of one name are told apart by their paths.
    @Test func pictureAndNames() throws {
        let folder = try train("pictured", optimizer: "levenberg-marquardt")
        let runs = try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { "\(folder)/\($0)" }
        let path = "\(scratch.path)/picture.svg"
        let output = try tool.run(["compare", folder, runs[0], "-o", path])
        try #require(output.status == 0 && output.errors.isEmpty, "\(output)")
        let svg = try String(contentsOfFile: path, encoding: .utf8)
        let missing = ["pictured", "time (s)", "relative error", "evaluations"].filter { !svg.contains($0) }
        #expect(missing.isEmpty)
        let twice = try tool.run(["compare", folder, "\(folder)/../pictured"])
        #expect(twice.text.contains("/../pictured"), "\(twice)")
    }

    /// Where there is no reference, by the loss; with errors of some runs only, the others are named; a folder without runs too.
    @Test func withoutErrors() throws {
        let (plain, measured) = (try train("plain", optimizer: "adam", hasReference: false), try train("measured", optimizer: "adam"))
        let byLoss = try tool.run(["compare", plain, "--json"])
        #expect(byLoss.status == 0 && byLoss.text.contains("\"measure\":\"loss\""), "\(byLoss)")
        let mixed = try tool.run(["compare", measured, plain])
        #expect(mixed.status == 2 && mixed.errors.contains("plain/") && mixed.errors.contains("reference-error"), "\(mixed)")
        // One measurement a run, all after as many evaluations: an axis without a length has none to draw along.
        let (once, path) = (try train("once", optimizer: "adam", isMeasuredOften: false), "\(scratch.path)/once.svg")
        let drawn = try tool.run(["compare", once, "-o", path])
        #expect(drawn.status == 0 && FileManager.default.fileExists(atPath: path), "\(drawn)")
        // Two runs measured once each, after 11 and 30 evaluations: 11·(30/11) is less than 30 in doubles, and they meet at 30 alone.
        for iterations in [10, 29] {
            let file = try scratch.write(
                "{problem: {name: poisson-1d, network: {width: 8, depth: 1}}, stages: [{optimizer: adam, until: {iterations: \(iterations)}}]}",
                to: "apart.yaml")
            let trained = try tool.run(["run", file, "--seeds", "\(iterations)...\(iterations)", "-o", "\(scratch.path)/apart", "--quiet"])
            try #require(trained.status == 0, "\(trained.errors)")
        }
        let apart = try tool.run(["compare", "\(scratch.path)/apart", "-o", "\(scratch.path)/apart.svg"])
        #expect(apart.status == 0, "\(apart)")
        let empty = try tool.run(["compare", scratch.path])
        #expect(empty.status == 2 && empty.errors.contains("no run.h5"), "\(empty)")
    }
}
