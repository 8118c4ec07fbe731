import Differentiation
import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `reaction`: rate, conditions, network and points.
///
/// Defaults: soft conditions, 2 hidden layers of 40 tanh units (1 801 parameters), 4 000 scrambled Sobol points of the interior, 200 at the
/// start and 100 pairs of points on the walls.
public struct ReactionSetup: ProblemConfiguration {
    /// ρ.
    public var rate = 5.0
    public var conditions = ConditionEnforcement.soft
    public var network = PerceptronSettings(width: 40, depth: 2)
    public var points = PointPlan(interior: 4000, initial: 200, boundary: 100)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "reaction"
    public static let summary = "uₜ = ρ u(1 − u), u(0, x) a Gaussian around π, periodic on [0, 2π]; reference in closed form"
    public static var fields: [Field<Self>] {
        [
            .number("rate", \.rate, meaning: "ρ"),
            .choice(
                "conditions", \.conditions,
                meaning: "how they are imposed: by loss terms, or the start by the form of u; periodicity is a loss term in both"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        let pde = Reaction(rate: rate, enforcement: conditions)
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings,
            kernelForm: kernelForm)
    }
}

/// Registers the problem `reaction`.
public enum ReactionPlugin: Plugin {
    public static let identifier = "reaction"

    public static func register(in registry: inout Registry) throws { try registry.register(problem: ReactionSetup.self) }
}
