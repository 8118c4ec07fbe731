import LinearAlgebra

/// One stage of a pipeline: an optimizer, a name, when it ends, and what follows if it breaks down.
///
/// A wrong pairing does not compile: each initialiser takes the optimizers whose need the problem type `P` offers. An
/// optimizer chosen by name goes through ``init(dynamic:_:until:onBreakdown:)`` and is checked before the first step.
public struct Stage<P: Problem>: Sendable {
    public let name: String
    public let until: StoppingRule
    public let onBreakdown: RecoveryPolicy
    /// The optimizer's name and settings.
    public let optimizer: Setting
    /// What the optimizer needs, in words: "LeastSquaresProblem".
    public let need: String

    let fits: @Sendable (Counted<P>) -> Bool
    let check: @Sendable (Counted<P>) throws -> Void
    let begin: @Sendable (Counted<P>, Parameters) throws -> any Execution
    let restore: @Sendable (Counted<P>, Archive) throws -> any Execution
    let workingMemory: @Sendable (Counted<P>) -> Int?
    let stepCost: @Sendable (Counted<P>) -> StepCost?
    let square: @Sendable (Counted<P>) -> SquareChoice?

    /// A stage whose optimizer was chosen at run time; whether it fits the problem is checked in the pipeline's preflight.
    public init<O: Optimizer>(dynamic name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver) {
        (self.name, self.until, self.onBreakdown) = (name, until, onBreakdown)
        self.optimizer = (optimizer as? any Configurable)?.settings ?? .map([.init("name", .scalar("\(O.self)"))])
        need = needed(by: O.self)
        fits = { $0 as? O.Objective != nil && O.Samples.admits($0) }
        check = { problem in
            do {
                try optimizer.check(try narrowed(problem, for: name, O.self))
            } catch let error as ConfigurationError {
                throw ConfigurationError(path: "stage “\(name)”: \(error.path)", line: error.line, reason: error.reason)
            }
        }
        begin = { problem, parameters in
            let objective: O.Objective = try narrowed(problem, for: name, O.self)
            return Running(optimizer: optimizer, problem: objective, state: try optimizer.start(on: objective, from: parameters))
        }
        restore = { problem, archive in
            Running(optimizer: optimizer, problem: try narrowed(problem, for: name, O.self), state: try archive.decoded(as: O.State.self))
        }
        workingMemory = { ($0 as? O.Objective).flatMap { optimizer.workingMemory(on: $0) } }
        stepCost = { ($0 as? O.Objective).flatMap { optimizer.stepCost(on: $0) } }
        square = { ($0 as? O.Objective).flatMap { optimizer.squareChoice(on: $0) } }
    }
}

extension Stage where P: DifferentiableProblem {
    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any DifferentiableProblem, O.Samples == AllSamples {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }
}

extension Stage where P: GeneralizedGaussNewtonProblem {
    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any GeneralizedGaussNewtonProblem, O.Samples == AllSamples {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }
}

extension Stage where P: LeastSquaresProblem {
    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any LeastSquaresProblem, O.Samples == AllSamples {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }
}

extension Stage where P: LayeredCurvatureProblem {
    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any LayeredCurvatureProblem, O.Samples == AllSamples {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }
}

extension Stage where P: TwiceDifferentiableProblem {
    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any TwiceDifferentiableProblem, O.Samples == AllSamples {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }
}

extension Stage where P: DifferentiableProblem & SampledProblem {
    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any DifferentiableProblem, O.Samples == SampleBatches {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }

    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any DifferentiableProblem & SampledProblem {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }
}

extension Stage where P: GeneralizedGaussNewtonProblem & SampledProblem {
    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any GeneralizedGaussNewtonProblem, O.Samples == SampleBatches {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }

    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any GeneralizedGaussNewtonProblem & SampledProblem {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }
}

extension Stage where P: LeastSquaresProblem & SampledProblem {
    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any LeastSquaresProblem, O.Samples == SampleBatches {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }

    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any LeastSquaresProblem & SampledProblem {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }
}

extension Stage where P: LayeredCurvatureProblem & SampledProblem {
    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any LayeredCurvatureProblem, O.Samples == SampleBatches {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }
}

extension Stage where P: TwiceDifferentiableProblem & SampledProblem {
    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any TwiceDifferentiableProblem, O.Samples == SampleBatches {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }

    public init<O: Optimizer>(_ name: String, _ optimizer: O, until: StoppingRule, onBreakdown: RecoveryPolicy = .handOver)
    where O.Objective == any TwiceDifferentiableProblem & SampledProblem {
        self.init(dynamic: name, optimizer, until: until, onBreakdown: onBreakdown)
    }
}

// MARK: Running a stage

/// An optimizer at work on its objective, without its types.
protocol Execution {
    var parameters: Parameters { get }
    mutating func step() throws -> StepReport
    /// Shortens the method's steps, if it has a step to shorten.
    mutating func shortenSteps() -> Bool
    /// Goes on with another version of the problem.
    mutating func adapt(to problem: some Problem) throws
    func archive() -> Archive
}

struct Running<O: Optimizer>: Execution {
    let optimizer: O
    var problem: O.Objective
    var state: O.State

    var parameters: Parameters { state.parameters }

    mutating func step() throws -> StepReport { try optimizer.step(&state, on: problem) }

    mutating func shortenSteps() -> Bool { optimizer.shortenSteps(&state) }

    mutating func adapt(to revised: some Problem) throws {
        problem = try narrowed(revised, for: "", O.self)
        try optimizer.adapt(&state, to: problem)
    }

    func archive() -> Archive { Archive(of: state) }
}

/// The problem as what an optimizer needs.
package func narrowed<O: Optimizer>(_ problem: some Problem, for stage: String, _ type: O.Type) throws -> O.Objective {
    guard let objective = problem as? O.Objective, O.Samples.admits(problem) else {
        throw PairingError(
            stage: stage, optimizer: "\(O.self)", need: needed(by: type), problem: problem.name, offers: offers(of: problem), fitting: [])
    }
    return objective
}

/// An optimizer's need, as the names of capabilities.
package func needed<O: Optimizer>(by type: O.Type) -> String {
    ("\(O.Objective.self)".replacing("any ", with: "").split(separator: " & ").map(String.init) + [O.Samples.need].compactMap { $0 })
        .reduce(into: []) { names, name in if !names.contains(name) { names.append(name) } }
        .joined(separator: " & ")
}

/// The core's capabilities that a problem offers.
public func offers(of problem: some Problem) -> [String] {
    var names: [String] = []
    if problem is any DifferentiableProblem { names.append("DifferentiableProblem") }
    if problem is any GeneralizedGaussNewtonProblem { names.append("GeneralizedGaussNewtonProblem") }
    if problem is any LeastSquaresProblem { names.append("LeastSquaresProblem") }
    if problem is any GaussNewtonOperatorProblem { names.append("GaussNewtonOperatorProblem") }
    if problem is any LayeredCurvatureProblem { names.append("LayeredCurvatureProblem") }
    if problem is any PartiallyLinearProblem { names.append("PartiallyLinearProblem") }
    if problem is any TwiceDifferentiableProblem { names.append("TwiceDifferentiableProblem") }
    if problem is any SampledProblem { names.append("SampledProblem") }
    if problem is any RevisableProblem { names.append("RevisableProblem") }
    return names
}

/// An optimizer needs what a problem does not offer.
public struct PairingError: Error, CustomStringConvertible {
    public var stage: String
    public var optimizer: String
    public var need: String
    public var problem: String
    public var offers: [String]
    /// The registered optimizers that would fit.
    public var fitting: [String]

    public var description: String {
        var text = "stage “\(stage)”: \(optimizer) needs a \(need); the problem \(problem) offers \(offers.joined(separator: ", "))."
        if !fitting.isEmpty { text += " These optimizers fit: \(fitting.joined(separator: ", "))." }
        return text
    }
}
