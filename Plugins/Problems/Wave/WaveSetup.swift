import Differentiation
import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `wave`: second mode, conditions, network and points.
///
/// Defaults: soft conditions, 3 hidden layers of 40 tanh units (3 441 parameters), 4 000 scrambled Sobol points of the interior, 200 at the
/// start (100 for the values, 100 for the rates) and 100 on each wall.
public struct WaveSetup: ProblemConfiguration {
    /// β.
    public var harmonic = 5
    public var conditions = ConditionEnforcement.soft
    public var network = PerceptronSettings(width: 40, depth: 3)
    public var points = PointPlan(interior: 4000, initial: 200, boundary: 200)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "wave"
    public static let summary = "uₜₜ = 4 uₓₓ on the unit square, u(0, x) = sin πx + ½ sin βπx at rest; reference in closed form"
    public static var fields: [Field<Self>] {
        [
            .integer("harmonic", \.harmonic, atLeast: 1, meaning: "β, the half waves of the second mode"),
            .choice("conditions", \.conditions, meaning: "how they are imposed: by loss terms, or by the form of u"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        let pde = Wave(harmonic: harmonic, enforcement: conditions)
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings,
            kernelForm: kernelForm)
    }
}

/// Registers the problem `wave`.
public enum WavePlugin: Plugin {
    public static let identifier = "wave"

    public static func register(in registry: inout Registry) throws { try registry.register(problem: WaveSetup.self) }
}
