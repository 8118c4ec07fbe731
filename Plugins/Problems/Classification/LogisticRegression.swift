import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Binary logistic regression with an ℓ2 penalty: convex and sample-separable, and no sum of squares.
///
///     L(w, b) = (1/n) Σᵢ ln(1 + exp(−yᵢ(wᵀxᵢ + b))) + ½λ‖w‖²
///
/// θ = (w, b): block “weights”, w ∈ ℝᵈ, and block “bias”, b ∈ ℝ, which is not penalised. X ∈ ℝᵈˣⁿ, yᵢ ∈ {−1, 1}. With λ > 0 and both
/// classes present there is one minimiser. A batch averages over its own samples and keeps the penalty, so that over an epoch of
/// equal batches the mean of the batches' losses is L.
/// Cost: 2dn flops a loss, 4dn a gradient or a Hessian product, n exponentials a point; two vectors of n.
/// Variant: the mean, not the sum, of the log-losses (LIBLINEAR and scikit-learn penalise by 1/C against the sum: λ = 1/(nC)).
public struct LogisticRegression: DifferentiableProblem {
    public let samples: LabelledSamples
    /// λ ≥ 0.
    public let regularization: Double
    /// Samples that training does not see, where some were set aside.
    public let heldOut: LabelledSamples?
    public let identity: Setting

    /// Throws where there are no samples, or held-out ones of another dimension.
    public init(_ samples: LabelledSamples, regularization: Double, heldOut: LabelledSamples? = nil) throws {
        guard samples.count > 0 else { throw SampleError(reason: "there are no samples to train on") }
        guard heldOut.map({ $0.features.rows == samples.features.rows && $0.count > 0 }) ?? true else {
            throw SampleError(reason: "held-out samples must be at least one, with the \(samples.features.rows) features of the others")
        }
        guard regularization >= 0, regularization.isFinite else {
            throw SampleError(reason: "the regularization is \(regularization); it must be ≥ 0")
        }
        (self.samples, self.regularization, self.heldOut) = (samples, regularization, heldOut)
        identity = .map([
            .init("name", .scalar("logistic-regression")), .init("samples", .integer(samples.count)),
            .init("features", .integer(samples.features.rows)), .init("regularization", .number(regularization)),
            .init("data", .scalar(String(samples.digest, radix: 16))),
            .init("heldOut", .scalar(heldOut.map { String($0.digest, radix: 16) } ?? "none")),
        ])
    }

    /// A view: the identity stays the whole problem's.
    private init(viewing samples: LabelledSamples, of whole: LogisticRegression) {
        (self.samples, regularization, heldOut, identity) = (samples, whole.regularization, whole.heldOut, whole.identity)
    }

    public var name: String { "logistic-regression" }
    public var terms: [String] { ["log-loss", "penalty"] }
    public var layout: ParameterLayout { ParameterLayout([("weights", [dimension]), ("bias", [1])]) }

    /// d.
    private var dimension: Int { samples.features.rows }

    /// Zero: every sample has probability ½.
    public func initialParameters(from random: inout RandomStream) -> Parameters {
        Parameters(layout: layout, values: .zeros(dimension + 1))
    }

    public func loss(at θ: Vector) -> LossValue {
        let w = weights(of: θ)
        return value(logLoss: meanLogLoss(of: samples, w, θ[dimension]), w)
    }

    public func lossAndGradient(at θ: Vector) -> Evaluation {
        let (w, n) = (weights(of: θ), Double(samples.count))
        var (c, sum) = (margins(of: samples, w, θ[dimension]), 0.0)
        // With tᵢ = yᵢ(wᵀxᵢ + b): ∂/∂tᵢ ln(1 + e^−t) = −σ(−t), so cᵢ = −yᵢσ(−tᵢ)/n.
        for i in c.indices {
            let (y, t) = (samples.labels[i], c[i])
            sum += logLoss(t)
            c[i] = -y * sigmoid(-t) / n
        }
        var gradient = samples.features.times(c)
        gradient.add(w, scaledBy: regularization)
        return Evaluation(loss: value(logLoss: sum / n, w), gradient: Vector(gradient.elements + [c.reduce(0, +)]))
    }

    public func locateFault(at θ: Vector) -> Fault? {
        let t = margins(of: samples, weights(of: θ), θ[dimension])
        return t.firstIndex { !logLoss($0).isFinite }.map { Fault(term: "log-loss", sample: "sample \($0)") }
    }

    private func value(logLoss: Double, _ w: Vector) -> LossValue {
        // Without a penalty ‖w‖² may overflow.
        let penalty = regularization > 0 ? 0.5 * regularization * w.dot(w) : 0
        return LossValue(total: logLoss + penalty, terms: [logLoss, penalty])
    }

    private func weights(of θ: Vector) -> Vector {
        precondition(θ.count == dimension + 1, "\(θ.count) parameters for \(dimension) features and a bias")
        return Vector(θ.elements[..<dimension])
    }

    private func meanLogLoss(of samples: LabelledSamples, _ w: Vector, _ b: Double) -> Double {
        margins(of: samples, w, b).reduce(0) { $0 + logLoss($1) } / Double(samples.count)
    }

    /// tᵢ = yᵢ(wᵀxᵢ + b).
    private func margins(of samples: LabelledSamples, _ w: Vector, _ b: Double) -> Vector {
        var t = samples.features.transposedTimes(w)
        for i in t.indices { t[i] = samples.labels[i] * (t[i] + b) }
        return t
    }
}

// MARK: Capabilities

extension LogisticRegression: TwiceDifferentiableProblem {
    public func hessian(at θ: Vector) -> any HessianOperator {
        let t = margins(of: samples, weights(of: θ), θ[dimension])
        return LogisticHessian(
            features: samples.features, curvatures: Vector(t.map { sigmoid($0) * sigmoid(-$0) / Double(samples.count) }),
            regularization: regularization)
    }
}

/// H·(v, β) = (X·c + λv, Σcᵢ) with cᵢ = σ(tᵢ)σ(−tᵢ)/n · (vᵀxᵢ + β).
private struct LogisticHessian: HessianOperator {
    let features: Matrix
    /// σ(tᵢ)σ(−tᵢ)/n.
    let curvatures: Vector
    let regularization: Double

    var parameterCount: Int { features.rows + 1 }

    func product(_ direction: Vector) -> Vector {
        precondition(direction.count == parameterCount, "\(direction.count) entries for \(parameterCount) parameters")
        let (v, β) = (Vector(direction.elements[..<features.rows]), direction[features.rows])
        var c = features.transposedTimes(v)
        for i in c.indices { c[i] = curvatures[i] * (c[i] + β) }
        var product = features.times(c)
        product.add(v, scaledBy: regularization)
        return Vector(product.elements + [c.reduce(0, +)])
    }
}

extension LogisticRegression: SampledProblem {
    public var sampleSets: [SampleSet] { [SampleSet(name: "samples", count: samples.count)] }

    public func restricted(to batch: Batch) throws -> LogisticRegression {
        guard batch.indices.count == 1, let indices = batch.indices.first, !indices.isEmpty else {
            throw SampleError(reason: "a batch needs one list of at least one sample, for the set “samples”")
        }
        if let wrong = indices.first(where: { !samples.labels.indices.contains($0) }) {
            throw SampleError(reason: "a batch asks for sample \(wrong) of \(samples.count)")
        }
        return LogisticRegression(viewing: samples.taking(indices), of: self)
    }
}

extension LogisticRegression: FactoredGradientProblem {
    /// One: cᵢ = −yᵢσ(−tᵢ), Aᵢ = (xᵢ, 1)ᵀ.
    public var factorCount: Int { 1 }

    public func lossAndFactors(at θ: Vector) -> FactoredEvaluation {
        let w = weights(of: θ)
        var (c, sum) = (margins(of: samples, w, θ[dimension]), 0.0)
        for i in c.indices {
            let t = c[i]
            sum += logLoss(t)
            c[i] = -samples.labels[i] * sigmoid(-t)
        }
        var remainder = Vector.zeros(dimension + 1)
        for k in w.indices { remainder[k] = regularization * w[k] }
        return FactoredEvaluation(
            loss: value(logLoss: sum / Double(samples.count), w), factors: Matrix(rows: 1, columns: c.count, elements: c.elements),
            remainder: remainder)
    }

    public func gradient(ofFactors factors: Matrix, minus others: Matrix) -> Vector {
        var change = factors
        change.accumulate(others, keeping: 1, adding: -1)
        return gradient(ofFactors: change)
    }

    public func gradient(ofFactors factors: Matrix) -> Vector {
        precondition(factors.rows == 1 && factors.columns == samples.count, "\(factors.columns) factors for \(samples.count) samples")
        let c = Vector(factors.elements.map { $0 / Double(samples.count) })
        return Vector(samples.features.times(c).elements + [c.reduce(0, +)])
    }
}

extension LogisticRegression: MonitoredProblem {
    /// The mean log-loss of the held-out samples, without the penalty.
    public func monitorLoss(at θ: Vector) -> Double? {
        heldOut.map { meanLogLoss(of: $0, weights(of: θ), θ[dimension]) }
    }
}

extension LogisticRegression: PredictingProblem {
    /// x1 … xd.
    public var coordinateNames: [String] { (1...dimension).map { "x\($0)" } }

    /// The probability σ(wᵀx + b) that a sample is of the class y = 1.
    public func prediction(at points: Matrix, parameters θ: Vector, including extras: PredictionExtras) -> Prediction {
        precondition(points.columns == dimension, "points of \(points.columns) features, not \(dimension)")
        let (w, b) = (weights(of: θ), θ[dimension])
        return Prediction(
            [.init("probability", meaning: "the probability of y = 1")],
            values: Matrix(rows: points.rows, columns: 1, elements: points.times(w).map { sigmoid($0 + b) }))
    }
}

/// Samples do not fit what they are to be used for.
public struct SampleError: Error, CustomStringConvertible, Equatable {
    public var problem = "logistic-regression"
    public var reason: String
    public var description: String { "\(problem): \(reason)" }
}

// MARK: Kernels

/// ln(1 + e^−t), without overflow and to full relative accuracy at both ends.
private func logLoss(_ t: Double) -> Double { t >= 0 ? log1p(exp(-t)) : log1p(exp(t)) - t }

/// σ(t) = 1/(1 + e^−t), without overflow.
private func sigmoid(_ t: Double) -> Double {
    if t >= 0 { return 1 / (1 + exp(-t)) }
    let e = exp(t)
    return e / (1 + e)
}

/// xᵃ.
func power(_ x: Double, _ a: Double) -> Double { pow(x, a) }
