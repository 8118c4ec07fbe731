import Globalization
import NaturalGradient
import OptimizationTesting
import Testing

@Suite struct ContractTests {
    @Test(arguments: ZooProblem.all) func naturalGradient(problem: ZooProblem) throws {
        try OptimizerConformance.check(
            NaturalGradient(damping: LossProportionalDamping(factor: 1e-3)), on: problem, reaching: DeclaredAccuracy(0.9, within: 300))
    }

    static let variants: [NaturalGradient] = [
        NaturalGradient(space: .parameters, scaling: .jacobi), NaturalGradient(space: .samples, scaling: .jacobi),
        NaturalGradient(damping: ConstantDamping(1e-6), solver: .nystrom(NystromMetric(share: 0.5))),
        NaturalGradient(space: .samples, damping: ConstantDamping(1e-6), solver: .pcg(PreconditionedMetric(share: 0.5))),
        NaturalGradient(momentum: .spring(SPRINGMomentum(decay: 0.1))),
        NaturalGradient(momentum: .heavyBall(HeavyBallMomentum(decay: 0.3))),
        NaturalGradient(momentum: .nesterov(NesterovMomentum(decay: 0.3)), stepLength: .search(BacktrackingArmijo())),
        NaturalGradient(damping: ConstantDamping(1e-3), momentum: .spring(SPRINGMomentum(decay: 0.9)), stepLength: .fixed(CappedRate())),
    ]

    @Test(arguments: ZooProblem.sample, variants.indices) func variant(problem: ZooProblem, index: Int) throws {
        try OptimizerConformance.check(Self.variants[index], on: problem, reaching: .descent(within: 100))
    }

    @Test(arguments: ZooProblem.all) func hessianFree(problem: ZooProblem) throws {
        try OptimizerConformance.check(HessianFree(), on: problem, reaching: DeclaredAccuracy(0.9, within: 300))
    }

    @Test func goOnInAFreshProcess() async throws {
        let sketched = NaturalGradient(solver: .nystrom(NystromMetric(share: 0.5)), momentum: .spring(SPRINGMomentum(decay: 0.1)))
        let cuts = try ZooProblem.sample.map { problem in
            [
                try OptimizerConformance.interrupted(sketched, on: problem),
                try OptimizerConformance.interrupted(HessianFree(), on: problem),
            ]
        }
        await #expect(processExitsWith: .success) { [cuts = cuts as [[InterruptedRun]]] in
            let sketched = NaturalGradient(solver: .nystrom(NystromMetric(share: 0.5)), momentum: .spring(SPRINGMomentum(decay: 0.1)))
            for (cut, problem) in zip(cuts, ZooProblem.sample) {
                try cut[0].finish(sketched, on: problem)
                try cut[1].finish(HessianFree(), on: problem)
            }
        }
    }
}
