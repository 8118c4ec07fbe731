import Curvature
import Foundation
import OptimizationTesting

/// A problem with a known answer, and what counts as reaching it.
struct ProfileProblem {
    let name: String
    let problem: any DifferentiableProblem
    /// The digits that θ shares with the answer, and whether they are enough; the digits are nil where the answer is a loss.
    let judge: (_ θ: Vector, _ report: StepReport) throws -> (digits: Double?, isSolved: Bool)

    init(_ problem: NISTProblem) {
        (name, self.problem) = (problem.name, problem)
        judge = { θ, _ in
            let digits = problem.logRelativeError(at: θ)
            return (digits, digits >= 4)
        }
    }

    init(_ problem: ZooProblem) {
        (name, self.problem) = (problem.description, problem)
        judge = { θ, report in
            let (loss, minima) = (report.loss.total, [problem.minimum].compactMap { $0 } + problem.localMinima)
            let isSolved = minima.contains { minimum in
                if minimum == 0 { return loss <= 1e-8 && problem.lossAndGradient(at: θ).gradient.norm <= 1e-10 }
                return abs(loss - minimum) <= 1e-8 * minimum
            }
            return (nil, isSolved)
        }
    }

    init(_ problem: any Problem) throws {
        guard let differentiable = problem as? any DifferentiableProblem, let referenced = problem as? any ReferencedProblem else {
            throw ConfigurationError(path: "set", reason: "\(problem.name) has no gradient, or no answer to compare with")
        }
        let frequency = problem.identity["frequency"]?.text.map { "-\($0)" } ?? ""
        (name, self.problem) = (problem.name + frequency, differentiable)
        judge = { θ, _ in
            guard let error = try referenced.referenceError(at: θ), error.isFinite else { return (0, false) }
            return (error > 0 ? max(0, -log10(error)) : 16, error <= 1e-3)
        }
    }
}

/// How an optimizer came off on one problem.
struct ProfileRun {
    var problem: String
    var isSolved = false
    /// Digits of the answer, where the set counts them.
    var digits: Double?
    /// Evaluations of the whole run, and up to the step at which the problem was first solved.
    var evaluations = 0.0
    var evaluationsToSolve: Double?
    var steps = 0
    var seconds = 0.0
    /// How the run ended, in words.
    var end = "spent its steps"
}

/// How an optimizer came off on a set.
struct ProfiledOptimizer {
    let name: String
    private(set) var runs: [ProfileRun] = []

    /// Nil where the optimizer does not fit one of the problems.
    init?(_ name: String, on problems: [ProfileProblem], steps: Int, registry: Registry) throws {
        self.name = name
        let optimizer = try registry.optimizer(.scalar(name), path: "--optimizer")
        for problem in problems {
            guard let run = try Self.run(optimizer, on: problem, problem.problem, steps: steps) else { return nil }
            runs.append(run)
        }
    }

    private static func run<O: Optimizer, P: DifferentiableProblem>(
        _ optimizer: O, on problem: ProfileProblem, _ base: P, steps: Int
    ) throws -> ProfileRun? {
        let counted = Counted(base)
        guard let objective = counted as? O.Objective, O.Samples.admits(base) else { return nil }
        var random = RandomStream(seed: 1, name: "initialization")
        var run = ProfileRun(problem: problem.name)
        let start = ContinuousClock.now
        var judging = Duration.zero
        var state = try optimizer.start(on: objective, from: base.initialParameters(from: &random))
        for step in 1...steps {
            let report = try optimizer.step(&state, on: objective)
            run.steps = step
            var isOver = false
            switch report.verdict {
            case .stationary: (run.end, isOver) = (report.floor?.description ?? "stationary", true)
            case .brokeDown(let breakdown): (run.end, isOver) = ("broke down: \(breakdown)", true)
            case .accepted, .rejected, .invalid: break
            }
            // What the answer costs to compare with is not the optimizer's.
            let judged = ContinuousClock.now
            if report.verdict == .accepted || isOver || step == steps {
                let verdict = try problem.judge(state.parameters.values, report)
                (run.digits, run.isSolved) = (verdict.digits, verdict.isSolved)
                if verdict.isSolved, run.evaluationsToSolve == nil { run.evaluationsToSolve = counted.counter.counts.evaluations }
            }
            judging += judged.duration(to: .now)
            if isOver { break }
        }
        run.evaluations = counted.counter.counts.evaluations
        run.seconds = (start.duration(to: .now) - judging).inSeconds
        // A run is judged by where it ends.
        if !run.isSolved { run.evaluationsToSolve = nil }
        return run
    }

    var solved: Int { runs.filter(\.isSolved).count }
    var evaluations: Double { runs.reduce(0) { $0 + $1.evaluations } }
    var seconds: Double { runs.reduce(0) { $0 + $1.seconds } }

    var meanDigits: Double? {
        let digits = runs.compactMap(\.digits)
        return digits.count == runs.count && !digits.isEmpty ? digits.reduce(0, +) / Double(digits.count) : nil
    }

    /// A line, and one for each failure.
    var text: String {
        let digits = meanDigits.map { ", mean log relative error \(short($0))" } ?? ""
        let head = "\(name): \(solved) of \(runs.count) solved\(digits), \(Int(evaluations)) evaluations, \(short(seconds)) s"
        return ([head] + failures.map { "  \($0.problem): \($0.reason)" }).joined(separator: "\n")
    }

    private var failures: [(problem: String, reason: String)] {
        runs.filter { !$0.isSolved }.map { run in
            let digits = run.digits.map { "\(short($0)) digits, " } ?? ""
            return (run.problem, "\(digits)\(run.end) after \(run.steps) steps")
        }
    }

    func report(curve: PerformanceProfile.Curve) -> JSONReport {
        [
            "name": .text(name), "solved": .integer(solved), "total": .integer(runs.count), "meanLogRelativeError": .number(meanDigits),
            "evaluations": .number(evaluations), "seconds": .number(seconds),
            "failures": .list(failures.map { ["problem": .text($0.problem), "reason": .text($0.reason)] }),
            "profile": [
                "ratios": .list(curve.ratios.map(JSONReport.number)), "fractions": .list(curve.fractions.map(JSONReport.number)),
            ],
        ]
    }
}
