import LinearAlgebra

/// What stopping rules and callbacks see of a run after a step. Costly values are measured when first asked for.
public final class Observation {
    public let stage: StageInfo
    /// Steps taken in this stage.
    public let iteration: Int
    /// Steps taken in the run.
    public let totalIteration: Int
    public let secondsInStage: Double
    public let seconds: Double
    public let workInStage: WorkCounts
    public let work: WorkCounts
    public let parameters: Parameters
    /// The problem, uncounted, as it is now.
    public let problem: any Problem
    /// The last step's report; `nil` before a stage's first step.
    public let report: StepReport?
    /// The problem's version that the report's values belong to: lower than ``version`` after a revision, until the next step.
    public let reportVersion: Int
    public let best: BestPoint?
    public let seed: UInt64
    /// Every how many iterations the whole problem's loss and gradient norm are measured while steps see batches.
    public let cadenceOnBatches: Int

    private var wholeLossCache: Double?
    private var wholeEvaluation: Evaluation?
    private var monitorCache: Double??
    private var errorCache: Double??

    init(
        stage: StageInfo, iteration: Int, totalIteration: Int, secondsInStage: Double, seconds: Double, workInStage: WorkCounts,
        work: WorkCounts, parameters: Parameters, problem: any Problem, report: StepReport?, reportVersion: Int, best: BestPoint?,
        seed: UInt64,
        cadenceOnBatches: Int
    ) {
        (self.stage, self.iteration, self.totalIteration) = (stage, iteration, totalIteration)
        (self.secondsInStage, self.seconds, self.workInStage, self.work) = (secondsInStage, seconds, workInStage, work)
        (self.parameters, self.problem, self.best, self.seed) = (parameters, problem, best, seed)
        (self.report, self.reportVersion) = (report, reportVersion)
        self.cadenceOnBatches = cadenceOnBatches
    }

    public var version: Int { problem.version }
    /// The last step's loss; a batch's where the step saw a batch, an earlier version's where the problem was revised since.
    public var loss: Double? { report?.loss.total }
    /// The last step's gradient norm; a batch's where the step saw a batch.
    public var gradientNorm: Double? { report?.gradientNorm }

    /// Whether the last step saw a batch, so that its loss is not compared with others.
    public var isOnBatch: Bool { report.map { !$0.coversAllSamples } ?? false }

    /// Every how many iterations ``wholeLoss()`` should be asked for: 1 where the last step has reported it.
    public var wholeCadence: Int { isOnBatch ? cadenceOnBatches : 1 }

    /// Every how many iterations ``wholeGradientNorm()`` should be asked for: 1 where the last step has reported it.
    public var gradientCadence: Int { report?.gradientNorm == nil ? cadenceOnBatches : wholeCadence }

    /// Whether the report's loss and gradient are of the whole problem as it is now. What a breakdown reports is measured anew: a
    /// method that tells the loss of the candidate it could not take must not pass that on as the run's.
    private var reportIsWhole: Bool {
        guard let report else { return true }
        if case .brokeDown = report.verdict { return false }
        return !isOnBatch && reportVersion == problem.version
    }

    /// The loss on all samples at the parameters: as reported, or measured (one loss, not counted as work) after a step on a
    /// batch, a revision or a breakdown. `nil` before a stage's first step.
    public func wholeLoss() throws -> Double? {
        guard !reportIsWhole else { return loss }
        if let wholeEvaluation { return wholeEvaluation.loss.total }
        if let wholeLossCache { return wholeLossCache }
        wholeLossCache = try (problem as? any DifferentiableProblem)?.loss(at: parameters.values).total
        return wholeLossCache
    }

    /// The gradient's norm on all samples: as reported, or measured (one gradient, not counted) after a step on a batch or by a method that
    /// does not report it, or a revision. `nil` before a stage's first step.
    public func wholeGradientNorm() throws -> Double? {
        guard report != nil else { return nil }
        if reportIsWhole, let gradientNorm { return gradientNorm }
        if wholeEvaluation == nil {
            wholeEvaluation = try (problem as? any DifferentiableProblem)?.lossAndGradient(at: parameters.values)
        }
        return wholeEvaluation?.gradient.norm
    }

    /// The loss on held-out samples, where the problem has them. Not counted as work.
    public func monitorLoss() throws -> Double? {
        if let monitorCache { return monitorCache }
        let value = try (problem as? any MonitoredProblem)?.monitorLoss(at: parameters.values)
        monitorCache = .some(value)
        return value
    }

    /// The error against the reference, where the problem has one. Not counted as work.
    public func referenceError() throws -> Double? {
        if let errorCache { return errorCache }
        let value = try (problem as? any ReferencedProblem)?.referenceError(at: parameters.values)
        errorCache = .some(value)
        return value
    }
}

/// Which stage of how many.
public struct StageInfo: Sendable, Hashable {
    public let index: Int
    public let count: Int
    public let name: String
    public let optimizer: String
    /// The stage's stopping rule, in words.
    public let until: String
    /// The iteration budget, where the rule has one: what a progress bar counts towards.
    public let iterationLimit: Int?
}

/// The best point of a run so far.
public struct BestPoint: Sendable, Hashable {
    public var parameters: Parameters
    /// The value it is best by: the monitor loss where the problem has one, else the loss.
    public var value: Double
    /// The stage of the pipeline, counted from 0 whatever was restarted.
    public var stage: Int
    public var totalIteration: Int
    /// The problem version that the value belongs to.
    public var version: Int
}

extension BestPoint: Checkpointable {
    public func encode(into archive: inout Archive) {
        archive.set("parameters", parameters)
        archive.set("value", value)
        archive.set("stage", stage)
        archive.set("totalIteration", totalIteration)
        archive.set("version", version)
    }

    public init(from archive: Archive) throws {
        self.init(
            parameters: try archive.value("parameters"), value: try archive.double("value"), stage: try archive.count("stage"),
            totalIteration: try archive.count("totalIteration"), version: try archive.count("version"))
    }
}
