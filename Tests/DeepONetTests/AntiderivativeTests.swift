import DeepONet
import Foundation
import LeastSquares
import OperatorLearning
import OperatorStorage
import OptimizationCore
import QuasiNewton
import StochasticGradient
import Testing

@Suite(.serialized) struct AntiderivativeTests {
    static var small: Antiderivative {
        var settings = Antiderivative()
        (settings.functions, settings.validationFunctions, settings.testFunctions) = (60, 20, 40)
        (settings.sensors, settings.points, settings.network.features) = (12, 10, 8)
        (settings.network.branchWidth, settings.network.branchDepth) = (10, 1)
        (settings.network.trunkWidth, settings.network.trunkDepth) = (10, 1)
        return settings
    }

    /// The same problem value under methods of four kinds, each for a fixed number of iterations. At the start the relative error
    /// is about 1; reached are 0.20 (Adam on batches), 0.06 (L-BFGS), 0.005 (Levenberg–Marquardt), 0.04 (Gauss–Newton).
    @Test func methodsOfEveryKindTrainItUnchanged() throws {
        let problem = try Self.small.makeOperatorProblem(seed: 1)
        let stages = [
            (Stage<DeepONetProblem>("adam", Batched(Adam(learningRate: 3e-3), size: 20), until: .iterations(600)), 0.4),
            (Stage("l-bfgs", LBFGS(memory: 20), until: .iterations(300)), 0.15),
            (Stage("levenberg-marquardt", LevenbergMarquardt(), until: .iterations(60)), 0.02),
            (Stage("gauss-newton", GaussNewton(relativeCutoff: 1e-3), until: .iterations(60)), 0.15),
        ]
        for (stage, bound) in stages {
            let result = try Pipeline(minimizing: problem, stages: [stage]).start(seed: 1)
            let error = try #require(try problem.referenceError(at: result.parameters.values))
            #expect(error < bound, "\(stage.name): \(error)")
        }
    }

    /// Five steps on batches of a third of the functions end elsewhere than five on all of them, for a third of the work.
    @Test func batchesActOnTheRun() throws {
        let problem = try Self.small.makeOperatorProblem(seed: 1)
        let full = try Pipeline(minimizing: problem) { Stage("full", Adam(learningRate: 3e-3), until: .iterations(5)) }.start(seed: 1)
        let batched = try Pipeline(minimizing: problem) {
            Stage("batched", Batched(Adam(learningRate: 3e-3), size: 20), until: .iterations(5))
        }.start(seed: 1)
        #expect(full.parameters != batched.parameters)
        // Adam evaluates once more at the start.
        #expect(abs(full.work.evaluations - 6) < 1e-12)
        #expect(abs(batched.work.evaluations - 2) < 1e-12)
    }

    @Test func theFileHoldsTheData() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("antiderivative-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let resident = try Self.small.makeOperatorProblem(seed: 1)
        var settings = Self.small
        settings.data = "\(folder)/data.h5"
        var random = RandomStream(seed: 1, name: "start")
        let θ = resident.initialParameters(from: &random).values
        for _ in ["written and streamed", "found and streamed"] {
            let streamed = try settings.makeOperatorProblem(seed: 1)
            #expect(streamed.training is OperatorSubset)
            #expect(streamed.identity.differences(from: resident.identity) == [])
            #expect(try streamed.lossAndGradient(at: θ) == resident.lossAndGradient(at: θ))
            #expect(try streamed.referenceError(at: θ) == resident.referenceError(at: θ))
            let batch = Batch([[3, 17, 40]])
            #expect(try streamed.restricted(to: batch).residual(at: θ) == resident.restricted(to: batch).residual(at: θ))
        }
        #expect(throws: ConfigurationError.self) { try settings.makeOperatorProblem(seed: 2) }
        settings.lengthScale = 0.3
        #expect(throws: ConfigurationError.self) { try settings.makeOperatorProblem(seed: 1) }
    }

    @Test func isChosenByName() throws {
        var registry = Registry()
        try registry.install(DeepONetPlugin.self)
        let setting = Setting.map([
            .init("name", .scalar("antiderivative")), .init("functions", .integer(7)), .init("branchDepth", .integer(0)),
        ])
        let problem = try #require(try registry.problem(setting).makeProblem(seed: 3) as? DeepONetProblem)
        #expect(problem.training.functionCount == 7)
        #expect(problem.model.branch.layers.count == 1)
        for (key, value) in [("functions", "0"), ("branchWidth", "-1"), ("lengthScale", "0.001"), ("activation", "relu"), ("sensor", "3")] {
            let wrong = Setting.map([.init("name", .scalar("antiderivative")), .init(key, .scalar(value))])
            #expect(throws: ConfigurationError.self, "\(key)") { try registry.problem(wrong) }
        }
    }
}
