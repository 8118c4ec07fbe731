import Classification
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import QuasiNewton
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct LogisticRegressionTests {
    private static func problem(samples: Int = 400, heldOut: Int = 0) throws -> LogisticRegression {
        let classes = TwoGaussians(features: 8, conditionNumber: 1e3)
        return try SyntheticLogisticRegression(samples: samples, heldOut: heldOut, regularization: 1e-3, classes: classes).problem(seed: 3)
    }

    // MARK: Derivatives

    @Test func derivativesHaveTheirSlopes() throws {
        let problem = try Self.problem()
        let θ = Vector((0..<9).map { 0.3 * Double($0) - 1 })
        let check = try DerivativeCheck(of: problem, at: θ)
        #expect(check.passed, "\(check)")
        #expect(check.rungs.count > 5)
        let view = try DerivativeCheck(of: try problem.restricted(to: Batch([[5, 2, 399, 17]])), at: θ)
        #expect(view.passed, "\(view)")
    }

    // MARK: Values

    /// One sample at x with label y, no penalty, so that L = ln(1 + e^−t) with t = y(wx + b).
    private func single(_ x: Double, _ y: Double) throws -> LogisticRegression {
        try LogisticRegression(LabelledSamples(features: Matrix(rows: [[x]]), labels: [y]), regularization: 0)
    }

    @Test func theLogLossIsAccurateAtBothEnds() throws {
        let problem = try single(1, 1)
        for t in [1.0, 10, 40, 300] {
            // To leading order; the next term is e^−2t/2, below rounding from t = 40 on.
            let expected = t < 40 ? log1p(exp(-t)) : exp(-t)
            let value = problem.loss(at: [t, 0]).total
            #expect(abs(value - expected) <= 4 * expected.ulp)
        }
        #expect(problem.loss(at: [-1e300, 0]).total == 1e300)
        #expect(problem.lossAndGradient(at: [-1e300, 0]).gradient == [-1, -1])
        #expect(problem.loss(at: [1e300, 0]).total == 0)
        #expect(problem.loss(at: [0, 0]).total == log1p(1))
        #expect(try single(2, -1).lossAndGradient(at: [0, 0]).gradient == [1, 0.5])
    }

    @Test func anEpochOfEqualBatchesAveragesToTheWhole() throws {
        let problem = try Self.problem()
        let θ = Vector((0..<9).map { 0.2 * Double($0) - 0.7 })
        var schedule = try BatchSchedule(BatchSettings(size: 50), of: problem.sampleSets)
        var (loss, gradient) = (0.0, Vector.zeros(9))
        for _ in 0..<8 {
            let value = try problem.restricted(to: schedule.batch).lossAndGradient(at: θ)
            loss += value.loss.total / 8
            gradient.add(value.gradient, scaledBy: 1 / 8)
            schedule.advance()
        }
        let whole = problem.lossAndGradient(at: θ)
        // Sums of 400 terms of the size of the loss, added up in another order.
        #expect(abs(loss - whole.loss.total) <= 400 * .ulpOfOne * loss)
        #expect((gradient - whole.gradient).norm <= 400 * .ulpOfOne * (1 + whole.gradient.norm))
    }

    @Test func aSampleThatIsNotANumberIsNamed() throws {
        var x = Matrix.zeros(2, 3)
        x[1, 2] = .nan
        let problem = try LogisticRegression(LabelledSamples(features: x, labels: [1, -1, 1]), regularization: 0)
        #expect(problem.locateFault(at: [1, 1, 0]) == Fault(term: "log-loss", sample: "sample 2"))
        #expect(try Self.problem().locateFault(at: .zeros(9)) == nil)
    }

    // MARK: The minimum

    @Test func theMinimumIsTheOneOfAnIndependentNewtonIteration() throws {
        let problem = try Self.problem()
        let certified = newton(problem.samples, λ: problem.regularization)
        #expect(certified.gradientNorm < 1e-14)
        #expect(abs(problem.loss(at: certified.minimiser).total - certified.minimum) <= 400 * .ulpOfOne * certified.minimum)
        #expect(problem.lossAndGradient(at: certified.minimiser).gradient.norm < 1e-13)

        let result = try Pipeline(minimizing: problem) {
            Stage("descend", LBFGS(memory: 20), until: .gradientNorm(below: 1e-10) || .iterations(500))
        }.start()
        guard case .converged = result.outcome else {
            Issue.record("ended with \(result.outcome)")
            return
        }
        // L − L* ≤ ‖∇L‖²/(2μ) with μ the least curvature, no less than 1e-4 here: below rounding.
        #expect(abs(problem.loss(at: result.parameters.values).total - certified.minimum) < 1e-12)
    }

    // MARK: Data

    @Test func theClassesAreWhatTheSettingsSay() {
        let (d, κ, δ, n) = (6, 1e4, 3.0, 20_000)
        var random = RandomStream(seed: 1, name: "classes")
        let data = TwoGaussians(features: d, conditionNumber: κ, separation: δ, labelNoise: 0).samples(n, from: &random)
        let positive = (0..<n).filter { data.labels[$0] > 0 }
        // A binomial count, five deviations.
        #expect(abs(Double(positive.count) - 0.5 * Double(n)) < 5 * (0.25 * Double(n)).squareRoot())
        // The trace of the covariance within a class: Σ κ^(−j/(d−1)), a mean with relative deviation below √(2/n).
        var mean = Vector.zeros(d)
        for i in positive { mean.add(data.features.column(i), scaledBy: 1 / Double(positive.count)) }
        let trace = positive.reduce(0.0) { sum, i in
            let x = data.features.column(i) - mean
            return sum + x.dot(x) / Double(positive.count)
        }
        let expected = (0..<d).reduce(0.0) { $0 + pow(κ, -Double($1) / Double(d - 1)) }
        #expect(abs(trace / expected - 1) < 5 * (2 / Double(positive.count)).squareRoot())
    }

    @Test func labelsAreWrongAsOftenAsAsked() {
        let (n, p) = (20_000, 0.1)
        func labels(_ noise: Double) -> Vector {
            var random = RandomStream(seed: 1, name: "classes")
            return TwoGaussians(features: 3, labelNoise: noise).samples(n, from: &random).labels
        }
        let wrong = zip(labels(0), labels(p)).count { $0 != $1 }
        #expect(abs(Double(wrong) - p * Double(n)) < 5 * (p * (1 - p) * Double(n)).squareRoot())
    }

    @Test func theSeedDecidesTheDataAndTheIdentityTells() throws {
        let settings = SyntheticLogisticRegression(samples: 20)
        let (one, same, other) = (try settings.problem(seed: 1), try settings.problem(seed: 1), try settings.problem(seed: 2))
        #expect(one.samples == same.samples && one.identity == same.identity)
        #expect(one.samples != other.samples && one.identity != other.identity)
    }

    @Test func heldOutSamplesLeaveTheOthersAlone() throws {
        let (without, with) = (try Self.problem(), try Self.problem(heldOut: 100))
        #expect(without.samples == with.samples)
        #expect(without.monitorLoss(at: .zeros(9)) == nil)
        // A hundred equal terms: their sum and its division round.
        let monitor = try #require(with.monitorLoss(at: .zeros(9)))
        #expect(abs(monitor - log1p(1)) <= 100 * .ulpOfOne * log1p(1))
    }

    // MARK: Refusals

    @Test func batchesThatDoNotFitAreRefused() throws {
        let problem = try Self.problem()
        for batch in [Batch([]), Batch([[]]), Batch([[400]]), Batch([[-1]]), Batch([[0], [1]])] {
            #expect(throws: SampleError.self) { try problem.restricted(to: batch) }
        }
    }

    @Test func samplesThatDoNotFitAreRefused() throws {
        let (three, two) = (LabelledSamples(features: .zeros(3, 1), labels: [1]), LabelledSamples(features: .zeros(2, 1), labels: [1]))
        let none = LabelledSamples(features: .zeros(3, 0), labels: [])
        #expect(throws: SampleError.self) { try LogisticRegression(none, regularization: 1) }
        #expect(throws: SampleError.self) { try LogisticRegression(three, regularization: -1) }
        #expect(throws: SampleError.self) { try LogisticRegression(three, regularization: 1, heldOut: two) }
    }

    @Test func itIsChosenByName() throws {
        var registry = Registry()
        try registry.install(ClassificationPlugin.self)
        let setting = Setting.map([
            .init("name", .scalar("logistic-regression")), .init("samples", .integer(30)), .init("features", .integer(4)),
        ])
        let problem = try #require(try registry.problem(setting).makeProblem(seed: 1) as? LogisticRegression)
        #expect(problem.samples.count == 30 && problem.layout.count == 5)
        #expect(throws: ConfigurationError.self) { try registry.problem(setting.setting(["conditionNumber"], to: .number(0.5))) }
    }
}
