import Synchronization

/// The kinds of work that a problem does for an optimizer.
public enum Work: Int, CaseIterable, Sendable, Hashable {
    case loss, gradient, residual, linearization, jacobianProduct, transposedProduct, jacobianRow, hessianProduct, linearIteration

    /// The name in tables, settings and run files.
    public var name: String {
        switch self {
        case .loss: "losses"
        case .gradient: "gradients"
        case .residual: "residuals"
        case .linearization: "linearizations"
        case .jacobianProduct: "jacobianProducts"
        case .transposedProduct: "transposedProducts"
        case .jacobianRow: "jacobianRows"
        case .hessianProduct: "hessianProducts"
        case .linearIteration: "linearIterations"
        }
    }
}

/// How much work of each kind was done: the calls, and the same in full-problem equivalents (a gradient on a tenth of the
/// samples counts 0.1).
public struct WorkCounts: Sendable, Hashable {
    public private(set) var calls: [Int]
    public private(set) var equivalents: [Double]

    public init() {
        calls = Array(repeating: 0, count: Work.allCases.count)
        equivalents = Array(repeating: 0, count: Work.allCases.count)
    }

    public subscript(work: Work) -> Double { equivalents[work.rawValue] }
    public func calls(_ work: Work) -> Int { calls[work.rawValue] }

    public mutating func add(_ work: Work, calls count: Int = 1, fraction: Double = 1) {
        calls[work.rawValue] += count
        equivalents[work.rawValue] += Double(count) * fraction
    }

    public static func - (a: WorkCounts, b: WorkCounts) -> WorkCounts {
        var difference = a
        for i in a.calls.indices {
            difference.calls[i] -= b.calls[i]
            difference.equivalents[i] -= b.equivalents[i]
        }
        return difference
    }

    /// Evaluations of the objective of any kind, a gradient or a linearisation included.
    public var evaluations: Double { self[.loss] + self[.gradient] + self[.residual] + self[.linearization] }
}

extension WorkCounts: Checkpointable {
    public func encode(into archive: inout Archive) {
        archive.set("kinds", Work.allCases.map(\.name))
        archive.set("calls", calls)
        archive.set("equivalents", equivalents)
    }

    public init(from archive: Archive) throws {
        self.init()
        guard try archive.strings("kinds") == Work.allCases.map(\.name) else {
            throw ArchiveError(entry: "kinds", reason: "lists other kinds of work than this program counts")
        }
        (calls, equivalents) = (try archive.counts("calls"), try archive.doubles("equivalents"))
        guard calls.count == Work.allCases.count, equivalents.count == calls.count else {
            throw ArchiveError(entry: "calls", reason: "\(calls.count) counts for \(Work.allCases.count) kinds of work")
        }
    }
}

/// The shared tally of a run's work; every counted view of its problem adds to it.
public final class WorkCounter: Sendable {
    private let tally: Mutex<WorkCounts>

    public init(_ counts: WorkCounts = WorkCounts()) { tally = Mutex(counts) }

    public var counts: WorkCounts { tally.withLock { $0 } }

    public func add(_ work: Work, calls: Int = 1, fraction: Double = 1) {
        tally.withLock { $0.add(work, calls: calls, fraction: fraction) }
    }
}
