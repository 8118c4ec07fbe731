import Convection
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

@Suite struct ConvectionTests {
    private func problem(_ setup: ConvectionSetup = ConvectionSetup(), seed: UInt64 = 1) throws -> PhysicsInformedProblem {
        try #require(try setup.makeProblem(seed: seed) as? PhysicsInformedProblem)
    }

    private func small(_ conditions: ConditionEnforcement) -> ConvectionSetup {
        var setup = ConvectionSetup()
        setup.conditions = conditions
        setup.network = PerceptronSettings(width: 8, depth: 2)
        setup.points = PointPlan(interior: 120, initial: 20, boundary: 15, initialWeight: 5, boundaryWeight: 3)
        return setup
    }

    /// The error of the differences falls by 2⁶ with the step; 40 leaves room for their next order. (At β = 1 those of both terms cancel.)
    @Test(arguments: [3.0, 40]) func solvesItsEquation(speed: Double) throws {
        for point in [[0.2, 1.1], [0.7, 5]] {
            let coarse = try Convection(speed: speed).residualsOfReference(at: point, step: 0.2 / speed)[0]
            let fine = try Convection(speed: speed).residualsOfReference(at: point, step: 0.1 / speed)[0]
            #expect(abs(fine) < abs(coarse) / 40, "\(coarse), \(fine)")
        }
    }

    @Test func theReferenceMeetsTheConditions() throws {
        let u = try #require(Convection().reference).values
        #expect(u([0, 1.3])[0] == sin(1.3))
        // 40 + 2π carries a rounding of 46·1.1e-16.
        for t in [0.1, 0.5, 1] { #expect(abs(u([t, 0])[0] - u([t, 2 * .pi])[0]) < 1e-14) }
        #expect(abs(u([1, 1])[0] - sin(-39)) < 1e-15)
    }

    @Test func settingsAndDefaults() throws {
        let p = try problem()
        #expect(p.layout.count == 3441)
        #expect(p.terms == ["convection", "initial", "periodic(x)"])
        #expect(p.sampleSets.map(\.count) == [4000, 200, 100])
        var registry = Registry()
        try registry.install(ConvectionPlugin.self)
        let chosen = try registry.problem(
            .map([.init("name", .scalar("convection")), .init("speed", .number(10)), .init("conditions", .scalar("hard"))]))
        let setup = try #require(chosen as? ConvectionSetup)
        #expect(setup.speed == 10 && setup.conditions == .hard)
        #expect(try problem(setup).terms == ["convection"])
        let wrong = Setting.map([.init("name", .scalar("convection")), .init("conditions", .scalar("firm"))])
        #expect(throws: ConfigurationError.self) { try registry.problem(wrong) }
    }

    /// One unit of a sine holds the solution: sin(x − βt) has no loss but rounding, and its phase shifted has the initial one only.
    @Test func theSolutionHasNoLoss() throws {
        var setup = ConvectionSetup()
        setup.network = PerceptronSettings(width: 1, depth: 1, activation: .sin)
        let p = try problem(setup)
        // The weights of t and x, the bias, the output's weight and bias.
        let loss = try p.loss(at: [-40, 1, 0, 1, 0])
        // Each residual is a difference of numbers up to 40, of a phase up to 46 rounded.
        #expect(loss.terms.allSatisfy { $0 < 1e-25 }, "\(loss)")
        #expect(try #require(try p.referenceError(at: [-40, 1, 0, 1, 0])) < 1e-13)
        let shifted = try p.loss(at: [-40, 1, 0.3, 1, 0])
        #expect(shifted.terms[0] < 1e-25 && shifted.terms[2] < 1e-25 && shifted.terms[1] > 1e-2)
        #expect(try p.loss(at: [-39, 1, 0, 1, 0]).terms[0] > 0.1)
    }

    /// Whatever the network says, hard conditions hold, and the field still depends on it.
    @Test func hardConditionsHold() throws {
        let p = try problem(small(.hard))
        var random = RandomStream(seed: 3, name: "initialization")
        let θ = p.initialParameters(from: &random).values
        func u(_ t: Double, _ x: Double, _ θ: Vector) throws -> Double { try p.fields(at: Matrix(rows: [[t, x]]), parameters: θ)[0, 0] }
        for x in [0, 1.3, 4] { #expect(try abs(u(0, x, θ) - sin(x)) < 1e-15) }
        for t in [0.2, 0.9] { #expect(try abs(u(t, 0, θ) - u(t, 2 * .pi, θ)) < 1e-14) }
        #expect(try abs(u(0.5, 1, θ) - u(0.5, 1, 0.5 * θ)) > 1e-3)
        // ∂ₜu + β∂ₓu of the field by central differences is the residual of the loss.
        let (h, points) = (1e-5, try p.points(of: "convection"))
        let r = try p.residual(at: θ)
        for i in 0..<5 {
            let (t, x) = (points[i, 0], points[i, 1])
            guard t > h, x > h, t < 1 - h, x < 2 * .pi - h else { continue }
            let (ut, ux) = try ((u(t + h, x, θ) - u(t - h, x, θ)) / (2 * h), (u(t, x + h, θ) - u(t, x - h, θ)) / (2 * h))
            #expect(abs(r[i] * 120.0.squareRoot() - (ut + 40 * ux)) < 1e-7)
        }
    }

    @Test(arguments: ConditionEnforcement.allCases) func derivatives(conditions: ConditionEnforcement) throws {
        let check = try DerivativeCheck(of: problem(small(conditions)))
        #expect(check.passed, "\(check)")
    }
}
