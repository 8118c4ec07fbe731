import OptimizationTesting
import StochasticGradient
import Testing

/// On the badly scaled functions a fixed rate of 1e-3 climbs or crawls, as it should.
@Suite struct ContractTests {
    @Test(arguments: ZooProblem.smooth) func adam(problem: ZooProblem) throws {
        try OptimizerConformance.check(Adam(learningRate: 1e-3), on: problem)
    }
}
