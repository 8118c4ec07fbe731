import Curvature
import Foundation
import Testing

/// The measurements say what scripts rely on; how fast anything is they do not test.
@Suite struct BenchCommandTests {
    private let tool: CommandLineTool
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("curvature-bench-\(UUID().uuidString)")

    init() throws {
        tool = try CommandLineTool()
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func json(_ arguments: [String]) throws -> [String: Any] {
        let output = try tool.run(["bench"] + arguments + ["--json", "--repeats", "2"])
        #expect(output.status == 0, "\(output.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(output.text.utf8)) as? [String: Any])
    }

    private func checkSeconds(_ report: [String: Any], _ key: String = "seconds") throws {
        let seconds = try #require(report[key] as? [String: Double])
        let (low, middle, high) = (try #require(seconds["min"]), try #require(seconds["median"]), try #require(seconds["max"]))
        #expect(0 < low && low <= middle && middle <= high)
    }

    /// A case of Helmholtz' equation with the width 3 and one hidden layer, θₖ = 1/(k + 1), and its problem made here.
    private func helmholtz(
        _ name: String = "case.h5", without missing: String? = nil
    ) throws -> (path: String, problem: PhysicsInformedProblem) {
        let points = ["helmholtz": [[-0.5, 0.25], [0.5, 0.75], [0.1, -0.3]], "boundary": [[-1, 0.5], [0.25, 1]]]
        let path = folder.appendingPathComponent(name).path
        let file = try HDF5File.create(path)
        try file.setAttribute("format", "curvature-case", at: "/")
        try file.setAttribute("problem", "helmholtz-2d", at: "/")
        try file.makeGroup("/settings")
        for (key, text) in [("network.width", "3"), ("network.depth", "1"), ("wavenumber", "2")] {
            try file.setAttribute(key, text, at: "/settings")
        }
        for (term, rows) in points where term != missing {
            try file.write(rows.flatMap { $0 }, shape: [rows.count, 2], at: "/terms/\(term)")
            try file.setAttribute("weight", term == "boundary" ? 7.0 : 1, at: "/terms/\(term)")
        }
        try file.write((0..<13).map { 1 / Double($0 + 1) }, shape: [13], at: "/parameters")
        try file.close()
        var setup = HelmholtzSetup()
        setup.wavenumber = 2
        setup.network = PerceptronSettings(width: 3, depth: 1)
        var problem = try #require(try setup.makeProblem(seed: 3) as? PhysicsInformedProblem)
        for (term, rows) in points { problem = try problem.revised(by: PointRevision(term: term, points: Matrix(rows: rows))) }
        return (path, try problem.revised(by: WeightRevision([("boundary", 7)])))
    }

    @Test func gradientOfACase() throws {
        let (path, problem) = try helmholtz()
        defer { try? FileManager.default.removeItem(at: folder) }
        let report = try json(["gradient", "--case", path])
        let value = try problem.lossAndGradient(at: Vector((0..<13).map { 1 / Double($0 + 1) }))
        #expect(report["loss"] as? Double == value.loss.total)
        #expect(report["gradientNorm"] as? Double == value.gradient.norm)
        #expect((report["width"] as? Int, report["depth"] as? Int) == (3, 1))
        #expect((report["points"] as? Int, report["parameters"] as? Int) == (3, 13))
        // The first layer 6·N·d·W, the last 6·C·N·W: 3 points with the channels u, u_x, u_y, u_xx, u_yy, 2 with u alone.
        let channels = problem.termSizes.map(\.channels)
        #expect(report["flops"] as? Double == Double(6 * (3 + 2) * 2 * 3 + 6 * (3 * channels[0] + 2 * channels[1]) * 3))
        try checkSeconds(report)
        for key in ["gflops", "dgemmPeakGflops", "peakResidentMB"] { #expect(try #require(report[key] as? Double) > 0, "\(key)") }
    }

    @Test func aServedCaseAnswersEachLine() throws {
        let (path, _) = try helmholtz()
        defer { try? FileManager.default.removeItem(at: folder) }
        func serve(_ lines: String) throws -> CommandLineTool.Output {
            let command = "printf '\(lines)' | \"$0\" bench gradient --case \"\(path)\" --serve"
            return try tool.run(["-c", command, tool.executable.path], by: URL(fileURLWithPath: "/bin/sh"))
        }
        let output = try serve("3\\n1\\n")
        let lines = output.text.split(separator: "\n")
        #expect(output.status == 0 && lines.count == 3, "\(output)")
        let greeting = try #require(try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: Any])
        #expect(greeting["loss"] is Double && greeting["seconds"] == nil)
        for line in lines.dropFirst() { #expect(try #require(Double(line)) > 0) }
        let wrong = try serve("many\\n")
        #expect(wrong.status != 0 && wrong.errors.contains("many"))
    }

    @Test func aBadCaseIsRefused() throws {
        let (path, _) = try helmholtz("lacking.h5", without: "boundary")
        defer { try? FileManager.default.removeItem(at: folder) }
        let output = try tool.run(["bench", "gradient", "--case", path])
        #expect(output.status != 0 && output.errors.contains("boundary"), "\(output.errors)")
        let missing = try tool.run(["bench", "gradient", "--case", folder.appendingPathComponent("none.h5").path])
        #expect(missing.status != 0 && missing.errors.contains("no such file"), "\(missing.errors)")
    }

    @Test func settingsOfTheProblemCanBeGiven() throws {
        let sizes = ["gradient", "--problem", "poisson-cube", "--width", "5", "--depth", "2", "--points", "40"]
        let reports = try ["dimension=3", "network.precision=single"].map { try json(sizes + ["--set", $0]) }
        // 3·5 + 5 + 5·5 + 5 + 5 + 1 parameters, and two more rows of the first layer by default.
        #expect(reports.map { $0["parameters"] as? Int } == [56, 66])
        let double = try #require(try json(sizes)["loss"] as? Double)
        let single = try #require(reports[1]["loss"] as? Double)
        #expect(single != double && abs(single / double - 1) < 1e-5)
        let (path, _) = try helmholtz()
        let both = try tool.run(["bench", "gradient", "--case", path, "--set", "network.width=4"])
        #expect(both.status != 0 && both.errors.contains("--set"), "\(both.errors)")
    }

    /// The step of JᵀJ, since there are more parameters than residuals only in the wider network.
    @Test(arguments: [(4, "gramian"), (40, "kernel")]) func gaussNewton(width: Int, form: String) throws {
        let report = try json(
            ["gauss-newton", "--problem", "poisson-1d", "--width", "\(width)", "--depth", "1", "--points", "50", "--damping", "0.1"])
        #expect(report["form"] as? String == form)
        // The same step by the dense Jacobian.
        var setup = PoissonOnIntervalSetup()
        (setup.network.width, setup.network.depth, setup.points.interior) = (width, 1, 50)
        let problem = try #require(try setup.makeProblem(seed: 0) as? PhysicsInformedProblem)
        var random = RandomStream(seed: 0, name: "initialization")
        let model = try problem.linearization(at: problem.initialParameters(from: &random).values)
        var damped = Matrix.product(model.jacobian(), model.jacobian(), transposingFirst: true)
        damped.addDiagonal(Vector(repeating: 0.1, count: damped.rows))
        let step = try Cholesky.factorize(damped).get().solve(model.transposedProduct(model.residual))
        #expect(abs(try #require(report["stepNorm"] as? Double) - step.norm) < 1e-8 * step.norm)
        for key in ["seconds", "matrixSeconds", "solveSeconds"] { try checkSeconds(report, key) }
        #expect(try #require(report["multipleOfFloor"] as? Double) > 0)
    }

    @Test func optimizers() throws {
        let (path, problem) = try helmholtz()
        defer { try? FileManager.default.removeItem(at: folder) }
        let start = try problem.loss(at: Vector((0..<13).map { 1 / Double($0 + 1) })).total
        let descent = try json(["lbfgs", "--case", path, "--iterations", "5", "--memory", "3"])
        #expect(descent["iterations"] as? Int == 5)
        #expect(try #require(descent["evaluations"] as? Int) >= 6)
        let reached = try #require(descent["loss"] as? Double)
        #expect(reached < start)
        let aimed = try json(["lbfgs", "--case", path, "--iterations", "50", "--memory", "3", "--target", "\(reached * 1.0000001)"])
        #expect(aimed["reachedTarget"] as? Bool == true && aimed["iterations"] as? Int == 5)
        try checkSeconds(descent)
    }

    /// Steps of any optimizer, by its settings: two repetitions, after two to warm up.
    @Test func steps() throws {
        let (path, problem) = try helmholtz()
        defer { try? FileManager.default.removeItem(at: folder) }
        let θ = Vector((0..<13).map { 1 / Double($0 + 1) })
        let start = try problem.loss(at: θ).total
        let adam = try json(["step", "adam", "--case", path, "--steps", "3", "--with", "learningRate=0.01"])
        #expect((adam["steps"] as? Int, adam["startLoss"] as? Double) == (6, start))
        #expect(adam["work"] as? [String: Double] == ["gradients": 1])
        #expect(adam["verdicts"] as? [String: Int] == ["accepted": 6])
        // The same twelve steps here.
        let method = Adam(learningRate: 0.01)
        var state = try method.start(on: problem, from: Parameters(layout: problem.layout, values: θ))
        for _ in 0..<12 { _ = try method.step(&state, on: problem) }
        #expect(abs(try #require(adam["loss"] as? Double) - state.loss.total) <= 1e-12 * state.loss.total)
        // From the start each time: one step of Gauss and Newton, damped.
        let settings = [
            "solver=exact", "damping={name: constant, value: 0.1}", "stepLength={name: fixed, learningRate: 1, normBound: 1e300}",
        ]
        let natural = try json(["step", "natural-gradient", "--from-start", "--case", path] + settings.flatMap { ["--with", $0] })
        let model = try problem.linearization(at: θ)
        var damped = Matrix.product(model.jacobian(), model.jacobian(), transposingFirst: true)
        damped.addDiagonal(Vector(repeating: 0.1, count: 13))
        let step = try Cholesky.factorize(damped).get().solve(model.transposedProduct(model.residual))
        #expect(abs(try #require(natural["stepNorm"] as? Double) - step.norm) < 1e-8 * step.norm)
        #expect((natural["lossBefore"] as? Double, natural["steps"] as? Int) == (start, 2))
        #expect(natural["work"] as? [String: Double] == ["gradients": 1, "linearizations": 1, "transposedProducts": 1, "jacobianRows": 5])
        for report in [adam, natural] {
            try checkSeconds(report)
            #expect(try #require(report["ratio"] as? Double) > 0)
        }
        for (arguments, named) in [
            (["adam", "--with", "learnigRate=1"], "learnigRate"), (["adam", "--steps", "0"], "--steps"), (["adaam"], "adaam"),
            (["adam", "--problem", "nowhere"], "nowhere"),
        ] {
            let refused = try tool.run(["bench", "step"] + arguments)
            #expect(refused.status != 0 && refused.errors.contains(named), "\(refused.errors)")
        }
    }

    @Test func products() throws {
        let report = try json(["products", "--problem", "burgers", "--width", "5", "--depth", "2", "--points", "40"])
        let products = try #require(report["products"] as? [[String: Any]])
        let names = products.compactMap { $0["name"] as? String }
        #expect(names == ["lossAndGradient", "loss", "hessian", "hessianStreaming", "jacobian", "transposedJacobian", "gaussNewton"])
        #expect(products[0]["ratio"] as? Double == 1)
        for product in products {
            try checkSeconds(product)
            #expect(try #require(product["ratio"] as? Double) > 0)
        }
    }

    @Test func twoLoop() throws {
        let report = try json(["two-loop", "--size", "5000", "--memory", "3", "--order", "40"])
        #expect((report["size"] as? Int, report["memory"] as? Int, report["order"] as? Int) == (5000, 3, 40))
        try checkSeconds(report)
        try checkSeconds(report, "updateSeconds")
        for key in ["GBs", "readingGBs", "fractionOfReading", "updateGBs"] { #expect(try #require(report[key] as? Double) > 0, "\(key)") }
    }

    /// Adam holds two vectors: with the gradient, 6·8 bytes a parameter. A matrix is one block.
    @Test func update() throws {
        let adam = try json(["update", "adam", "--rows", "300"])
        #expect((adam["rows"] as? Int, adam["columns"] as? Int, adam["bytes"] as? Int) == (300, 1, 300 * 48))
        #expect(adam["flops"] as? Double == 3_000)
        let muon = try json(["update", "muon", "--rows", "12", "--columns", "8"])
        #expect(muon["bytes"] as? Int == 12 * 8 * 32)
        for report in [adam, muon] {
            try checkSeconds(report)
            for key in ["readingGBs", "updatingGBs", "dgemmGflops", "fractionOfReading", "fractionOfUpdating", "fractionOfDgemm"] {
                #expect(try #require(report[key] as? Double) > 0, "\(key)")
            }
        }
        let quasiNewton = try tool.run(["bench", "update", "l-bfgs"])
        #expect(quasiNewton.status != 0 && quasiNewton.errors.contains("take a first-order method"))
        let empty = try tool.run(["bench", "update", "adam", "--rows", "0"])
        #expect(empty.status != 0 && empty.errors.contains("--rows"))
    }

    @Test func deepONet() throws {
        let path = folder.appendingPathComponent("operator.h5").path
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = try HDF5File.create(path)
        try file.write([0, 0.5, 1], shape: [3, 1], at: "/sensors")
        try file.write([0.25, 0.75], shape: [2, 1], at: "/points")
        try file.write([1, 2, 3, 4, 5, 6], shape: [2, 3], at: "/inputs")
        try file.write([1, 2, 3, 4], shape: [2, 2], at: "/outputs")
        // Branch 3 → 2 → 2, trunk 1 → 2 → 2, bias: 14 + 10 + 1. With θ = 0 the prediction is 0: L = ½·(1 + 4 + 9 + 16)/4.
        try file.write(Array(repeating: 0.0, count: 25), shape: [25], at: "/parameters")
        try file.close()
        let report = try json(["deeponet", "--case", path, "--width", "2", "--depth", "1"])
        #expect(report["loss"] as? Double == 3.75)
        #expect((report["functions"] as? Int, report["points"] as? Int) == (2, 2))
        try checkSeconds(report)
    }

    @Test func startup() throws {
        let report = try json(["startup", "--problem", "poisson-1d", "--width", "4", "--depth", "1", "--points", "20"])
        try checkSeconds(report)
    }
}
