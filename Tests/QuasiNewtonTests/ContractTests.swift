import OptimizationTesting
import QuasiNewton
import Testing

@Suite struct ContractTests {
    @Test(arguments: ZooProblem.all) func lbfgs(problem: ZooProblem) throws {
        try OptimizerConformance.check(LBFGS(), on: problem)
    }

    @Test(arguments: ZooProblem.all) func selfScaledBroyden(problem: ZooProblem) throws {
        try OptimizerConformance.check(SelfScaledBroyden(), on: problem)
    }
}
