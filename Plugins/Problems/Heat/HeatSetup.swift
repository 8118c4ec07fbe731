import Differentiation
import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `heat`: dimension, solution, conditions, network and points.
///
/// Defaults: one dimension of space, one hidden layer of 64 tanh units (257 parameters), 900 scrambled Sobol points of the interior, 60 at
/// the start and 60 on the walls, the first layer's units spread over the domain with slope 1.
public struct HeatSetup: ProblemConfiguration {
    /// d.
    public var dimension = 1
    public var solution = Heat.Solution.product
    /// κ.
    public var conductivity = 0.25
    public var conditions = ConditionEnforcement.soft
    public var network = PerceptronSettings(width: 64, depth: 1, firstLayerSlope: 1)
    public var points = PointPlan(interior: 900, initial: 60, boundary: 60)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "heat"
    public static let summary = "uₜ = κΔu on the unit cube of any dimension, with one of two solutions as initial and boundary values"
    public static var fields: [Field<Self>] {
        [
            .integer("dimension", \.dimension, atLeast: 1, atMost: 1000, meaning: "d, the dimension of space"),
            .choice("solution", \.solution, meaning: "the solution"),
            .number("conductivity", \.conductivity, in: .positive, meaning: "κ"),
            .choice("conditions", \.conditions, meaning: "whether conditions are terms of the loss or hold by construction (product only)"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func validate() throws {
        if conditions == .hard, solution != .product {
            throw ConfigurationError(path: "conditions", reason: "hard conditions need the solution product, which vanishes on the walls")
        }
        if let largest = points.sampling.largestDimension, dimension + 1 > largest {
            throw ConfigurationError(
                path: "points.sampling",
                reason: "\(points.sampling.rawValue) points end at \(largest) dimensions, time and space have \(dimension + 1): take "
                    + "uniform or latin-hypercube")
        }
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        try validate()
        let pde = Heat(dimension: dimension, solution: solution, conductivity: conductivity, enforcement: conditions)
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings,
            kernelForm: kernelForm)
    }
}

/// Registers the problem `heat`.
public enum HeatPlugin: Plugin {
    public static let identifier = "heat"

    public static func register(in registry: inout Registry) throws { try registry.register(problem: HeatSetup.self) }
}
