import Differentiation
import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `burgers`: viscosity, conditions, network and points.
///
/// Defaults: soft conditions, 4 hidden layers of 20 tanh units (1 341 parameters), 4 000 scrambled Sobol points of the interior, 100 at the start and
/// 100 on each wall, conditions weighted by 5.
public struct BurgersSetup: ProblemConfiguration {
    /// ν.
    public var viscosity = 0.01 / .pi
    public var conditions = ConditionEnforcement.soft
    public var network = PerceptronSettings(width: 20, depth: 4)
    public var points = PointPlan(interior: 4000, initial: 100, boundary: 200, initialWeight: 5, boundaryWeight: 5)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "burgers"
    public static let summary = "viscous Burgers equation, u(0, x) = −sin πx on [−1, 1], reference by Cole–Hopf"
    public static var fields: [Field<Self>] {
        [
            // The reference's quadrature takes some 5/√ν points a value.
            .number("viscosity", \.viscosity, in: .within(1e-6...1e6), meaning: "ν"),
            .choice("conditions", \.conditions, meaning: "how they are imposed: by loss terms, or by the form of u"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        let pde = Burgers(viscosity: viscosity, enforcement: conditions)
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings,
            kernelForm: kernelForm)
    }
}

/// Registers the problem `burgers`.
public enum BurgersPlugin: Plugin {
    public static let identifier = "burgers"

    public static func register(in registry: inout Registry) throws { try registry.register(problem: BurgersSetup.self) }
}
