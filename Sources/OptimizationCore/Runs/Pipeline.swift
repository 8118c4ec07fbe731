import LinearAlgebra

/// Stages that minimise one problem, one after another.
///
///     let run = Pipeline(minimizing: problem) {
///         Stage("explore", Adam(learningRate: 1e-3), until: .iterations(2_000))
///         Stage("descend", LBFGS(memory: 50), until: .gradientNorm(below: 1e-8) || .iterations(5_000))
///     }
///     let result = try run.start(seed: 7)
///
/// Hand-over between stages is a contract:
///
/// | a stage that ended … | is followed by … |
/// |---|---|
/// | converged, stalled, budget spent | the next stage, from its last parameters |
/// | broke down | what its ``RecoveryPolicy`` says: the next stage or itself again from the best point, itself where it stands |
/// | interrupted, stopped | nothing: the run ends |
///
/// Carried over: the parameters, the problem as revised so far, the best point, the counted work, the callbacks' states. Begun anew:
/// the optimizer's state, the stopping rule's memory, the stage's own budgets.
public struct Pipeline<P: Problem>: Sendable {
    public let problem: P
    public let stages: [Stage<P>]
    /// Every how many iterations is measured what the best point is chosen by: the monitor loss where the problem has one, the
    /// whole problem's loss where steps see batches. Both are measured at a stage's end too, and not counted as work.
    public var monitorCadence = 100

    public init(minimizing problem: P, stages: [Stage<P>]) { (self.problem, self.stages) = (problem, stages) }

    public init(minimizing problem: P, @PipelineBuilder<P> _ stages: () -> [Stage<P>]) {
        self.init(minimizing: problem, stages: stages())
    }
}

@resultBuilder
public enum PipelineBuilder<P: Problem> {
    public static func buildExpression(_ stage: Stage<P>) -> [Stage<P>] { [stage] }
    public static func buildBlock(_ stages: [Stage<P>]...) -> [Stage<P>] { stages.flatMap { $0 } }
    public static func buildOptional(_ stages: [Stage<P>]?) -> [Stage<P>] { stages ?? [] }
    public static func buildEither(first stages: [Stage<P>]) -> [Stage<P>] { stages }
    public static func buildEither(second stages: [Stage<P>]) -> [Stage<P>] { stages }
    public static func buildArray(_ stages: [[Stage<P>]]) -> [Stage<P>] { stages.flatMap { $0 } }
}

extension Pipeline {
    /// Runs from the problem's initial parameters, or from `parameters`, to the end.
    public func start(seed: UInt64 = 0, from parameters: Parameters? = nil, callbacks: [any Callback] = []) throws -> RunResult {
        try begin(seed: seed, from: parameters, callbacks: callbacks).finish()
    }

    /// A run that the caller drives step by step.
    public func begin(seed: UInt64 = 0, from parameters: Parameters? = nil, callbacks: [any Callback] = []) throws -> Run<P> {
        try Run(self, seed: seed, from: parameters, callbacks: callbacks)
    }

    /// Goes on from a checkpoint to the end. The pipeline must be the one that wrote it: every difference of identity is
    /// listed in the ``ResumeError`` thrown. Stopping rules and observing callbacks may differ.
    public func resume(from checkpoint: Archive, callbacks: [any Callback] = []) throws -> RunResult {
        try restore(from: checkpoint, callbacks: callbacks).finish()
    }

    /// A run at a checkpoint, for the caller to drive.
    public func restore(from checkpoint: Archive, callbacks: [any Callback] = []) throws -> Run<P> {
        try Run(self, restoring: checkpoint, callbacks: callbacks)
    }

    /// Checks that every stage's optimizer fits the problem and the machine's memory, and tells what the run will hold.
    /// Throws a ``PairingError``, a ``MemoryError``, or a ``ConfigurationError`` where an optimizer's settings ask for more than its type
    /// says; `registry`, where given, is searched for optimizers that fit.
    public func preflight(suggestingFrom registry: Registry? = nil, memory: Int? = nil) throws -> Preflight {
        guard !stages.isEmpty else { throw ConfigurationError(path: "stages", reason: "has no stages; add at least one") }
        let counted = Counted(problem)
        let (parameters, residuals) = (problem.layout.count, (problem as? any LeastSquaresProblem)?.residualCount)
        let available = memory ?? physicalMemory()
        let lines = try stages.map { stage in
            let optimizer = stage.optimizer["name"]?.text ?? stage.optimizer.description
            guard stage.fits(counted) else {
                throw PairingError(
                    stage: stage.name, optimizer: optimizer, need: stage.need, problem: problem.name, offers: offers(of: counted),
                    fitting: registry?.optimizers(fitting: counted) ?? [])
            }
            try stage.check(counted)
            var bytes = stage.workingMemory(counted)
            var cost = stage.stepCost(counted)
            let square = stage.square(counted)
            if let own = square?.taken.plan, let problem = problem as? any GeneralizedGaussNewtonProblem {
                let fromJacobian = SquarePlan.fromJacobian(own.square, residuals: problem.factorRowCount, parameters: parameters)
                cost?.flops += own.flops - fromJacobian.flops
                bytes = bytes.map { added($0, own.bytes) }
            }
            if cost?.reusesOperators == true { bytes = bytes.map { added($0, problem.operatorMemory) } }
            if let bytes, bytes > available {
                throw MemoryError(stage: stage.name, optimizer: optimizer, bytes: bytes, available: available)
            }
            return Preflight.Line(
                stage: stage.name, optimizer: optimizer, bytes: bytes, cost: cost, square: square, until: stage.until.description)
        }
        return Preflight(
            problem: problem.name, parameterCount: parameters, residualCount: residuals, stages: lines, memory: available)
    }
}

/// a + b, the largest integer where it overflows.
private func added(_ a: Int, _ b: Int) -> Int {
    let (sum, overflows) = a.addingReportingOverflow(b)
    return overflows ? .max : sum
}

// MARK: Results

/// How one stage went.
public struct StageSummary: Sendable, Hashable {
    public var name: String
    public var optimizer: String
    public var outcome: Outcome
    public var iterations: Int
    public var seconds: Double
    public var work: WorkCounts
    /// The loss after the last step; `nil` if no step was taken.
    public var loss: Double?
    /// The error against the reference at the end, where there is one.
    public var referenceError: Double?
}

/// How a run went.
public struct RunResult: Sendable {
    /// How the last stage ended.
    public var outcome: Outcome
    /// How each stage went, every restart a line of its own.
    public var stages: [StageSummary]
    /// The names of the pipeline's stages, which ``BestPoint/stage`` counts.
    public var stageNames: [String]
    /// The parameters after the last step.
    public var parameters: Parameters
    /// The best point by the monitor loss or the loss, within the last version of the problem.
    public var best: BestPoint?
    public var iterations: Int
    public var seconds: Double
    public var work: WorkCounts
}

extension RunResult: CustomStringConvertible {
    /// A table: stage, iterations, evaluations, seconds, loss, error, outcome.
    public var description: String {
        var rows = [["stage", "iterations", "evaluations", "seconds", "loss", "rel. error", "outcome"]]
        for stage in stages {
            rows.append([
                stage.name, String(stage.iterations), short(stage.work.evaluations.rounded()), short((stage.seconds * 10).rounded() / 10),
                stage.loss.map(short) ?? "–", stage.referenceError.map(short) ?? "–", stage.outcome.description,
            ])
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in
            zip(row, widths).enumerated().map { index, cell in
                let padding = String(repeating: " ", count: cell.1 - cell.0.count)
                return index == 0 || index == row.count - 1 ? cell.0 + padding : padding + cell.0
            }.joined(separator: "  ").trimmedTrailingSpaces
        }
        var text = lines.joined(separator: "\n")
        if let best {
            let stage = stageNames.indices.contains(best.stage) ? stageNames[best.stage] : "stage \(best.stage)"
            text += "\nbest point: \(stage), iteration \(best.totalIteration), value \(short(best.value))"
        }
        return text
    }
}

extension String {
    fileprivate var trimmedTrailingSpaces: String {
        guard let last = lastIndex(where: { $0 != " " }) else { return "" }
        return String(self[...last])
    }
}
