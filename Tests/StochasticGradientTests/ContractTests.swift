import OptimizationCore
import OptimizationTesting
import StochasticGradient
import Testing

@Suite struct ContractTests {
    /// At a rate of 1e-2 a parameter moves by 20 at most: where the answer is farther away, or lies behind a long valley, Adam is not there
    /// yet. Measured, and rounded up by half an order or more. On Gauss's function and on Chebyquad the constant rate throws it back now and
    /// then, from 1e-11 to a tenth of the start and from 1e-7 to a hundredth, at steps that depend on last bits: there the rate falls.
    static let accuracy = DeclaredAccuracy(
        0.01, within: 2000,
        except: [
            "brown-badly-scaled": 1, "powell-badly-scaled": 0.3, "brown-dennis": 0.3, "box-3d": 0.1, "biggs-exp6": 0.03, "gulf": 0.02,
            "osborne-1": 0.02, "jennrich-sampson": 1e-8, "bard": 1e-3, "gaussian": 1e-3, "beale": 1e-6, "kowalik-osborne": 1e-6,
            "osborne-2": 1e-7, "watson": 1e-3, "penalty-2": 1e-5, "variably-dimensioned": 1e-5, "trigonometric": 1e-7,
            "brown-almost-linear": 1e-9, "discrete-boundary-value": 1e-9, "discrete-integral": 1e-20, "broyden-tridiagonal": 1e-20,
            "broyden-banded": 1e-20, "linear-full-rank": 1e-12, "linear-rank-one": 1e-12, "linear-rank-one-with-zeros": 1e-12,
            "chebyquad": 1e-3,
        ])

    @Test(arguments: ZooProblem.all) func adam(problem: ZooProblem) throws {
        let isThrownBack = problem.name.hasPrefix("gaussian") || problem.name.hasPrefix("chebyquad")
        let adam = isThrownBack ? Adam(learningRate: 1e-2, schedule: ExponentialDecay(rate: 0.5, every: 200)) : Adam(learningRate: 1e-2)
        try OptimizerConformance.check(adam, on: problem, reaching: Self.accuracy)
    }

    @Test(arguments: ZooProblem.sample) func adamClipped(problem: ZooProblem) throws {
        try OptimizerConformance.check(
            Clipped(Adam(learningRate: 1e-2), norm: 1), on: problem, reaching: DeclaredAccuracy(0.01, within: 2000))
    }

    /// Rates as long as a clipped gradient allows; each function's gap measured, and rounded up.
    @Test(arguments: ZooProblem.sample) func wrapped(problem: ZooProblem) throws {
        let adam = Adam(learningRate: 1e-2)
        let accuracy = DeclaredAccuracy(0.01, within: 2000)
        try OptimizerConformance.check(Averaged(adam, .exponential(decay: 0.9)), on: problem, reaching: accuracy)
        try OptimizerConformance.check(Averaged(adam, .mean(after: 5)), on: problem, reaching: .descent(within: 500))
        try OptimizerConformance.check(
            Plateau(adam, PlateauSettings(factor: 0.5, patience: 3, every: 2)), on: problem, reaching: .descent(within: 500))
        try OptimizerConformance.check(Accumulated(adam, over: 3), on: problem, reaching: .descent(within: 500))
        try OptimizerConformance.check(
            PerBlock(adam, [.init("x", Adam(learningRate: 2e-2), rate: 0.5)]), on: problem, reaching: accuracy)
    }

    @Test(arguments: ZooProblem.sample) func scheduleFree(problem: ZooProblem) throws {
        var adamw = ScheduleFreeAdamW()
        adamw.learningRate = 1e-2
        try OptimizerConformance.check(adamw, on: problem, reaching: .descent(within: 500))
        // A fixed rate times the gradients of these functions is no method.
        try OptimizerConformance.check(
            Clipped(ScheduleFreeSGD(learningRate: 1e-2), norm: 1), on: problem, reaching: .descent(within: 500))
    }

    /// With a schedule, whose place is in the state; and clipped, whose count is.
    @Test func goesOnInAFreshProcess() async throws {
        let cuts = try ZooProblem.sample.map { problem in
            [
                try OptimizerConformance.interrupted(Self.scheduled, on: problem),
                try OptimizerConformance.interrupted(Clipped(Self.scheduled, norm: 1), on: problem),
                try OptimizerConformance.interrupted(Self.wrapped, on: problem),
                try OptimizerConformance.interrupted(Clipped(ScheduleFreeAdamW(), norm: 1), on: problem),
            ]
        }
        await #expect(processExitsWith: .success) { [cuts = cuts as [[InterruptedRun]]] in
            for (cut, problem) in zip(cuts, ZooProblem.sample) {
                try cut[0].finish(ContractTests.scheduled, on: problem)
                try cut[1].finish(Clipped(ContractTests.scheduled, norm: 1), on: problem)
                try cut[2].finish(ContractTests.wrapped, on: problem)
                try cut[3].finish(Clipped(ScheduleFreeAdamW(), norm: 1), on: problem)
            }
        }
    }

    static let wrapped: Averaged<Plateau<Accumulated<Clipped<PerBlock<Adam>>>>> = {
        let clipped = Clipped(PerBlock(scheduled, [.init("x", rate: 0.5)]), norm: 1)
        return Averaged(Plateau(Accumulated(clipped, over: 3), PlateauSettings(factor: 0.5, patience: 1)), .mean(after: 3))
    }()
    static let scheduled = Adam(learningRate: 1e-2, schedule: ExponentialDecay(rate: 0.5, every: 7))
}
