/// The criteria that come with the core.
private struct Budget: StoppingCriterion {
    enum Resource: Sendable { case iterations, seconds, evaluations, work(Work) }

    let resource: Resource
    let limit: Double

    var name: String {
        switch resource {
        case .iterations: "iterations"
        case .seconds: "seconds"
        case .evaluations: "evaluations"
        case .work(let work): work.name
        }
    }

    var setting: Setting {
        let text = limit == limit.rounded() && abs(limit) < 1e15 ? String(Int(limit)) : String(limit)
        return .map([.init(name, .scalar(text))])
    }

    var description: String { "\(name) ≥ \(short(limit))" }

    var iterationLimit: Int? {
        if case .iterations = resource, limit < 1e15 { Int(limit) } else { nil }
    }

    func finding(in observation: Observation, memory: inout [Double]) -> Finding? {
        let spent =
            switch resource {
            case .iterations: Double(observation.iteration)
            case .seconds: observation.secondsInStage
            case .evaluations: observation.workInStage.evaluations
            case .work(let work): observation.workInStage[work]
            }
        return spent >= limit ? Finding(name, spent, "≥", limit, meaning: .budgetSpent) : nil
    }
}

/// A measured value below a threshold: L, ‖∇L‖ (absolute or relative to the stage's first), the monitor loss, the error.
/// L and ‖∇L‖ are of the whole problem; where steps see batches they are measured as often as the observation says.
private struct Threshold: StoppingCriterion {
    enum Quantity: String, Sendable { case loss, gradientNorm, relativeGradientNorm, monitorLoss, referenceError }

    let quantity: Quantity
    let threshold: Double
    /// Every how many iterations the value is measured.
    let cadence: Int

    var setting: Setting {
        var pairs = [Setting.Pair("below", .number(threshold))]
        if cadence > 1 { pairs.append(.init("every", .integer(cadence))) }
        return .map([.init(quantity.rawValue, .map(pairs))])
    }

    var symbol: String {
        switch quantity {
        case .loss: "L"
        case .gradientNorm: "‖∇L‖"
        case .relativeGradientNorm: "‖∇L‖ / ‖∇L₀‖"
        case .monitorLoss: "monitor loss"
        case .referenceError: "relative error"
        }
    }

    var description: String { "\(symbol) ≤ \(short(threshold))" }

    func finding(in observation: Observation, memory: inout [Double]) throws -> Finding? {
        guard observation.report != nil, observation.iteration % cadence(in: observation) == 0 else { return nil }
        let measured: Double?
        switch quantity {
        case .loss: measured = try observation.wholeLoss()
        case .gradientNorm: measured = try observation.wholeGradientNorm()
        case .relativeGradientNorm:
            let norm = try observation.wholeGradientNorm()
            if memory.isEmpty, let norm { memory = [norm] }
            measured = norm.flatMap { norm in memory.first.map { $0 > 0 ? norm / $0 : 0 } }
        case .monitorLoss: measured = try observation.monitorLoss()
        case .referenceError: measured = try observation.referenceError()
        }
        guard let measured, measured <= threshold else { return nil }
        return Finding(symbol, measured, "≤", threshold, meaning: .converged)
    }

    private func cadence(in observation: Observation) -> Int {
        switch quantity {
        case .loss: observation.wholeCadence
        case .gradientNorm, .relativeGradientNorm: observation.gradientCadence
        case .monitorLoss, .referenceError: cadence
        }
    }
}

/// The loss has fallen by less than a factor over a window of iterations. On a new version of the problem the window
/// begins anew: losses of different versions are not compared. Where steps see batches, the window holds the whole problem's
/// losses, as often as the observation says.
private struct Stalled: StoppingCriterion {
    let window: Int
    let relativeDecrease: Double

    var setting: Setting {
        .map([
            .init("stalled", .map([.init("window", .integer(window)), .init("relativeDecrease", .number(relativeDecrease))]))
        ])
    }

    var description: String { "loss fell by less than \(short(100 * relativeDecrease)) % over \(window) iterations" }

    /// Memory: the problem's version, then the losses measured over the window, the oldest first.
    func finding(in observation: Observation, memory: inout [Double]) throws -> Finding? {
        let cadence = observation.wholeCadence
        guard observation.iteration % cadence == 0, let loss = try observation.wholeLoss() else { return nil }
        let intervals = max(1, window / cadence)
        let version = Double(observation.version)
        if memory.first != version { memory = [version] }
        memory.append(loss)
        guard memory.count >= intervals + 2 else { return nil }
        if memory.count > intervals + 2 { memory.remove(at: 1) }
        let decrease = memory[1] > 0 ? (memory[1] - loss) / memory[1] : 0
        guard decrease < relativeDecrease else { return nil }
        return Finding("relative decrease over \(intervals * cadence) iterations", decrease, "<", relativeDecrease, meaning: .stalled)
    }
}

/// The monitor loss has not improved on its minimum for a number of measurements: training has begun to overfit.
private struct MonitorRising: StoppingCriterion {
    let patience: Int
    let cadence: Int

    var setting: Setting {
        .map([.init("monitorRising", .map([.init("patience", .integer(patience)), .init("every", .integer(cadence))]))])
    }

    var description: String { "monitor loss without a new minimum \(patience) times, every \(cadence) iterations" }

    /// Memory: the minimum, and how many measurements ago it was.
    func finding(in observation: Observation, memory: inout [Double]) throws -> Finding? {
        guard observation.report != nil, observation.iteration % cadence == 0, let loss = try observation.monitorLoss() else {
            return nil
        }
        // A NaN is no new minimum.
        guard !(loss < memory.first ?? .infinity) else {
            memory = [loss, 0]
            return nil
        }
        memory = [memory.first ?? .infinity, (memory.last ?? 0) + 1]
        guard memory[1] >= Double(patience) else { return nil }
        return Finding("measurements since the monitor loss's minimum", memory[1], "≥", Double(patience), meaning: .stalled)
    }
}

// MARK: Call sites

extension StoppingRule {
    private static func budget(_ resource: Budget.Resource, _ limit: Double) -> StoppingRule {
        precondition(limit >= 0, "a budget cannot be negative: \(limit)")
        return StoppingRule(Budget(resource: resource, limit: limit))
    }

    private static func below(_ quantity: Threshold.Quantity, _ threshold: Double, every cadence: Int = 1) -> StoppingRule {
        precondition(cadence > 0, "a value cannot be measured every \(cadence) iterations")
        return StoppingRule(Threshold(quantity: quantity, threshold: threshold, cadence: cadence))
    }

    /// So many iterations of this stage.
    public static func iterations(_ limit: Int) -> StoppingRule { budget(.iterations, Double(limit)) }
    /// So many seconds of this stage, by the wall clock: a run that ends by it is not reproducible.
    public static func seconds(_ limit: Double) -> StoppingRule { budget(.seconds, limit) }
    /// So many evaluations of the objective of any kind in this stage, in full-problem equivalents.
    public static func evaluations(_ limit: Double) -> StoppingRule { budget(.evaluations, limit) }
    /// So much work of one kind in this stage, in full-problem equivalents.
    public static func evaluations(of work: Work, _ limit: Double) -> StoppingRule { budget(.work(work), limit) }
    /// L ≤ `threshold`.
    public static func loss(below threshold: Double) -> StoppingRule { below(.loss, threshold) }
    /// ‖∇L‖₂ ≤ `threshold`.
    public static func gradientNorm(below threshold: Double) -> StoppingRule { below(.gradientNorm, threshold) }
    /// ‖∇L‖₂ ≤ `threshold` times its value after the stage's first step.
    public static func relativeGradientNorm(below threshold: Double) -> StoppingRule { below(.relativeGradientNorm, threshold) }
    /// The held-out loss ≤ `threshold`, measured every `cadence` iterations.
    public static func monitorLoss(below threshold: Double, every cadence: Int = 100) -> StoppingRule {
        below(.monitorLoss, threshold, every: cadence)
    }
    /// The error against the reference ≤ `threshold`, measured every `cadence` iterations.
    public static func referenceError(below threshold: Double, every cadence: Int = 100) -> StoppingRule {
        below(.referenceError, threshold, every: cadence)
    }
    /// The loss fell by less than the fraction `relativeDecrease` over `window` iterations of one problem version.
    public static func stalled(over window: Int = 100, relativeDecrease: Double = 1e-3) -> StoppingRule {
        precondition(window > 0, "a window of \(window) iterations")
        return StoppingRule(Stalled(window: window, relativeDecrease: relativeDecrease))
    }
    /// The held-out loss, measured every `cadence` iterations, had no new minimum `patience` times in a row.
    public static func monitorRising(patience: Int = 5, every cadence: Int = 100) -> StoppingRule {
        precondition(patience > 0 && cadence > 0, "patience and cadence must be positive")
        return StoppingRule(MonitorRising(patience: patience, cadence: cadence))
    }
}
