import Curvature
import CurvatureCLI
import Foundation
import Testing

/// `curvature plot`: the format follows the ending, stages and fields are in the picture, a negative loss is drawn.
@Suite(.serialized) struct PlotCommandTests {
    let tool: CommandLineTool
    let scratch: ScratchFolder

    init() throws { (tool, scratch) = (try CommandLineTool(), try ScratchFolder()) }

    private func train(_ problem: String) throws -> String {
        let file = try scratch.write(
            """
            problem: \(problem)
            stages:
              - {stage: explore, optimizer: adam, until: {iterations: 20}}
              - {stage: descend, optimizer: self-scaled-broyden, until: {iterations: 20}}
            callbacks: [{name: reference-error, every: 10}]
            """, to: "run.yaml")
        let folder = "\(scratch.path)/run"
        let output = try tool.run(["run", file, "-o", folder, "--overwrite", "--quiet"])
        try #require(output.status == 0, "\(output.errors)")
        return folder
    }

    /// The picture as the text of an SVG.
    private func picture(of folder: String) throws -> String {
        let path = "\(scratch.path)/picture.svg"
        let output = try tool.run(["plot", folder, "-o", path])
        try #require(output.status == 0 && output.errors.isEmpty, "\(output)")
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    private func contains(_ picture: String, _ words: [String], sourceLocation: SourceLocation = #_sourceLocation) {
        // Not in the expectation itself, which would show the whole picture.
        let missing = words.filter { !picture.contains($0) }
        #expect(missing.isEmpty, sourceLocation: sourceLocation)
    }

    @Test func timeAndSpace() throws {
        let folder = try train(PredictCommandTests.burgers)
        let svg = try picture(of: folder)
        contains(svg, ["burgers (", "iteration", "time (s)", "loss L", "relative L2 error", ">explore<", ">descend<"])
        contains(svg, ["t (time)", "u, best point", "reference of u", "|u − reference|, at most"])
        #expect(svg.components(separatedBy: "<image").count - 1 == 3, "three maps")
        for (ending, magic) in [("png", Data([0x89, 0x50, 0x4e, 0x47])), ("PDF", Data("%PDF".utf8)), ("svg", Data("<?xml".utf8))] {
            let path = "\(scratch.path)/picture.\(ending)"
            #expect(try tool.run(["plot", folder, "-o", path]).status == 0)
            #expect(FileManager.default.contents(atPath: path)?.prefix(magic.count) == magic, "\(ending)")
        }
        for (path, says) in [("picture.jpg", "ends in .jpg"), ("picture", "has no ending")] {
            let refused = try tool.run(["plot", folder, "-o", path])
            #expect(refused.status == 2 && refused.errors.contains(says) && refused.errors.contains(".png, .svg, .pdf"), "\(refused)")
        }
    }

    @Test func fieldsAreStoredWithTheRun() throws {
        let folder = try train(PredictCommandTests.burgers)
        let file = try RunFile.open("\(folder)/run.h5")
        defer { try? file.close() }
        #expect(try file.fields() == ["u", "u_reference", "u_error"])
        let (u, reference, error) = (try file.field("u"), try file.field("u_reference"), try file.field("u_error"))
        guard case .grid(let axes) = u.places else { return #expect(Bool(false), "a grid") }
        #expect(axes.map(\.name) == ["t", "x"] && axes.map(\.coordinates.count) == [101, 201])
        #expect(zip(u.values, reference.values).map { $0 - $1 } == error.values)
        // At the start the reference is −sin πx; x runs fastest.
        #expect(abs(reference.values[50] - 1) < 1e-12 && axes[1].coordinates[50] == -0.5)
    }

    @Test func anEnergyIsDrawnAsItsExcess() throws {
        let svg = try picture(of: try train("{name: deep-ritz-1d, network: {width: 6}, elements: 8}"))
        contains(svg, ["L − min L, min L = -", "relative L2 error", "solution at the best point"])
        contains(svg, ["pointwise error |solution − reference|"])
    }

    @Test func problemsWithoutFields() throws {
        let folder = try train("{name: test-function, function: rosenbrock}")
        let svg = try picture(of: folder)
        contains(svg, ["loss L", ">explore<"])
        #expect(!svg.contains("solution"))
    }

    @Test func operatorsShowTestFunctions() throws {
        let problem = "{name: antiderivative, functions: 5, validationFunctions: 2, testFunctions: 2, sensors: 5, points: 5, features: 3}"
        contains(try picture(of: try train(problem)), ["s, test function 1", "s, test function 2", ">y<"])
    }

    @Test func curvesOfTheLoss() {
        #expect(RunHistory.curve(ofLoss: [3, .nan, 1e-9]).title == "loss L")
        let shifted = RunHistory.curve(ofLoss: [1, -2, .nan, -9.8696044])
        #expect(shifted.title == "L − min L, min L = -9.869604")
        #expect(shifted.values[0] == 1 + 9.8696044 && shifted.values[3] == 0 && shifted.values[2].isNaN)
    }
}
