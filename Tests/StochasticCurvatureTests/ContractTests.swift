import Classification
import Globalization
import LinearAlgebra
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Poisson
import StochasticCurvature
import Testing

@Suite struct ContractTests {
    static func network() throws -> PhysicsInformedProblem {
        var setup = PoissonOnSquareSetup()
        setup.network = PerceptronSettings(width: 7, depth: 2)
        setup.points = PointPlan(interior: 60, boundary: 20)
        guard let problem = try setup.makeProblem(seed: 1) as? PhysicsInformedProblem else { throw PhysicsError("no network") }
        return problem
    }

    static func classes() throws -> LogisticRegression {
        try SyntheticLogisticRegression(samples: 80, classes: TwoGaussians(features: 4)).problem(seed: 2)
    }

    private static let (large, small) = (BatchSettings(size: 32, holding: 2), BatchSettings(size: 12))

    /// Samples held and not, that grow and do not, that become the whole, and are the whole.
    static let methods: [any Optimizer & Configurable] = [
        SubsampledNewtonCG(batch: large, curvatureBatch: small),
        SubsampledNewtonCG(batch: small, curvatureBatch: BatchSettings(size: 16, holding: 3), sampleSize: NormTest(tolerance: 0.5)),
        SubsampledNewtonCG(batch: BatchSettings(size: 100), curvatureBatch: BatchSettings(size: 100)),
        OnlineLBFGS(batch: small, pairs: .sameSample), OnlineLBFGS(batch: large, pairs: .sameSample),
        OnlineLBFGS(batch: large), OnlineLBFGS(batch: BatchSettings(size: 100)),
        ProgressiveLBFGS(batch: BatchSettings(size: 16)), ProgressiveLBFGS(batch: large, sampleSize: NormTest(tolerance: 0.5, groups: 4)),
        ProgressiveLBFGS(batch: BatchSettings(size: 100)),
        SketchySGD(batch: large, curvatureBatch: BatchSettings(size: 40), refresh: 3),
        SketchySGD(batch: BatchSettings(size: 100), curvatureBatch: BatchSettings(size: 100)),
        StochasticTrustRegion(batch: BatchSettings(size: 32), curvatureBatch: small, probeBatch: BatchSettings(size: 32)),
        StochasticTrustRegion(
            batch: BatchSettings(size: 100), curvatureBatch: BatchSettings(size: 100), probeBatch: BatchSettings(size: 100), growth: false),
        AdaHessian(learningRate: 0.01, averaging: 3), Sophia(learningRate: 1e-3),
        Batched(AdaHessian(learningRate: 0.01), size: 20), Batched(Sophia(learningRate: 1e-3), size: 20, holding: 2),
    ]

    static let squares: [any Optimizer & Configurable] = [
        SubsampledGaussNewton(batch: large), SubsampledGaussNewton(batch: large, probeBatch: BatchSettings(size: 24, holding: 5)),
        SubsampledGaussNewton(batch: small, probeBatch: BatchSettings(size: 24), solver: .kernel, sampleSize: NormTest(tolerance: 0.5)),
        SubsampledGaussNewton(batch: BatchSettings(size: 100), probeBatch: small, solver: .kernel),
        SubsampledGaussNewton(batch: BatchSettings(size: 100)),
    ]

    static let all: [any Optimizer & Configurable] = methods + squares

    /// On a network a dozen points are too few for steps without a search: the loss rises.
    static let separable: [any Optimizer & Configurable] = methods + [OnlineLBFGS(batch: small)]

    @Test(arguments: separable.indices) func onClasses(index: Int) throws {
        func check<O: Optimizer>(_ optimizer: O) throws {
            try OptimizerConformance.check(optimizer, on: try Self.classes(), reaching: .descent(within: 40))
        }
        try check(Self.separable[index])
    }

    @Test(arguments: all.indices) func onANetwork(index: Int) throws {
        func check<O: Optimizer>(_ optimizer: O) throws {
            try OptimizerConformance.check(optimizer, on: try Self.network(), reaching: .descent(within: 60))
        }
        try check(Self.all[index])
    }

    /// Methods that take no samples of their own, on the zoo's functions.
    @Test(arguments: ZooProblem.sample) func onTheZoo(problem: ZooProblem) throws {
        try OptimizerConformance.check(AdaHessian(learningRate: 1e-2), on: problem, reaching: .descent(within: 100))
        // The Gaussian's start is within a thousandth of its minimiser, and every entry moves by η.
        try OptimizerConformance.check(Sophia(learningRate: 1e-5), on: problem, reaching: .descent(within: 100))
    }

    @Test func goOnInAFreshProcess() async throws {
        let cuts = try Self.all.indices.map { try Self.interrupted($0) }
        await #expect(processExitsWith: .success) { [cuts = cuts as [InterruptedRun]] in
            for (index, cut) in cuts.enumerated() { try ContractTests.finish(cut, index) }
        }
    }

    private static func interrupted(_ index: Int) throws -> InterruptedRun {
        func cut<O: Optimizer>(_ optimizer: O) throws -> InterruptedRun {
            try OptimizerConformance.interrupted(optimizer, on: try network())
        }
        let method = all[index]
        return try cut(method)
    }

    private static func finish(_ run: InterruptedRun, _ index: Int) throws {
        func finish<O: Optimizer>(_ optimizer: O) throws { try run.finish(optimizer, on: try network()) }
        let method = all[index]
        try finish(method)
    }
}
