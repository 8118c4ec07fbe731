import Curvature
import Foundation
import Testing

/// `curvature predict`: what is written agrees with the model, whatever the formats; what cannot be read is refused with its place.
@Suite(.serialized) struct PredictCommandTests {
    let tool: CommandLineTool
    let scratch: ScratchFolder

    init() throws { (tool, scratch) = (try CommandLineTool(), try ScratchFolder()) }

    static let interval = "{name: poisson-1d, frequency: 1, network: {width: 8}, points: {interior: 40, monitor: 20}}"
    static let burgers = "{name: burgers, network: {width: 4, depth: 1}, points: {interior: 50, initial: 10, boundary: 10, monitor: 0}}"

    private func train(_ problem: String, iterations: Int = 30) throws -> String {
        let file = try scratch.write(
            "problem: \(problem)\nseed: 1\nstages: [{optimizer: self-scaled-broyden, until: {iterations: \(iterations)}}]\n",
            to: "run.yaml")
        let folder = "\(scratch.path)/run"
        let output = try tool.run(["run", file, "-o", folder, "--overwrite", "--quiet"])
        try #require(output.status == 0, "\(output.errors)")
        return folder
    }

    /// θ at the end of a run, or its best.
    private func parameters(_ which: String, of folder: String) throws -> Vector {
        let file = try RunFile.open("\(folder)/run.h5")
        defer { try? file.close() }
        return Vector(try file.file.read(Double.self, at: "/result/\(which)").values)
    }

    private func table(_ path: String) throws -> (names: [String], rows: [[Double]]) {
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        let rows = lines.dropFirst().map { $0.split(separator: ",").map { Double($0) ?? .nan } }
        return (lines[0].split(separator: ",").map(String.init), rows)
    }

    @Test func valuesAreTheModelsOwnInBothFormats() throws {
        let folder = try train(Self.burgers)
        let places = [[0.1, -0.5], [0.25, 0.0], [1, 1], [0, -1]]
        // Columns in another order than the axes', blanks, quotes, and Windows' ends of lines.
        let text = "\"x\", t\r\n" + places.map { "\($0[1]), \($0[0])\r\n" }.joined()
        let points = try scratch.write(text, to: "points.csv")
        let stored = "\(scratch.path)/points.h5"
        let file = try HDF5File.create(stored)
        for (axis, name) in ["t", "x"].enumerated() { try file.write(places.map { $0[axis] }, shape: [4], at: "/\(name)") }
        try file.close()
        var setup = BurgersSetup()
        setup.network = PerceptronSettings(width: 4, depth: 1)
        setup.points = PointPlan(interior: 50, initial: 10, boundary: 10, monitor: 0, initialWeight: 5, boundaryWeight: 5)
        let problem = try #require(try setup.makeProblem(seed: 1) as? PhysicsInformedProblem)
        for (which, name) in [("best", "best"), ("last", "parameters")] {
            let expected = try problem.fields(at: Matrix(rows: places), parameters: try parameters(name, of: folder))
            for source in [points, stored] {
                let (csv, h5) = ("\(scratch.path)/values.csv", "\(scratch.path)/values.h5")
                for output in [csv, h5] {
                    let result = try tool.run(["predict", folder, "--points", source, "-o", output, "--which", which])
                    #expect(result.status == 0 && result.text.contains("u at 4 points"), "\(result)")
                }
                let (names, rows) = try table(csv)
                #expect(names == ["t", "x", "u"])
                #expect(rows == zip(places, expected.elements).map { $0 + [$1] }, "every bit is written")
                let values = try HDF5File.open(h5)
                #expect(try values.read(Double.self, at: "/u").values == expected.elements)
                #expect(try values.read(Double.self, at: "/x").values == places.map { $0[1] })
                #expect(try values.text("point", at: "/") == which && values.text("meaning", at: "/u") != nil)
                try values.close()
            }
        }
    }

    @Test func derivativesAndResiduals() throws {
        let folder = try train(Self.interval)
        let h = 1e-4
        let points = try scratch.write("x\n\(0.3 - h)\n0.3\n\(0.3 + h)\n", to: "points.csv")
        let output = "\(scratch.path)/values.csv"
        #expect(try tool.run(["predict", folder, "--points", points, "-o", output, "--derivatives", "--residuals"]).status == 0)
        let (names, rows) = try table(output)
        #expect(names == ["x", "u", "u_x", "residual_poisson"])
        let (u, slope) = (rows.map { $0[1] }, rows.map { $0[2] })
        #expect(abs((u[2] - u[0]) / (2 * h) - slope[1]) < 1e-5 * max(1, abs(slope[1])))
        let second = (slope[2] - slope[0]) / (2 * h)
        let residual = -second - .pi * .pi * sin(.pi * 0.3)
        #expect(abs(residual - rows[1][3]) < 1e-4 * max(1, abs(second)))
    }

    @Test func otherProblems() throws {
        let regression = try train("{name: logistic-regression, samples: 30, features: 2}")
        let points = try scratch.write("x1,x2\n0.5,-1\n0,0\n", to: "points.csv")
        let output = "\(scratch.path)/values.csv"
        #expect(try tool.run(["predict", regression, "--points", points, "-o", output]).status == 0)
        let (names, rows) = try table(output)
        #expect(names == ["x1", "x2", "probability"])
        let θ = try parameters("best", of: regression)
        #expect(abs(rows[0][2] - 1 / (1 + exp(-(0.5 * θ[0] - θ[1] + θ[2])))) < 1e-14)
        try refused(
            ["predict", regression, "--points", points, "-o", output, "--derivatives"], saying: ["--derivatives", "has no derivatives"])

        let energy = try train("{name: deep-ritz-1d, network: {width: 6}, elements: 8}")
        let line = try scratch.write("x\n0\n1\n0.5\n", to: "line.csv")
        #expect(try tool.run(["predict", energy, "--points", line, "-o", output, "--derivatives"]).status == 0)
        let values = try table(output)
        #expect(values.names == ["x", "u", "u_x"])
        #expect(values.rows[0][1] == 0 && values.rows[1][1] == 0, "the hard conditions hold")

        let function = try train("{name: test-function, function: rosenbrock}")
        try refused(["predict", function, "--points", points, "-o", output], saying: ["rosenbrock has no model with values at points"])
        let operators = try train(
            "{name: antiderivative, functions: 5, validationFunctions: 2, testFunctions: 2, sensors: 5, points: 5, features: 3}",
            iterations: 2)
        try refused(["predict", operators, "--points", points, "-o", output], saying: ["maps functions to functions", "input function"])
    }

    @Test func filesThatAreNoPoints() throws {
        let folder = try train(Self.burgers, iterations: 2)
        let output = try scratch.write("an older file", to: "values.csv")
        for (text, says) in [
            ("", ["is empty", "t,x"]), ("\n \n", ["is empty"]), ("t,x\n", ["holds no points"]),
            ("t,y\n0,0\n", ["line 1", "“y” is no coordinate", "must be: t, x"]), ("t\n0\n", ["line 1", "no column “x”"]),
            ("t,x,t\n0,0,0\n", ["“t” is there twice"]), ("t,x\n0,0\n\n0.5,abc\n", ["line 4", "“abc” in column x is not a finite number"]),
            ("t,x\n0,0\n0.5,\n", ["line 3", "“” in column x"]), ("t,x\n0,nan\n", ["line 2", "“nan”"]),
            ("t,x\n0,0\n0.5\n", ["line 3", "has 1 cells, the header has 2"]), ("t,x\n2,0\n", ["(t = 2.0, x = 0.0)", "outside the domain"]),
        ] {
            let points = try scratch.write(text, to: "points.csv")
            try refused(["predict", folder, "--points", points, "-o", output], saying: says)
        }
        let points = try scratch.write("t,x\n0,0\n", to: "points.csv")
        try refused(["predict", folder, "--points", "\(scratch.path)/none.csv", "-o", output], saying: ["there is no such file"])
        try refused(["predict", folder, "--points", points, "-o", "values.txt"], saying: ["ends in .txt", ".csv, .h5"])
        try refused(["predict", folder, "--points", points, "-o", "\(scratch.path)/none/v.csv"], saying: ["cannot be written"])
        let garbage = try scratch.write("no HDF5 at all", to: "points.h5")
        try refused(["predict", folder, "--points", garbage, "-o", output], saying: ["points.h5"])
        let (missing, uneven) = ("\(scratch.path)/missing.h5", "\(scratch.path)/uneven.h5")
        for (path, names) in [(missing, ["t"]), (uneven, ["t", "x"])] {
            let file = try HDF5File.create(path)
            for (index, name) in names.enumerated() {
                try file.write(Array([0, 0.5, 1][index...]), shape: [3 - index], at: "/\(name)")
            }
            try file.close()
        }
        try refused(["predict", folder, "--points", missing, "-o", output], saying: ["no column “x”"])
        try refused(["predict", folder, "--points", uneven, "-o", output], saying: ["“x” has 2 entries, “t” has 3"])
        #expect(try String(contentsOfFile: output, encoding: .utf8) == "an older file", "what is refused replaces nothing")
        #expect(try !FileManager.default.contentsOfDirectory(atPath: scratch.path).contains { $0.hasSuffix(".part") })
    }

    private func refused(_ arguments: [String], saying parts: [String], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let output = try tool.run(arguments)
        #expect(!output.crashed && output.status == 2, "\(output)", sourceLocation: sourceLocation)
        for part in parts { #expect(output.errors.contains(part), "\(output.errors)", sourceLocation: sourceLocation) }
    }
}
