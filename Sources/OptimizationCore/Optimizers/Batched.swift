/// A method that takes each step on a batch of the problem's samples.
///
///     Batched(Adam(learningRate: 1e-3), size: 256)
///     Batched(LBFGS(memory: 20), size: 5_000, holding: 50)
///
/// Every evaluation of a step, trials of a line search included, is of one view of the problem. Batches are taken without
/// replacement (``BatchSchedule``); a report's loss is the batch's, at the parameters after the step, with the share of the
/// samples in ``StepReport/sampleFraction``. Where every set is taken whole, the steps are the base's, bit for bit.
///
/// **When the batch changes** the base adapts its state through ``Optimizer/adapt(_:toBatch:)``. A first-order method evaluates
/// nothing there (``Optimizer/evaluatesAhead``): the start evaluates the first batch, which drives `holding` steps, and the last of these
/// ends by evaluating the second. So every batch drives as many steps, an epoch of them covers its samples exactly once, and the
/// parameters are those of the usual loop (gradient, then update); a step costs one gradient of one batch. Other methods evaluate their
/// values at the parameters anew on the new batch (one gradient or linearisation of a batch every `holding` steps) and drop what
/// they drop for a new version: L-BFGS its pairs, so it wants a batch held for many steps. Each step makes its view anew, by one
/// ``SampledProblem/restricted(to:)``.
///
/// A base that finds a batch's loss stationary has not finished: the step is reported as rejected and the next batch follows.
/// A breakdown leaves the state as it was, the schedule included.
public struct Batched<Base: Optimizer>: Optimizer {
    public typealias Samples = SampleBatches

    public var base: Base
    public var batches: BatchSettings

    public init(_ base: Base, _ batches: BatchSettings = BatchSettings()) { (self.base, self.batches) = (base, batches) }

    /// Batches of `size` samples of each set, each kept for `holding` steps.
    public init(_ base: Base, size: Int, holding: Int = 1, seed: Int = 0) {
        self.init(base, BatchSettings(size: size, holding: holding, seed: seed))
    }

    public func check(_ problem: Base.Objective) throws { try base.check(problem) }

    public func start(on problem: Base.Objective, from parameters: Parameters) throws -> BatchedState<Base.State> {
        let schedule = try BatchSchedule(batches, of: try sampled(problem).sampleSets)
        return BatchedState(
            base: try base.start(on: try view(of: problem, schedule), from: parameters),
            schedule: base.evaluatesAhead ? schedule.ahead() : schedule)
    }

    public func step(_ state: inout BatchedState<Base.State>, on problem: Base.Objective) throws -> StepReport {
        if state.schedule.isWhole { return try base.step(&state.base, on: problem) }
        var next = state
        let changes = next.schedule.steps >= batches.holding
        if changes { next.schedule.advance() }
        let batch = try view(of: problem, next.schedule)
        if changes { try base.adapt(&next.base, toBatch: batch) }
        var report = try base.step(&next.base, on: batch)
        report.sampleFraction = next.schedule.fraction
        next.schedule.steps += 1
        switch report.verdict {
        case .brokeDown(var breakdown):
            // What was evaluated ahead belongs to the batch before.
            if breakdown.fault == nil, changes, base.evaluatesAhead {
                let before = try view(of: problem, state.schedule) as? any DifferentiableProblem
                breakdown.fault = before?.locateFault(at: state.parameters.values)
                report.verdict = .brokeDown(breakdown)
            }
            return report
        case .stationary:
            report.verdict = .rejected
            next.schedule.steps = batches.holding
        case .accepted, .rejected, .invalid: break
        }
        state = next
        return report
    }

    public func adapt(_ state: inout BatchedState<Base.State>, to problem: Base.Objective) throws {
        state.schedule = try state.schedule.revised(batches, of: try sampled(problem).sampleSets)
        try base.adapt(&state.base, to: try view(of: problem, state.schedule))
    }

    public func shortenSteps(_ state: inout BatchedState<Base.State>) -> Bool { base.shortenSteps(&state.base) }

    /// What the base holds besides what grows with the residuals, whose number in a batch only the problem knows.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        base.workingMemory(parameters: parameters, residuals: nil)
    }

    /// The base's, on a batch.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        var cost = base.stepCost(parameters: parameters, residuals: nil)
        cost?.isOnBatch = true
        return cost
    }

    private func sampled(_ problem: Base.Objective) throws -> any SampledProblem {
        guard let sampled = problem as? any SampledProblem else { throw BatchError(reason: "\(type(of: problem)) is no SampledProblem") }
        return sampled
    }

    private func view(of problem: Base.Objective, _ schedule: BatchSchedule) throws -> Base.Objective {
        if schedule.isWhole { return problem }
        guard let view = try sampled(problem).restricted(to: schedule.batch) as? Base.Objective else {
            preconditionFailure("a view of \(type(of: problem)) has other capabilities than the whole")
        }
        return view
    }
}

/// A base's state and which batch it stands on.
public struct BatchedState<Base: OptimizerState>: OptimizerState {
    public var base: Base
    public var schedule: BatchSchedule

    public var parameters: Parameters { base.parameters }

    public init(base: Base, schedule: BatchSchedule) { (self.base, self.schedule) = (base, schedule) }

    public func encode(into archive: inout Archive) {
        archive.set("base", base)
        archive.set("schedule", schedule)
    }

    public init(from archive: Archive) throws {
        self.init(base: try archive.value("base"), schedule: try archive.value("schedule"))
    }
}

/// Batches were asked of a problem that has none.
public struct BatchError: Error, CustomStringConvertible {
    public var reason: String
    public var description: String { "batches: \(reason)" }
}

/// Written as its base with one part more: `{name: adam, learningRate: 1e-3, batch: {size: 256}}`.
extension Batched: Configurable where Base: Configurable {
    public init() { self.init(Base()) }

    public static var identifier: String { Base.identifier }
    public static var summary: String { Base.summary }
    public static var fields: [Field<Self>] {
        Base.fields.map { $0.lifted(to: \.base) } + [.part(BatchSettings.identifier, \.batches, meaning: BatchSettings.summary)]
    }

    public func validate() throws { try base.validate() }
}
