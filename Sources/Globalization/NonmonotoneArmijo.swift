import OptimizationCore

/// Backtracking to sufficient decrease below a reference that may lie above φ(0): φ(α) ≤ R + c₁·α·φ′(0).
///
/// Steps that raise the loss for a while are what lets Barzilai–Borwein steps, and long steps along narrow valleys, pass. With fₖ the losses
/// of a run, the reference is
///
///     the greatest of the last M losses:  R = max(fₖ, …, fₖ₋ₘ₊₁)
///     a weighted mean of all of them:     Rₖ = (η·Qₖ₋₁·Rₖ₋₁ + fₖ)/Qₖ, Qₖ = η·Qₖ₋₁ + 1
///
/// M = `memory`, η = `forgetting`; M = 1 and η = 0 are the monotone search. Trials are made as by ``BacktrackingArmijo``.
/// It fails as that does, and later: what lies below R need not lie below φ(0).
/// Sources: Grippo, Lampariello & Lucidi, SIAM J. Numer. Anal. 23 (1986) 707–716, doi:10.1137/0723046; Zhang & Hager, SIAM J. Optim. 14
/// (2004) 1043–1056, doi:10.1137/S1052623403428208, whose η is 0.85.
public struct NonmonotoneArmijo: LineSearch, Hashable {
    public enum Reference: String, CaseIterable, Sendable, Hashable {
        /// Grippo, Lampariello and Lucidi's.
        case recentMaximum = "recent-maximum"
        /// Zhang and Hager's.
        case weightedMean = "weighted-mean"
    }

    public var reference = Reference.weightedMean
    /// M ≥ 1.
    public var memory = 10
    /// η ∈ [0, 1).
    public var forgetting = 0.85
    public var backtracking = BacktrackingArmijo()

    public init() {}

    public init(_ reference: Reference) { self.reference = reference }

    public static let identifier = "nonmonotone"
    public static let summary = "Backtracking to a decrease below the last losses rather than below the present one."
    public static var fields: [Field<Self>] {
        [
            .choice("reference", \.reference, meaning: "what sufficient decrease is measured from"),
            .integer("memory", \.memory, atLeast: 1, meaning: "M, the losses whose greatest is the reference"),
            .number("forgetting", \.forgetting, in: .fraction, meaning: "η, the weight of the earlier losses in the mean"),
        ] + BacktrackingArmijo.fields.map { $0.lifted(to: \.backtracking) }
    }

    public func validate() throws { try backtracking.validate() }

    public func reference(for value: Double, in history: inout SearchHistory) -> Double {
        switch reference {
        case .recentMaximum:
            history.recent = (history.recent + [value]).suffix(memory)
            return history.recent.reduce(value, Swift.max)
        case .weightedMean:
            let weight = forgetting * history.weight + 1
            history.mean = (forgetting * history.weight * history.mean + value) / weight
            history.weight = weight
            return Swift.max(history.mean, value)
        }
    }

    public func search<Point>(along ray: Ray<Point>, from initial: Double) throws -> LineSearchResult<Point> {
        try backtracking.search(along: ray, from: initial)
    }
}
