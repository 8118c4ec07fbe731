import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How iterates are averaged.
public struct AveragingSettings: Configurable, Hashable {
    public enum Kind: String, CaseIterable, Sendable {
        case mean
        case exponential
    }

    public var kind = Kind.mean
    /// Accepted steps before the first iterate that counts.
    public var after = 0
    /// d ∈ [0, 1): what an exponential average keeps at each step.
    public var decay = 0.999

    public init() {}

    /// The mean of all iterates but the first `after`.
    public static func mean(after: Int = 0) -> AveragingSettings {
        var settings = AveragingSettings()
        settings.after = after
        return settings
    }

    /// An average that forgets: an iterate's weight falls by `decay` at each step.
    public static func exponential(decay: Double, after: Int = 0) -> AveragingSettings {
        precondition((0..<1).contains(decay), "an average cannot decay by \(decay); it must be in [0, 1)")
        var settings = mean(after: after)
        (settings.kind, settings.decay) = (.exponential, decay)
        return settings
    }

    public static let identifier = "average"
    public static let summary = "Hands on the average of the iterates."
    public static var fields: [Field<Self>] {
        [
            .choice("kind", \.kind, meaning: "whether all iterates count alike, or later ones more"),
            .integer("after", \.after, meaning: "accepted steps before the first iterate that counts"),
            .number("decay", \.decay, in: .fraction, meaning: "d, what an exponential average keeps at each step"),
        ]
    }

    /// wₙ, the weight of the n-th iterate in the average of n.
    func weight(ofIterate n: Int) -> Double {
        switch kind {
        case .mean: 1 / Double(n)
        case .exponential: (1 - decay) / (1 - pow(decay, Double(n)))
        }
    }
}

/// A method whose parameters are the average of its iterates.
///
///     Batched(Averaged(Adam(learningRate: 1e-3), .mean(after: 1_000)), size: 256)
///
///     θ̄ ← θ̄ + wₙ(θₙ − θ̄)     mean: wₙ = 1/n      exponential: wₙ = (1 − d)/(1 − dⁿ)
///
/// θₙ ∈ ℝᴾ is the iterate after the n-th accepted step that counts; until there are any, θ̄ is the iterate itself. The mean is Polyak and
/// Ruppert's: after noisy steps at a constant rate it is as good as a falling rate, without its choice. The exponential average is
/// bias-corrected: dⁿ⁻ʲ(1 − d)/(1 − dⁿ) is the weight of the j-th iterate, so they add up to one from the first on.
///
/// **The average is what the run sees**: it is what reports, rules and callbacks measure, what may be the best point, what the next stage
/// begins from and a restart goes back to; for it is the answer that the method gives, and a loss reported at one point and parameters
/// handed on from another would not belong together. The base steps from its own iterate as if nobody averaged, bit for bit; that one's
/// loss stands in the trajectory as “iterate loss”. A report has no gradient norm once there is an average; rules on it measure it.
///
/// A rejected step adds nothing; with ``Accumulated`` inside, steps between two updates add the iterate again, so that `after` and `decay`
/// are of steps. A base that finds its iterate stationary keeps adding it, and the step is accepted. A new version of the problem keeps the
/// average. Where the loss at the average is not finite the step breaks down. One loss and 3P flops a step more than the base's, one vector
/// of memory. Put it inside of ``Batched``, as by name: outside it evaluates that loss on all samples.
/// Variant: every accepted step counts; PyTorch's `AveragedModel` is updated when its user says so, and does not correct the exponential
/// kind.
/// Sources: Polyak & Juditsky, SIAM J. Control Optim. 30 (1992) 838–855, doi:10.1137/0330046; Kingma & Ba, arXiv:1412.6980, section 7.2.
public struct Averaged<Base: Optimizer>: Optimizer {
    public typealias Objective = Base.Objective
    public typealias Samples = Base.Samples

    public var base: Base
    public var averaging: AveragingSettings

    public init(_ base: Base, _ averaging: AveragingSettings = .mean()) { (self.base, self.averaging) = (base, averaging) }

    public func check(_ problem: Base.Objective) throws { try base.check(problem) }

    public func start(on problem: Base.Objective, from parameters: Parameters) throws -> AveragedState<Base.State> {
        AveragedState(base: try base.start(on: problem, from: parameters))
    }

    public func step(_ state: inout AveragedState<Base.State>, on problem: Base.Objective) throws -> StepReport {
        var next = state
        var report = try base.step(&next.base, on: problem)
        let adds: Bool
        switch report.verdict {
        case .brokeDown:
            guard let average = state.average else { return report }
            (report.loss, report.gradientNorm, report.sampleFraction) = (average.loss, nil, 1)
            return report
        case .accepted, .stationary: adds = true
        case .rejected, .invalid: adds = false
        }
        if adds {
            next.steps += 1
            next.add(next.base.parameters, by: averaging)
        }
        guard var average = next.average else {
            state = next
            return report
        }
        if average.count > 1 || !report.coversAllSamples {
            let objective = try differentiable(problem)
            average.loss = try objective.loss(at: average.values)
            guard average.loss.isFinite else {
                report.verdict = .brokeDown(.nonFinite(at: average.values, on: objective))
                if let before = state.average { (report.loss, report.gradientNorm, report.sampleFraction) = (before.loss, nil, 1) }
                return report
            }
        } else {
            average.loss = report.loss
        }
        next.average = average
        state = next
        report.details.append(StepReport.Detail("iterate loss", report.loss.total))
        (report.loss, report.gradientNorm, report.sampleFraction) = (average.loss, nil, 1)
        if case .stationary = report.verdict { (report.verdict, report.floor) = (.accepted, nil) }
        return report
    }

    public func adapt(_ state: inout AveragedState<Base.State>, to problem: Base.Objective) throws {
        try base.adapt(&state.base, to: problem)
        if let values = state.average?.values { state.average?.loss = try differentiable(problem).loss(at: values) }
    }

    public var evaluatesAhead: Bool { base.evaluatesAhead }

    public func adapt(_ state: inout AveragedState<Base.State>, toBatch batch: Base.Objective) throws {
        try base.adapt(&state.base, toBatch: batch)
    }

    public func shortenSteps(_ state: inout AveragedState<Base.State>) -> Bool { base.shortenSteps(&state.base) }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        base.workingMemory(parameters: parameters, residuals: residuals).map { $0 + bytes(ofNumbers: 2 * Double(parameters)) }
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        guard var cost = base.stepCost(parameters: parameters, residuals: residuals) else { return nil }
        cost.evaluations.append(StepCost.Item(.loss, 1))
        cost.flops += 3 * Double(parameters)
        return cost
    }

    public func square(parameters: Int, residuals: Int?) -> JacobianSquare? { base.square(parameters: parameters, residuals: residuals) }

    private func differentiable(_ problem: Base.Objective) throws -> any DifferentiableProblem {
        guard let problem = problem as? any DifferentiableProblem else {
            throw ConfigurationError(
                path: AveragingSettings.identifier, reason: "the problem has no loss that an average could be measured by; leave it out")
        }
        return problem
    }
}

/// A base's state, and the average of its iterates where there is one.
public struct AveragedState<Base: OptimizerState>: OptimizerState {
    public struct Average: Sendable, Equatable {
        /// θ̄ ∈ ℝᴾ.
        public var values: Vector
        /// L there, on the samples of the last step.
        public var loss: LossValue
        /// n, the iterates in it.
        public var count: Int
    }

    public var base: Base
    /// Accepted steps.
    public var steps = 0
    public var average: Average?

    public init(base: Base) { self.base = base }

    public var parameters: Parameters { average.map { base.parameters.with($0.values) } ?? base.parameters }

    /// Takes an iterate in, if it counts.
    fileprivate mutating func add(_ iterate: Parameters, by averaging: AveragingSettings) {
        guard steps > averaging.after else { return }
        guard var next = average else {
            average = Average(values: iterate.values, loss: LossValue(.nan), count: 1)
            return
        }
        next.count += 1
        next.values.add(iterate.values - next.values, scaledBy: averaging.weight(ofIterate: next.count))
        average = next
    }

    public func encode(into archive: inout Archive) {
        archive.set("base", base)
        archive.set("steps", steps)
        guard let average else { return }
        archive.set("average", average.values)
        archive.set("loss", average.loss.total)
        archive.set("terms", average.loss.terms)
        archive.set("count", average.count)
    }

    public init(from archive: Archive) throws {
        self.init(base: try archive.value("base"))
        steps = try archive.count("steps")
        guard archive["average"] != nil else { return }
        let loss = LossValue(total: try archive.double("loss"), terms: try archive.doubles("terms"))
        let average = Average(values: try archive.vector("average"), loss: loss, count: try archive.count("count"))
        guard average.values.count == base.parameters.count, average.count > 0 else {
            throw ArchiveError(
                entry: "average",
                reason: "\(average.values.count) values of \(average.count) iterates for \(base.parameters.count) parameters")
        }
        self.average = average
    }
}

/// Written as its base with one part more: `{name: adam, average: {kind: mean, after: 1000}}`.
extension Averaged: Configurable where Base: Configurable {
    public init() { self.init(Base()) }

    public static var identifier: String { Base.identifier }
    public static var summary: String { Base.summary }
    public static var fields: [Field<Self>] {
        Base.fields.map { $0.lifted(to: \.base) } + [.part(AveragingSettings.identifier, \.averaging, meaning: AveragingSettings.summary)]
    }

    public func validate() throws { try base.validate() }
}
