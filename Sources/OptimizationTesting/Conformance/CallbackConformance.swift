import LinearAlgebra
import OptimizationCore

/// The callback's contract, as a runnable suite.
///
///     @Test func contract() throws {
///         try CallbackConformance.check(on: ZooProblem.wood) { MyCallback(every: 2) }
///     }
///
/// A callback that conforms
/// - has a name, and asks for something only where it is heard (see `RunRequest`);
/// - is deterministic: two equal callbacks come to the same states, announce and ask for the same things;
/// - has a state with value semantics, which comes back from storage to the same bits;
/// - goes on from a run's checkpoint as if nothing had interrupted it, bit for bit;
/// - leaves the course of the run alone where it has no identity: the same parameters after each step, with it as without it, as long
///   as it does not stop the run; and where it has one, does revise the problem, by the same identity for equal callbacks;
/// - accepts its own settings, and refuses bad ones (``SettingsConformance``).
///
/// It is tried in a small run of two stages of a plain descent; settings must be such that it has something to do in `steps` steps.
/// Cost: about 10 runs.
public enum CallbackConformance {
    /// Checks the contract; throws a ``ConformanceFailure`` that lists what is broken.
    ///
    /// `make` gives equal callbacks, each for a run of its own. A callback that writes to a file or a folder is given a new one each
    /// time, and `reopen` turns the callback of an interrupted run into one for the run that goes on: by default a new one, for
    /// nothing is left of a process but its checkpoint. `clockEntries` names entries of its state and details that it records
    /// which hold readings of a clock; they are not compared.
    @discardableResult
    public static func check<C: Callback, P: DifferentiableProblem>(
        on problem: P, steps: Int = 12, clockEntries: [String] = [], seed: UInt64 = 0, reopen: ((C) throws -> C)? = nil,
        _ make: @escaping () throws -> C
    ) throws -> ConformanceReport {
        let report = try report(on: problem, steps: steps, clockEntries: clockEntries, seed: seed, reopen: reopen, make)
        guard report.passed else { throw ConformanceFailure(report: report) }
        return report
    }

    /// The suite's result as a value.
    public static func report<C: Callback, P: DifferentiableProblem>(
        on problem: P, steps: Int = 12, clockEntries: [String] = [], seed: UInt64 = 0, reopen: ((C) throws -> C)? = nil,
        _ make: @escaping () throws -> C
    ) throws -> ConformanceReport {
        precondition(steps >= 4, "a conformance suite needs at least four steps")
        let half = steps / 2
        let pipeline = Pipeline(
            minimizing: problem,
            stages: [
                Stage(dynamic: "first", PlainDescent(), until: .iterations(half)),
                Stage(dynamic: "second", PlainDescent(), until: .iterations(steps - half)),
            ])
        let trial = CallbackTrial(
            make: make, reopen: reopen ?? { _ in try make() }, pipeline: pipeline, steps: steps, clockEntries: clockEntries, seed: seed)
        var report = ConformanceReport(subject: "\(C.self) on \(problem.name)")
        report.add("has a name of its own") { try trial.hasAName() }
        guard report.passed else { return report }  // a run keeps the callback's state under its name
        report.add("asks only where it is heard") { try trial.asksWhereItIsHeard() }
        report.add("is deterministic") { try trial.isDeterministic() }
        report.add("has a state with value semantics") { try trial.hasValueSemantics() }
        report.add("comes back from storage") { try trial.isStored() }
        report.add("interrupted = uninterrupted") { try trial.resumes() }
        report.add("changes the run's course by an identity only") { try trial.changesCourseByIdentity() }
        report.add("accepts its own settings") { try trial.acceptsItsSettings() }
        report.add("refuses bad settings") { try trial.refusesBadSettings() }
        return report
    }
}
