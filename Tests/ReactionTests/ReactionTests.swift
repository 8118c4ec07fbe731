import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Reaction
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct ReactionTests {
    private func problem(_ setup: ReactionSetup = ReactionSetup(), seed: UInt64 = 1) throws -> PhysicsInformedProblem {
        try #require(try setup.makeProblem(seed: seed) as? PhysicsInformedProblem)
    }

    private func small(_ conditions: ConditionEnforcement) -> ReactionSetup {
        var setup = ReactionSetup()
        setup.conditions = conditions
        setup.network = PerceptronSettings(width: 8, depth: 2)
        setup.points = PointPlan(interior: 120, initial: 20, boundary: 15, initialWeight: 5, boundaryWeight: 3)
        return setup
    }

    /// The error of the differences falls by 2⁶ with the step; 40 leaves room for their next order.
    @Test(arguments: [1.0, 5]) func solvesItsEquation(rate: Double) throws {
        for point in [[0.2, 2.5], [0.7, 4.4], [0.5, 1]] {
            let coarse = try Reaction(rate: rate).residualsOfReference(at: point, step: 0.05)[0]
            let fine = try Reaction(rate: rate).residualsOfReference(at: point, step: 0.025)[0]
            #expect(abs(fine) < abs(coarse) / 40, "\(coarse), \(fine)")
        }
    }

    @Test func theReferenceMeetsTheConditions() throws {
        let u = try #require(Reaction().reference).values
        // The deviation is π/4: one deviation off the middle the Gaussian is e^{−1/2}.
        for (x, h) in [(Double.pi, 1), (1.25 * .pi, exp(-0.5)), (0.5 * .pi, exp(-2))] { #expect(abs(u([0, x])[0] - h) < 1e-15) }
        for t in [0, 0.5, 1] { #expect(abs(u([t, 0])[0] - u([t, 2 * .pi])[0]) < 1e-15) }
        // h e^{ρt}/(h e^{ρt} + 1 − h) at h = e^{−8}, and at a rate that would overflow it.
        #expect(abs(u([1, 0])[0] - exp(-3) / (exp(-3) + 1 - exp(-8))) < 1e-15)
        #expect(try #require(Reaction(rate: 1000).reference).values([1, 1])[0] == 1)
    }

    @Test func settingsAndDefaults() throws {
        let p = try problem()
        #expect(p.layout.count == 1801)
        #expect(p.terms == ["reaction", "initial", "periodic(x)"])
        #expect(p.sampleSets.map(\.count) == [4000, 200, 100])
        var registry = Registry()
        try registry.install(ReactionPlugin.self)
        let chosen = try registry.problem(
            .map([.init("name", .scalar("reaction")), .init("rate", .number(6)), .init("conditions", .scalar("hard"))]))
        let setup = try #require(chosen as? ReactionSetup)
        #expect(setup.rate == 6 && setup.conditions == .hard)
        #expect(try problem(setup).terms == ["reaction", "periodic(x)"])
        let wrong = Setting.map([.init("name", .scalar("reaction")), .init("rate", .scalar("fast"))])
        #expect(throws: ConfigurationError.self) { try registry.problem(wrong) }
    }

    /// The network u = c solves the equation where c is 0 or 1, and is periodic; its residual is −5c(1 − c).
    @Test(arguments: [0.0, 0.5, 1]) func constants(c: Double) throws {
        let p = try problem()
        var θ = Vector.zeros(p.layout.count)
        θ[θ.count - 1] = c
        let loss = try p.loss(at: θ)
        let r = 5 * c * (1 - c)
        #expect(abs(loss.terms[0] - 0.5 * r * r) < 1e-13)
        #expect(loss.terms[2] == 0)
        let start = try p.points(of: "initial")
        let mean = (0..<200).reduce(0.0) { $0 + pow(c - exp(-0.5 * pow((start[$1, 1] - .pi) / (.pi / 4), 2)), 2) } / 200
        #expect(abs(loss.terms[1] - 0.5 * mean) < 1e-13)
        if c == 0 { #expect(try p.referenceError(at: θ) == 1) }
    }

    /// Whatever the network says, the start holds, and the field still depends on it.
    @Test func theHardStartHolds() throws {
        let p = try problem(small(.hard))
        var random = RandomStream(seed: 3, name: "initialization")
        let θ = p.initialParameters(from: &random).values
        func u(_ t: Double, _ x: Double, _ θ: Vector) throws -> Double { try p.fields(at: Matrix(rows: [[t, x]]), parameters: θ)[0, 0] }
        let exact = try #require(Reaction().reference).values
        for x in [0, 1.3, 4] { #expect(try abs(u(0, x, θ) - exact([0, x])[0]) < 1e-15) }
        #expect(try abs(u(0.5, 1, θ) - u(0.5, 1, 0.5 * θ)) > 1e-3)
        // uₜ by central differences, and so the residual of the loss.
        let (h, points) = (1e-5, try p.points(of: "reaction"))
        let r = try p.residual(at: θ)
        for i in 0..<5 {
            let (t, x) = (points[i, 0], points[i, 1])
            guard t > h, t < 1 - h else { continue }
            let (slope, here) = try ((u(t + h, x, θ) - u(t - h, x, θ)) / (2 * h), u(t, x, θ))
            #expect(abs(r[i] * 120.0.squareRoot() - (slope - 5 * here * (1 - here))) < 1e-8)
        }
    }

    @Test(arguments: ConditionEnforcement.allCases) func derivatives(conditions: ConditionEnforcement) throws {
        let check = try DerivativeCheck(of: problem(small(conditions)))
        #expect(check.passed, "\(check)")
    }
}
