import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing
import TestFunctions

@Suite struct TestFunctionsTests {
    private func registry() throws -> Registry {
        var registry = Registry()
        try registry.install(TestFunctionsPlugin.self)
        return registry
    }

    private func setting(_ pairs: (String, String)...) -> Setting {
        .map([.init("name", .scalar("test-function"))] + pairs.map { .init($0, .scalar($1)) })
    }

    @Test(arguments: ZooFamily.all.map(\.name)) func everyFunctionIsMadeByItsName(function: String) throws {
        let problem = try registry().problem(setting(("function", function))).makeProblem(seed: 0)
        #expect(problem.name == function)
        #expect(problem.identity["function"] == .scalar(function))
        #expect(problem is any LeastSquaresProblem & TwiceDifferentiableProblem)
    }

    @Test func theDimensionIsChosen() throws {
        let problem = try registry().problem(setting(("function", "extended-rosenbrock"), ("dimension", "50"))).makeProblem(seed: 0)
        #expect(problem.layout.count == 50)
    }

    @Test func wrongChoicesAreRefusedWithAdvice() throws {
        let registry = try registry()
        let dimension = #expect(throws: ConfigurationError.self) {
            try registry.problem(setting(("function", "extended-rosenbrock"), ("dimension", "5")))
        }
        #expect(dimension?.path == "problem.dimension")
        #expect(dimension?.reason == "extended-rosenbrock has no dimension 5; it must be even")
        let name = #expect(throws: ConfigurationError.self) { try registry.problem(setting(("function", "rosenbrok"))) }
        #expect(name?.reason.contains("must be one of: rosenbrock, ") == true)
    }

    @Test func theFunctionsAreListed() throws {
        let field = try #require(registry().problems.first?.schema.first)
        #expect(field.name == "function" && field.defaultValue == "rosenbrock")
        #expect(field.range.hasPrefix("rosenbrock | freudenstein-roth | "))
    }

    @Test func regressionsAreMadeByNameAndStart() throws {
        let setting = Setting.map([
            .init("name", .scalar("nist-regression")), .init("dataSet", .scalar("thurber")), .init("start", .integer(2)),
        ])
        let problem = try #require(try registry().problem(setting).makeProblem(seed: 0) as? NISTProblem)
        #expect(problem.name == "thurber-2" && problem.identity == setting)
        var random = RandomStream(seed: 0, name: "initialization")
        #expect(problem.initialParameters(from: &random).values.elements == problem.dataSet.starts[1])
        let unknown = #expect(throws: ConfigurationError.self) { try NISTRegression("thurbo").problem() }
        #expect(unknown?.reason.contains("must be one of: thurber, ") == true)
        #expect(throws: ConfigurationError.self) { try NISTRegression("thurber", start: 3).problem() }
    }
}
