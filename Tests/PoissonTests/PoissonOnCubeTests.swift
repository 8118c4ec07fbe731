import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Poisson
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct PoissonOnCubeTests {
    private func problem(_ setup: PoissonOnCubeSetup, seed: UInt64 = 1) throws -> PhysicsInformedProblem {
        try #require(try setup.makeProblem(seed: seed) as? PhysicsInformedProblem)
    }

    private func setup(
        _ dimension: Int, _ solution: PoissonOnCube.Solution = .cosines, sampling: PointSampling = .latinHypercube
    ) -> PoissonOnCubeSetup {
        var setup = PoissonOnCubeSetup()
        (setup.dimension, setup.solution) = (dimension, solution)
        setup.network = PerceptronSettings(width: 6, depth: 2)
        setup.points = PointPlan(interior: 30, boundary: 2 * dimension, monitor: 20, sampling: sampling)
        return setup
    }

    /// The error of the differences falls by 2⁶ with the step; 40 leaves room for their next order.
    @Test(arguments: [1, 2, 5, 8], [PoissonOnCube.Solution.cosines, .sines])
    func trigonometricSumsAndProductsSolveTheirEquation(dimension: Int, solution: PoissonOnCube.Solution) throws {
        let point = (1...dimension).map { 0.3 + 0.4 * sin(Double($0)) * sin(Double($0)) }
        let pde = PoissonOnCube(dimension: dimension, solution: solution)
        let coarse = try pde.residualsOfReference(at: point, step: 0.1)[0]
        let fine = try pde.residualsOfReference(at: point, step: 0.05)[0]
        #expect(abs(fine) < abs(coarse) / 40, "\(coarse), \(fine)")
    }

    /// Differences of polynomials of degree two have no error but rounding: about 5·1.1e-16·u/h² an axis.
    @Test(arguments: [(3, PoissonOnCube.Solution.squaredNorm), (100, .squaredNorm), (2, .products), (10, .products)])
    func polynomialsSolveTheirEquation(dimension: Int, solution: PoissonOnCube.Solution) throws {
        let point = (1...dimension).map { 0.3 + 0.4 * sin(Double($0)) * sin(Double($0)) }
        let residual = try PoissonOnCube(dimension: dimension, solution: solution).residualsOfReference(at: point, step: 0.1)[0]
        #expect(abs(residual) < Double(dimension) * 1e-13, "\(residual)")
    }

    /// The divisors of the published code: 33.47 for ‖x‖² in 100 dimensions, 1.34 for the products in ten.
    @Test func polynomialsAreDividedAsPublished() throws {
        let ones = Array(repeating: 1.0, count: 100)
        let square = try #require(PoissonOnCube(dimension: 100, solution: .squaredNorm).reference).values(ones)[0]
        let products = try #require(PoissonOnCube(dimension: 10, solution: .products).reference).values(Array(ones[..<10]))[0]
        #expect(abs(square - 100 / 33.47) < 1e-14)
        #expect(abs(products - 5 / 1.34) < 1e-14)
    }

    /// With u = 0 the residuals are −f in the interior and −g on the boundary.
    @Test(arguments: PoissonOnCube.Solution.allCases) func theDataAreWhatTheEquationSays(solution: PoissonOnCube.Solution) throws {
        let p = try problem(setup(6, solution))
        let r = try p.residual(at: .zeros(p.layout.count))
        let (interior, boundary) = (try p.points(of: "poisson"), try p.points(of: "boundary"))
        let scale = (36.0 / 9 + 24.0 / 45).squareRoot()
        for i in 0..<30 {
            let x = (0..<6).map { interior[i, $0] }
            let f =
                switch solution {
                case .cosines: x.reduce(0) { $0 + cos(.pi * $1) } * .pi * .pi
                case .squaredNorm: -12 / ((100 * scale).rounded() / 100)
                case .products: 0.0
                case .sines: x.reduce(6 * .pi * .pi) { $0 * sin(.pi * $1) }
                }
            #expect(abs(r[i] * 30.0.squareRoot() + f) < 1e-12)
        }
        let g = try #require(p.pde.reference).values
        for i in 0..<12 {
            let x = (0..<6).map { boundary[i, $0] }
            #expect(x.contains { $0 == 0 || $0 == 1 })
            #expect(abs(r[30 + i] * 12.0.squareRoot() + g(x)[0]) < 1e-13)
        }
    }

    @Test func defaults() throws {
        let p = try problem(PoissonOnCubeSetup())
        #expect(p.layout.count == 4609)
        #expect(p.sampleSets.map(\.count) == [3000, 500])
        #expect(try p.referenceError(at: .zeros(4609)) == 1)
        // The test points do not follow the seed.
        let (a, b) = (try problem(setup(3), seed: 1), try problem(setup(3), seed: 2))
        var random = RandomStream(seed: 1, name: "start")
        let θ = a.initialParameters(from: &random).values
        #expect(try a.referenceError(at: θ) == b.referenceError(at: θ))
    }

    @Test func derivatives() throws {
        for setup in [setup(5), setup(8, .products), setup(22, .squaredNorm, sampling: .uniform)] {
            let check = try DerivativeCheck(of: problem(setup))
            #expect(check.passed, "\(check)")
        }
    }

    @Test(arguments: [PointSampling.uniform, .latinHypercube]) func aHundredDimensions(sampling: PointSampling) throws {
        let p = try problem(setup(100, .squaredNorm, sampling: sampling))
        #expect(p.sampleSets.map(\.count) == [30, 200])
        let points = try p.points(of: "poisson")
        #expect(points.columns == 100 && points.elements.allSatisfy { $0 > 0 && $0 < 1 })
        var random = RandomStream(seed: 1, name: "start")
        let value = try p.lossAndGradient(at: p.initialParameters(from: &random).values)
        #expect(value.loss.isFinite && value.gradient.norm > 0)
        // −Δ0 − f = 2d/s everywhere: half its square is the loss of u = 0 in the interior.
        let interior = try p.loss(at: .zeros(p.layout.count)).terms[0]
        #expect(abs(interior - 0.5 * (200 / 33.47) * (200 / 33.47)) < 1e-12 * interior)
    }

    @Test func samplingThatEndsEarlierIsRefusedWithAWayOut() throws {
        var registry = Registry()
        try registry.install(PoissonPlugin.self)
        func setting(_ dimension: Int, _ sampling: String, solution: String = "cosines") -> Setting {
            .map([
                .init("name", .scalar("poisson-cube")), .init("dimension", .integer(dimension)), .init("solution", .scalar(solution)),
                .init("points", .map([.init("sampling", .scalar(sampling))])),
            ])
        }
        for (sampling, largest) in [("sobol", 21), ("halton", 20), ("hammersley", 21)] {
            _ = try registry.problem(setting(largest, sampling))
            let error = #expect(throws: ConfigurationError.self) { try registry.problem(setting(largest + 1, sampling)) }
            let text = try #require(error).description
            #expect(text.contains("points.sampling") && text.contains("\(largest)") && text.contains("latin-hypercube"), "\(text)")
        }
        _ = try registry.problem(setting(100, "uniform"))
        let odd = #expect(throws: ConfigurationError.self) { try registry.problem(setting(7, "uniform", solution: "products")) }
        #expect(odd?.description.contains("odd") == true)
        // In code the same is said when the points are drawn.
        #expect(throws: ConfigurationError.self) { try setup(22, sampling: .sobol).makeProblem(seed: 1) }
        var random = RandomStream(seed: 1, name: "points")
        let error = #expect(throws: SamplingError.self) { try PointSampling.sobol.points(4, dimension: 22, random: &random) }
        #expect(error?.description.contains("latin-hypercube") == true)
    }
}
