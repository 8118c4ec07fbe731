import LeastSquares
import LinearAlgebra
import OptimizationCore
import QuasiNewton
import StochasticGradient
import Testing

/// The five methods one after another in a pipeline, interrupted anywhere.
@Suite struct HandOverTests {
    private func pipeline() -> Pipeline<PoissonNetwork> {
        Pipeline(minimizing: PoissonNetwork()) {
            Stage("explore", Adam(learningRate: 1e-2), until: .iterations(60))
            Stage("descend", LBFGS(memory: 5), until: .iterations(25))
            Stage("bend", SelfScaledBroyden(), until: .iterations(25))
            Stage("damp", LevenbergMarquardt(), until: .iterations(12))
            Stage("finish", GaussNewton(), until: .iterations(6))
        }
    }

    @Test func everyStageLowersTheLoss() throws {
        let result = try pipeline().start(seed: 3)
        #expect(result.stages.map(\.iterations) == [60, 25, 25, 12, 6])
        let losses = result.stages.compactMap(\.loss)
        #expect(losses.count == 5)
        for (before, after) in zip(losses, losses.dropFirst()) { #expect(after < before) }
    }

    @Test func interruptedIsUninterrupted() throws {
        let expected = try pipeline().start(seed: 3)
        for cut in [1, 59, 60, 61, 70, 85, 90, 111, 118, 122, 123, 126] {
            let first = try pipeline().begin(seed: 3)
            for _ in 0..<cut { try first.advance() }
            let result = try pipeline().restore(from: first.snapshot()).finish()
            #expect(result.parameters == expected.parameters, "cut at \(cut)")
            #expect(result.work == expected.work)
            #expect(result.outcome == expected.outcome)
        }
    }
}
