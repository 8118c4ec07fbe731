import LinearAlgebra
import NaturalGradient
import OptimizationCore
import PhysicsInformed
import Poisson
import StochasticGradient
import Testing

/// What the methods are for: on −u″ = (4π)² sin 4πx with 97 parameters they reach in a hundred steps what Adam does not in as much work.
@Suite struct TrainingTests {
    private func problem(seed: UInt64) throws -> PhysicsInformedProblem {
        var setup = PoissonOnIntervalSetup()
        setup.points.monitor = 0
        return try #require(try setup.makeProblem(seed: seed) as? PhysicsInformedProblem)
    }

    private func error<O: Optimizer>(of optimizer: O, seed: UInt64, steps: Int) throws -> (error: Double, work: WorkCounts)
    where O.Objective == any GeneralizedGaussNewtonProblem {
        let problem = try problem(seed: seed)
        let counted = Counted(problem)
        let (state, _) = try drive(optimizer, on: counted, from: startingPoint(of: problem, seed: seed), steps: steps)
        return (try #require(try problem.referenceError(at: state.parameters.values)), counted.counter.counts)
    }

    /// A step takes a linearisation, a gradient and at most 31 losses: a hundred of them less than 3 400 gradients. Adam gets these.
    @Test(arguments: [1, 2, 3] as [UInt64]) func adamIsLeftBehind(seed: UInt64) throws {
        let (natural, work) = try error(of: NaturalGradient(), seed: seed, steps: 100)
        let (spring, _) = try error(of: NaturalGradient(momentum: .spring(SPRINGMomentum(decay: 0.06))), seed: seed, steps: 100)
        #expect(natural < 1e-6 && spring < 1e-6, "natural gradient \(natural), SPRING \(spring)")
        #expect(work.evaluations <= 3400, "\(work.evaluations)")
        let problem = try problem(seed: seed)
        for rate in [1e-2, 1e-3] {
            let adam = try drive(Adam(learningRate: rate), on: problem, from: startingPoint(of: problem, seed: seed), steps: 3400).state
            let error = try #require(try problem.referenceError(at: adam.parameters.values))
            #expect(error > 1e-4, "Adam at \(rate): \(error)")
        }
    }

    /// With points redrawn at every step and a capped rate, SPRING's memory pays: less error than the same without momentum.
    @Test func springAveragesOverBatches() throws {
        func error(_ momentum: NaturalMomentum) throws -> Double {
            let problem = try problem(seed: 1)
            let method = Batched(
                NaturalGradient(
                    damping: ConstantDamping(1e-3), solver: .exact, momentum: momentum,
                    stepLength: .fixed(CappedRate(learningRate: 0.1, normBound: 1e-2))), size: 32)
            let (state, _) = try drive(method, on: problem, from: startingPoint(of: problem), steps: 400)
            return try #require(try problem.referenceError(at: state.parameters.values))
        }
        let (plain, spring) = (try error(.none), try error(.spring(SPRINGMomentum(decay: 0.9))))
        #expect(2 * spring < plain, "SPRING \(spring), without momentum \(plain)")
    }
}
