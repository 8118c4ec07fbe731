import Curvature
import Signum
import OptimizationTesting
import Testing

@Suite struct SignumTests {
    /// A thousand steps of 1e-3 move a parameter by one at most, and do not shrink near the answer: Gaussian's start is as near to it.
    static let accuracy = DeclaredAccuracy(
        0.3, within: 1000,
        except: ["gaussian": 1.1, "box-3d": 0.9, "brown-dennis": 0.8, "penalty-1": 0.7, "biggs-exp6": 0.5, "linear-full-rank": 0.4])

    @Test(arguments: ZooProblem.smooth) func contract(problem: ZooProblem) throws {
        try OptimizerConformance.check(Signum(learningRate: 1e-3), on: problem, reaching: Self.accuracy)
    }

    @Test func goesOnInAFreshProcess() async throws {
        let cuts = try ZooProblem.sample.map { try OptimizerConformance.interrupted(Signum(), on: $0) }
        await #expect(processExitsWith: .success) { [cuts = cuts as [InterruptedRun]] in
            for (cut, problem) in zip(cuts, ZooProblem.sample) { try cut.finish(Signum(), on: problem) }
        }
    }
}

/// The method's own formula, and what each setting does.
@Suite struct SignumFormulaTests {
    @Test func firstTwoSteps() {
        let signum = Signum(learningRate: 0.5, momentum: 0.5, weightDecay: 0.25)
        var (memory, θ) = (signum.start(count: 3), Vector([4, -2, 0]))
        var update: Vector = [8, -1, 0]
        signum.update(&update, at: θ, step: 1, memory: &memory)
        // sign(g) + λθ = (1 + 1, −1 − ½, 0), times η.
        #expect(update == [1, -0.75, 0])
        #expect(memory.average == [4, -0.5, 0])
        θ = θ - update
        // m = ½·(4, −½, 0) + ½·(−3, −1, 1): the momentum outweighs the gradient's sign in the first entry.
        update = [-3, -1, 1]
        signum.update(&update, at: θ, step: 2, memory: &memory)
        #expect(update == [0.875, -0.65625, 0.5])
        #expect(memory.average == [0.5, -0.75, 0.5])
    }
}
