import Differentiation
import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `helmholtz-2d`: waves, wavenumber, conditions, network and points.
///
/// Defaults: the standard case (1, 4, 1), soft conditions, three hidden layers of 40 tanh units (3 441 parameters), 4 000 scrambled Sobol points of the
/// interior and 100 on each edge, all weights 1.
public struct HelmholtzSetup: ProblemConfiguration {
    /// a₁.
    public var wavesAlongX = 1
    /// a₂.
    public var wavesAlongY = 4
    /// k.
    public var wavenumber = 1.0
    public var conditions = ConditionEnforcement.soft
    public var network = PerceptronSettings(width: 40, depth: 3)
    public var points = PointPlan(interior: 4000, boundary: 400)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "helmholtz-2d"
    public static let summary = "Δu + k²u = q on [−1, 1]² with u = 0 on its boundary, u = sin a₁πx sin a₂πy"
    public static var fields: [Field<Self>] {
        [
            .integer("wavesAlongX", \.wavesAlongX, atLeast: 1, meaning: "a₁, the solution's whole waves along x"),
            .integer("wavesAlongY", \.wavesAlongY, atLeast: 1, meaning: "a₂, its whole waves along y"),
            .number("wavenumber", \.wavenumber, in: .within(0...1e6), meaning: "k"),
            .choice("conditions", \.conditions, meaning: "how they are imposed: by loss terms, or by the form of u"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        let pde = Helmholtz(
            wavesAlongX: wavesAlongX, wavesAlongY: wavesAlongY, wavenumber: wavenumber, enforcement: conditions)
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings,
            kernelForm: kernelForm)
    }
}

/// Registers the problem `helmholtz-2d`.
public enum HelmholtzPlugin: Plugin {
    public static let identifier = "helmholtz"

    public static func register(in registry: inout Registry) throws { try registry.register(problem: HelmholtzSetup.self) }
}
