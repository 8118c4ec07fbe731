import Globalization
import LinearAlgebra
import OptimizationCore

/// Online L-BFGS: quasi-Newton steps of given length on samples, whose pairs are changes of the gradient over the same samples.
///
///     p = −H·g_S,   θ⁺ = θ + ηₖp,   s = θ⁺ − θ,   y = ∇L_O(θ⁺) − ∇L_O(θ) + λs
///
/// H is built by the two-loop recursion from the last m = `memory` pairs over H₀ = (mean of sᵀy/yᵀy)·I; noise of the sample does not enter
/// y. `pairs` says what O is:
/// - `same-sample`: S itself, whose gradient is evaluated once more at θ⁺ where the next sample follows (Schraudolph et al.);
/// - `overlap`: the part of S, one `overlap`-th of it, that the next sample begins with. A sample is then evaluated in the parts that it
///   shares with the one before, with none, and with the one after, and pairs cost nothing (Berahas et al.). Sizes are multiples of `overlap`.
///
/// Samples come from the stream “online-l-bfgs/gradient”. Where a sample is held or whole, y is of all of it.
///
/// Before the first pair p = −α·g_S with α = 2L/‖g‖² and no farther than one in all parameters together. A pair enters where yᵀs >
/// `curvatureTolerance`·‖y‖‖s‖. η = `learningRate` times the schedule's factor: no search, so a loss may rise. A value that is not finite
/// breaks down; a revision drops the pairs.
/// Cost: a gradient of a sample a step, two with `same-sample`; 8mP flops, (2m + 6)P doubles. The report's loss is of the next sample.
/// Variants: the first step has the loss's scale, not Schraudolph's 1e-10; their factor c is 1, and λ is 0 by default, as Berahas et al.
/// have it.
/// Sources: Schraudolph, Yu & Günter, AISTATS 2007; Berahas, Nocedal & Takáč, NIPS 2016, arXiv:1605.06049.
public struct OnlineLBFGS: Optimizer, Configurable {
    /// Which samples the change of the gradient is taken over.
    public enum Pairs: String, CaseIterable, Sendable, Hashable {
        case sameSample = "same-sample"
        case overlap
    }

    /// S.
    public var batch = BatchSettings()
    public var pairs = Pairs.overlap
    /// The share of a sample that the next one begins with is one of so many.
    public var overlap = 4
    /// m ≥ 1.
    public var memory = 10
    /// η > 0.
    public var learningRate = 0.1
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()
    /// λ ≥ 0, in the loss's own unit.
    public var damping = 0.0
    public var curvatureTolerance = 1e-4

    public init() {}

    public init(
        batch: BatchSettings, pairs: Pairs = .overlap, memory: Int = 10, learningRate: Double = 0.1, schedule: any Schedule = Constant()
    ) {
        precondition(memory >= 1, "a memory of \(memory) pairs")
        (self.batch, self.pairs, self.memory) = (batch, pairs, memory)
        (self.learningRate, self.schedule) = (learningRate, schedule)
    }

    public static let identifier = "online-l-bfgs"
    public static let summary = "Quasi-Newton steps on samples, with pairs of gradients over the same samples."
    public static var fields: [Field<Self>] {
        [
            .part("batch", \.batch, meaning: "the samples of a gradient"),
            .choice("pairs", \.pairs, meaning: "the samples that the change of the gradient is taken over"),
            .integer("overlap", \.overlap, atLeast: 2, meaning: "one in so many of a sample is shared with the next"),
            .integer("memory", \.memory, atLeast: 1, meaning: "m, how many steps are remembered"),
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the step length"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
            .number("damping", \.damping, in: .nonNegative, meaning: "λ in y + λs"),
            .number("curvatureTolerance", \.curvatureTolerance, in: .fraction, meaning: "ε in yᵀs > ε‖y‖‖s‖, for a pair to be kept"),
        ]
    }

    private var groups: Int { pairs == .overlap ? overlap : 1 }

    public func start(on problem: any DifferentiableProblem & SampledProblem, from parameters: Parameters) throws -> OnlineLBFGSState {
        let sample = try SampleDraw(
            batch, of: problem.sampleSets, stream: "online-l-bfgs/gradient", path: BatchSettings.identifier, groups: groups)
        let value = try evaluated(sample, beginningWith: nil, at: parameters.values, on: problem)
        return OnlineLBFGSState(sample: sample, at: parameters, value)
    }

    public func step(_ state: inout OnlineLBFGSState, on problem: any DifferentiableProblem & SampledProblem) throws -> StepReport {
        let here = state.standpoint
        let θ = here.parameters.values
        func ended(_ verdict: StepVerdict, floor: Finding? = nil) -> StepReport {
            StepReport(
                loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, floor: floor, sampleFraction: state.sample.fraction)
        }
        func view(_ batch: Batch?) throws -> any DifferentiableProblem { try batch.map { try problem.restricted(to: $0) } ?? problem }
        guard here.isFinite else { return ended(.brokeDown(.nonFinite(at: θ, on: try view(state.batch)))) }
        if here.hasVanishingGradient, state.sample.isWhole { return ended(.stationary, floor: .vanishingGradient(here.gradient.norm)) }

        let α = state.stepScale * learningRate * schedule.factor(at: state.step + 1)
        let candidate = θ.adding(state.direction, scaledBy: α)
        let s = candidate - θ
        var next = state
        next.step += 1
        var change: Vector
        if next.sample.step(holding: batch.holding) {
            var shared = state.shared
            if pairs == .sameSample {
                let same = try view(state.batch).lossAndGradient(at: candidate)
                guard same.isFinite else { return ended(.brokeDown(.nonFinite(at: candidate, on: try view(state.batch)))) }
                (change, shared) = (same.gradient - here.gradient, nil)
            } else {
                change = .zeros(0)
            }
            let value = try evaluated(next.sample, beginningWith: shared?.indices, at: candidate, on: problem)
            next.take(value, at: here.parameters.with(candidate))
            if let shared, let first = value.first { change = first - shared.gradient }
        } else {
            let value = try evaluated(next.sample, as: state.batch, at: candidate, on: problem)
            next.take(value, at: here.parameters.with(candidate))
            change = next.standpoint.gradient - here.gradient
        }
        guard next.standpoint.isFinite else { return ended(.brokeDown(.nonFinite(at: candidate, on: try view(next.batch)))) }
        if damping > 0 { change.add(s, scaledBy: damping) }
        if hasCurvature(s, change, tolerance: curvatureTolerance) {
            if next.pairs.count >= memory { next.pairs.removeFirst(next.pairs.count - memory + 1) }
            next.pairs.append(SecantPair(step: s, change: change))
        }
        state = next
        return StepReport(
            loss: next.standpoint.loss, gradientNorm: next.standpoint.gradient.norm, stepLength: α,
            details: [.init("pairs", Double(next.pairs.count))], sampleFraction: next.sample.fraction)
    }

    /// A sample's value at θ, and what is remembered of its parts.
    struct Value {
        /// nil where it is the whole problem.
        var batch: Batch?
        var evaluation: Evaluation
        /// The gradient of the part shared with the sample before.
        var first: Vector?
        /// The part shared with the sample after, and its gradient.
        var shared: SharedPart?
    }

    /// A new sample, beginning with the samples that it shares with the one before.
    private func evaluated(
        _ sample: SampleDraw, beginningWith shared: [[Int]]?, at θ: Vector, on problem: any SampledObjective
    ) throws -> Value {
        guard !sample.isWhole else { return try evaluated(sample, as: nil, at: θ, on: problem) }
        return try evaluated(sample, as: sample.batch(beginningWith: shared), at: θ, on: problem)
    }

    private func evaluated(_ sample: SampleDraw, as batch: Batch?, at θ: Vector, on problem: any SampledObjective) throws -> Value {
        guard let batch else { return Value(evaluation: try problem.lossAndGradient(at: θ)) }
        guard pairs == .overlap else {
            return Value(batch: batch, evaluation: try problem.restricted(to: batch).lossAndGradient(at: θ))
        }
        let shares = overlap > 2 ? [1, overlap - 2, 1] : [1, 1]
        let parts = Batch.parts(batch, shares, isWhole: zip(sample.sets, sample.sizes).map { $0.count == $1 })
        let values = try parts.map { try problem.restricted(to: $0).lossAndGradient(at: θ) }
        let last = values.count - 1
        return Value(
            batch: batch, evaluation: .mean(of: values, weights: shares.map { Double($0) / Double(overlap) }), first: values[0].gradient,
            shared: SharedPart(indices: parts[last].indices, gradient: values[last].gradient))
    }

    /// Loss and gradient are evaluated anew, on a new sample where the sets changed; the pairs are dropped.
    public func adapt(_ state: inout OnlineLBFGSState, to problem: any DifferentiableProblem & SampledProblem) throws {
        let sample = try state.sample.revised(batch, of: problem.sampleSets, path: BatchSettings.identifier, groups: groups)
        let value =
            sample == state.sample
            ? try evaluated(sample, as: state.batch, at: state.parameters.values, on: problem)
            : try evaluated(sample, beginningWith: nil, at: state.parameters.values, on: problem)
        (state.sample, state.pairs) = (sample, [])
        state.take(value, at: state.parameters)
    }

    /// Halves every step from now on.
    public func shortenSteps(_ state: inout OnlineLBFGSState) -> Bool {
        state.stepScale *= 0.5
        return true
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        bytes(ofNumbers: (2 * Double(memory) + 8) * Double(parameters))
    }

    /// A full memory's two-loop recursion.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, pairs == .overlap ? 1 : 2)], flops: 8 * Double(memory) * Double(parameters), isOnBatch: true)
    }
}

/// The part of a sample that the next one begins with, and its gradient where the method stands.
public struct SharedPart: Checkpointable, Equatable {
    public let indices: [[Int]]
    public let gradient: Vector

    public func encode(into archive: inout Archive) {
        archive.set("counts", indices.map(\.count))
        archive.set("indices", indices.flatMap { $0 })
        archive.set("gradient", gradient)
    }

    init(indices: [[Int]], gradient: Vector) { (self.indices, self.gradient) = (indices, gradient) }

    public init(from archive: Archive) throws {
        self.init(indices: try archive.batch().indices, gradient: try archive.vector("gradient"))
    }
}

/// Where the method stands, its sample, and the pairs it remembers, the oldest first.
public struct OnlineLBFGSState: OptimizerState, Equatable {
    public internal(set) var standpoint: Standpoint
    public internal(set) var sample: SampleDraw
    /// The samples in use; nil where they are all.
    public internal(set) var batch: Batch?
    public internal(set) var shared: SharedPart?
    public internal(set) var pairs: [SecantPair] = []
    /// Steps taken.
    public internal(set) var step = 0
    /// The factor of every step: 1, or halved by each recovery from a breakdown that shortens steps.
    public internal(set) var stepScale = 1.0

    public var parameters: Parameters { standpoint.parameters }

    init(sample: SampleDraw, at parameters: Parameters, _ value: OnlineLBFGS.Value) {
        (self.sample, standpoint) = (sample, Standpoint(at: parameters, value.evaluation))
        (batch, shared) = (value.batch, value.shared)
    }

    mutating func take(_ value: OnlineLBFGS.Value, at parameters: Parameters) {
        (standpoint, batch, shared) = (Standpoint(at: parameters, value.evaluation), value.batch, value.shared)
    }

    /// −H·g, or before the first pair as much of −g as is likely to help.
    var direction: Vector {
        let g = standpoint.gradient
        guard !pairs.isEmpty else { return standpoint.hasVanishingGradient ? .zeros(g.count) : -Descent.firstStep(from: standpoint) * g }
        return pairs.direction(for: g, initialScale: pairs.reduce(0) { $0 + $1.inverseCurvature } / Double(pairs.count))
    }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("sample", sample)
        if let batch {
            var group = Archive()
            group.set("counts", batch.indices.map(\.count))
            group.set("indices", batch.indices.flatMap { $0 })
            archive.set("batch", group)
        }
        if let shared { archive.set("shared", shared) }
        archive.set(pairs: pairs)
        archive.set("step", step)
        archive.set("stepScale", stepScale)
    }

    public init(from archive: Archive) throws {
        (standpoint, sample) = (try archive.value("standpoint"), try archive.value("sample"))
        batch = try archive.groupIfPresent("batch")?.batch()
        shared = try archive.groupIfPresent("shared")?.decoded()
        pairs = try archive.pairs(of: standpoint.parameters.count)
        (step, stepScale) = (try archive.count("step"), try archive.double("stepScale"))
        guard shared.map({ $0.gradient.count == parameters.count }) ?? true else {
            throw ArchiveError(entry: "shared", reason: "does not hold a gradient of \(parameters.count) values")
        }
        for indices in [batch?.indices, shared?.indices].compactMap({ $0 }) {
            guard indices.count == sample.sets.count, zip(indices, sample.sets).allSatisfy({ $0.allSatisfy((0..<$1.count).contains) })
            else { throw ArchiveError(entry: "batch", reason: "does not fit the sample sets stored with it") }
        }
    }
}

extension SampleDraw {
    /// The sample with the given indices in front, in place of as many of those drawn.
    func batch(beginningWith shared: [[Int]]?) -> Batch {
        guard let shared else { return batch }
        return Batch(
            zip(zip(sets, sizes), shared).map { drawn, shared in
                let (set, size) = drawn
                guard size < set.count else { return Array(0..<set.count) }
                let taken = Set(shared)
                return shared + indices(of: set, size).filter { !taken.contains($0) }.prefix(size - shared.count)
            })
    }
}

extension Archive {
    fileprivate func batch() throws -> Batch {
        let (counts, all) = (try counts("counts"), try counts("indices"))
        guard counts.reduce(0, +) == all.count else { throw ArchiveError(entry: "indices", reason: "do not fit their counts") }
        var (indices, taken) = ([[Int]](), 0)
        for count in counts {
            indices.append(Array(all[taken..<(taken + count)]))
            taken += count
        }
        return Batch(indices)
    }
}
