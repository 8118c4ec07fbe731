import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Softmax regression, the multinomial logistic regression of K classes, with an ℓ2 penalty: convex, sample-separable, no sum of squares.
///
///     L(W, b) = (1/n) Σᵢ (ln Σₖ exp zᵢₖ − zᵢ,ᵧᵢ) + ½λ‖W‖²_F,   zᵢ = Wxᵢ + b
///
/// θ = (W, b): block “weights”, W ∈ ℝᴷˣᵈ, and block “bias”, b ∈ ℝᴷ, which is not penalised. X ∈ ℝᵈˣⁿ, yᵢ ∈ 0..<K. A constant added to all
/// of b changes nothing: with λ > 0 and every class present the minimum and W are unique, b up to that constant, which gradients leave where it
/// starts. z is linear in θ, so that the Hessian is the generalised Gauss–Newton matrix, Σᵢ (x̃ᵢx̃ᵢᵀ) ⊗ (diag pᵢ − pᵢpᵢᵀ)/n + λ: positive
/// semidefinite everywhere. A batch averages over its own samples and keeps the penalty.
/// Cost: 2Kdn flops a loss, 4Kdn a gradient or a Hessian product, Kn exponentials a point; two matrices of K × n.
/// Variant: the mean, not the sum, of the log-losses and all K classes with weights of their own, as scikit-learn's LogisticRegression with
/// C = 1/(nλ).
public struct SoftmaxRegression: DifferentiableProblem {
    public let samples: ClassSamples
    /// λ ≥ 0.
    public let regularization: Double
    /// Samples that training does not see, where some were set aside.
    public let heldOut: ClassSamples?
    public let identity: Setting

    /// Throws where there are no samples, or held-out ones of other dimensions.
    public init(_ samples: ClassSamples, regularization: Double, heldOut: ClassSamples? = nil) throws {
        func error(_ reason: String) -> SampleError { SampleError(problem: "softmax-regression", reason: reason) }
        guard samples.count > 0, samples.classCount > 1 else { throw error("there must be samples to train on, of two classes at least") }
        let fits = heldOut.map {
            $0.features.rows == samples.features.rows && $0.classCount == samples.classCount && $0.count > 0
        }
        guard fits ?? true else {
            throw error(
                "held-out samples must be at least one, with the \(samples.features.rows) features and \(samples.classCount) classes of the others"
            )
        }
        guard regularization >= 0, regularization.isFinite else { throw error("the regularization is \(regularization); it must be ≥ 0") }
        (self.samples, self.regularization, self.heldOut) = (samples, regularization, heldOut)
        identity = .map([
            .init("name", .scalar("softmax-regression")), .init("samples", .integer(samples.count)),
            .init("features", .integer(samples.features.rows)), .init("classes", .integer(samples.classCount)),
            .init("regularization", .number(regularization)), .init("data", .scalar(String(samples.digest, radix: 16))),
            .init("heldOut", .scalar(heldOut.map { String($0.digest, radix: 16) } ?? "none")),
        ])
    }

    /// A view: the identity stays the whole problem's.
    private init(viewing samples: ClassSamples, of whole: SoftmaxRegression) {
        (self.samples, regularization, heldOut, identity) = (samples, whole.regularization, whole.heldOut, whole.identity)
    }

    public var name: String { "softmax-regression" }
    public var terms: [String] { ["log-loss", "penalty"] }
    public var layout: ParameterLayout { ParameterLayout([("weights", [classCount, dimension]), ("bias", [classCount])]) }

    /// d.
    private var dimension: Int { samples.features.rows }
    /// K.
    private var classCount: Int { samples.classCount }

    /// Zero: every class has probability 1/K.
    public func initialParameters(from random: inout RandomStream) -> Parameters {
        Parameters(layout: layout, values: .zeros(layout.count))
    }

    public func loss(at θ: Vector) -> LossValue {
        let w = Weights(θ, dimension, classCount)
        return value(logLoss: meanLogLoss(of: samples, w), w)
    }

    public func lossAndGradient(at θ: Vector) -> Evaluation {
        let evaluation = lossAndFactors(at: θ)
        return Evaluation(loss: evaluation.loss, gradient: gradient(ofFactors: evaluation.factors).adding(evaluation.remainder))
    }

    public func locateFault(at θ: Vector) -> Fault? {
        let scores = Weights(θ, dimension, classCount).scores(samples.features)
        return samples.labels.indices.first { !logLoss(scores, $0, samples.labels[$0]).isFinite }
            .map { Fault(term: "log-loss", sample: "sample \($0)") }
    }

    private func value(logLoss: Double, _ w: Weights) -> LossValue {
        // Without a penalty ‖W‖² may overflow.
        let penalty = regularization > 0 ? 0.5 * regularization * w.squaredNorm : 0
        return LossValue(total: logLoss + penalty, terms: [logLoss, penalty])
    }

    private func meanLogLoss(of samples: ClassSamples, _ w: Weights) -> Double {
        let scores = w.scores(samples.features)
        return samples.labels.indices.reduce(0) { $0 + logLoss(scores, $1, samples.labels[$1]) } / Double(samples.count)
    }

    /// The share of samples whose class is the likeliest, of those held out where there are some.
    public func accuracy(at θ: Vector) -> Double {
        let judged = heldOut ?? samples
        let scores = Weights(θ, dimension, classCount).scores(judged.features)
        let right = judged.labels.indices.count { i in likeliest(scores, i) == judged.labels[i] }
        return Double(right) / Double(judged.count)
    }
}

// MARK: Capabilities

extension SoftmaxRegression: FactoredGradientProblem {
    /// K: cᵢ = pᵢ − eᵧᵢ, Aᵢ = x̃ᵢᵀ ⊗ I.
    public var factorCount: Int { classCount }

    public func lossAndFactors(at θ: Vector) -> FactoredEvaluation {
        let w = Weights(θ, dimension, classCount)
        var (factors, sum) = (w.scores(samples.features), 0.0)
        for (i, y) in samples.labels.enumerated() {
            sum += logLoss(factors, i, y)
            replaceByProbabilities(&factors, i)
            // p − 1 without cancellation.
            var others = 0.0
            for k in 0..<classCount where k != y { others += factors.elements[i * classCount + k] }
            factors.elements[i * classCount + y] = -others
        }
        var remainder = Vector.zeros(θ.count)
        for k in 0..<(classCount * dimension) { remainder[k] = regularization * θ[k] }
        return FactoredEvaluation(loss: value(logLoss: sum / Double(samples.count), w), factors: factors, remainder: remainder)
    }

    public func gradient(ofFactors factors: Matrix, minus others: Matrix) -> Vector {
        var change = factors
        change.accumulate(others, keeping: 1, adding: -1)
        return gradient(ofFactors: change)
    }

    public func gradient(ofFactors factors: Matrix) -> Vector {
        precondition(
            factors.rows == classCount && factors.columns == samples.count,
            "factors of \(factors.rows) × \(factors.columns) for \(classCount) classes and \(samples.count) samples")
        return pullback(samples.features, factors)
    }
}

extension SoftmaxRegression: TwiceDifferentiableProblem {
    public func hessian(at θ: Vector) -> any HessianOperator {
        var p = Weights(θ, dimension, classCount).scores(samples.features)
        for i in samples.labels.indices { replaceByProbabilities(&p, i) }
        return SoftmaxHessian(features: samples.features, probabilities: p, regularization: regularization)
    }
}

/// H·(V, β) = (T·Xᵀ/n + λV, Σᵢtᵢ/n) with tᵢ = (diag pᵢ − pᵢpᵢᵀ)(Vxᵢ + β).
private struct SoftmaxHessian: HessianOperator {
    let features: Matrix
    /// P ∈ ℝᴷˣⁿ.
    let probabilities: Matrix
    let regularization: Double

    var parameterCount: Int { probabilities.rows * (features.rows + 1) }

    func product(_ direction: Vector) -> Vector {
        precondition(direction.count == parameterCount, "\(direction.count) entries for \(parameterCount) parameters")
        let (K, d) = (probabilities.rows, features.rows)
        var t = Weights(direction, d, K).scores(features)
        for i in 0..<features.columns {
            var mean = 0.0
            for k in (i * K)..<((i + 1) * K) { mean += probabilities.elements[k] * t.elements[k] }
            for k in (i * K)..<((i + 1) * K) { t.elements[k] = probabilities.elements[k] * (t.elements[k] - mean) }
        }
        var product = pullback(features, t)
        for k in 0..<(K * d) { product[k] += regularization * direction[k] }
        return product
    }
}

extension SoftmaxRegression: SampledProblem {
    public var sampleSets: [SampleSet] { [SampleSet(name: "samples", count: samples.count)] }

    public func restricted(to batch: Batch) throws -> SoftmaxRegression {
        guard batch.indices.count == 1, let indices = batch.indices.first, !indices.isEmpty else {
            throw SampleError(problem: name, reason: "a batch needs one list of at least one sample, for the set “samples”")
        }
        if let wrong = indices.first(where: { !samples.labels.indices.contains($0) }) {
            throw SampleError(problem: name, reason: "a batch asks for sample \(wrong) of \(samples.count)")
        }
        return SoftmaxRegression(viewing: samples.taking(indices), of: self)
    }
}

extension SoftmaxRegression: MonitoredProblem {
    /// The mean log-loss of the held-out samples, without the penalty.
    public func monitorLoss(at θ: Vector) -> Double? {
        heldOut.map { meanLogLoss(of: $0, Weights(θ, dimension, classCount)) }
    }
}

extension SoftmaxRegression: PredictingProblem {
    /// x1 … xd, scaled as the samples are.
    public var coordinateNames: [String] { (1...dimension).map { "x\($0)" } }

    /// The probability of each class.
    public func prediction(at points: Matrix, parameters θ: Vector, including extras: PredictionExtras) throws -> Prediction {
        precondition(points.columns == dimension, "points of \(points.columns) features, not \(dimension)")
        var p = Weights(θ, dimension, classCount).scores(points.transposed)
        for i in 0..<points.rows { replaceByProbabilities(&p, i) }
        return Prediction((0..<classCount).map { .init("p\($0)", meaning: "the probability of class \($0)") }, values: p.transposed)
    }
}

// MARK: Kernels

/// θ as Wᵀ ∈ ℝᵈˣᴷ, a class in each column, and b ∈ ℝᴷ.
private struct Weights {
    let w: Matrix
    let b: [Double]

    init(_ θ: Vector, _ d: Int, _ K: Int) {
        precondition(θ.count == K * (d + 1), "\(θ.count) parameters for \(K) classes of \(d) features and a bias")
        w = Matrix(rows: d, columns: K, elements: Array(θ.elements[..<(K * d)]))
        b = Array(θ.elements[(K * d)...])
    }

    var squaredNorm: Double { Vector(w.elements).dot(Vector(w.elements)) }

    /// Z = WX + b ∈ ℝᴷˣⁿ.
    func scores(_ x: Matrix) -> Matrix {
        var z = Matrix.product(w, x, transposingFirst: true)
        for i in 0..<z.columns {
            for k in b.indices { z.elements[i * b.count + k] += b[k] }
        }
        return z
    }
}

/// (C·Xᵀ, Σᵢcᵢ)/n, as θ lies.
private func pullback(_ x: Matrix, _ c: Matrix) -> Vector {
    let (K, scale) = (c.rows, 1 / Double(c.columns))
    var gradient = Matrix.product(x, c, transposingSecond: true).elements
    for k in gradient.indices { gradient[k] *= scale }
    var bias = Array(repeating: 0.0, count: K)
    for i in 0..<c.columns {
        for k in 0..<K { bias[k] += c.elements[i * K + k] }
    }
    return Vector(gradient + bias.map { scale * $0 })
}

/// The class of the largest score of sample i, the first of several.
private func likeliest(_ scores: Matrix, _ i: Int) -> Int {
    var best = 0
    for k in 1..<scores.rows where scores.elements[i * scores.rows + k] > scores.elements[i * scores.rows + best] { best = k }
    return best
}

/// ln Σₖ exp zᵢₖ − zᵢᵧ without overflow, and to full relative accuracy where class y is as good as certain.
private func logLoss(_ scores: Matrix, _ i: Int, _ y: Int) -> Double {
    let (K, top) = (scores.rows, likeliest(scores, i))
    let largest = scores.elements[i * K + top]
    var others = 0.0
    for k in 0..<K where k != top { others += exp(scores.elements[i * K + k] - largest) }
    return largest - scores.elements[i * K + y] + log1p(others)
}

/// zᵢ ← pᵢ.
private func replaceByProbabilities(_ scores: inout Matrix, _ i: Int) {
    let K = scores.rows
    let largest = scores.elements[i * K + likeliest(scores, i)]
    var sum = 0.0
    for k in (i * K)..<((i + 1) * K) {
        scores.elements[k] = exp(scores.elements[k] - largest)
        sum += scores.elements[k]
    }
    for k in (i * K)..<((i + 1) * K) { scores.elements[k] /= sum }
}
