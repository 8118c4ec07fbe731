import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Testing
import Wave

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct WaveTests {
    private func problem(_ setup: WaveSetup = WaveSetup(), seed: UInt64 = 1) throws -> PhysicsInformedProblem {
        try #require(try setup.makeProblem(seed: seed) as? PhysicsInformedProblem)
    }

    private func small(_ conditions: ConditionEnforcement) -> WaveSetup {
        var setup = WaveSetup()
        setup.conditions = conditions
        setup.network = PerceptronSettings(width: 8, depth: 2)
        setup.points = PointPlan(interior: 100, initial: 20, boundary: 16, initialWeight: 5, boundaryWeight: 3)
        return setup
    }

    /// The error of the differences falls by 2⁶ with the step; 40 leaves room for their next order.
    @Test(arguments: [1, 4, 5]) func solvesItsEquation(harmonic: Int) throws {
        for point in [[0.21, 0.3], [0.7, 0.83]] {
            let coarse = try Wave(harmonic: harmonic).residualsOfReference(at: point, step: 0.05 / Double(harmonic))[0]
            let fine = try Wave(harmonic: harmonic).residualsOfReference(at: point, step: 0.025 / Double(harmonic))[0]
            #expect(abs(fine) < abs(coarse) / 40, "\(coarse), \(fine)")
        }
    }

    @Test func theReferenceMeetsTheConditions() throws {
        let u = try #require(Wave().reference).values
        #expect(abs(u([0, 0.5])[0] - 1.5) < 1e-15)
        #expect(abs(u([0, 0.3])[0] - (sin(0.3 * .pi) - 0.5)) < 1e-15)
        // A difference of step h is h/2·|uₜₜ| off zero, at most (2π)² + ½(10π)² = 533 of it.
        #expect(abs((u([1e-6, 0.3])[0] - u([0, 0.3])[0]) / 1e-6) < 0.5e-6 * 534)
        for t in [0.1, 0.77, 1] { for x in [0.0, 1] { #expect(abs(u([t, x])[0]) < 1e-15) } }
    }

    @Test func settingsAndDefaults() throws {
        let p = try problem()
        #expect(p.layout.count == 3441)
        #expect(p.terms == ["wave", "initial", "initial-rate", "boundary"])
        #expect(p.sampleSets.map(\.count) == [4000, 100, 100, 200])
        var registry = Registry()
        try registry.install(WavePlugin.self)
        let chosen = try registry.problem(
            .map([.init("name", .scalar("wave")), .init("harmonic", .integer(4)), .init("conditions", .scalar("hard"))]))
        let setup = try #require(chosen as? WaveSetup)
        #expect(setup.harmonic == 4 && setup.conditions == .hard)
        #expect(try problem(setup).terms == ["wave"])
        let wrong = Setting.map([.init("name", .scalar("wave")), .init("harmonic", .integer(0))])
        #expect(throws: ConfigurationError.self) { try registry.problem(wrong) }
    }

    /// Four sines hold the solution, sin a cos b being ½ sin(a + b) + ½ sin(a − b): no loss but rounding. Without the second mode the equation
    /// and the walls have none either, and the initial values miss ½ sin 5πx.
    @Test func theSolutionHasNoLoss() throws {
        var setup = WaveSetup()
        setup.network = PerceptronSettings(width: 4, depth: 1, activation: .sin)
        let (p, π) = (try problem(setup), Double.pi)
        func θ(second amplitude: Double) -> Vector {
            // The weights of t, of x, the biases; the output's weights and bias.
            [2 * π, -2 * π, 10 * π, -10 * π, π, π, 5 * π, 5 * π, 0, 0, 0, 0, 0.5, 0.5, amplitude / 2, amplitude / 2, 0]
        }
        let loss = try p.loss(at: θ(second: 0.5))
        // Second derivatives of up to 500, of phases up to 50 rounded: residuals of 1e-12 at most.
        #expect(loss.terms.allSatisfy { $0 < 1e-23 }, "\(loss)")
        #expect(try #require(try p.referenceError(at: θ(second: 0.5))) < 1e-13)
        let one = try p.loss(at: θ(second: 0))
        #expect(one.terms[0] < 1e-23 && one.terms[2] < 1e-23 && one.terms[3] < 1e-23)
        let start = try p.points(of: "initial")
        let mean = (0..<100).reduce(0.0) { $0 + pow(0.5 * sin(5 * π * start[$1, 1]), 2) } / 100
        #expect(abs(one.terms[1] - 0.5 * mean) < 1e-14)
    }

    /// Whatever the network says, hard conditions hold, and the field still depends on it.
    @Test func hardConditionsHold() throws {
        let p = try problem(small(.hard))
        var random = RandomStream(seed: 3, name: "initialization")
        let θ = p.initialParameters(from: &random).values
        func u(_ t: Double, _ x: Double, _ θ: Vector) throws -> Double { try p.fields(at: Matrix(rows: [[t, x]]), parameters: θ)[0, 0] }
        let exact = try #require(Wave().reference).values
        for x in [0, 0.3, 0.8] { #expect(try abs(u(0, x, θ) - exact([0, x])[0]) < 1e-15) }
        // uₜ(0, x) by a one-sided difference: uₜₜ is zero but for the network's part, 2x(1 − x)N.
        for x in [0.3, 0.8] { #expect(try abs(u(1e-8, x, θ) - u(0, x, θ)) / 1e-8 < 1e-7) }
        for t in [0.4, 1] { for x in [0.0, 1] { #expect(try abs(u(t, x, θ)) < 1e-15) } }
        #expect(try abs(u(0.5, 0.4, θ) - u(0.5, 0.4, 0.5 * θ)) > 1e-3)
    }

    @Test(arguments: ConditionEnforcement.allCases) func derivatives(conditions: ConditionEnforcement) throws {
        let check = try DerivativeCheck(of: problem(small(conditions)))
        #expect(check.passed, "\(check)")
    }
}
