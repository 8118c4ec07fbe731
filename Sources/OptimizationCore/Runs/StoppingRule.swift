/// When a stage ends: criteria joined by `||` and `&&`.
///
///     .gradientNorm(below: 1e-8) || .iterations(5_000)
///
/// A rule is a value. What a criterion must remember (a window of losses) lives in the run's archive.
public struct StoppingRule: Sendable {
    indirect enum Node: Sendable {
        case criterion(any StoppingCriterion)
        case any([StoppingRule])
        case all([StoppingRule])
    }

    let node: Node

    init(node: Node) { self.node = node }

    /// A rule of one criterion; a plugin's own criteria enter here.
    public init(_ criterion: any StoppingCriterion) { node = .criterion(criterion) }

    public static func any(_ rules: [StoppingRule]) -> StoppingRule { StoppingRule(node: .any(rules)) }
    public static func all(_ rules: [StoppingRule]) -> StoppingRule { StoppingRule(node: .all(rules)) }
    public static func || (a: StoppingRule, b: StoppingRule) -> StoppingRule { .any([a, b]) }
    public static func && (a: StoppingRule, b: StoppingRule) -> StoppingRule { .all([a, b]) }
}

/// One thing a stopping rule watches.
public protocol StoppingCriterion: Sendable, CustomStringConvertible {
    /// The criterion as written in a configuration.
    var setting: Setting { get }

    /// What was found if the criterion holds now, else `nil`. Called once after every step, in order; `memory` is the
    /// criterion's own and is empty when the stage begins.
    func finding(in observation: Observation, memory: inout [Double]) throws -> Finding?

    /// The iteration at which the criterion holds at the latest, where it can say: what a progress bar counts towards.
    var iterationLimit: Int? { get }
}

extension StoppingCriterion {
    public var iterationLimit: Int? { nil }
    public var description: String { setting.description }
}

extension StoppingRule {
    /// Evaluates every criterion (each keeps its memory up to date) and combines what they find.
    func finding(in observation: Observation, memory: inout RuleMemory) throws -> Finding? {
        memory.rewind()
        return try finding(observation, &memory)
    }

    private func finding(_ observation: Observation, _ memory: inout RuleMemory) throws -> Finding? {
        switch node {
        case .criterion(let criterion):
            return try memory.withNextSlot { try criterion.finding(in: observation, memory: &$0) }
        case .any(let rules):
            let findings = try rules.map { try $0.finding(observation, &memory) }
            return findings.compactMap { $0 }.min { $0.meaning.rank < $1.meaning.rank }
        case .all(let rules):
            let findings = try rules.map { try $0.finding(observation, &memory) }
            let found = findings.compactMap { $0 }
            return found.count == rules.count ? found.max { $0.meaning.rank < $1.meaning.rank } : nil
        }
    }

    /// The iteration at which the stage ends at the latest, where that is known.
    public var iterationLimit: Int? {
        switch node {
        case .criterion(let criterion): return criterion.iterationLimit
        case .any(let rules): return rules.compactMap(\.iterationLimit).min()
        case .all(let rules):
            let limits = rules.compactMap(\.iterationLimit)
            return limits.count == rules.count ? limits.max() : nil
        }
    }

    /// The rule as written in a configuration.
    public var setting: Setting {
        switch node {
        case .criterion(let criterion): criterion.setting
        case .any(let rules): .map([.init("any", .list(rules.map(\.setting)))])
        case .all(let rules): .map([.init("all", .list(rules.map(\.setting)))])
        }
    }
}

extension StoppingRule: CustomStringConvertible {
    public var description: String {
        switch node {
        case .criterion(let criterion): criterion.description
        case .any(let rules): "(\(rules.map(\.description).joined(separator: " || ")))"
        case .all(let rules): "(\(rules.map(\.description).joined(separator: " && ")))"
        }
    }
}

extension Finding.Meaning {
    /// Of several criteria that hold at once, convergence is named first.
    fileprivate var rank: Int {
        switch self {
        case .converged: 0
        case .stalled: 1
        case .budgetSpent: 2
        }
    }
}

/// The memories of a rule's criteria, in the order in which they are evaluated.
struct RuleMemory: Checkpointable, Equatable {
    private var slots: [[Double]] = []
    private var next = 0

    init() {}

    mutating func rewind() { next = 0 }

    mutating func withNextSlot<R>(_ body: (inout [Double]) throws -> R) rethrows -> R {
        if next == slots.count { slots.append([]) }
        defer { next += 1 }
        return try body(&slots[next])
    }

    func encode(into archive: inout Archive) {
        archive.set("lengths", slots.map(\.count))
        archive.set("values", slots.flatMap { $0 })
    }

    init(from archive: Archive) throws {
        var rest = try archive.doubles("values")[...]
        for length in try archive.integers("lengths") {
            guard (0...rest.count).contains(length) else {
                throw ArchiveError(entry: "lengths", reason: "do not add up to the number of values")
            }
            slots.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
    }
}
