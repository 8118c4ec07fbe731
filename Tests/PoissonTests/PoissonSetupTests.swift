import LeastSquares
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Poisson
import Testing

@Suite struct PoissonSetupTests {
    @Test func defaults() throws {
        let line = try #require(try PoissonOnIntervalSetup().makeProblem(seed: 1) as? PhysicsInformedProblem)
        #expect(line.layout.count == 97)
        #expect(line.sampleSets.map(\.count) == [256, 2])
        #expect(try line.points(of: "boundary").elements == [0, 1])
        let square = try #require(try PoissonOnSquareSetup().makeProblem(seed: 1) as? PhysicsInformedProblem)
        #expect(square.layout.count == 1185)
        #expect(square.sampleSets.map(\.count) == [900, 120])
        let edge = try square.points(of: "boundary")
        #expect((0..<120).count { edge[$0, 0] == 0 } == 30)
        #expect((0..<120).count { edge[$0, 1] == 1 } == 30)
    }

    @Test func derivatives() throws {
        var square = PoissonOnSquareSetup()
        square.network = PerceptronSettings(width: 9, depth: 2)
        square.points = PointPlan(interior: 100, boundary: 40)
        for setup in [PoissonOnIntervalSetup(), square] as [any ProblemConfiguration] {
            let check = try DerivativeCheck(of: try setup.makeProblem(seed: 2))
            #expect(check.passed, "\(check)")
        }
    }

    /// Gauss–Newton on J, five seeds of five to 1e-12 (of the first thirty 29 are there); a squared system would stop near 1e-9. Where a
    /// singular value stays just above the cut-off, steps are short for hundreds of iterations.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func gaussNewtonSolvesTheInterval(seed: UInt64) throws {
        let problem = try #require(try PoissonOnIntervalSetup().makeProblem(seed: seed) as? PhysicsInformedProblem)
        let pipeline = Pipeline(minimizing: problem) {
            Stage("solve", GaussNewton(relativeCutoff: 1e-11, factorization: .svd), until: .iterations(2000))
        }
        let result = try pipeline.start(seed: seed)
        let error = try #require(try problem.referenceError(at: result.parameters.values))
        #expect(error <= 1e-12, "\(error)")
    }
}
