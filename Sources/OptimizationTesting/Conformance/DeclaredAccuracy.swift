import LinearAlgebra
import OptimizationCore

/// What a method declares to reach: how much of the loss above the minimum is left after so many steps.
///
///     gap = |L(θ) − L*| / (L(θ₀) − L*)
///
/// where L* is the known minimum that L(θ) is nearest to, local ones of ``ZooProblem/localMinima`` included (below the line the least), and
/// 0 where none is known.
/// One value for most functions, and others by the function's name where the method comes further or not as far:
///
///     let accuracy = DeclaredAccuracy(1e-9, within: 300, except: ["brown-badly-scaled": 1e-3, "chebyquad": 1e-6])
///
/// A declaration is what a reader may rely on: state what the method reaches, with a margin for another machine's rounding.
public struct DeclaredAccuracy: Sendable, Hashable {
    /// The gap that is left at most, but for the exceptions.
    public var gap: Double
    /// The number of steps at which it is measured; the method may end of its own accord before.
    public var steps: Int
    /// Other gaps, by the name of a zoo family or problem.
    public var exceptions: [String: Double]

    public init(_ gap: Double, within steps: Int, except exceptions: [String: Double] = [:]) {
        precondition(gap > 0 && exceptions.values.allSatisfy { $0 > 0 }, "a gap is positive")
        precondition(steps > 0, "nothing is reached in \(steps) steps")
        (self.gap, self.steps, self.exceptions) = (gap, steps, exceptions)
    }

    /// The least that can be declared: the loss falls. For a problem whose minimum is not known.
    public static func descent(within steps: Int = 20) -> DeclaredAccuracy { DeclaredAccuracy(1, within: steps) }

    /// The gap declared for a problem.
    public func gap(on problem: any Problem) -> Double { exceptions[problem.name] ?? gap }

    /// The gap that is left of a loss.
    public static func gap(of loss: Double, from start: Double, on problem: any Problem) -> Double {
        let zoo = problem as? ZooProblem
        let answers = [zoo?.minimum].compactMap { $0 } + (zoo?.localMinima ?? [])
        guard let nearest = answers.min(by: { abs($0 - loss) < abs($1 - loss) }) else {
            // A loss below zero, as an energy's, has left nothing of what lay above.
            if loss < 0 { return loss < start ? 0 : .infinity }
            return start > 0 ? loss / start : .infinity
        }
        // Less than ten digits of a minimum is not seen; of local ones, of which some lie at infinity, and of Watson's, less than five.
        let digits = nearest == zoo?.minimum && zoo?.name != "watson" ? 1e-9 : 1e-5
        let excess = abs(loss - nearest) - digits * nearest
        // Not `max`, which loses what is not a number.
        return (excess < 0 ? 0 : excess) / (start - (answers.min() ?? 0))
    }
}

extension OptimizerTrial {
    /// Whether the method comes as far as it declares.
    func reaches(_ accuracy: DeclaredAccuracy) throws -> [String] {
        let unknown = accuracy.exceptions.keys.filter { ZooProblem.named($0) == nil && $0 != problem.name }.sorted()
        if !unknown.isEmpty { return ["declares an accuracy for \(unknown.joined(separator: ", ")), which the zoo does not have"] }
        var state = try optimizer.start(on: objective, from: start)
        let first = try problem.loss(at: start.values).total
        var (taken, verdict, isStationaryAtStart) = (0, "no step", false)
        for step in 0..<accuracy.steps {
            let report = try optimizer.step(&state, on: objective)
            (taken, verdict) = (step + 1, report.verdict.name)
            if case .stationary = report.verdict, step == 0 { isStationaryAtStart = true }
            if report.verdict.ends { break }
        }
        let last = try problem.loss(at: state.parameters.values).total
        let (gap, declared) = (DeclaredAccuracy.gap(of: last, from: first, on: problem), accuracy.gap(on: problem))
        // With a gap of 1 the loss must fall, where the start can be improved on.
        if declared == 1 ? gap < 1 || last == 0 || isStationaryAtStart : gap <= declared { return [] }
        return [
            "L = \(last) after \(taken) steps (the last: \(verdict)), from \(first): a gap of \(gap), where \(declared) is declared"
        ]
    }
}
