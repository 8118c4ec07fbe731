import LinearAlgebra
import OptimizationCore

/// The optimizer's contract, as a runnable suite.
///
///     @Test(arguments: ZooProblem.smooth) func contract(problem: ZooProblem) throws {
///         try OptimizerConformance.check(Lion(learningRate: 1e-3), on: problem)
///     }
///
/// An optimizer that conforms
/// - starts where it is told and descends: its loss after the last step is at most `decrease` times the first;
/// - reports the loss and gradient norm of its state's parameters (or says that they are a batch's), and leaves those in place unless it accepts;
/// - is deterministic, keeps all that changes in its state, and has a state with value semantics;
/// - stores its state so that a decoded one goes on bit for bit, by hand and through a pipeline's snapshots;
/// - meets non-finite values with a typed verdict, its state untouched;
/// - goes on from where it stands when the problem's version rises;
/// - accepts its own settings, and refuses unknown ones and values that are no numbers.
///
/// Cost: about 30 · `steps` steps.
public enum OptimizerConformance {
    /// Checks the contract; throws a ``ConformanceFailure`` that lists what is broken, or a ``PairingError`` where the
    /// optimizer does not fit the problem.
    @discardableResult
    public static func check<O: Optimizer, P: DifferentiableProblem>(
        _ optimizer: O, on problem: P, steps: Int = 20, decrease: Double = 1, seed: UInt64 = 0
    ) throws -> ConformanceReport {
        let report = try report(
            optimizer, on: problem, steps: steps, decrease: decrease, seed: seed)
        guard report.passed else { throw ConformanceFailure(report: report) }
        return report
    }

    /// The suite's result as a value.
    public static func report<O: Optimizer, P: DifferentiableProblem>(
        _ optimizer: O, on problem: P, steps: Int = 20, decrease: Double = 1, seed: UInt64 = 0
    ) throws -> ConformanceReport {
        precondition(steps >= 4, "a conformance suite needs at least four steps")
        let stage = Stage<P>(dynamic: "conformance", optimizer, until: .iterations(steps))
        let pipeline = Pipeline(minimizing: problem, stages: [stage])
        _ = try pipeline.preflight()  // throws the PairingError
        guard let objective = problem as? O.Objective else { preconditionFailure("the preflight accepts what does not fit") }
        var random = RandomStream(seed: seed, name: "initialization")
        let trial = OptimizerTrial(
            optimizer: optimizer, problem: problem, objective: objective, start: problem.initialParameters(from: &random), steps: steps)

        var report = ConformanceReport(subject: "\(O.self) on \(problem.name)")
        report.add("starts where it is told") { try trial.startsInPlace() }
        report.add("descends") { try trial.descends(by: decrease) }
        report.add("reports the loss of its parameters") { try trial.reportsItsLoss() }
        report.add("moves only when it accepts") { try trial.movesOnlyWhenAccepting() }
        report.add("is deterministic") { try trial.isDeterministic() }
        report.add("has a state with value semantics") { try trial.hasValueSemantics() }
        report.add("keeps two runs apart") { try trial.keepsRunsApart() }
        report.add("goes on from a stored state bit for bit") { try trial.roundTrips() }
        report.add("interrupted = uninterrupted") { try trial.resumes(pipeline, seed: seed) }
        report.add("meets non-finite values with a verdict, its state untouched") { try trial.survivesFaults() }
        report.add("adapts to a new version where it stands") { try trial.adapts() }
        report.add("accepts its own settings") { try trial.acceptsItsSettings() }
        report.add("refuses bad settings") { trial.refusesBadSettings() }
        return report
    }
}
