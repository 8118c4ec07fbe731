import LeastSquares
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

/// NIST's 27 regressions from both certified starts, by the default settings. Ceres, the best of the published comparison, has a mean log
/// relative error of 9.4 (`examples/nist.cc`).
@Suite struct NISTTests {
    private func digits(_ optimizer: some Optimizer<any LeastSquaresProblem>, on problem: NISTProblem, steps: Int = 3000) throws -> Double {
        let (state, _) = try drive(optimizer, on: problem, from: Vector(problem.dataSet.starts[problem.start - 1]), steps: steps)
        return problem.logRelativeError(at: state.parameters.values)
    }

    @Test func theDefaultSolvesAllOfThem() throws {
        let found = try NISTProblem.all.map { (problem: $0, digits: try digits(LevenbergMarquardt(), on: $0)) }
        #expect(found.count == 54)
        for (problem, digits) in found { #expect(digits >= 4, "\(problem): \(digits) digits") }
        #expect(found.reduce(0) { $0 + $1.digits } / 54 > 9.4)
    }

    /// Far beyond half the digits of a double: what the steps behind the loss's rounding bring.
    @Test(arguments: ["thurber", "mgh09", "misra1b", "rat43"]) func parametersConvergeBeyondTheLossesRounding(name: String) throws {
        let problem = NISTProblem(try #require(NISTDataSet.named(name)), start: 2)
        #expect(try digits(LevenbergMarquardt(), on: problem) >= 10)
    }

    /// A step of rounding alone promises an increase as often as a decrease, and neither is a step to take: the run ends.
    @Test(arguments: 1...2) func boxBODEnds(start: Int) throws {
        let problem = NISTProblem(try #require(NISTDataSet.named("boxbod")), start: start)
        let (_, reports) = try drive(LevenbergMarquardt(), on: problem, from: Vector(problem.dataSet.starts[start - 1]), steps: 200)
        #expect(reports.last?.verdict == .stationary, "\(reports.count) steps")
    }

    /// The far start of MGH10 lies in a long curved canyon, in which steps without acceleration crawl.
    @Test func accelerationLeavesTheCanyon() throws {
        let problem = NISTProblem(try #require(NISTDataSet.named("mgh10")))
        #expect(try digits(LevenbergMarquardt(), on: problem, steps: 1500) >= 10)
        var plain = LevenbergMarquardt()
        plain.geodesicAcceleration = 0
        #expect(try digits(plain, on: problem, steps: 1500) < 1)
    }
}
