import Differentiation
import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `convection`: speed, conditions, network and points.
///
/// Defaults: soft conditions, 3 hidden layers of 40 tanh units (3 441 parameters), 4 000 scrambled Sobol points of the interior, 200 at the
/// start and 100 pairs of points on the walls.
public struct ConvectionSetup: ProblemConfiguration {
    /// β.
    public var speed = 40.0
    public var conditions = ConditionEnforcement.soft
    public var network = PerceptronSettings(width: 40, depth: 3)
    public var points = PointPlan(interior: 4000, initial: 200, boundary: 100)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "convection"
    public static let summary = "uₜ + β uₓ = 0, u(0, x) = sin x periodic on [0, 2π], u = sin(x − βt)"
    public static var fields: [Field<Self>] {
        [
            .number("speed", \.speed, meaning: "β"),
            .choice(
                "conditions", \.conditions,
                meaning: "how they are imposed: by loss terms, or by the form of u and a network of cos x, sin x and t"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        let pde = Convection(speed: speed, enforcement: conditions)
        let periods: [Double?] = conditions == .hard ? [nil, 2 * .pi] : []
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1, periods: periods), points: points, seed: seed,
            identity: settings, kernelForm: kernelForm)
    }
}

/// Registers the problem `convection`.
public enum ConvectionPlugin: Plugin {
    public static let identifier = "convection"

    public static func register(in registry: inout Registry) throws { try registry.register(problem: ConvectionSetup.self) }
}
