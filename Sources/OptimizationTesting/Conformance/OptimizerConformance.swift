import LinearAlgebra
import OptimizationCore

/// The optimizer's contract, as a runnable suite.
///
///     @Test(arguments: ZooProblem.smooth) func contract(problem: ZooProblem) throws {
///         let accuracy = DeclaredAccuracy(0.9, within: 500, except: ["rosenbrock": 1e-3])
///         try OptimizerConformance.check(Lion(learningRate: 1e-3), on: problem, reaching: accuracy)
///     }
///
/// An optimizer that conforms
/// - starts where it is told and comes as far as it declares (``DeclaredAccuracy``);
/// - reports the loss and gradient norm of its state's parameters (or says that they are a batch's), and leaves those in place unless it accepts;
/// - is deterministic, keeps all that changes in its state, and has a state with value semantics;
/// - stores its state so that a decoded one goes on bit for bit, by hand and through a pipeline's snapshots;
/// - meets non-finite values with a typed verdict, its state untouched, that names the term and the sample at fault, where the problem
///   can find them;
/// - goes on from where it stands when the problem's version rises;
/// - accepts its own settings, and refuses bad ones (``SettingsConformance``).
///
/// That a run goes on in another process as it would have in its own is tried by two processes: see ``InterruptedRun``.
///
/// Cost: about 30 · `steps` steps, and those of the declaration.
public enum OptimizerConformance {
    /// Checks the contract; throws a ``ConformanceFailure`` that lists what is broken, or a ``PairingError`` where the
    /// optimizer does not fit the problem.
    @discardableResult
    public static func check<O: Optimizer, P: DifferentiableProblem>(
        _ optimizer: O, on problem: P, reaching accuracy: DeclaredAccuracy, steps: Int = 20, seed: UInt64 = 0
    ) throws -> ConformanceReport {
        let report = try report(optimizer, on: problem, reaching: accuracy, steps: steps, seed: seed)
        guard report.passed else { throw ConformanceFailure(report: report) }
        return report
    }

    /// The suite's result as a value.
    public static func report<O: Optimizer, P: DifferentiableProblem>(
        _ optimizer: O, on problem: P, reaching accuracy: DeclaredAccuracy, steps: Int = 20, seed: UInt64 = 0
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
        report.add("comes as far as it declares") { try trial.reaches(accuracy) }
        report.add("reports the loss of its parameters") { try trial.reportsItsLoss() }
        report.add("moves only when it accepts") { try trial.movesOnlyWhenAccepting() }
        report.add("is deterministic") { try trial.isDeterministic() }
        report.add("has a state with value semantics") { try trial.hasValueSemantics() }
        report.add("keeps two runs apart") { try trial.keepsRunsApart() }
        report.add("goes on from a stored state bit for bit") { try trial.roundTrips() }
        report.add("interrupted = uninterrupted") { try trial.resumes(pipeline, seed: seed) }
        report.add("meets non-finite values with a verdict, its state untouched") { try trial.survivesFaults() }
        report.add("adapts to a new version where it stands") { try trial.adapts() }
        report.add("accepts its own settings") { trial.acceptsItsSettings() }
        report.add("refuses bad settings") { trial.refusesBadSettings() }
        return report
    }
}
