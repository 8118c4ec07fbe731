import LinearAlgebra

/// An optimization method: immutable settings (the value itself), a state, and a step.
///
/// It holds no loop, does no input or output and knows no stopping rule. Its need is said by its type: `Objective` is an
/// existential of capabilities, e.g. `any LeastSquaresProblem`, and is inferred from the signatures of `start` and `step`.
///
/// The contract, checked by the conformance suite:
/// - `step` proposes, validates, commits: a non-finite candidate never touches the state;
/// - the state's parameters have the loss that the report gives;
/// - the same state and problem give the same bits, whatever the number of threads;
/// - `throws` is for the world only (a batch that cannot be read); numerical trouble is a verdict.
public protocol Optimizer<Objective>: Sendable {
    associatedtype Objective
    associatedtype State: OptimizerState
    /// Whether a step sees all samples of the problem, as by default, or a batch of them: ``SampleBatches``.
    associatedtype Samples: SampleUse = AllSamples

    /// Throws a ``ConfigurationError`` where these settings need more of the problem than `Objective` says. Asked of every stage before the
    /// first step of a run; by default there is nothing more to need.
    func check(_ problem: Objective) throws

    /// The state before the first step at `parameters`.
    func start(on problem: Objective, from parameters: Parameters) throws -> State

    /// One step.
    func step(_ state: inout State, on problem: Objective) throws -> StepReport

    /// Brings a state to a problem whose version has risen: values of the old version are evaluated anew, and what was
    /// accumulated is kept or reset, as the method declares. By default everything but the parameters is reset.
    func adapt(_ state: inout State, to problem: Objective) throws

    /// Brings a state to another batch of the same objective, before a step on it: what is accumulated stays meaningful, the
    /// values at the parameters belong to the batch before. By default as for a new version.
    func adapt(_ state: inout State, toBatch batch: Objective) throws

    /// Whether a state holds what the next step is made from, evaluated on the batch of the step before, and keeps it when the batch changes
    /// (``adapt(_:toBatch:)`` evaluates nothing): a step then ends by evaluating the batch that drives the next one. By default false.
    var evaluatesAhead: Bool { get }

    /// Shortens the steps to come after a breakdown, where the state holds what makes them long (a scale, a radius): the parameters and what
    /// was learned stay. Returns false, as by default, where there is nothing to shorten.
    func shortenSteps(_ state: inout State) -> Bool

    /// The bytes that the method will hold, for the preflight: `nil` where it cannot say.
    func workingMemory(parameters: Int, residuals: Int?) -> Int?

    /// The same where it depends on more of the problem than P and N, such as the number of its samples; by default
    /// ``workingMemory(parameters:residuals:)``.
    func workingMemory(on problem: Objective) -> Int?

    /// What a step costs as a rule, for the preflight: `nil` where it cannot say.
    func stepCost(parameters: Int, residuals: Int?) -> StepCost?

    /// The same where it depends on more of the problem than P and N; by default ``stepCost(parameters:residuals:)``.
    func stepCost(on problem: Objective) -> StepCost?

    /// The square of J that a step forms, for the preflight, which asks the problem how; `stepCost` counts it as formed from J. `nil` where
    /// none is formed.
    func square(parameters: Int, residuals: Int?) -> JacobianSquare?

    /// The same with what the problem makes of it, and of the other square where that was a choice; by default
    /// ``square(parameters:residuals:)``, formed as the problem says, and no other.
    func squareChoice(on problem: Objective) -> SquareChoice?
}

extension Optimizer {
    public func check(_ problem: Objective) throws {}

    public func adapt(_ state: inout State, to problem: Objective) throws {
        state = try start(on: problem, from: state.parameters)
    }

    public func adapt(_ state: inout State, toBatch batch: Objective) throws { try adapt(&state, to: batch) }

    public var evaluatesAhead: Bool { false }

    public func shortenSteps(_ state: inout State) -> Bool { false }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { nil }

    public func workingMemory(on problem: Objective) -> Int? {
        guard let problem = problem as? any Problem else { return nil }
        return workingMemory(parameters: problem.layout.count, residuals: (problem as? any GeneralizedGaussNewtonProblem)?.factorRowCount)
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? { nil }

    public func stepCost(on problem: Objective) -> StepCost? {
        guard let problem = problem as? any Problem else { return nil }
        return stepCost(parameters: problem.layout.count, residuals: (problem as? any GeneralizedGaussNewtonProblem)?.factorRowCount)
    }

    public func square(parameters: Int, residuals: Int?) -> JacobianSquare? { nil }

    public func squareChoice(on problem: Objective) -> SquareChoice? {
        guard let problem = problem as? any GeneralizedGaussNewtonProblem,
            let square = square(parameters: problem.layout.count, residuals: problem.factorRowCount)
        else { return nil }
        return SquareChoice(problem.plan(of: square))
    }
}

/// What a method asks of a problem's samples, beyond its ``Optimizer/Objective``.
public protocol SampleUse {
    /// The capability that is asked for, where there is one.
    static var need: String? { get }
    static func admits(_ problem: any Problem) -> Bool
}

/// Every step sees all samples, so that a report's loss is the problem's.
public enum AllSamples: SampleUse {
    public static var need: String? { nil }
    public static func admits(_ problem: any Problem) -> Bool { true }
}

/// A step sees a batch of the samples; the problem must be a ``SampledProblem``.
public enum SampleBatches: SampleUse {
    public static var need: String? { "SampledProblem" }
    public static func admits(_ problem: any Problem) -> Bool { problem is any SampledProblem }
}

/// Everything of an optimizer that changes, storable by construction.
public protocol OptimizerState: Checkpointable {
    var parameters: Parameters { get }
}

// MARK: Reports

/// What a step did.
public struct StepReport: Sendable {
    /// The loss at the state's parameters after the step.
    public var loss: LossValue
    /// ‖∇L‖₂ there, where the method knows it.
    public var gradientNorm: Double?
    /// The step length α, where the method has one.
    public var stepLength: Double?
    public var verdict: StepVerdict
    /// What else the method has to say, for the trajectory: damping, radius, rank, …
    public var details: [Detail]
    /// Where the verdict is stationary: what the method measured, and the threshold that it is at or below.
    public var floor: Finding?
    /// What the method gave up within the step and took in its place, in words: an event each in the trajectory.
    public var recoveries: [String]
    /// Iterations of an inner linear solver.
    public var linearIterations: Int
    /// The share of the problem's samples that loss and gradient norm are taken over: 1, or less for a batch. Values of
    /// different batches are not compared.
    public var sampleFraction: Double

    public struct Detail: Sendable, Hashable {
        public var name: String
        public var value: Double

        public init(_ name: String, _ value: Double) { (self.name, self.value) = (name, value) }
    }

    public init(
        loss: LossValue, gradientNorm: Double? = nil, stepLength: Double? = nil, verdict: StepVerdict = .accepted,
        details: [Detail] = [], floor: Finding? = nil, linearIterations: Int = 0, sampleFraction: Double = 1,
        recoveries: [String] = []
    ) {
        (self.loss, self.gradientNorm, self.stepLength, self.verdict) = (loss, gradientNorm, stepLength, verdict)
        (self.details, self.floor, self.linearIterations, self.sampleFraction) = (details, floor, linearIterations, sampleFraction)
        self.recoveries = recoveries
    }

    /// Whether the loss and the gradient norm are those of the whole problem.
    public var coversAllSamples: Bool { sampleFraction == 1 }
}

/// How a step ended. Accepted, rejected and invalid steps are three events.
public enum StepVerdict: Sendable, Hashable {
    /// The candidate was committed.
    case accepted
    /// The candidate was finite but not good enough; the parameters are unchanged.
    case rejected
    /// The candidate was not finite; the parameters are unchanged.
    case invalid
    /// The gradient vanishes to rounding, or no decrease is possible in floating point: there is nothing left to do.
    case stationary
    /// The method cannot go on; the parameters are unchanged.
    case brokeDown(Breakdown)

    public var name: String {
        switch self {
        case .accepted: "accepted"
        case .rejected: "rejected"
        case .invalid: "invalid"
        case .stationary: "stationary"
        case .brokeDown: "broke down"
        }
    }
}

/// Why a method could not go on.
public struct Breakdown: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Reason: Sendable, Hashable {
        /// The loss or the gradient is not finite where the method stands.
        case nonFinite
        /// The line search found no acceptable step.
        case lineSearch
        /// A linear system could not be solved.
        case linearSolver
        /// The damping or the trust region has left its bounds.
        case regularization
        case other
    }

    public var reason: Reason
    public var detail: String
    /// The loss term and sample at fault, where they could be found.
    public var fault: Fault?

    public init(_ reason: Reason, _ detail: String, fault: Fault? = nil) {
        (self.reason, self.detail, self.fault) = (reason, detail, fault)
    }

    public var description: String { fault.map { "\(detail) (\($0))" } ?? detail }
}
