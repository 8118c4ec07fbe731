import Globalization
import NaturalGradient
import OptimizationTesting
import Testing

@Suite struct ContractTests {
    /// As Gauss–Newton: exact where the residual vanishes or the model holds, stuck where it is large and curved; and at the square root
    /// of the cut-off, 1e-14, where parameters differ in scale by many orders (Powell's and Meyer's functions).
    static let naturalAccuracy = DeclaredAccuracy(
        1e-9, within: 300,
        except: [
            "freudenstein-roth": 0.03, "jennrich-sampson": 0.9, "gulf": 0.2, "chebyquad": 0.9, "penalty-2": 0.01,
            "powell-badly-scaled": 1e-4, "meyer": 1e-4,
        ])

    @Test(arguments: ZooProblem.all) func naturalGradient(problem: ZooProblem) throws {
        try OptimizerConformance.check(NaturalGradient(), on: problem, reaching: Self.naturalAccuracy)
    }

    static let variants: [NaturalGradient] = [
        NaturalGradient(damping: LossProportionalDamping(factor: 1e-3), solver: .exact),
        NaturalGradient(space: .parameters, scaling: .jacobi), NaturalGradient(space: .samples, scaling: .jacobi, solver: .exact),
        NaturalGradient(damping: ConstantDamping(1e-6), solver: .nystrom(NystromMetric(share: 0.5))),
        NaturalGradient(space: .samples, damping: ConstantDamping(1e-6), solver: .pcg(PreconditionedMetric(share: 0.5))),
        NaturalGradient(momentum: .spring(SPRINGMomentum(decay: 0.1))),
        NaturalGradient(momentum: .heavyBall(HeavyBallMomentum(decay: 0.3))),
        NaturalGradient(momentum: .nesterov(NesterovMomentum(decay: 0.3)), stepLength: .search(BacktrackingArmijo())),
        NaturalGradient(damping: ConstantDamping(1e-3), momentum: .spring(SPRINGMomentum(decay: 0.9)), stepLength: .fixed(CappedRate())),
        NaturalGradient(damping: NielsenDamping(), momentum: .spring(SPRINGMomentum(decay: 0.3))),
        NaturalGradient(damping: ClassicalDamping(), solver: .exact, stepLength: .search(GridLineSearch())), averaged,
    ]

    static var averaged: NaturalGradient {
        var method = NaturalGradient(damping: NielsenDamping(), solver: .exact, stepLength: .search(BacktrackingArmijo()))
        (method.averaging, method.metricStart) = (0.3, .identity)
        return method
    }

    /// As Levenberg–Marquardt where residuals are large and curved, which the constant damping is not; with the cut-off's limit as above.
    static let gainRatioAccuracy = DeclaredAccuracy(1e-6, within: 300, except: ["powell-badly-scaled": 1e-4, "meyer": 1e-4])

    @Test(arguments: ZooProblem.all) func gainRatio(problem: ZooProblem) throws {
        try OptimizerConformance.check(NaturalGradient(damping: NielsenDamping()), on: problem, reaching: Self.gainRatioAccuracy)
    }

    @Test(arguments: ZooProblem.sample, variants.indices) func variant(problem: ZooProblem, index: Int) throws {
        try OptimizerConformance.check(Self.variants[index], on: problem, reaching: .descent(within: 100))
    }

    /// All of the zoo, to the digits of its tables.
    @Test(arguments: ZooProblem.all) func hessianFree(problem: ZooProblem) throws {
        try OptimizerConformance.check(HessianFree(), on: problem, reaching: DeclaredAccuracy(1e-9, within: 300))
    }

    @Test func goOnInAFreshProcess() async throws {
        let sketched = NaturalGradient(solver: .nystrom(NystromMetric(share: 0.5)), momentum: .spring(SPRINGMomentum(decay: 0.1)))
        let cuts = try ZooProblem.sample.map { problem in
            [
                try OptimizerConformance.interrupted(sketched, on: problem),
                try OptimizerConformance.interrupted(HessianFree(), on: problem),
                try OptimizerConformance.interrupted(Self.averaged, on: problem),
            ]
        }
        await #expect(processExitsWith: .success) { [cuts = cuts as [[InterruptedRun]]] in
            let sketched = NaturalGradient(solver: .nystrom(NystromMetric(share: 0.5)), momentum: .spring(SPRINGMomentum(decay: 0.1)))
            for (cut, problem) in zip(cuts, ZooProblem.sample) {
                try cut[0].finish(sketched, on: problem)
                try cut[1].finish(HessianFree(), on: problem)
                try cut[2].finish(ContractTests.averaged, on: problem)
            }
        }
    }
}
