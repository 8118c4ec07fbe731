import Globalization
import LeastSquares
import OptimizationTesting
import Testing

@Suite struct ContractTests {
    @Test(arguments: ZooProblem.all) func levenbergMarquardt(problem: ZooProblem) throws {
        try OptimizerConformance.check(LevenbergMarquardt(), on: problem)
    }

    @Test(arguments: ZooProblem.all) func levenbergMarquardtWithScaling(problem: ZooProblem) throws {
        try OptimizerConformance.check(LevenbergMarquardt(damping: ClassicalDamping(), scaling: .marquardt), on: problem)
    }

    @Test(arguments: ZooProblem.all) func gaussNewton(problem: ZooProblem) throws {
        try OptimizerConformance.check(GaussNewton(), on: problem)
    }
}
