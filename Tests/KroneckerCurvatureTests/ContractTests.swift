import Globalization
import KroneckerCurvature
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Testing

@Suite struct ContractTests {
    static let automatic = KroneckerStepLength.automatic(QuadraticModelStep())
    static let methods: [any Optimizer & Configurable] = [
        KFAC(), KFAC(damping: 1e-6, momentum: 0.5), KFAC(damping: 1e-6, dampingSplit: .traceNorm, factorStart: .zero, refresh: 3),
        KFAC(damping: 1e-6, stepLength: automatic), EKFAC(), EKFAC(damping: 1e-6, stepLength: .search(BacktrackingArmijo()), momentum: 0.3),
        EKFAC(damping: 1e-6, refresh: 2, stepLength: automatic),
    ]

    @Test(arguments: methods.indices) func conforms(index: Int) throws {
        func check<O: Optimizer>(_ optimizer: O) throws {
            try OptimizerConformance.check(optimizer, on: try KroneckerCurvatureTests.network(), reaching: .descent(within: 40))
        }
        try check(Self.methods[index])
    }

    @Test(arguments: [0, 3, 4, 6]) func conformsOnARegression(index: Int) throws {
        func check<O: Optimizer>(_ optimizer: O) throws {
            try OptimizerConformance.check(optimizer, on: try KroneckerCurvatureTests.regression(), reaching: .descent(within: 40))
        }
        try check(Self.methods[index])
    }

    @Test(arguments: [KFAC(damping: 1e-6, groups: .terms), KFAC(damping: 1e-6, stepLength: automatic, groups: .terms)])
    func conformsWithAGroupForEachTerm(method: KFAC) throws {
        try OptimizerConformance.check(method, on: try KroneckerCurvatureTests.heat(), reaching: .descent(within: 40))
    }

    @Test func goOnInAFreshProcess() async throws {
        let problem = try KroneckerCurvatureTests.network()
        let cuts = [
            try OptimizerConformance.interrupted(KFAC(momentum: 0.5), on: problem),
            try OptimizerConformance.interrupted(KFAC(damping: 1e-6, refresh: 3, stepLength: Self.automatic), on: problem),
            try OptimizerConformance.interrupted(EKFAC(), on: problem),
        ]
        await #expect(processExitsWith: .success) { [cuts = cuts as [InterruptedRun]] in
            let problem = try KroneckerCurvatureTests.network()
            try cuts[0].finish(KFAC(momentum: 0.5), on: problem)
            try cuts[1].finish(KFAC(damping: 1e-6, refresh: 3, stepLength: ContractTests.automatic), on: problem)
            try cuts[2].finish(EKFAC(), on: problem)
        }
    }
}
