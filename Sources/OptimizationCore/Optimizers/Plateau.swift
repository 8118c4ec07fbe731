import LinearAlgebra

/// When a rate falls because a loss no longer does.
public struct PlateauSettings: Configurable, Hashable {
    /// What is read.
    public enum Metric: String, CaseIterable, Sendable {
        /// The loss that a step reports: a batch's, on batches.
        case loss
        /// The loss on samples that training does not see (``MonitoredProblem``).
        case monitorLoss = "monitor-loss"
    }

    public enum Threshold: String, CaseIterable, Sendable {
        case relative
        case absolute
    }

    public var metric = Metric.loss
    /// Steps for one reading, the mean over them.
    public var every = 1
    /// φ ∈ (0, 1): what the rate is multiplied by.
    public var factor = 0.1
    /// Readings in a row that may be no better.
    public var patience = 10
    /// τ ≥ 0: how much better is better.
    public var threshold = 1e-4
    public var thresholdKind = Threshold.relative
    /// Readings after a fall of the rate that are not counted.
    public var cooldown = 0
    /// The least factor.
    public var minimum = 0.0

    public init() {}

    public init(factor: Double, patience: Int, every: Int = 1) {
        precondition(factor > 0 && factor < 1, "a rate cannot fall by the factor \(factor); it must be in (0, 1)")
        precondition(patience >= 0 && every > 0, "a patience of \(patience) readings, one every \(every) steps")
        (self.factor, self.patience, self.every) = (factor, patience, every)
    }

    public static let identifier = "plateau"
    public static let summary = "Lowers the rate whenever the loss has not become better for some time."
    public static var fields: [Field<Self>] {
        [
            .choice("metric", \.metric, meaning: "what is read"),
            .integer("every", \.every, atLeast: 1, meaning: "steps whose mean is a reading; of the monitor loss, steps between two"),
            .number("factor", \.factor, in: .openUnit, meaning: "what the rate is multiplied by"),
            .integer("patience", \.patience, meaning: "readings in a row that may be no better than the best"),
            .number("threshold", \.threshold, in: .nonNegative, meaning: "how much better than the best is better"),
            .choice("thresholdKind", \.thresholdKind, meaning: "whether the threshold is a part of the best or a difference"),
            .integer("cooldown", \.cooldown, meaning: "readings after a fall of the rate that are not counted"),
            .number("minimum", \.minimum, in: .within(0...1), meaning: "the least factor of the rate"),
        ]
    }
}

/// What has been read, and the factor that came of it.
public struct PlateauMemory: Checkpointable, Equatable {
    /// The factor of the rate.
    public private(set) var factor = 1.0
    /// The best reading of this version; `nil` before the first.
    public private(set) var best: Double?
    /// Readings in a row that were no better.
    public private(set) var badReadings = 0
    /// Readings that are not counted any more.
    public private(set) var cooling = 0
    /// Steps of the reading to come, and the sum of their losses.
    public private(set) var steps = 0
    public private(set) var sum = 0.0

    public init() {}

    /// Takes a step's loss, or a monitor loss that is due, in. Where it completes a reading that lowers the factor, true.
    public mutating func take(_ loss: Double, by settings: PlateauSettings) -> Bool {
        guard settings.metric == .loss else { return read(loss, by: settings) }
        steps += 1
        sum += loss
        guard steps == settings.every else { return false }
        let reading = sum / Double(steps)
        (steps, sum) = (0, 0)
        return read(reading, by: settings)
    }

    /// Counts a step on the way to the next monitor loss; true where it is due.
    mutating func isDue(by settings: PlateauSettings) -> Bool {
        steps = (steps + 1) % settings.every
        return steps == 0
    }

    private mutating func read(_ reading: Double, by settings: PlateauSettings) -> Bool {
        if isBetter(reading, by: settings) {
            (best, badReadings) = (reading, 0)
        } else {
            badReadings += 1
        }
        if cooling > 0 {
            cooling -= 1
            badReadings = 0
        }
        guard badReadings > settings.patience else { return false }
        (cooling, badReadings) = (settings.cooldown, 0)
        let before = factor
        factor = Swift.max(before * settings.factor, Swift.min(settings.minimum, before))
        return factor < before
    }

    private func isBetter(_ reading: Double, by settings: PlateauSettings) -> Bool {
        guard let best else { return true }
        switch settings.thresholdKind {
        case .relative: return reading < best - settings.threshold * abs(best)
        case .absolute: return reading < best - settings.threshold
        }
    }

    /// Forgets readings of another version, not the factor.
    mutating func forget() {
        (best, badReadings, steps, sum) = (nil, 0, 0, 0)
    }

    public func encode(into archive: inout Archive) {
        archive.set("factor", factor)
        if let best { archive.set("best", best) }
        archive.set("badReadings", badReadings)
        archive.set("cooling", cooling)
        archive.set("steps", steps)
        archive.set("sum", sum)
    }

    public init(from archive: Archive) throws {
        (factor, sum) = (try archive.double("factor"), try archive.double("sum"))
        if archive["best"] != nil { best = try archive.double("best") }
        (badReadings, cooling, steps) = (try archive.count("badReadings"), try archive.count("cooling"), try archive.count("steps"))
        guard factor > 0, factor <= 1 else { throw ArchiveError(entry: "factor", reason: "\(factor) is not in (0, 1]") }
    }
}

/// A first-order method whose rate falls whenever the loss has not become better for some time.
///
///     Plateau(Adam(learningRate: 1e-2), PlateauSettings(factor: 0.5, patience: 20))
///
/// After each reading m (the mean of `every` steps' losses, or the monitor loss): better is m < b − τ|b|, or m < b − τ, for the best b so
/// far. More than `patience` readings in a row that are no better multiply the rate by φ, down to `minimum`; then `cooldown` readings are
/// not counted. The factor multiplies the schedule's; it acts on the whole update, weight decay included. It stands in the trajectory as
/// “rate factor”.
///
/// Unlike a ``Schedule`` it depends on what happened, so what it has read is part of the state. On batches a step's loss is noise about the
/// loss: read the mean of an epoch (`every`), or the monitor loss. Only accepted steps are read. A new version of the problem begins with a
/// new best; the factor stays. The monitor loss costs its evaluation every `every` steps, which is not counted as work.
/// Variant: PyTorch's `ReduceLROnPlateau` (mode `min`, without its `eps`), on whose factors it is; for negative losses τ is a part of |b|,
/// where PyTorch would take a rise for better. `every` is Optax's `accumulation_size`.
public struct Plateau<Base: FirstOrderMethod>: Optimizer {
    public var base: Base
    public var plateau: PlateauSettings

    public init(_ base: Base, _ plateau: PlateauSettings = PlateauSettings()) { (self.base, self.plateau) = (base, plateau) }

    public func check(_ problem: any DifferentiableProblem) throws {
        try base.check(problem)
        guard plateau.metric == .monitorLoss, !(problem is any MonitoredProblem) else { return }
        throw refusal("the problem \(problem.name) sets no samples aside to monitor; take metric: loss")
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> PlateauState<Base.State> {
        try check(problem)
        if plateau.metric == .monitorLoss, try monitorLoss(of: problem, at: parameters.values) == nil {
            throw refusal(
                "no samples were set aside to monitor (points.monitor, heldOut, validationFunctions); set some, or take metric: loss")
        }
        return PlateauState(base: try base.start(on: problem, from: parameters))
    }

    public func step(_ state: inout PlateauState<Base.State>, on problem: any DifferentiableProblem) throws -> StepReport {
        var report = try base.step(&state.base, on: problem)
        if case .accepted = report.verdict, let loss = try metric(report, of: problem, &state) {
            let before = state.plateau.factor
            if state.plateau.take(loss, by: plateau) { base.scaleSteps(of: &state.base, by: state.plateau.factor / before) }
        }
        report.details.append(StepReport.Detail("rate factor", state.plateau.factor))
        return report
    }

    /// What an accepted step adds to the readings: its loss, or the monitor loss where a reading is due.
    private func metric(
        _ report: StepReport, of problem: any DifferentiableProblem, _ state: inout PlateauState<Base.State>
    ) throws -> Double? {
        guard plateau.metric == .monitorLoss else { return report.loss.total }
        guard state.plateau.isDue(by: plateau) else { return nil }
        return try monitorLoss(of: problem, at: state.parameters.values).flatMap { $0.isFinite ? $0 : nil }
    }

    public func adapt(_ state: inout PlateauState<Base.State>, to problem: any DifferentiableProblem) throws {
        try base.adapt(&state.base, to: problem)
        state.plateau.forget()
    }

    public var evaluatesAhead: Bool { base.evaluatesAhead }

    public func adapt(_ state: inout PlateauState<Base.State>, toBatch batch: any DifferentiableProblem) throws {
        try base.adapt(&state.base, toBatch: batch)
    }

    public func shortenSteps(_ state: inout PlateauState<Base.State>) -> Bool { base.shortenSteps(&state.base) }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        base.workingMemory(parameters: parameters, residuals: residuals)
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? { base.stepCost(parameters: parameters, residuals: residuals) }

    private func monitorLoss(of problem: any DifferentiableProblem, at θ: Vector) throws -> Double? {
        try (problem as? any MonitoredProblem)?.monitorLoss(at: θ)
    }

    private func refusal(_ reason: String) -> ConfigurationError {
        ConfigurationError(path: "\(PlateauSettings.identifier).metric", reason: reason)
    }
}

/// A base's state, and what the plateau has read.
public struct PlateauState<Base: OptimizerState>: OptimizerState {
    public var base: Base
    public var plateau = PlateauMemory()

    public var parameters: Parameters { base.parameters }

    public init(base: Base) { self.base = base }

    public func encode(into archive: inout Archive) {
        archive.set("base", base)
        archive.set("plateau", plateau)
    }

    public init(from archive: Archive) throws {
        self.init(base: try archive.value("base"))
        plateau = try archive.value("plateau")
    }
}

/// Written as its base with one part more: `{name: adam, plateau: {factor: 0.5, patience: 20}}`.
extension Plateau: Configurable where Base: Configurable {
    public init() { self.init(Base()) }

    public static var identifier: String { Base.identifier }
    public static var summary: String { Base.summary }
    public static var fields: [Field<Self>] {
        Base.fields.map { $0.lifted(to: \.base) } + [.part(PlateauSettings.identifier, \.plateau, meaning: PlateauSettings.summary)]
    }

    public func validate() throws { try base.validate() }
}
