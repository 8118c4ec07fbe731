import Globalization
import LinearAlgebra
import OptimizationCore

/// Where a method on samples stands: θ, the sample in use, and loss and gradient there on that sample.
public struct SampledPoint: Checkpointable, Equatable {
    public internal(set) var standpoint: Standpoint
    public internal(set) var sample: SampleDraw
    /// V, an estimate of E‖g − ∇L‖² for the sample's gradient g: of its first evaluation, and zero where none was made.
    public internal(set) var variance = 0.0

    public var parameters: Parameters { standpoint.parameters }

    init(standpoint: Standpoint, sample: SampleDraw, variance: Double) {
        (self.standpoint, self.sample, self.variance) = (standpoint, sample, variance)
    }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("sample", sample)
        archive.set("variance", variance)
    }

    public init(from archive: Archive) throws {
        self.init(
            standpoint: try archive.value("standpoint"), sample: try archive.value("sample"), variance: try archive.double("variance"))
    }
}

/// How a method takes the samples that its gradients are of.
package struct Sampling {
    let settings: BatchSettings
    let rule: any SampleSizeRule
    let stream: String

    package init(_ settings: BatchSettings, _ rule: any SampleSizeRule = FixedSampleSize(), stream: String) {
        (self.settings, self.rule, self.stream) = (settings, rule, stream)
    }

    /// The first sample, evaluated at the parameters.
    package func start(on problem: any SampledObjective, from parameters: Parameters) throws -> SampledPoint {
        let sample = try SampleDraw(settings, of: problem.sampleSets, stream: stream, path: BatchSettings.identifier, groups: rule.groups)
        return try evaluated(sample, at: parameters, on: problem)
    }

    /// The point after a step to `parameters`, on the next sample where this one has been held long enough, or where `leaving` it. What is
    /// `known` there of the present sample is not evaluated again.
    func next(
        after point: SampledPoint, at parameters: Parameters, known: Standpoint? = nil, leaving: Bool = false,
        on problem: any SampledObjective, transform: ((Vector) -> Vector)? = nil
    ) throws -> SampledPoint {
        var sample = point.sample
        if sample.step(holding: leaving && !sample.isWhole ? 1 : settings.holding) {
            return try evaluated(sample, at: parameters, on: problem, transform: transform)
        }
        let there = try known ?? Standpoint(at: parameters, try sample.view(of: problem).lossAndGradient(at: parameters.values))
        return SampledPoint(standpoint: there, sample: sample, variance: point.variance)
    }

    /// The point on a revised problem.
    func adapted(_ point: SampledPoint, to problem: any SampledObjective) throws -> SampledPoint {
        let sample = try point.sample.revised(settings, of: problem.sampleSets, path: BatchSettings.identifier, groups: rule.groups)
        return try evaluated(sample, at: point.parameters, on: problem)
    }

    /// A new sample at θ, in groups where its size is to be judged: by their gradients, or by what `transform` makes of them.
    private func evaluated(
        _ sample: SampleDraw, at parameters: Parameters, on problem: any SampledObjective, transform: ((Vector) -> Vector)? = nil
    ) throws -> SampledPoint {
        let θ = parameters.values
        guard rule.groups > 1, !sample.isWhole else {
            let value = try sample.view(of: problem).lossAndGradient(at: θ)
            return SampledPoint(standpoint: Standpoint(at: parameters, value), sample: sample, variance: 0)
        }
        let values = try sample.parts(Array(repeating: 1, count: rule.groups)).map {
            try problem.restricted(to: $0).lossAndGradient(at: θ)
        }
        let mean = Evaluation.mean(of: values, weights: values.map { _ in 1 / Double(values.count) })
        var (sized, variance) = (sample, 0.0)
        if mean.isFinite {
            let (gradients, f) = (values.map(\.gradient), sample.openFraction)
            variance = (1 - f) * scatter(gradients, about: mean.gradient)
            let judged = transform.map { (gradients.map($0), $0(mean.gradient)) } ?? (gradients, mean.gradient)
            sized.grow(by: rule.growth(gradients: judged.0, mean: judged.1, fraction: f), groups: rule.groups)
        }
        return SampledPoint(standpoint: Standpoint(at: parameters, mean), sample: sized, variance: variance)
    }
}

extension SampleDraw {
    /// The sample cut into parts that are to each other as `shares`; each holds all of the sets that are taken whole.
    package func parts(_ shares: [Int]) -> [Batch] {
        Batch.parts(batch, shares, isWhole: zip(sets, sizes).map { $0.count == $1 })
    }
}

extension Batch {
    /// A batch cut into parts, in order, that are to each other as `shares`; a set that `isWhole` is in each of them.
    static func parts(_ batch: Batch, _ shares: [Int], isWhole: [Bool]) -> [Batch] {
        let total = shares.reduce(0, +)
        var (parts, taken) = ([Batch](), 0)
        for share in shares {
            parts.append(
                Batch(
                    zip(batch.indices, isWhole).map { indices, isWhole in
                        isWhole ? indices : Array(indices[(indices.count * taken / total)..<(indices.count * (taken + share) / total)])
                    }))
            taken += share
        }
        return parts
    }
}

extension Evaluation {
    /// Σ wⱼ·(value j), term by term.
    static func mean(of values: [Evaluation], weights: [Double]) -> Evaluation {
        var terms = values[0].loss.terms.map { weights[0] * $0 }
        var (total, gradient) = (weights[0] * values[0].loss.total, weights[0] * values[0].gradient)
        for (value, w) in zip(values, weights).dropFirst() {
            total += w * value.loss.total
            for k in terms.indices { terms[k] += w * value.loss.terms[k] }
            gradient.add(value.gradient, scaledBy: w)
        }
        return Evaluation(loss: LossValue(total: total, terms: terms), gradient: gradient)
    }
}

extension SampledPoint {
    /// A report of a step that ended where it began.
    func ended(
        _ verdict: StepVerdict, floor: Finding? = nil, iterations: Int = 0, details: [StepReport.Detail] = []
    ) -> StepReport {
        StepReport(
            loss: standpoint.loss, gradientNorm: standpoint.gradient.norm, verdict: verdict, details: details, floor: floor,
            linearIterations: iterations, sampleFraction: sample.fraction)
    }

    /// What is reported of the samples.
    var sampleDetails: [StepReport.Detail] {
        [.init("sampleSize", Double(sample.sizes.reduce(0, +))), .init("gradientVariance", variance)]
    }
}

extension SampledPoint {
    /// The report of a step that led nowhere, and the point to go on from, if there is one. What is final on the whole problem is a
    /// rejected step on a sample, after which the next one follows; what is not finite breaks down on either.
    func leaving(
        _ verdict: StepVerdict, floor: Finding?, iterations: Int = 0, by sampling: Sampling, on problem: any SampledObjective
    ) throws -> (StepReport, SampledPoint?) {
        var isFinal = sample.isWhole
        if case .brokeDown(let breakdown) = verdict, breakdown.reason == .nonFinite { isFinal = true }
        guard !isFinal else { return (ended(verdict, floor: floor, iterations: iterations), nil) }
        let next = try sampling.next(after: self, at: parameters, leaving: true, on: problem)
        guard next.standpoint.isFinite else {
            return (ended(.brokeDown(.nonFinite(at: parameters.values, on: try next.sample.view(of: problem)))), nil)
        }
        return (next.ended(.rejected, iterations: iterations, details: next.sampleDetails), next)
    }
}
