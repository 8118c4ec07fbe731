import LinearAlgebra
import OptimizationCore

extension OptimizerTrial {
    /// Steps on evaluations that go wrong from the first, the second, … on; each must end in a verdict that leaves the state.
    func survivesFaults() throws -> [String] {
        let faulty = FaultInjecting(problem)
        guard let objective = faulty as? O.Objective else {
            return []  // the need is a plugin's own capability, which the injector cannot stand in for
        }
        // As many right steps first as leave one to go wrong.
        let usable = try wholeRun().reports.prefix { !$0.verdict.ends }.count
        guard usable > 0 else { return [] }  // the method finds its start stationary and evaluates nothing
        var (failures, exercised) = ([String](), false)
        for kind in FaultInjector.Kind.allCases {
            for healthy in 0..<4 {
                var state = try optimizer.start(on: objective, from: start)
                for _ in 0..<min(2, usable - 1) { _ = try optimizer.step(&state, on: objective) }
                let before = Archive(of: state)
                let parameters = state.parameters
                let isAtFloor = try decreaseIsRounding(from: state, on: objective)
                faulty.injector.arm(kind, after: healthy)
                defer { faulty.injector.disarm() }
                let report: StepReport
                do { report = try optimizer.step(&state, on: objective) } catch {
                    failures.append("\(kind) from evaluation \(healthy + 1) on: threw \(error); numerical trouble is a verdict")
                    continue
                }
                guard faulty.injector.disarm() > 0 else { continue }
                exercised = true
                if case .stationary = report.verdict, isAtFloor { continue }
                if let failure = try judge(report, state, before, parameters, kind: kind, healthy: healthy) {
                    failures.append("\(kind) from evaluation \(healthy + 1) on: \(failure)")
                }
            }
        }
        return exercised ? failures : ["no step evaluated the problem"]
    }

    /// Whether a step without faults gains no more than rounding: a method may then call its state stationary by values it had before.
    private func decreaseIsRounding(from state: O.State, on objective: O.Objective) throws -> Bool {
        var copy = state
        _ = try optimizer.step(&copy, on: objective)
        let θ = state.parameters.values
        let (before, after) = (try problem.loss(at: θ).total, try problem.loss(at: copy.parameters.values).total)
        // The loss's own noise: what it changes by when the parameters move by their last bits.
        let jittered = try problem.loss(at: Vector(θ.enumerated().map { $1 * (1 + ($0 % 2 == 0 ? 1 : -1) * .ulpOfOne) })).total
        return before - after <= Swift.max(64 * .ulpOfOne * abs(before), 8 * abs(jittered - before))
    }

    private func judge(
        _ report: StepReport, _ state: O.State, _ before: Archive, _ parameters: Parameters, kind: FaultInjector.Kind, healthy: Int
    ) throws -> String? {
        let allFaulty = healthy == 0 && kind != .derivativesOnly
        let after = Archive(of: state)
        let moved = !state.parameters.values.sameBits(as: parameters.values)
        switch report.verdict {
        case .accepted:
            guard state.parameters.values.isFinite, after.isFinite || !before.isFinite else { return "accepted, with a non-finite state" }
            guard report.coversAllSamples else { return nil }
            // Accepted on values that were right: then the loss is that of the parameters.
            return try reportsLoss(report, at: state.parameters) ? nil : "accepted a loss of \(report.loss.total)"
        case .stationary: return "called stationary"
        case .rejected where allFaulty: return "called rejected, which is for finite candidates"
        case .rejected, .invalid:
            if moved { return "\(report.verdict.name), and the parameters moved" }
            return after.isFinite || !before.isFinite ? nil : "\(report.verdict.name), and the state is not finite"
        case .brokeDown(let breakdown):
            let changed = after.differences(from: before)
            guard changed.isEmpty else { return "broke down and changed \(changed.joined(separator: ", "))" }
            if breakdown.fault == nil, kind != .derivativesOnly {
                return "broke down without naming the term at fault (Breakdown.nonFinite(at:on:) asks the problem): \(breakdown)"
            }
            guard try report.coversAllSamples && !reportsLoss(report, at: state.parameters) else { return nil }
            let loss = try problem.loss(at: parameters.values).total
            return "broke down and reports L = \(report.loss.total), which is \(loss) where it stands"
        }
    }

    /// Whether a report's loss is that of the problem without faults, to rounding.
    private func reportsLoss(_ report: StepReport, at parameters: Parameters) throws -> Bool {
        let loss = try problem.loss(at: parameters.values).total
        let count = (problem as? any LeastSquaresProblem)?.residualCount ?? parameters.count
        return abs(report.loss.total - loss) <= Ladder.rounding(count) * abs(loss)
    }
}
