/// How a stage or a run ended.
public enum Outcome: Sendable, Hashable {
    /// A rule whose firing means convergence has fired, or the method found nothing left to do.
    case converged(Finding)
    /// A budget is used up: iterations, seconds, evaluations.
    case budgetSpent(Finding)
    /// A rule that watches for lack of progress has fired.
    case stalled(Finding)
    /// The method could not go on.
    case brokeDown(Breakdown)
    /// A person or the system asked the run to stop; it can be resumed.
    case interrupted(String)
    /// A callback asked the run to stop.
    case stopped(String)

    public var name: String {
        switch self {
        case .converged: "converged"
        case .budgetSpent: "budget spent"
        case .stalled: "stalled"
        case .brokeDown: "broke down"
        case .interrupted: "interrupted"
        case .stopped: "stopped"
        }
    }

    /// Whether the next stage follows without a recovery.
    var advances: Bool {
        switch self {
        case .converged, .budgetSpent, .stalled: true
        case .brokeDown, .interrupted, .stopped: false
        }
    }
}

extension Outcome: CustomStringConvertible {
    public var description: String {
        switch self {
        case .converged(let finding), .budgetSpent(let finding), .stalled(let finding): "\(name): \(finding)"
        case .brokeDown(let breakdown): "\(name): \(breakdown)"
        case .interrupted(let reason), .stopped(let reason): "\(name): \(reason)"
        }
    }
}

/// The rule that fired, with what it measured.
public struct Finding: Sendable, Hashable, CustomStringConvertible {
    public enum Meaning: Sendable, Hashable { case converged, budgetSpent, stalled }

    /// What was measured: “‖∇L‖”, “iterations”.
    public var quantity: String
    public var measured: Double
    /// The relation that now holds between the measured value and the threshold: “≤”, “≥”.
    public var relation: String
    /// Infinite where the relation says it all.
    public var threshold: Double
    public var meaning: Meaning

    public init(_ quantity: String, _ measured: Double, _ relation: String, _ threshold: Double, meaning: Meaning) {
        (self.quantity, self.measured, self.relation) = (quantity, measured, relation)
        (self.threshold, self.meaning) = (threshold, meaning)
    }

    public var description: String {
        let mark = meaning == .converged ? " ✓" : ""
        guard threshold.isFinite else { return "\(quantity) = \(short(measured)) \(relation)\(mark)" }
        return "\(quantity) = \(short(measured)) \(relation) \(short(threshold))\(mark)"
    }

    /// What a stationary step found: the method's own measurement, or its word for it where it does not say what it measured.
    static func stationary(_ report: StepReport) -> Finding {
        if let floor = report.floor { return floor }
        let word = "where the method finds nothing lower"
        guard let norm = report.gradientNorm else { return Finding("L", report.loss.total, word, .infinity, meaning: .converged) }
        return Finding("‖∇L‖", norm, word, .infinity, meaning: .converged)
    }

    /// The gradient is zero to rounding, ‖∇L‖₂ ≤ `threshold`: by default where its square underflows.
    public static func vanishingGradient(_ norm: Double, threshold: Double = Double.leastNonzeroMagnitude.squareRoot()) -> Finding {
        Finding("‖∇L‖", norm, "≤", max(norm, threshold), meaning: .converged)
    }

    /// The decrease that a step promises is at most what rounding of the loss hides.
    public static func hiddenDecrease(_ promised: Double, hidden: Double) -> Finding {
        Finding("promised decrease", promised, "≤", hidden, meaning: .converged)
    }

    var outcome: Outcome {
        switch meaning {
        case .converged: .converged(self)
        case .budgetSpent: .budgetSpent(self)
        case .stalled: .stalled(self)
        }
    }
}

/// A number for people: whole numbers as they are, others with three significant digits.
package func short(_ value: Double) -> String {
    guard value.isFinite else { return "\(value)" }
    if value == value.rounded(), abs(value) < 1e7 { return String(Int(value)) }
    var (mantissa, exponent) = (abs(value), 0)
    while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    var digits = Int((mantissa * 100).rounded())
    if digits >= 1000 { (digits, exponent) = (digits / 10, exponent + 1) }
    let sign = value < 0 ? "-" : ""
    if (-3...3).contains(exponent) {
        let scale = [1.0, 10, 100, 1000, 1e4, 1e5, 1e6]
        let places = 2 - exponent
        if places <= 0 { return "\(sign)\(Int((mantissa * scale[exponent]).rounded()))" }
        let rounded = (abs(value) * scale[min(places, 6)]).rounded() / scale[min(places, 6)]
        return "\(sign)\(rounded)"
    }
    let fraction = digits % 100
    return "\(sign)\(digits / 100).\(fraction < 10 ? "0" : "")\(fraction)e\(exponent)"
}
