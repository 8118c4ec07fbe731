import Differentiation
import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `allen-cahn`: diffusivity, conditions, network and points.
///
/// Defaults: soft conditions, 4 hidden layers of 32 tanh units (3 297 parameters), 8 000 scrambled Sobol points of the interior, 200 at the start, weighted
/// by 100, and 100 pairs of points on the walls.
public struct AllenCahnSetup: ProblemConfiguration {
    /// D.
    public var diffusivity = 1e-4
    public var conditions = ConditionEnforcement.soft
    public var network = PerceptronSettings(width: 32, depth: 4)
    public var points = PointPlan(interior: 8000, initial: 200, boundary: 100, initialWeight: 100)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "allen-cahn"
    public static let summary = "Allen–Cahn equation, u(0, x) = x² cos πx periodic on [−1, 1]; reference by a spectral method"
    public static var fields: [Field<Self>] {
        [
            // The reference takes some 10/√D modes.
            .number("diffusivity", \.diffusivity, in: .within(1e-6...1), meaning: "D"),
            .choice(
                "conditions", \.conditions,
                meaning: "how they are imposed: by loss terms, or the start by the form of u; periodicity is a loss term in both"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        let pde = AllenCahn(diffusivity: diffusivity, enforcement: conditions)
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings,
            kernelForm: kernelForm)
    }
}

/// Registers the problem `allen-cahn`.
public enum AllenCahnPlugin: Plugin {
    public static let identifier = "allen-cahn"

    public static func register(in registry: inout Registry) throws { try registry.register(problem: AllenCahnSetup.self) }
}
