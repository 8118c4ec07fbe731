import Curvature
import CurvatureCLI
import Foundation
import Testing

/// What `evaluate` measures, and on what.
@Suite(.serialized) struct EvaluateTests {
    let tool: CommandLineTool
    let scratch: ScratchFolder

    init() throws { (tool, scratch) = (try CommandLineTool(), try ScratchFolder()) }

    private func run(_ text: String) throws -> String {
        let (file, run) = (try scratch.write(text, to: "run.yaml"), "\(scratch.path)/run")
        let output = try tool.run(["run", file, "-o", run, "--quiet", "--overwrite"])
        try #require(output.status == 0, "\(output.errors)")
        return run
    }

    static let burgers = """
        {name: burgers, viscosity: 0.1, network: {width: 6, depth: 2}, points: {interior: 60, initial: 10, boundary: 10, monitor: 50}}
        """

    /// After resampling the loss is that of the run's present points and of the weights they carry.
    @Test func theLossOfThePresentPoints() throws {
        let run = try run(
            """
            problem: \(Self.burgers)
            seed: 2
            stages: [{optimizer: {name: adam, learningRate: 5e-3}, until: {iterations: 25}}]
            callbacks: [{name: residual-adaptive-resampling, every: 10, pool: 500}]
            """)
        let object = try tool.run(["evaluate", run, "--json"]).object()
        let archive = try CheckpointFolder("\(run)/checkpoints").latest().archive
        let θ = try (archive.value("parameters", as: Parameters.self)).values
        let setting = try YAML.setting(from: try String(contentsOfFile: "\(run)/configuration.yaml", encoding: .utf8), file: "")
        let configuration = try Registry.withBuiltIns().problem(try #require(setting["problem"]))
        let first = try #require(try configuration.makeProblem(seed: 2) as? PhysicsInformedProblem)
        let present = try first.restoringRevisions(from: try archive.group("revisions"))
        try #require(present.version == 2)
        let (now, before) = (try present.loss(at: θ).total, try first.loss(at: θ).total)
        // To the rounding of sums in another process.
        #expect(abs((object["loss"] as? Double ?? .nan) - now) <= 1e-13 * now, "\(object), \(now)")
        #expect(abs(now - before) > 1e-6 * now, "the points that were redrawn show in the loss")
        #expect(object["version"] as? Int == 2)
        // It is what the run itself reported last.
        let file = try RunFile.open("\(run)/run.h5")
        defer { try? file.close() }
        let reported = try #require(try file.file.double("loss", at: "/result"))
        #expect(abs((object["loss"] as? Double ?? .nan) - reported) <= 1e-12 * reported)
    }

    /// Errors on a grid that the run did not measure itself on; `--grid` chooses another.
    @Test func aFreshGrid() throws {
        let run = try run("problem: \(Self.burgers)\nstages: [{optimizer: l-bfgs, until: {iterations: 20}}]")
        let object = try tool.run(["evaluate", run, "--json"]).object()
        let (error, greatest) = (try #require(object["relativeL2"] as? Double), try #require(object["maxError"] as? Double))
        #expect(object["samples"] as? String == "90 × 302 points of t, x")
        #expect(error > 0 && greatest > 0 && object["outcome"] as? String == "evaluated")
        let file = try RunFile.open("\(run)/run.h5")
        defer { try? file.close() }
        let own = try #require(try file.file.double("referenceError", at: "/result"))
        #expect(error != own && abs(error - own) < 0.1 * own, "near the run's own, and not the same")
        let same = try tool.run(["evaluate", run, "--json", "--grid", "60x201"]).object()
        #expect(abs((same["relativeL2"] as? Double ?? .nan) - own) <= 1e-12 * own)
        #expect(try tool.run(["evaluate", run, "--json", "--grid", "20"]).object()["samples"] as? String == "20 × 20 points of t, x")
        // Foundation's reader of JSON may miss a number by its last bit.
        let text = try tool.run(["evaluate", run]).text
        let shown = try #require(text.firstMatch(of: #/greatest error: ([^ ]+) \(90 × 302 points/#).flatMap { Double($0.1) })
        #expect(abs(shown - greatest) <= greatest.ulp)
        let refusals = [
            ("3x3x3", "should give 2 axes"), ("1", "2 or more"), ("axb", "points along each axis"), ("1000000", "would take"),
        ]
        for (grid, says) in refusals {
            let output = try tool.run(["evaluate", run, "--grid", grid])
            #expect(output.status == 2 && output.errors.contains(says), "\(output)")
        }
    }

    /// Poisson's energy and the operator have errors of their own kinds.
    @Test func otherReferences() throws {
        let energy = try run(
            "problem: {name: deep-ritz-1d, network: {width: 6, depth: 1}}\nstages: [{optimizer: l-bfgs, until: {iterations: 20}}]")
        let object = try tool.run(["evaluate", energy, "--json"]).object()
        #expect(object["samples"] as? String == "3002 points of x" && (object["maxError"] as? Double ?? 0) > 0, "\(object)")
        let operators = try run(
            "problem: \(KillAndResumeTests.antiderivative.replacing("testFunctions: 0", with: "testFunctions: 5"))\n"
                + "stages: [{optimizer: adam, until: {iterations: 3}}]")
        let errors = try tool.run(["evaluate", operators, "--json"]).object()
        #expect((errors["samples"] as? String)?.hasPrefix("5 test functions at 20 points") == true, "\(errors)")
        #expect((errors["relativeL2"] as? Double ?? 0) > 0 && (errors["maxError"] as? Double ?? 0) > 0)
    }

    /// Without a reference there is no error to compare with a bound.
    @Test func withoutAReference() throws {
        let run = try run(
            "problem: {name: logistic-regression, samples: 30, features: 3}\nstages: [{optimizer: l-bfgs, until: {iterations: 5}}]")
        let object = try tool.run(["evaluate", run, "--json"]).object()
        #expect(object["relativeL2"] is NSNull && object["maxError"] is NSNull)
        #expect((object["outcome"] as? String)?.contains("no reference") == true)
        let refused = try tool.run(["evaluate", run, "--below", "1"])
        #expect(refused.status == 2 && refused.errors.contains("--below"), "\(refused)")
    }

    /// A network that does not solve an equation without a known solution: its residuals on held-out points are told, term by term.
    @Test func residualsOfTheMonitor() throws {
        struct Unknown: PDEProblem {
            var name: String { "unknown" }
            var domain: Domain { .box(x: 0...1) }
            var conditions: [Condition] { [.dirichlet(2).named("ends")] }
            func residuals(_ u: Fields, at p: Point) -> [Residual] { [Residual("bend", u[0].xx - 3)] }
        }
        let network = try MultilayerPerceptron(inputs: 1, hidden: [4], outputs: 1)
        func problem(monitor: Int) throws -> PhysicsInformedProblem {
            let plan = PointPlan(interior: 20, boundary: 2, monitor: monitor, interiorWeight: 0, boundaryWeight: 7)
            return try PhysicsInformedProblem(Unknown(), model: network, points: plan, seed: 1, identity: .scalar("unknown"))
        }
        // All parameters zero: u = 0, so that the residuals are −3 and −2 everywhere, whatever the terms weigh.
        let θ = Vector.zeros(network.layout.count)
        let norms = try #require(try problem(monitor: 30).monitorResiduals(at: θ))
        #expect(norms.map(\.term) == ["bend", "ends"])
        for (norm, size) in zip(norms, [3.0, 2.0]) {
            #expect(abs(norm.rootMeanSquare - size) < 1e-14 && abs(norm.maximum - size) < 1e-14, "\(norm)")
        }
        #expect(try problem(monitor: 0).monitorResiduals(at: θ) == nil)
        #expect(try problem(monitor: 30).freshErrors(at: θ, grid: nil) == nil)
    }
}
