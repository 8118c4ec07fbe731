import Differentiation
import FokkerPlanck
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

@Suite struct LogFokkerPlanckTests {
    private func problem(_ dimension: Int = 9) throws -> PhysicsInformedProblem {
        var setup = LogFokkerPlanckSetup()
        setup.dimension = dimension
        setup.network = PerceptronSettings(width: 6, depth: 2)
        setup.points = PointPlan(interior: 30, initial: 12, monitor: 10)
        return try #require(try setup.makeProblem(seed: 3) as? PhysicsInformedProblem)
    }

    /// The error of the differences in time falls by 2⁶ with the step; those in space have none, q being quadratic there.
    @Test(arguments: [1, 2, 9]) func solvesItsEquation(dimension: Int) throws {
        let point = [0.5] + (1...dimension).map { 4 * sin(Double($0)) }
        let pde = LogFokkerPlanck(dimension: dimension)
        let coarse = try pde.residualsOfReference(at: point, step: 0.2)[0]
        let fine = try pde.residualsOfReference(at: point, step: 0.1)[0]
        #expect(abs(fine) < abs(coarse) / 40, "\(coarse), \(fine)")
    }

    /// exp q has the integral 1: in one dimension, to the tails that [−5, 5] cuts off at v ≤ 2 − 1/e.
    @Test func theDensityIsOne() throws {
        let q = try #require(LogFokkerPlanck(dimension: 1).reference).values
        for t in [0.0, 0.5, 1] {
            let sum = (0..<1000).reduce(0.0) { $0 + 0.01 * exp(q([t, -4.995 + 0.01 * Double($1)])[0]) }
            #expect(abs(sum - 1) < 2e-4, "\(sum)")
        }
        #expect(abs(q([0, 0])[0] + 0.5 * log(2 * .pi)) < 1e-15)
    }

    /// With u = 0 the equation leaves −d/2 everywhere, the initial condition −q.
    @Test func theDataAreThoseOfTheEquation() throws {
        let p = try problem()
        #expect(p.terms == ["fokker-planck", "initial"])
        let r = try p.residual(at: .zeros(p.layout.count))
        #expect((0..<30).allSatisfy { abs(r[$0] * 30.0.squareRoot() + 4.5) < 1e-13 })
        let points = try p.points(of: "initial")
        let q = try #require(p.pde.reference).values
        for i in 0..<12 {
            let x = (0..<10).map { points[i, $0] }
            #expect(x[0] == 0 && x.dropFirst().allSatisfy { abs($0) <= 5 })
            #expect(abs(r[30 + i] * 12.0.squareRoot() + q(x)[0]) < 1e-12 * abs(q(x)[0]))
        }
    }

    @Test func defaultsAndDerivatives() throws {
        let p = try #require(try LogFokkerPlanckSetup().makeProblem(seed: 1) as? PhysicsInformedProblem)
        #expect(p.layout.count == 4929 && p.sampleSets.map(\.count) == [3000, 1000])
        #expect(try p.referenceError(at: .zeros(4929)) == 1)
        for dimension in [1, 9] {
            let check = try DerivativeCheck(of: problem(dimension))
            #expect(check.passed, "\(check)")
        }
        var registry = Registry()
        try registry.install(FokkerPlanckPlugin.self)
        let wide = Setting.map([.init("name", .scalar("log-fokker-planck")), .init("dimension", .integer(30))])
        let error = #expect(throws: ConfigurationError.self) { try registry.problem(wide) }
        #expect(error?.description.contains("points.sampling") == true)
    }
}
