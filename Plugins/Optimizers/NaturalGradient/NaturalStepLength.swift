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
/// gain ratio. Of residuals, and without a momentum, a step that gains little is bent along its geodesic (``GeodesicAcceleration``), as in dual natural
/// gradients (Jnini & Vella, arXiv:2505.21404) and in Levenberg–Marquardt.
public struct FullStep: Configurable, Hashable {
    /// Dampings tried in one step; after that it is rejected, and λ goes on from there.
    public var maximumTrials = 20
    /// The greatest ratio 2‖a‖/‖d‖ of an acceleration; 0 for none.
    public var geodesicAcceleration = 0.75

    public init() {}
    public init(maximumTrials: Int, geodesicAcceleration: Double = 0.75) {
        (self.maximumTrials, self.geodesicAcceleration) = (maximumTrials, geodesicAcceleration)
    }

    public static let identifier = "full"
    public static let summary = "The whole direction, refused with a larger damping where the loss does not follow its model."
    public static var fields: [Field<Self>] {
        [
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "dampings tried in one step"),
            .number(
                "geodesicAcceleration", \.geodesicAcceleration, in: .nonNegative,
                meaning: "the greatest ratio of acceleration to velocity at which a step is bent; 0 for straight steps"),
        ]
    }
}

/// α = min(s(k)·η, √C/‖p‖): a rate with a schedule s whose steps have at most the length √C.
///
/// The step is taken whatever it does to the loss. Source: Goldshlager, Abrahamsen & Lin, arXiv:2401.10190 (C = 1e-3).
public struct CappedRate: Configurable {
    /// η. The published runs were tuned to 0.06 … 0.09.
    public var learningRate = 0.1
    /// C.
    public var normBound = 1e-3
    /// s, a function of the steps committed.
    public var schedule: any Schedule = Constant()

    public init() {}
    public init(learningRate: Double, normBound: Double = 1e-3, schedule: any Schedule = Constant()) {
        (self.learningRate, self.normBound, self.schedule) = (learningRate, normBound, schedule)
    }

    public static let identifier = "fixed"
    public static let summary = "A fixed rate with a bound on the step's squared norm."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the step along the direction"),
            .number("normBound", \.normBound, in: .positive, meaning: "C, the greatest squared norm of a step"),
            .schedule("schedule", \.schedule, meaning: "the rate's factor over the steps"),
        ]
    }

    /// α of step k = 1, 2, … along a direction of a norm ≥ 0.
    func length(norm: Double, step: Int) -> Double {
        let rate = learningRate * schedule.factor(at: step)
        return norm > 0 ? Swift.min(rate, normBound.squareRoot() / norm) : rate
    }
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
