import AllenCahn
import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct AllenCahnTests {
    /// The error of the differences falls by 2⁶ with the step; 40 leaves room for their next order.
    @Test(arguments: [[0.1, 0.3], [0.25, -0.55], [0.5, 0.2]]) func solvesItsEquation(point: [Double]) throws {
        let coarse = try AllenCahn().residualsOfReference(at: point, step: 0.02)[0]
        let fine = try AllenCahn().residualsOfReference(at: point, step: 0.01)[0]
        #expect(abs(fine) < abs(coarse) / 40, "\(coarse), \(fine)")
    }

    /// The solution is even and periodic, so that its slope vanishes at the walls.
    @Test func theSlopeVanishesAtTheWalls() throws {
        let u = try #require(AllenCahn().reference).values
        for t in [0.1, 0.5, 1] {
            // A difference to first order: h/2·|uₓₓ|, and the kink has become a layer of the width √(4Dt) ≥ 6e-3 and the height ≤ 6e-3.
            let (at, inside) = (u([t, 1])[0], u([t, 1 - 1e-5])[0])
            #expect(abs(at - inside) / 1e-5 < 5e-3)
        }
    }

    @Test func anotherDiffusivityIsAnotherSolution() throws {
        let wrong = try #require(AllenCahn(diffusivity: 1e-3).reference).values([0.5, 0.5])[0]
        let right = try #require(AllenCahn().reference).values([0.5, 0.5])[0]
        #expect(abs(wrong - right) > 1e-3)
    }

    private func problem(_ setup: AllenCahnSetup = AllenCahnSetup(), seed: UInt64 = 1) throws -> PhysicsInformedProblem {
        try #require(try setup.makeProblem(seed: seed) as? PhysicsInformedProblem)
    }

    @Test func settingsAndDefaults() throws {
        let p = try problem()
        #expect(p.layout.count == 3297)
        #expect(p.terms == ["allen-cahn", "initial", "periodic(x)"])
        #expect(p.sampleSets.map(\.count) == [8000, 200, 100])
        var registry = Registry()
        try registry.install(AllenCahnPlugin.self)
        let chosen = try registry.problem(.map([.init("name", .scalar("allen-cahn")), .init("diffusivity", .number(0.01))]))
        #expect((chosen as? AllenCahnSetup)?.diffusivity == 0.01)
        let wrong = Setting.map([.init("name", .scalar("allen-cahn")), .init("diffusivity", .number(0))])
        #expect(throws: ConfigurationError.self) { try registry.problem(wrong) }
    }

    /// The network u = c solves all but the initial condition where c = ±1; its residual is 5(c³ − c) everywhere.
    @Test(arguments: [-1.0, 0, 0.5, 1]) func constants(c: Double) throws {
        let p = try problem()
        var θ = Vector.zeros(p.layout.count)
        θ[θ.count - 1] = c
        let loss = try p.loss(at: θ)
        let r = 5 * (c * c * c - c)
        #expect(abs(loss.terms[0] - 0.5 * r * r) < 1e-13)
        #expect(loss.terms[2] == 0)
        let start = try p.points(of: "initial")
        let mean = (0..<200).reduce(0.0) { $0 + pow(c - pow(start[$1, 1], 2) * cos(.pi * start[$1, 1]), 2) } / 200
        #expect(abs(loss.terms[1] - 0.5 * AllenCahnSetup().points.initialWeight * mean) < 1e-12)
        if c == 0 { #expect(try p.referenceError(at: θ) == 1) }
    }

    @Test func derivatives() throws {
        var setup = AllenCahnSetup()
        setup.network = PerceptronSettings(width: 8, depth: 3)
        setup.points = PointPlan(interior: 150, initial: 20, boundary: 20, initialWeight: 5)
        let check = try DerivativeCheck(of: problem(setup))
        #expect(check.passed, "\(check)")
    }
}
