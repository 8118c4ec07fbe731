import Globalization
import OptimizationCore

/// How far a natural-gradient step goes along its direction.
public enum NaturalStepLength: Sendable {
    /// By a line search; the grid 1, ½, …, 2⁻³⁰ in the papers on energy natural gradients.
    case search(any LineSearch)
    /// A fixed rate with a bound on the step's norm: no trials, for batches.
    case fixed(CappedRate)
    /// The whole direction, refused with a larger λ where the loss does not follow its model: Levenberg–Marquardt's way.
    case full(FullStep)

    var settings: Setting {
        switch self {
        case .search(let search): search.settings
        case .fixed(let rate): rate.settings
        case .full(let step): step.settings
        }
    }
}

/// α = 1, taken where the gain ratio exceeds what the damping rule accepts; else λ is raised and the step tried anew on the same linearisation.
///
/// SPRING's correction by 1/√(1 − μ²ᵏ), which is for rates, is left out: φ itself is at the minimum of its model. Needs a damping that follows the
/// gain ratio.
public struct FullStep: Configurable, Hashable {
    /// Dampings tried in one step; after that it is rejected, and λ goes on from there.
    public var maximumTrials = 20

    public init() {}
    public init(maximumTrials: Int) { self.maximumTrials = maximumTrials }

    public static let identifier = "full"
    public static let summary = "The whole direction, refused with a larger damping where the loss does not follow its model."
    public static var fields: [Field<Self>] {
        [.integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "dampings tried in one step")]
    }
}

/// α = min(η, √C/‖p‖): a fixed rate whose steps have at most the length √C.
///
/// The step is taken whatever it does to the loss. Source: Goldshlager, Abrahamsen & Lin, arXiv:2401.10190 (C = 1e-3).
public struct CappedRate: Configurable, Hashable {
    /// η. The published runs were tuned to 0.06 … 0.09.
    public var learningRate = 0.1
    /// C.
    public var normBound = 1e-3

    public init() {}
    public init(learningRate: Double, normBound: Double = 1e-3) { (self.learningRate, self.normBound) = (learningRate, normBound) }

    public static let identifier = "fixed"
    public static let summary = "A fixed rate with a bound on the step's squared norm."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the step along the direction"),
            .number("normBound", \.normBound, in: .positive, meaning: "C, the greatest squared norm of a step"),
        ]
    }

    /// α for a direction of a norm > 0.
    func length(norm: Double) -> Double { Swift.min(learningRate, normBound.squareRoot() / norm) }
}

extension Field {
    /// A line search, a fixed rate or a full step, chosen by its name.
    static func naturalStepLength(_ name: String, _ path: Path<NaturalStepLength>, meaning: String) -> Field {
        .variant(
            name,
            among: [
                GridLineSearch.self, BacktrackingArmijo.self, StrongWolfe.self, MoreThuente.self, CappedRate.self, FullStep.self,
            ], meaning: meaning, describe: { $0[keyPath: path].settings }
        ) { root, chosen in
            if let search = chosen as? any LineSearch {
                root[keyPath: path] = .search(search)
            } else if let rate = chosen as? CappedRate {
                root[keyPath: path] = .fixed(rate)
            } else if let step = chosen as? FullStep {
                root[keyPath: path] = .full(step)
            }
        }
    }
}
