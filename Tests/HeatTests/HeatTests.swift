import Differentiation
import Heat
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

@Suite struct HeatTests {
    private func setup(
        _ dimension: Int = 1, _ solution: Heat.Solution = .product, _ conditions: ConditionEnforcement = .soft
    ) -> HeatSetup {
        var setup = HeatSetup()
        (setup.dimension, setup.solution, setup.conditions) = (dimension, solution, conditions)
        setup.network = PerceptronSettings(width: 7, depth: 2)
        setup.points = PointPlan(interior: 40, initial: 10, boundary: 8 * dimension, monitor: 20)
        return setup
    }

    private func problem(_ setup: HeatSetup, seed: UInt64 = 1) throws -> PhysicsInformedProblem {
        try #require(try setup.makeProblem(seed: seed) as? PhysicsInformedProblem)
    }

    /// The error of the differences falls by 2⁶ with the step; 40 leaves room for their next order.
    @Test(arguments: [(1, Heat.Solution.product, 0.25), (3, .product, 0.1), (1, .sum, 0.25), (4, .sum, 0.25)])
    func solvesItsEquation(dimension: Int, solution: Heat.Solution, conductivity: Double) throws {
        let pde = Heat(dimension: dimension, solution: solution, conductivity: conductivity)
        let point = [0.4] + (1...dimension).map { 0.3 + 0.4 * sin(Double($0)) * sin(Double($0)) }
        let coarse = try pde.residualsOfReference(at: point, step: 0.1)[0]
        let fine = try pde.residualsOfReference(at: point, step: 0.05)[0]
        #expect(abs(fine) < abs(coarse) / 40, "\(coarse), \(fine)")
    }

    /// The published problems: e^(−π²t/4) sin πx with a root mean square of 0.317, and e⁻ᵗ Σ sin 2xᵢ with one of 1.905.
    @Test func thePublishedSolutions() throws {
        let line = try #require(Heat().reference).values
        #expect(abs(line([0.3, 0.2])[0] - exp(-.pi * .pi * 0.075) * sin(0.2 * .pi)) < 1e-15)
        #expect(abs(line([0.3, 0])[0]) < 1e-15 && abs(line([0.3, 1])[0]) < 1e-15)
        let cube = try #require(Heat(dimension: 4, solution: .sum).reference).values
        #expect(abs(cube([1, 0.1, 0.2, 0.3, 0.4])[0] - exp(-1) * (sin(0.2) + sin(0.4) + sin(0.6) + sin(0.8))) < 1e-15)
        for (p, published) in [(try problem(setup()), 0.317), (try problem(setup(4, .sum)), 1.905)] {
            let reference = try #require(try p.comparison(at: .zeros(p.layout.count))).reference.elements
            let square = reference.reduce(0) { $0 + $1 * $1 } / Double(reference.count)
            // Over the grid's trapezoids or 10 000 points: a percent or two.
            #expect(abs(square.squareRoot() / published - 1) < 0.02, "\(square.squareRoot())")
        }
    }

    /// With N = 0: the residuals of the conditions are the solution at the start and on the walls; those of the equation vanish.
    @Test(arguments: Heat.Solution.allCases) func theDataAreThoseOfTheSolution(solution: Heat.Solution) throws {
        let p = try problem(setup(2, solution))
        #expect(p.terms == ["heat", "initial", "boundary"])
        let r = try p.residual(at: .zeros(p.layout.count))
        let u = try #require(p.pde.reference).values
        var row = 40
        for term in p.terms.dropFirst() {
            let points = try p.points(of: term)
            for i in 0..<points.rows {
                let x = (0..<3).map { points[i, $0] }
                #expect(term == "initial" ? x[0] == 0 : x.dropFirst().contains { $0 == 0 || $0 == 1 })
                #expect(abs(r[row] * Double(points.rows).squareRoot() + u(x)[0]) < 1e-14)
                row += 1
            }
        }
        #expect(row == r.count && (0..<40).allSatisfy { r[$0] == 0 })
    }

    /// Hard conditions hold whatever the network says, and the equation is that of the field: with N = 0 its residual is known.
    @Test func hardConditionsHold() throws {
        for dimension in [1, 2] {
            let p = try problem(setup(dimension, .product, .hard))
            #expect(p.terms == ["heat"])
            var random = RandomStream(seed: 4, name: "θ")
            let θ = random.normalVector(p.layout.count)
            func place(_ t: Double, _ x: Double) -> [Double] { [t] + Array(repeating: x, count: dimension) }
            let corners = [place(0, 0.3), place(0, 0.5), place(0.7, 0), place(0.2, 1)]
            let points = Matrix(rows: corners)
            let fields = try p.fields(at: points, parameters: θ)
            for (i, x) in corners.enumerated() {
                let expected = x[0] == 0 ? x.dropFirst().reduce(1) { $0 * sin(.pi * $1) } : 0
                #expect(abs(fields[i, 0] - expected) < 1e-13)
            }
            let inside = try p.fields(at: Matrix(rows: [place(0.5, 0.4)]), parameters: θ)
            #expect(abs(inside[0, 0] - (0..<dimension).reduce(1.0) { product, _ in product * sin(0.4 * .pi) }) > 1e-3)
            // uₜ − κΔu of Π sin πxᵢ is κdπ² times it.
            let r = try p.residual(at: .zeros(p.layout.count))
            let interior = try p.points(of: "heat")
            for i in 0..<40 {
                let start = (1...dimension).reduce(1.0) { $0 * sin(.pi * interior[i, $1]) }
                #expect(abs(r[i] * 40.0.squareRoot() - 0.25 * Double(dimension) * .pi * .pi * start) < 1e-12)
            }
        }
    }

    @Test func defaultsAndSettings() throws {
        let p = try problem(HeatSetup())
        #expect(p.layout.count == 257)
        #expect(p.sampleSets.map(\.count) == [900, 60, 60])
        #expect(try p.referenceError(at: .zeros(257)) == 1)
        var registry = Registry()
        try registry.install(HeatPlugin.self)
        let setting = Setting.map([
            .init("name", .scalar("heat")), .init("dimension", .integer(4)), .init("solution", .scalar("sum")),
            .init("network", .map([.init("width", .integer(64)), .init("depth", .integer(1))])),
        ])
        let cube = try problem(try #require(try registry.problem(setting) as? HeatSetup))
        #expect(cube.layout.count == 449)
        #expect(cube.pde.domain.dimension == 5)
        let error = #expect(throws: ConfigurationError.self) {
            try registry.problem(setting.setting(["conditions"], to: .scalar("hard")))
        }
        #expect(error?.description.contains("product") == true)
        let large = #expect(throws: ConfigurationError.self) { try registry.problem(setting.setting(["dimension"], to: .integer(21))) }
        #expect(large?.description.contains("points.sampling") == true)
    }

    @Test func derivatives() throws {
        for setup in [setup(), setup(4, .sum), setup(1, .product, .hard), setup(2, .product, .hard)] {
            let check = try DerivativeCheck(of: problem(setup))
            #expect(check.passed, "\(check)")
        }
    }
}
