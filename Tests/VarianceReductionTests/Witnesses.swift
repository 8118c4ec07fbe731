import Classification
import LinearAlgebra
import OptimizationCore
import QuasiNewton
import VarianceReduction

/// Logistic regression on a few samples.
func regression(samples: Int = 7, features: Int = 3, regularization: Double = 0.1, conditionNumber: Double = 4) throws -> LogisticRegression
{
    try SyntheticLogisticRegression(
        samples: samples, regularization: regularization, classes: TwoGaussians(features: features, conditionNumber: conditionNumber)
    ).problem(seed: 4)
}

/// The minimiser of a regression, to rounding.
func minimiser(of problem: LogisticRegression) throws -> Vector {
    try Pipeline(minimizing: problem) { Stage("descend", LBFGS(memory: 20), until: .gradientNorm(below: 1e-14) || .iterations(300)) }
        .start().parameters.values
}

/// Two clouds of points in the plane with weights: L(θ) = mean ½aᵢ‖θ − xᵢ‖² + mean ½bⱼ‖θ − yⱼ‖², and no factors.
struct WeightedClouds: DifferentiableProblem, SampledProblem {
    struct Sample: Sendable {
        var weight: Double
        var place: [Double]
    }

    var sets: [[Sample]]

    init(_ counts: [Int]) {
        var random = RandomStream(seed: 1, name: "clouds")
        sets = counts.map { n in
            (0..<n).map { _ in Sample(weight: 0.2 + random.uniform(), place: [random.normal(), random.normal()]) }
        }
    }

    private init(_ sets: [[Sample]]) { self.sets = sets }

    var name: String { "weighted-clouds" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 2) }
    var sampleSets: [SampleSet] { sets.indices.map { SampleSet(name: "set\($0)", count: sets[$0].count) } }

    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([3, -2]) }

    func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }

    func lossAndGradient(at θ: Vector) -> Evaluation {
        var (loss, g) = (0.0, Vector.zeros(2))
        for set in sets {
            for sample in set {
                let (w, dx, dy) = (sample.weight / Double(set.count), θ[0] - sample.place[0], θ[1] - sample.place[1])
                loss += 0.5 * w * (dx * dx + dy * dy)
                (g[0], g[1]) = (g[0] + w * dx, g[1] + w * dy)
            }
        }
        return Evaluation(loss: LossValue(loss), gradient: g)
    }

    func restricted(to batch: Batch) throws -> WeightedClouds {
        WeightedClouds(zip(sets, batch.indices).map { set, indices in indices.map { set[$0] } })
    }
}

/// Samples with more parameters than any memory holds gradients of.
struct Vast: DifferentiableProblem, SampledProblem {
    var name: String { "vast" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1 << 40) }
    var sampleSets: [SampleSet] { [SampleSet(name: "samples", count: 64)] }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([]) }
    func loss(at θ: Vector) -> LossValue { LossValue(0) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: LossValue(0), gradient: θ) }
    func restricted(to batch: Batch) throws -> Vast { self }
}

typealias Sampled = any DifferentiableProblem & SampledProblem

/// The estimates at a place for all batches that may be drawn, each once: what the draws of many seeds give.
func estimates<M: VarianceReducedMethod>(
    of method: M, at θ: Vector, after state: M.State, on problem: Sampled, batches: Int
) throws -> [GradientEstimate] {
    var found: [Batch: GradientEstimate] = [:]
    for seed in 0..<(200 * batches) where found.count < batches {
        var settings = method.batch
        settings.seed = seed
        var draws = try RandomBatches(settings, of: problem.sampleSets)
        let before = draws
        let estimate = try method.estimate(at: θ, after: state, on: problem, draws: &draws).0
        // Which batch it was: replayed for methods that draw one, with the coin that a loopless one tosses first.
        var replayed = before
        if M.self == LooplessSVRG.self { _ = replayed.stream.uniform() }
        let batch: Batch
        if let partition = (state.memory as? SAGAMemory)?.partition {
            batch = Batch([[replayed.stream.index(below: partition.count)]])
        } else {
            batch = replayed.draw()
        }
        precondition(replayed == draws, "the draws were others than supposed")
        found[batch] = estimate
    }
    precondition(found.count == batches, "\(found.count) of \(batches) batches were drawn")
    return Array(found.values)
}

/// Mean and variance E‖v − E v‖² of equally likely estimates.
func moments(_ estimates: [GradientEstimate]) -> (mean: Vector, variance: Double) {
    let n = Double(estimates.count)
    let mean = estimates.reduce(Vector.zeros(estimates[0].direction.count)) { $0.adding($1.direction, scaledBy: 1 / n) }
    let variance = estimates.reduce(0.0) { sum, estimate in
        let d = estimate.direction - mean
        return sum + d.dot(d) / n
    }
    return (mean, variance)
}
