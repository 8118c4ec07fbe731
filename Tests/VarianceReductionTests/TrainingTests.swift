import Classification
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import StochasticGradient
import Testing
import VarianceReduction

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct TrainingTests {
    private static let batch = RandomBatchSettings(size: 10)

    private static func methods(_ η: Double) -> [any VarianceReducedMethod] {
        [
            SVRG(learningRate: η, batch: batch), LooplessSVRG(learningRate: η, batch: batch), SARAH(learningRate: η, batch: batch),
            SAGA(learningRate: η, batch: batch), SAGA(learningRate: η, table: .batches, batch: batch),
        ]
    }

    /// Linear on logistic regression, to rounding, at a constant rate where SGD stalls for as many passes over the data.
    @Test func theyConvergeLinearlyWhereSGDStalls() throws {
        let problem = try regression(samples: 200, features: 5, regularization: 0.05)
        let minimum = problem.loss(at: try minimiser(of: problem)).total
        let first = problem.loss(at: .zeros(6)).total - minimum
        func gap<O: Optimizer>(_ method: O, passes: Double) throws -> Double {
            let result = try Pipeline(
                minimizing: problem, stages: [Stage(dynamic: "train", method, until: .evaluations(of: .gradient, passes))]
            ).start()
            #expect(abs(result.work[.gradient] - passes) < 1.2, "the passes are counted")
            return (problem.loss(at: result.parameters.values).total - minimum) / first
        }
        let η = 0.5
        let stalled = try gap(Batched(StochasticGradientDescent(learningRate: η), size: 10), passes: 120)
        #expect(stalled > 1e-4, "SGD: \(stalled)")
        for method in Self.methods(η) {
            let gaps = try [30.0, 60, 120].map { try gap(method, passes: $0) }
            let name = "\(type(of: method)): \(gaps)"
            #expect(abs(gaps[2]) < 1e-12, "\(name)")
            #expect(gaps[0] < 0.1 && gaps[1] < 0.1 * gaps[0], "\(name)")
        }
    }

    /// The rule on ‖∇L‖ is tested where a whole gradient was taken.
    @Test func svrgEndsByItsGradient() throws {
        let problem = try regression(samples: 200, features: 5, regularization: 0.05)
        let result = try Pipeline(minimizing: problem) {
            Stage("train", SVRG(learningRate: 0.5, batch: Self.batch), until: .gradientNorm(below: 1e-9) || .iterations(20_000))
        }.start()
        guard case .converged = result.outcome else {
            Issue.record("ended with \(result.outcome)")
            return
        }
        #expect(problem.lossAndGradient(at: result.parameters.values).gradient.norm <= 1e-9)
    }

    @Test func resumedWithinALoopEqualsUninterrupted() throws {
        let problem = try regression(samples: 60, features: 5)
        for (index, method) in Self.methods(0.2).enumerated() {
            func stage<O: Optimizer>(_ method: O) -> Stage<LogisticRegression> { Stage(dynamic: "train", method, until: .iterations(40)) }
            let pipeline = Pipeline(minimizing: problem, stages: [stage(method)])
            let expected = try pipeline.start(seed: 1)
            for cut in [1, 5, 6, 7, 12, 17, 39] {
                let first = try pipeline.begin(seed: 1)
                for _ in 0..<cut { try first.advance() }
                let result = try pipeline.restore(from: first.snapshot()).finish()
                #expect(result.parameters == expected.parameters && result.work == expected.work, "\(index), cut after \(cut)")
            }
        }
    }

    @Test func theScheduleAndTheSeedAct() throws {
        let problem = try regression(samples: 60, features: 5)
        func end(_ change: (inout SVRG) -> Void) throws -> Vector {
            var method = SVRG(learningRate: 0.2, batch: Self.batch)
            change(&method)
            return try Pipeline(minimizing: problem) { Stage("train", method, until: .iterations(25)) }.start().parameters.values
        }
        let plain = try end { _ in }
        #expect(try end { _ in } == plain)
        #expect(try end { $0.batch.seed = 1 } != plain)
        #expect(try end { $0.schedule = CosineDecay(steps: 25) } != plain)
        #expect(try end { $0.snapshotEvery = 1 } != plain)
        #expect(try end { $0.batch.size = 11 } != plain)
    }

    /// SARAH's loop ends where its estimate has shrunk: a whole gradient sooner than after m steps.
    @Test func sarahBeginsAnewWhereItsEstimateHasShrunk() throws {
        let problem = try regression(samples: 60, features: 5, regularization: 1)
        func wholes(_ γ: Double) throws -> [Int] {
            let method = SARAH(learningRate: 0.5, snapshotEvery: 5, restartRatio: γ, batch: Self.batch)
            var state = try method.start(on: problem, from: Parameters(layout: problem.layout, values: Vector(repeating: 2, count: 6)))
            return try (1...61).filter { _ in try method.step(&state, on: problem).coversAllSamples }
        }
        // Six batches an epoch: loops of 30 steps.
        #expect(try wholes(0) == [30, 60])
        let restarts = try wholes(0.125).filter { $0 < 30 }
        #expect(restarts.count > 3, "\(restarts)")
    }

    // MARK: Contract

    @Test func contract() throws {
        for method in Self.methods(0.2) {
            func check<O: Optimizer>(_ method: O) throws {
                try OptimizerConformance.check(method, on: try regression(samples: 60, features: 4), reaching: .descent(within: 40))
            }
            try check(method)
        }
        try OptimizerConformance.check(
            SVRG(learningRate: 0.2, batch: RandomBatchSettings(size: 2)), on: WeightedClouds([9, 4]), reaching: .descent(within: 40))
    }

    // MARK: Memory and refusals

    @Test func theTableIsCountedAndRefusedWhereItDoesNotFit() throws {
        let problem = try regression(samples: 100, features: 5)
        // A factor a sample, or ten gradients of six parameters, and six vectors.
        #expect(SAGA(learningRate: 0.1, batch: Self.batch).workingMemory(on: problem) == 8 * (100 + 36))
        #expect(SAGA(learningRate: 0.1, table: .batches, batch: Self.batch).workingMemory(on: problem) == 8 * (60 + 36))
        let pipeline = Pipeline(minimizing: problem) { Stage("train", SAGA(learningRate: 0.1, batch: Self.batch), until: .iterations(1)) }
        #expect(try pipeline.preflight(memory: 8 * 136).stages[0].bytes == 8 * 136)
        #expect(throws: MemoryError.self) { try pipeline.preflight(memory: 8 * 136 - 1) }
        let error = #expect(throws: ConfigurationError.self) {
            try SAGA(learningRate: 0.1, batch: RandomBatchSettings(size: 1)).check(Vast())
        }
        let text = try #require(error).description
        #expect(text.contains("batch.size") && text.contains("would take") && text.contains("take larger batches, or svrg"), "\(text)")
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let clouds = WeightedClouds([6, 4])
        let factors = #expect(throws: ConfigurationError.self) { try SAGA(learningRate: 0.1, table: .factors).check(clouds) }
        #expect(factors?.description.contains("does not offer its samples' gradients in factors") == true)
        let uneven = #expect(throws: ConfigurationError.self) {
            try SAGA(learningRate: 0.1, batch: RandomBatchSettings(size: 2)).check(clouds)
        }
        #expect(uneven?.description.contains("set0: 6 samples in 3, set1: 4 samples in 2") == true, "\(String(describing: uneven))")
        let unknown = #expect(throws: ConfigurationError.self) {
            try SVRG(learningRate: 0.1, batch: RandomBatchSettings(size: 2, sizes: [SampleSet(name: "set7", count: 1)])).check(clouds)
        }
        #expect(unknown?.description.contains("batch.sizes.set7") == true)
    }

    @Test func theyAreChosenByName() throws {
        var registry = Registry()
        try registry.install(VarianceReductionPlugin.self)
        let setting = Setting.map([
            .init("name", .scalar("sarah")), .init("learningRate", .number(0.3)), .init("restartRatio", .number(0)),
            .init("batch", .map([.init("size", .integer(7)), .init("seed", .integer(3))])),
        ])
        let method = try #require(try registry.optimizer(setting) as? SARAH)
        #expect(method.learningRate == 0.3 && method.restartRatio == 0 && method.batch == RandomBatchSettings(size: 7, seed: 3))
        #expect(registry.optimizers.map(\.name) == ["svrg", "l-svrg", "sarah", "saga"])
        #expect(registry.optimizers.allSatisfy { $0.need == "DifferentiableProblem & SampledProblem" })
        #expect(try registry.optimizers(fitting: regression()).count == 4)
        #expect(registry.optimizers(fitting: ZooProblem.rosenbrock).isEmpty)
    }
}
