import Burgers
import LinearAlgebra
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Testing

@Suite struct BurgersSetupTests {
    private func problem(_ setup: BurgersSetup = BurgersSetup(), seed: UInt64 = 1) throws -> PhysicsInformedProblem {
        try #require(try setup.makeProblem(seed: seed) as? PhysicsInformedProblem)
    }

    @Test func defaultsAreTheMainJobs() throws {
        let p = try problem()
        #expect(p.layout.count == 1341)
        #expect(p.terms == ["burgers", "initial", "left", "right"])
        #expect(p.sampleSets.map(\.count) == [4000, 100, 100, 100])
        #expect(p.residualCount == 4300)
    }

    @Test func settingsFromAConfiguration() throws {
        var registry = Registry()
        try registry.install(BurgersPlugin.self)
        let setting = Setting.map([
            .init("name", .scalar("burgers")), .init("viscosity", .number(0.02)),
            .init("network", .map([.init("width", .integer(5)), .init("activation", .scalar("sin"))])),
            .init("points", .map([.init("interior", .integer(50)), .init("sampling", .scalar("latin-hypercube"))])),
        ])
        let setup = try #require(try registry.problem(setting) as? BurgersSetup)
        #expect(setup.viscosity == 0.02)
        // What is not given keeps the problem's own defaults.
        #expect(setup.network == PerceptronSettings(width: 5, depth: 4, activation: .sin))
        #expect(setup.points.boundary == 200)
        #expect(setup.points.initialWeight == BurgersSetup().points.initialWeight)
        let p = try problem(setup)
        #expect(p.residualCount == 350)
        #expect(p.identity["network"]?["activation"]?.text == "sin")
        let wrong = Setting.map([.init("name", .scalar("burgers")), .init("viscosity", .number(-1))])
        #expect(throws: ConfigurationError.self) { try registry.problem(wrong) }
    }

    @Test func derivatives() throws {
        var setup = BurgersSetup()
        setup.network = PerceptronSettings(width: 8, depth: 3)
        setup.points = PointPlan(interior: 150, initial: 20, boundary: 20, initialWeight: 5, boundaryWeight: 5)
        let check = try DerivativeCheck(of: problem(setup))
        #expect(check.passed, "\(check)")
    }

    /// The network u = 0 has the error ‖u‖/‖u‖ = 1, exactly, and no residual but the initial condition's: ½·weight·mean sin² πx.
    @Test func theErrorOfZeroIsOne() throws {
        let p = try problem()
        let zero = Vector.zeros(p.layout.count)
        #expect(try p.referenceError(at: zero) == 1)
        let loss = try p.loss(at: zero)
        let points = try p.points(of: "initial")
        let mean =
            (0..<100).reduce(0.0) { $0 + ColeHopf(viscosity: 1)(t: 0, x: points[$1, 1]) * ColeHopf(viscosity: 1)(t: 0, x: points[$1, 1]) }
            / 100
        let weight = BurgersSetup().points.initialWeight
        #expect(loss.terms[0] == 0 && loss.terms[2] == 0 && loss.terms[3] == 0)
        #expect(abs(loss.terms[1] - 0.5 * weight * mean) < 1e-13)
    }
}
