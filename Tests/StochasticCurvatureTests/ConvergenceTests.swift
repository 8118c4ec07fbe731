import Classification
import LinearAlgebra
import NewtonFixtures
import NewtonKrylov
import OptimizationCore
import PhysicsInformed
import Poisson
import StochasticCurvature
import StochasticGradient
import Testing

/// How far methods come for as much work as SGD has.
@Suite struct ConvergenceTests {
    /// Work in gradients of the whole problem: an evaluation or a product of any kind counts as one.
    private static func work(_ counts: WorkCounts) -> Double {
        counts.evaluations + counts[.hessianProduct] + counts[.jacobianProduct] + counts[.transposedProduct]
    }

    /// The whole loss when the work is done; infinite after a breakdown.
    static func loss<O: Optimizer, P: DifferentiableProblem>(
        of optimizer: O, on problem: P, from start: Parameters, work budget: Double
    ) throws -> Double {
        let counted = Counted(problem)
        let objective = try #require(counted as? O.Objective)
        var state = try optimizer.start(on: objective, from: start)
        while work(counted.counter.counts) < budget {
            let verdict = try optimizer.step(&state, on: objective).verdict
            if case .brokeDown = verdict { return .infinity }
            if verdict == .stationary { break }
        }
        return try problem.loss(at: state.parameters.values).total
    }

    // MARK: Logistic regression

    private struct Gaps {
        let problem: LogisticRegression
        let start: Parameters
        let (minimum, first): (Double, Double)

        init() throws {
            let classes = TwoGaussians(features: 20, conditionNumber: 1_000)
            problem = try SyntheticLogisticRegression(samples: 2_000, regularization: 1e-3, classes: classes).problem(seed: 5)
            start = Parameters(layout: problem.layout, values: .zeros(21))
            let (state, reports) = try drive(Newton(), on: problem, from: start, steps: 60)
            #expect(reports.last?.verdict == .stationary)
            (minimum, first) = (state.standpoint.loss.total, problem.loss(at: start.values).total)
        }

        /// (L − L*)/(L₀ − L*) for the work of 60 gradients.
        func gap<O: Optimizer>(_ optimizer: O) throws -> Double {
            (try ConvergenceTests.loss(of: optimizer, on: problem, from: start, work: 60) - minimum) / (first - minimum)
        }
    }

    /// Against SGD at the best of many rates, constant ones or ones that fall to zero, for the same work. Samples that grow end below both;
    /// so does AdaHessian with a rate that falls. Where samples are of one size, steps without a search end below SGD at any constant rate.
    @Test func onAnIllConditionedClassification() throws {
        let gaps = try Gaps()
        let rates = [0.03, 0.1, 0.3, 1, 3, 10]
        let constant = try rates.map { try gaps.gap(Batched(StochasticGradientDescent(learningRate: $0), size: 20)) }.min() ?? 0
        let falling =
            try rates.map {
                try gaps.gap(Batched(StochasticGradientDescent(learningRate: $0, schedule: CosineDecay(steps: 6_000)), size: 20))
            }.min() ?? 0
        #expect(constant > 1e-3 && falling > 1e-6 && falling < 1e-4, "SGD: \(constant) and \(falling)")
        let large = BatchSettings(size: 200)
        let newton = try gaps.gap(SubsampledNewtonCG(batch: large, curvatureBatch: large, sampleSize: NormTest(tolerance: 0.5)))
        let inner = try gaps.gap(SubsampledNewtonCG(batch: large, curvatureBatch: large, sampleSize: InnerProductTest()))
        let progressive = try gaps.gap(ProgressiveLBFGS(batch: large))
        var diagonal = AdaHessian(learningRate: 0.1, schedule: CosineDecay(steps: 2_160))
        diagonal.refresh = 10
        let adaHessian = try gaps.gap(Batched(diagonal, size: 50))
        for (name, gap) in [("newton", newton), ("inner", inner), ("progressive", progressive), ("adahessian", adaHessian)] {
            #expect(gap < falling, "\(name): \(gap), where SGD with falling rates has \(falling)")
        }
        #expect(newton < 1e-6)
        let sophia = try gaps.gap(Batched(Sophia(learningRate: 0.01, schedule: CosineDecay(steps: 2_160)), size: 50))
        let online = try gaps.gap(OnlineLBFGS(batch: large, memory: 20, learningRate: 0.3, schedule: CosineDecay(steps: 600)))
        let sketchy = try gaps.gap(
            SketchySGD(
                batch: BatchSettings(size: 50), curvatureBatch: large, rank: 10, refresh: 1_000, schedule: CosineDecay(steps: 2_160)))
        for (name, gap) in [("sophia", sophia), ("online", online), ("sketchy", sketchy)] {
            #expect(gap < 0.6 * constant, "\(name): \(gap), where SGD at constant rates has \(constant)")
        }
        // The test that takes the gradient's noise for a gradient never lets the sample grow.
        #expect(try gaps.gap(ProgressiveLBFGS(batch: large, sampleSize: InnerProductTest(tolerance: 0.9, debiased: false))) > 1e-3)
    }

    // MARK: A network

    /// Poisson's equation with 97 parameters and 400 points, 64 at a time, for the work of 1 000 gradients.
    @Test func onANetwork() throws {
        var setup = PoissonOnIntervalSetup()
        setup.points.interior = 400
        guard let problem = try setup.makeProblem(seed: 1) as? PhysicsInformedProblem else { throw PhysicsError("no network") }
        let start = startingPoint(of: problem)
        func loss<O: Optimizer>(_ optimizer: O) throws -> Double {
            try ConvergenceTests.loss(of: optimizer, on: problem, from: start, work: 1_000)
        }
        let first = try problem.loss(at: start.values).total
        let sgd = try [1e-5, 3e-5, 1e-4, 2e-4].map { try loss(Batched(StochasticGradientDescent(learningRate: $0), size: 32)) }.min() ?? 0
        #expect(sgd < 1e-3 * first)
        let batch = BatchSettings(size: 64)
        let newton = try loss(SubsampledNewtonCG(batch: batch, curvatureBatch: batch, sampleSize: NormTest(tolerance: 0.5)))
        let progressive = try loss(ProgressiveLBFGS(batch: batch))
        let sophia = try loss(Batched(Sophia(learningRate: 1e-3), size: 32))
        for (name, loss) in [("newton", newton), ("progressive", progressive), ("sophia", sophia)] {
            #expect(loss < 0.5 * sgd, "\(name): \(loss), where SGD has \(sgd)")
        }
        let judged = try loss(
            SubsampledGaussNewton(batch: batch, probeBatch: batch, solver: .kernel, sampleSize: NormTest(tolerance: 0.5)))
        let itself = try loss(SubsampledGaussNewton(batch: batch, solver: .kernel))
        #expect(judged < 1e-3 * sgd && itself < 1e-3 * sgd, "\(judged) and \(itself), where SGD has \(sgd)")
    }

    // MARK: Resuming

    @Test func resumedInTheMiddleOfAnEpochEqualsUninterrupted() throws {
        var settings = SyntheticLogisticRegression(samples: 300, regularization: 1e-2, classes: TwoGaussians(features: 5))
        settings.heldOut = 50
        var diagonal = AdaHessian(learningRate: 0.02)
        (diagonal.refresh, diagonal.probes) = (3, 2)
        var pipeline = Pipeline(minimizing: try settings.problem(seed: 5)) {
            Stage("diagonal", Batched(diagonal, size: 32, holding: 2), until: .iterations(30))
            Stage("clipped", Batched(Sophia(learningRate: 1e-3), size: 50), until: .iterations(30))
            Stage(
                "sketched",
                SketchySGD(batch: BatchSettings(size: 20, holding: 2), curvatureBatch: BatchSettings(size: 40), rank: 3, refresh: 7),
                until: .iterations(30))
            Stage("pairs", OnlineLBFGS(batch: BatchSettings(size: 40, holding: 2)), until: .iterations(30))
            Stage(
                "two", SubsampledNewtonCG(batch: BatchSettings(size: 16), curvatureBatch: BatchSettings(size: 20), sampleSize: NormTest()),
                until: .iterations(10))
            Stage("growing", ProgressiveLBFGS(batch: BatchSettings(size: 16)), until: .gradientNorm(below: 1e-7) || .iterations(100))
        }
        pipeline.monitorCadence = 9
        let expected = try pipeline.start(seed: 1)
        let last = try #require(expected.stages.last)
        guard case .converged = last.outcome else {
            Issue.record("ended with \(last.outcome)")
            return
        }
        for cut in [1, 14, 31, 45, 63, 66, 70, 91, 94, 121, 125, 131, 133] {
            let first = try pipeline.begin(seed: 1)
            for _ in 0..<cut { try first.advance() }
            let result = try pipeline.restore(from: first.snapshot()).finish()
            #expect(result.parameters == expected.parameters, "cut after \(cut)")
            #expect(result.best == expected.best && result.work == expected.work)
            #expect(result.stages.map(\.loss) == expected.stages.map(\.loss))
        }
    }
}
