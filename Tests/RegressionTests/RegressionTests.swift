import Foundation
import LeastSquares
import LinearAlgebra
import NeuralModels
import OptimizationCore
import OptimizationTesting
import QuasiNewton
import Regression
import StochasticGradient
import Testing
import VarianceReduction

/// What `Tests/Reference/regression.py` has found.
private struct FitReference: Decodable {
    var loss: Double
    var gradient: [Double]
    var leastOverLastLayer: Double
    var lastLayer: [Double]

    static func read() throws -> FitReference {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Reference/regression.json")
        return try JSONDecoder().decode(FitReference.self, from: try Data(contentsOf: file))
    }
}

@Suite struct RegressionTests {
    /// Six units, eleven samples.
    private func small() throws -> NetworkRegression {
        var setup = MultiFrequencyRegression()
        (setup.fit.frequencies, setup.fit.amplitudes, setup.fit.samples) = ([1, 3], [1, 0.5], 11)
        setup.fit.network = PerceptronSettings(width: 6, depth: 1)
        return try setup.problem(seed: 0)
    }

    private let θ = Vector((0..<19).map { sin(0.7 * Double($0 + 1)) })

    // MARK: Contract and derivatives

    @Test func conforms() throws {
        try ProblemConformance.check(try small())
        var noisy = NoisyRegression()
        (noisy.fit.samples, noisy.fit.heldOut, noisy.fit.network) = (24, 9, PerceptronSettings(width: 5, depth: 2))
        let problem = try noisy.problem(seed: 2)
        try ProblemConformance.check(problem)
        #expect(
            offers(of: problem) == [
                "DifferentiableProblem", "GeneralizedGaussNewtonProblem", "LeastSquaresProblem", "LayeredCurvatureProblem",
                "PartiallyLinearProblem",
                "TwiceDifferentiableProblem", "SampledProblem",
            ])
    }

    /// With a robust loss it offers what it offered, but for linear parameters; monitor losses and errors stay.
    @Test func aRobustLossKeepsWhatTheFitOffers() throws {
        var noisy = NoisyRegression()
        (noisy.fit.samples, noisy.fit.heldOut, noisy.fit.network) = (24, 9, PerceptronSettings(width: 5, depth: 2))
        let problem = try noisy.problem(seed: 2)
        for loss in RobustLoss.allCases {
            let robust = RobustProblem(problem, loss: loss, scale: 0.3)
            try ProblemConformance.check(robust)
            #expect(
                offers(of: robust) == [
                    "DifferentiableProblem", "GeneralizedGaussNewtonProblem", "LeastSquaresProblem", "TwiceDifferentiableProblem",
                    "SampledProblem",
                ])
            let θ = Vector(robust.layout.blocks.flatMap { $0.range.map { sin(0.3 * Double($0)) } })
            #expect(try robust.monitorLoss(at: θ) == problem.monitorLoss(at: θ))
            #expect(try robust.referenceError(at: θ) == problem.referenceError(at: θ))
            #expect(try robust.loss(at: θ).total < problem.loss(at: θ).total)
        }
    }

    @Test func derivativesHaveTheirSlopes() throws {
        let check = try DerivativeCheck(of: try small(), at: θ)
        #expect(check.passed, "\(check)")
        #expect(check.rungs.count > 8)
    }

    // MARK: Values

    @Test func lossAndGradientAreNumPys() throws {
        let (reference, problem) = (try FitReference.read(), try small())
        let value = problem.lossAndGradient(at: θ)
        #expect(abs(value.loss.total - reference.loss) < 1e-14 * reference.loss)
        let expected = Vector(reference.gradient)
        #expect((value.gradient - expected).norm < 1e-13 * expected.norm)
    }

    /// The convex part: with the hidden layer held, the last layer's least loss is that of NumPy's least squares.
    @Test func theLeastLossOfTheLastLayerIsNumPys() throws {
        let (reference, problem) = (try FitReference.read(), try small())
        #expect(problem.linearParameters == Array(12..<19))
        var best = θ
        for (k, value) in reference.lastLayer.enumerated() { best[12 + k] = value }
        let value = problem.lossAndGradient(at: best)
        #expect(abs(value.loss.total - reference.leastOverLastLayer) < 1e-10 * reference.loss)
        let slopes = Vector(problem.linearParameters.map { value.gradient[$0] })
        // Coefficients of 1e5 leave residuals good to 1e-11.
        #expect(slopes.norm < 1e-9, "\(slopes.norm)")
    }

    @Test func theFunctionIsTheSum() throws {
        let f = SumOfSines(frequencies: [1, 2.5], amplitudes: [2, -0.5])
        for x in [0.0, 0.1, 0.77] { #expect(abs(f(x) - (2 * sin(2 * .pi * x) - 0.5 * sin(5 * .pi * x))) < 1e-14) }
        let problem = try small()
        #expect(problem.samples.points == (0..<11).map { (Double($0) + 0.5) / 11 })
        #expect(problem.samples.values == problem.samples.points.map { problem.target($0) })
        #expect(problem.noiseLoss == 0)
    }

    /// u = 0 is off by all of f.
    @Test func errorsAreAgainstTheFunction() throws {
        let problem = try small()
        #expect(problem.referenceError(at: .zeros(19)) == 1)
        let fresh = try #require(try problem.freshErrors(at: .zeros(19), grid: nil))
        #expect(fresh.relativeL2 == 1 && fresh.samples == "1502 points of x" && fresh.maximum > 1)
        let picture = try #require(problem.picture(at: θ))
        let fit = problem.fit(at: [0.25], parameters: θ)[0]
        #expect(
            picture.values[100, 0] == fit
                && problem.prediction(at: Matrix(rows: [[0.25]]), parameters: θ, including: []).values[0, 0] == fit)
    }

    // MARK: Data

    @Test func theNoiseIsWhatTheSettingsSay() throws {
        var setup = NoisyRegression()
        (setup.fit.samples, setup.fit.noise) = (20_000, 0.3)
        let problem = try setup.problem(seed: 5)
        // ½σ² in the mean, with relative deviation √(2/n).
        #expect(abs(problem.noiseLoss / 0.045 - 1) < 5 * (2.0 / 20_000).squareRoot())
        // Uniform on [0, 1]: the mean has the deviation 1/√12n.
        let mean = problem.samples.points.reduce(0, +) / 20_000
        #expect(abs(mean - 0.5) < 5 / (12 * 20_000.0).squareRoot())
        #expect(problem.samples.points.allSatisfy { (0..<1).contains($0) })
    }

    @Test func theSeedDecidesTheDataAndHeldOutSamplesLeaveThemAlone() throws {
        let setup = NoisyRegression()
        let (one, same, other) = (try setup.problem(seed: 1), try setup.problem(seed: 1), try setup.problem(seed: 2))
        #expect(one.samples == same.samples && one.samples != other.samples)
        #expect(one.heldOut?.points != one.samples.points)
        var without = setup
        without.fit.heldOut = 0
        #expect(try without.problem(seed: 1).samples == one.samples)
        #expect(try without.problem(seed: 1).monitorLoss(at: one.model.initialParameters(seed: 1)) == nil)
    }

    // MARK: Training

    /// Adam leaves the high frequencies; Levenberg–Marquardt takes them.
    @Test func severalFrequenciesNeedCurvature() throws {
        let problem = try MultiFrequencyRegression().problem(seed: 1)
        func error<O: Optimizer>(_ method: O, _ steps: Int) throws -> Double {
            let stage = Stage<NetworkRegression>(dynamic: "fit", method, until: .iterations(steps))
            let result = try Pipeline(minimizing: problem, stages: [stage]).start(seed: 1)
            return try #require(problem.referenceError(at: result.parameters.values))
        }
        let (adam, lm) = (try error(Adam(learningRate: 1e-3), 400), try error(LevenbergMarquardt(), 100))
        #expect(adam > 0.3, "Adam: \(adam)")
        #expect(lm < 1e-3, "Levenberg–Marquardt: \(lm)")
    }

    /// A fit that goes far below the noise is worse on held-out samples and against f than one that stops where those rise.
    @Test func aFitCanFollowTheNoise() throws {
        let problem = try NoisyRegression().problem(seed: 1)
        func fit(_ until: StoppingRule) throws -> RunResult {
            try Pipeline(minimizing: problem) { Stage("fit", LevenbergMarquardt(), until: until) }.start(seed: 1)
        }
        let long = try fit(.iterations(300))
        let end = long.parameters.values
        #expect(problem.loss(at: end).total < 0.7 * problem.noiseLoss)
        let best = try #require(try fit(.monitorRising(patience: 3, every: 1) || .iterations(300)).best).parameters.values
        let (endError, bestError) = (try #require(problem.referenceError(at: end)), try #require(problem.referenceError(at: best)))
        #expect(bestError < 0.7 * endError, "\(bestError), \(endError)")
        let (endLoss, bestLoss) = (try #require(problem.monitorLoss(at: end)), try #require(problem.monitorLoss(at: best)))
        #expect(bestLoss < endLoss)
    }

    // MARK: Gradients in factors

    /// The paper's SAGA with every sample's gradient kept whole, beside the table of factors: P numbers a sample beside Σ(in + out).
    @Test(arguments: [(1, 6, 6 + 7), (3, 6, 6 + 12 + 12 + 7)]) func sagasTableOfFactors(depth: Int, width: Int, factors: Int) throws {
        var setup = MultiFrequencyRegression()
        (setup.fit.frequencies, setup.fit.amplitudes, setup.fit.samples) = ([1, 3], [1, 0.5], 12)
        setup.fit.network = PerceptronSettings(width: width, depth: depth)
        let problem = try setup.problem(seed: 0)
        let (η, n, batch) = (0.05, 12, RandomBatchSettings(size: 3))
        let method = SAGA(learningRate: η, table: .factors, batch: batch)
        let start = problem.model.initialParameters(seed: 4)
        var draws = try RandomBatches(batch, of: problem.sampleSets)
        var state = try method.start(on: problem, from: Parameters(layout: problem.layout, values: start))
        #expect(state.memory.table.rows == factors && state.memory.table.columns == n)
        #expect(depth == 1 || factors < problem.layout.count / 2)
        func gradient(_ i: Int, _ θ: Vector) throws -> Vector { try problem.restricted(to: Batch([[i]])).lossAndGradient(at: θ).gradient }
        var table = try (0..<n).map { try gradient($0, start) }
        var (θ, v) = (start, problem.lossAndGradient(at: start).gradient)
        for _ in 0..<60 {
            θ = θ.adding(v, scaledBy: -η)
            let drawn = draws.draw().indices[0]
            v = table.reduce(.zeros(θ.count)) { $0.adding($1, scaledBy: 1 / Double(n)) }
            for i in drawn {
                let new = try gradient(i, θ)
                v.add(new - table[i], scaledBy: 1 / Double(drawn.count))
                table[i] = new
            }
            _ = try method.step(&state, on: problem)
            #expect((state.parameters.values - θ).norm < 1e-12)
        }
        #expect((θ - start).norm > 0.1)
    }

    /// Trained slopes belong to no affine map: their entries are kept, and the gradient is whole.
    @Test func factorsOfOtherLayers() throws {
        var setup = MultiFrequencyRegression()
        setup.fit.samples = 15
        setup.fit.network = PerceptronSettings(width: 5, depth: 2)
        setup.fit.network.trainsSlopes = true
        try ProblemConformance.check(try setup.problem(seed: 3))
    }

    // MARK: Refusals

    @Test func whatDoesNotFitIsRefused() throws {
        let model = try PerceptronSettings(width: 4, depth: 1).model(over: [0...1], outputs: 1)
        let f = SumOfSines(frequencies: [1], amplitudes: [1])
        func refusal(_ points: [Double], _ values: [Double]) -> String? {
            #expect(throws: RegressionError.self) {
                try NetworkRegression(
                    name: "fit", target: f, model: model, samples: NoisySamples(points: points, values: values), identity: .scalar("fit"))
            }?.description
        }
        #expect(refusal([], []) == "fit: there are no samples")
        #expect(refusal([0.1, 0.2], [1, .nan]) == "fit: sample 1, (0.2, nan), is not finite; remove it")
        let plane = try PerceptronSettings(width: 4, depth: 1).model(over: [0...1, 0...1], outputs: 1)
        #expect(throws: ModelError.self) {
            try NetworkRegression(
                name: "fit", target: f, model: plane, samples: NoisySamples(points: [0], values: [0]), identity: .scalar("fit"))
        }
        let problem = try small()
        for batch in [Batch([]), Batch([[]]), Batch([[11]]), Batch([[-1]]), Batch([[0], [1]])] {
            #expect(throws: RegressionError.self) { try problem.restricted(to: batch) }
        }
    }

    @Test func theyAreChosenByName() throws {
        var registry = Registry()
        try registry.install(RegressionPlugin.self)
        let setting = Setting.map([
            .init("name", .scalar("multi-frequency-regression")), .init("frequencies", .list([.number(2)])),
            .init("amplitudes", .list([.number(3)])), .init("samples", .integer(17)),
        ])
        let problem = try #require(try registry.problem(setting).makeProblem(seed: 1) as? NetworkRegression)
        #expect(problem.samples.count == 17 && problem.target == SumOfSines(frequencies: [2], amplitudes: [3]))
        let uneven = #expect(throws: ConfigurationError.self) { try registry.problem(setting.setting(["amplitudes"], to: .list([]))) }
        #expect(uneven?.description.contains("0 amplitudes for 1 frequencies") == true)
        let zero = #expect(throws: ConfigurationError.self) {
            try registry.problem(setting.setting(["amplitudes"], to: .list([.number(0)])))
        }
        #expect(zero?.description.contains("nothing to fit") == true)
        #expect(try registry.problem(.scalar("noisy-regression")).makeProblem(seed: 1) is NetworkRegression)
    }
}

extension NetworkModel {
    fileprivate func initialParameters(seed: UInt64) -> Vector {
        var random = RandomStream(seed: seed, name: "initialization")
        return initialParameters(from: &random).values
    }
}
