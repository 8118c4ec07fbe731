import Curvature
import OptimizationTesting
import Testing

/// Problems whose conditions can be imposed by the form of u.
@Suite struct HardConditionsTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var problem: String
        /// The terms of soft conditions that give values, which hard ones meet exactly.
        var values: [String]
        /// The terms that stay.
        var remaining: [String]
        var settings: [Setting.Pair] = []

        var testDescription: String { problem }
    }

    static let cases = [
        Case(problem: "burgers", values: ["initial", "left", "right"], remaining: ["burgers"]),
        Case(problem: "poisson-1d", values: ["boundary"], remaining: ["poisson"]),
        Case(problem: "poisson-2d", values: ["boundary"], remaining: ["poisson"]),
        Case(
            problem: "poisson-cube", values: ["boundary"], remaining: ["poisson"],
            settings: [.init("solution", .scalar("sines")), .init("dimension", .integer(3))]),
        Case(problem: "helmholtz-2d", values: ["boundary"], remaining: ["helmholtz"]),
        Case(problem: "allen-cahn", values: ["initial"], remaining: ["allen-cahn", "periodic(x)"]),
        Case(problem: "convection", values: ["initial"], remaining: ["convection"]),
        Case(problem: "reaction", values: ["initial"], remaining: ["reaction", "periodic(x)"]),
        Case(problem: "wave", values: ["initial", "boundary"], remaining: ["wave"]),
        Case(problem: "heat", values: ["initial", "boundary"], remaining: ["heat"]),
    ]

    private func problem(_ one: Case, _ conditions: String) throws -> PhysicsInformedProblem {
        let setting = Setting.map(
            [
                .init("name", .scalar(one.problem)), .init("conditions", .scalar(conditions)),
                .init("network", .map([.init("width", .integer(7)), .init("depth", .integer(2))])),
                .init("points", .map([.init("interior", .integer(40)), .init("initial", .integer(20)), .init("boundary", .integer(24))])),
            ] + one.settings)
        let registry = try Registry.withBuiltIns()
        return try #require(try registry.problem(setting).makeProblem(seed: 1) as? PhysicsInformedProblem)
    }

    /// Every problem that offers the choice is tried.
    @Test func everyProblemIsTried() throws {
        let offering = try Registry.withBuiltIns().problems.filter { $0.schema.contains { $0.name == "conditions" } }.map(\.name)
        #expect(Set(offering) == Set(Self.cases.map(\.problem)))
    }

    /// Whatever the network says, u has the prescribed values where soft conditions ask for them, and depends on the network elsewhere.
    @Test(arguments: cases) func valuesHold(one: Case) throws {
        let (soft, hard) = (try problem(one, "soft"), try problem(one, "hard"))
        #expect(hard.terms == one.remaining)
        var random = RandomStream(seed: 3, name: "initialization")
        let θ = hard.initialParameters(from: &random).values
        let reference = try #require(hard.pde.reference).values
        for term in one.values {
            let points = try soft.points(of: term)
            let u = try hard.fields(at: points, parameters: θ)
            for i in 0..<points.rows {
                let expected = reference((0..<points.columns).map { points[i, $0] })[0]
                // A reference by quadrature or by modes is right to some 1e-12.
                #expect(abs(u[i, 0] - expected) < 1e-11, "\(term), point \(i)")
            }
        }
        let inside = try hard.points(of: one.remaining[0])
        let (u, other) = (try hard.fields(at: inside, parameters: θ), try hard.fields(at: inside, parameters: 0.5 * θ))
        #expect((0..<inside.rows).contains { abs(u[$0, 0] - other[$0, 0]) > 1e-3 })
    }

    @Test(arguments: cases) func derivatives(one: Case) throws {
        let check = try DerivativeCheck(of: try problem(one, "hard"))
        #expect(check.passed, "\(check)")
    }

    /// A solution that its boundary values give is refused.
    @Test func theCubeNeedsTheSines() throws {
        let setting = Setting.map([.init("name", .scalar("poisson-cube")), .init("conditions", .scalar("hard"))])
        let registry = try Registry.withBuiltIns()
        #expect { try registry.problem(setting).makeProblem(seed: 1) } throws: { error in
            let error = error as? ConfigurationError
            return error?.path == "problem.conditions" && error?.reason.contains("sines") == true
        }
    }
}
