import Differentiation
import Helmholtz
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

@Suite struct HelmholtzTests {
    /// The error of the differences falls by 2⁶ with the step; 40 leaves room for their next order.
    @Test(arguments: [(1, 4, 1.0), (6, 6, 1), (2, 3, 10), (1, 1, 0)])
    func solvesItsEquation(a1: Int, a2: Int, k: Double) throws {
        let pde = Helmholtz(wavesAlongX: a1, wavesAlongY: a2, wavenumber: k)
        let step = 0.1 / Double(max(a1, a2))
        for point in [[0.13, -0.4], [-0.61, 0.27]] {
            let coarse = try pde.residualsOfReference(at: point, step: step)[0]
            let fine = try pde.residualsOfReference(at: point, step: step / 2)[0]
            #expect(abs(fine) < abs(coarse) / 40, "\(coarse), \(fine)")
        }
    }

    @Test func theReferenceVanishesOnTheBoundary() throws {
        let u = try #require(Helmholtz().reference).values
        // sin of a multiple of π is zero up to the rounding of the multiple: 4π·1.1e-16.
        for point in [[-1, 0.3], [1, 0.3], [0.2, -1], [0.2, 1]] { #expect(abs(u(point)[0]) < 2e-15) }
        #expect(abs(u([0.5, 0.125])[0] - 1) < 1e-15)
    }

    /// With u = 0 the residual is −q: (1 − 17π²) sin πx sin 4πy with the sign turned, at the standard case.
    @Test func theSourceIsTheStandardOne() throws {
        var setup = HelmholtzSetup()
        setup.points = PointPlan(interior: 50, boundary: 8)
        let p = try #require(try setup.makeProblem(seed: 4) as? PhysicsInformedProblem)
        let r = try p.residual(at: .zeros(p.layout.count))
        let points = try p.points(of: "helmholtz")
        for i in 0..<50 {
            let q = (1 - 17 * Double.pi * .pi) * sin(.pi * points[i, 0]) * sin(4 * .pi * points[i, 1])
            #expect(abs(r[i] * 50.0.squareRoot() + q) < 1e-12 * 17 * .pi * .pi)
        }
        #expect((50..<58).allSatisfy { r[$0] == 0 })
    }

    @Test func settingsAndDefaults() throws {
        let p = try #require(try HelmholtzSetup().makeProblem(seed: 1) as? PhysicsInformedProblem)
        #expect(p.layout.count == 3441)
        #expect(p.sampleSets.map(\.count) == [4000, 400])
        #expect(try p.referenceError(at: .zeros(3441)) == 1)
        var registry = Registry()
        try registry.install(HelmholtzPlugin.self)
        let chosen = try registry.problem(
            .map([.init("name", .scalar("helmholtz-2d")), .init("wavesAlongX", .integer(6)), .init("wavenumber", .number(2))]))
        let setup = try #require(chosen as? HelmholtzSetup)
        #expect((setup.wavesAlongX, setup.wavesAlongY, setup.wavenumber) == (6, 4, 2))
        let wrong = Setting.map([.init("name", .scalar("helmholtz-2d")), .init("wavesAlongY", .integer(0))])
        #expect(throws: ConfigurationError.self) { try registry.problem(wrong) }
    }

    @Test func derivatives() throws {
        var setup = HelmholtzSetup()
        setup.network = PerceptronSettings(width: 8, depth: 2)
        setup.points = PointPlan(interior: 100, boundary: 40)
        let check = try DerivativeCheck(of: try setup.makeProblem(seed: 2))
        #expect(check.passed, "\(check)")
    }
}
