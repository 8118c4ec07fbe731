import Classification
import Foundation
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import QuasiNewton
import RunStorage
import Testing

/// What `Tests/Reference/digits.py` has found: minima on the digits by scikit-learn and by a Newton iteration of its own.
private struct DigitsReference: Decodable {
    struct Minimum: Decodable {
        var scaling: String
        var regularization: Double
        var minimum: Double
        var scikitLearn: Double
        var correct: Int
        var squaredNorm: Double
    }
    struct Place: Decodable {
        var loss: Double
        var gradient: [Double]
    }
    var samples: Int
    var features: Int
    var minima: [Minimum]
    var elsewhere: Place

    static func read() throws -> DigitsReference {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Reference/digits.json")
        return try JSONDecoder().decode(DigitsReference.self, from: try Data(contentsOf: file))
    }
}

private let digitsFile = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Examples/data/digits.h5").standardizedFileURL.path

@Suite struct SoftmaxRegressionTests {
    private static func problem(samples: Int = 60, classes: Int = 4, heldOut: Int = 0) throws -> SoftmaxRegression {
        var setup = SoftmaxRegressionSetup()
        (setup.drawn, setup.heldOut) = (GaussianClasses(samples: samples, classes: classes, features: 3), heldOut)
        return try setup.problem(seed: 3)
    }

    private static func place(_ count: Int) -> Vector { Vector((0..<count).map { 0.6 * Double(($0 * 7) % 11) / 11 - 0.3 }) }

    // MARK: Derivatives and contract

    @Test func conforms() throws {
        let problem = try Self.problem(heldOut: 20)
        try ProblemConformance.check(problem, at: Self.place(16))
        let logistic = try SyntheticLogisticRegression(samples: 30, classes: TwoGaussians(features: 4)).problem(seed: 2)
        try ProblemConformance.check(logistic, at: Self.place(5))
        #expect(
            offers(of: problem) == ["DifferentiableProblem", "TwiceDifferentiableProblem", "SampledProblem"])
    }

    @Test func derivativesHaveTheirSlopes() throws {
        let problem = try Self.problem()
        let check = try DerivativeCheck(of: problem, at: Self.place(16))
        #expect(check.passed, "\(check)")
        #expect(check.rungs.count > 5)
        let view = try DerivativeCheck(of: try problem.restricted(to: Batch([[5, 2, 59, 17]])), at: Self.place(16))
        #expect(view.passed, "\(view)")
    }

    /// Σᵢ (x̃ᵢx̃ᵢᵀ) ⊗ (diag pᵢ − pᵢpᵢᵀ)/n + λ, written out.
    @Test func theHessianIsTheGaussNewtonMatrix() throws {
        let problem = try Self.problem(samples: 9)
        let (θ, K, d) = (Self.place(16), 4, 3)
        let hessian = problem.hessian(at: θ)
        var expected = Matrix.zeros(16, 16)
        func index(_ k: Int, _ j: Int) -> Int { j < d ? k * d + j : K * d + k }
        for i in 0..<9 {
            let x = (0..<d).map { problem.samples.features[$0, i] } + [1]
            let z = (0..<K).map { k in (0...d).reduce(0) { $0 + θ[index(k, $1)] * x[$1] } }
            let p = z.map { exp($0) / z.reduce(0) { $0 + exp($1) } }
            for a in 0..<K {
                for b in 0..<K {
                    let w = (p[a] * (a == b ? 1 : 0) - p[a] * p[b]) / 9
                    for j in 0...d { for l in 0...d { expected[index(a, j), index(b, l)] += w * x[j] * x[l] } }
                }
            }
        }
        for k in 0..<(K * d) { expected[k, k] += problem.regularization }
        for j in 0..<16 {
            var unit = Vector.zeros(16)
            unit[j] = 1
            #expect((hessian.product(unit) - expected.column(j)).norm < 1e-14)
        }
    }

    // MARK: Values

    /// Of two classes it is the logistic regression of w₁ − w₀.
    @Test func ofTwoClassesItIsLogisticRegression() throws {
        let problem = try Self.problem(samples: 30, classes: 2)
        let labels = Vector(problem.samples.labels.map { $0 == 1 ? 1 : -1 })
        let logistic = try LogisticRegression(
            LabelledSamples(features: problem.samples.features, labels: labels), regularization: 0)
        let θ = Self.place(8)
        let difference = Vector((0..<3).map { θ[3 + $0] - θ[$0] } + [θ[7] - θ[6]])
        #expect(abs(problem.loss(at: θ).terms[0] - logistic.loss(at: difference).total) < 1e-15)
    }

    @Test func theLogLossIsAccurateAtBothEnds() throws {
        let samples = ClassSamples(features: Matrix(rows: [[1]]), labels: [1], classCount: 3)
        let problem = try SoftmaxRegression(samples, regularization: 0)
        for t in [1.0, 10, 40, 300] {
            // Scores −t/2, t/2 and −t/2: ln(1 + 2e^−t), to leading order 2e^−t where the next term is below rounding.
            let expected = t < 40 ? log1p(2 * exp(-t)) : 2 * exp(-t)
            let θ: Vector = [-t / 2, t / 2, -t / 2, 0, 0, 0]
            #expect(abs(problem.loss(at: θ).total - expected) <= 8 * expected.ulp)
            let p = exp(-t) / (1 + 2 * exp(-t))
            let gradient = problem.lossAndGradient(at: θ).gradient
            for (k, g) in [p, -2 * p, p].enumerated() { #expect(abs(gradient[k] - g) <= 8 * abs(g).ulp) }
        }
        #expect(problem.loss(at: [1e300, 0, 0, 0, 0, 0]).total == 1e300)
        #expect(problem.loss(at: .zeros(6)).total == log1p(2))
        #expect(problem.locateFault(at: [.nan, 0, 0, 0, 0, 0]) == Fault(term: "log-loss", sample: "sample 0"))
    }

    @Test func scalingIsByTheTrainingSamples() throws {
        let training = ClassSamples(features: Matrix(rows: [[1, 3, -4], [5, 5, 5]]), labels: [0, 1, 0], classCount: 2)
        let other = ClassSamples(features: Matrix(rows: [[8], [6]]), labels: [1], classCount: 2)
        func scaled(_ scaling: FeatureScaling) throws -> (ClassSamples, ClassSamples) {
            let (a, b) = scaling.applied(to: training, other)
            return (a, try #require(b))
        }
        let largest = try scaled(.largest)
        #expect(largest.0.features == Matrix(rows: [[0.2, 0.6000000000000001, -0.8], [1, 1, 1]]))
        #expect(largest.1.features == Matrix(rows: [[1.6], [1.2000000000000002]]))
        let standard = try scaled(.standard)
        let row = (0..<3).map { standard.0.features[0, $0] }
        #expect(abs(row.reduce(0, +)) < 1e-15 && abs(row.reduce(0) { $0 + $1 * $1 } - 3) < 1e-14)
        // A feature that is the same in all training samples says nothing.
        #expect((0..<3).allSatisfy { standard.0.features[1, $0] == 0 } && standard.1.features[1, 0] == 0)
        #expect(try scaled(.none).0 == training)
    }

    // MARK: The digits

    @Test func theDigitsAreRead() throws {
        let reference = try DigitsReference.read()
        let samples = try ClassDataFile.read(digitsFile)
        #expect(samples.count == reference.samples && samples.features.rows == reference.features && samples.classCount == 10)
        #expect(samples.features.elements.allSatisfy { (0...16).contains($0) && $0 == $0.rounded() })
        // The first picture is a zero whose third pixel is 5, as scikit-learn's page shows it.
        #expect(samples.labels.prefix(10) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
        #expect((0..<8).map { samples.features[$0, 0] } == [0, 0, 5, 13, 9, 1, 0, 0])
    }

    /// Value and gradient at a place that is no minimum, by NumPy.
    @Test func valueAndGradientAreNumPys() throws {
        let reference = try DigitsReference.read().elsewhere
        let problem = try SoftmaxRegressionSetup(data: digitsFile, regularization: 1e-2).problem(seed: 0)
        let value = problem.lossAndGradient(at: Vector((0..<650).map { sin(0.7 * Double($0 + 1)) }))
        #expect(abs(value.loss.total - reference.loss) < 1e-13 * reference.loss)
        let expected = Vector(reference.gradient)
        #expect((value.gradient - expected).norm < 1e-13 * expected.norm)
    }

    /// L-BFGS ends at scikit-learn's minimum.
    @Test(arguments: [0, 1, 2]) func theMinimumIsScikitLearns(index: Int) throws {
        let reference = try DigitsReference.read().minima[index]
        let scaling = try #require(FeatureScaling(rawValue: reference.scaling))
        #expect(abs(reference.minimum - reference.scikitLearn) < 1e-11)
        let problem = try SoftmaxRegressionSetup(data: digitsFile, regularization: reference.regularization, scaling: scaling)
            .problem(seed: 0)
        let result = try Pipeline(minimizing: problem) {
            Stage("descend", LBFGS(memory: 30), until: .gradientNorm(below: 1e-9) || .iterations(2_000))
        }.start()
        guard case .converged = result.outcome else {
            Issue.record("ended with \(result.outcome)")
            return
        }
        let θ = result.parameters.values
        // L − L* ≤ ‖∇L‖²/(2λ) in the weights: below rounding.
        #expect(abs(problem.loss(at: θ).total - reference.minimum) < 1e-12)
        let weights = Vector(θ.elements.prefix(640))
        #expect(abs(weights.dot(weights) - reference.squaredNorm) < 1e-6 * reference.squaredNorm)
        #expect(abs(problem.accuracy(at: θ) * 1797 - Double(reference.correct)) < 0.5)
    }

    @Test func heldOutSamplesAreDrawnApart() throws {
        let problem = try SoftmaxRegressionSetup(data: digitsFile, heldOut: 360).problem(seed: 1)
        #expect(problem.samples.count == 1437 && problem.heldOut?.count == 360)
        #expect(try SoftmaxRegressionSetup(data: digitsFile, heldOut: 360).problem(seed: 2).identity != problem.identity)
        let monitor = try #require(problem.monitorLoss(at: .zeros(650)))
        #expect(abs(monitor - log(10)) < 1e-13)
        // Drawn training samples stay where held-out ones are added.
        #expect(try Self.problem(heldOut: 7).samples == Self.problem().samples)
    }

    // MARK: Refusals

    @Test func samplesThatDoNotFitAreRefused() throws {
        let three = ClassSamples(features: .zeros(3, 2), labels: [0, 1], classCount: 2)
        let two = ClassSamples(features: .zeros(2, 2), labels: [0, 1], classCount: 2)
        let more = ClassSamples(features: .zeros(3, 3), labels: [0, 1, 2], classCount: 3)
        let none = ClassSamples(features: .zeros(3, 0), labels: [], classCount: 2)
        #expect(throws: SampleError.self) { try SoftmaxRegression(none, regularization: 1) }
        #expect(throws: SampleError.self) { try SoftmaxRegression(three, regularization: -1) }
        let error = #expect(throws: SampleError.self) { try SoftmaxRegression(three, regularization: 1, heldOut: two) }
        #expect(error?.description.hasPrefix("softmax-regression: held-out samples") == true)
        #expect(throws: SampleError.self) { try SoftmaxRegression(three, regularization: 1, heldOut: more) }
        let problem = try Self.problem()
        for batch in [Batch([]), Batch([[]]), Batch([[60]]), Batch([[-1]]), Batch([[0], [1]])] {
            #expect(throws: SampleError.self) { try problem.restricted(to: batch) }
        }
        var setup = SoftmaxRegressionSetup(data: digitsFile, heldOut: 1797)
        let all = #expect(throws: ConfigurationError.self) { try setup.problem(seed: 0) }
        #expect(all?.description.contains("leave some to train on") == true)
        (setup.heldOut, setup.drawn.samples) = (0, 5)
        #expect(throws: ConfigurationError.self) { try setup.problem(seed: 0) }
    }

    /// Files that are missing, of another kind, or inconsistent, each refused with its own words.
    @Test func badFilesAreRefused() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("curvature-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func write(
            _ name: String, _ features: [Double] = [1, 2, 3, 4, 5, 6], _ shape: [Int] = [3, 2], _ labels: [Int64] = [0, 1, 0],
            format: String = ClassDataFile.format, version: Int = 1
        ) throws -> String {
            let path = "\(folder)/\(name).h5"
            let file = try HDF5File.create(path)
            try file.setAttribute("format", format, at: "/")
            try file.setAttribute("formatVersion", version, at: "/")
            try file.write(features, shape: shape, at: "/features")
            try file.write(labels, shape: [labels.count], at: "/labels")
            try file.close()
            return path
        }
        func refusal(_ path: String) -> String {
            do { _ = try ClassDataFile.read(path) } catch let error as StorageError { return error.description } catch { return "\(error)" }
            return "read"
        }
        #expect(try ClassDataFile.read(try write("good")).features == Matrix(rows: [[1, 3, 5], [2, 4, 6]]))
        #expect(refusal("\(folder)/none.h5").contains("none.h5"))
        #expect(refusal(try write("format", format: "operator-data")).contains("not labelled samples"))
        #expect(refusal(try write("version", version: 2)).contains("format version 2; this program reads 1"))
        #expect(refusal(try write("shape", [1, 2, 3], [3])).contains("a table of samples × features, not of shape [3]"))
        #expect(refusal(try write("labels", [1, 2, 3, 4], [2, 2])).contains("there are 2 samples and labels of shape [3]"))
        #expect(refusal(try write("nan", [1, 2, 3, .nan, 5, 6])).contains("feature 1 of sample 1 is not finite, nan"))
        #expect(refusal(try write("negative", [1, 2, 3, 4, 5, 6], [3, 2], [0, -1, 0])).contains("the label of sample 1 is -1"))
        #expect(refusal(try write("gap", [1, 2, 3, 4, 5, 6], [3, 2], [0, 2, 0])).contains("no sample is of class 1"))
        #expect(refusal(try write("one", [1, 2, 3, 4, 5, 6], [3, 2], [0, 0, 0])).contains("all samples are of one class"))
        try Data("no HDF5".utf8).write(to: URL(fileURLWithPath: "\(folder)/text.h5"))
        #expect(refusal("\(folder)/text.h5").contains("text.h5"))
    }

    @Test func itIsChosenByName() throws {
        var registry = Registry()
        try registry.install(ClassificationPlugin.self)
        let setting = Setting.map([
            .init("name", .scalar("softmax-regression")), .init("data", .scalar(digitsFile)), .init("scaling", .scalar("largest")),
            .init("regularization", .number(0.01)),
        ])
        let problem = try #require(try registry.problem(setting).makeProblem(seed: 1) as? SoftmaxRegression)
        #expect(problem.samples.count == 1797 && problem.layout.count == 650 && problem.regularization == 0.01)
        #expect(problem.samples.features.elements.max() == 1)
        let drawn = setting.setting(["drawn", "classes"], to: .integer(4))
        let error = #expect(throws: ConfigurationError.self) { try registry.problem(drawn) }
        #expect(error?.description.contains("not both") == true)
    }
}
