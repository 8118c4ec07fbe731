import Differentiation
import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `log-fokker-planck`: dimension, network and points.
///
/// Defaults: nine dimensions of space, two hidden layers of 64 tanh units (4 929 parameters), 3 000 points of the interior and 1 000 at the
/// start, scrambled Sobol; coordinates are scaled to [−1, 1].
public struct LogFokkerPlanckSetup: ProblemConfiguration {
    /// d.
    public var dimension = 9
    public var network = {
        var network = PerceptronSettings(width: 64, depth: 2)
        network.scalesInputs = true
        return network
    }()
    public var points = PointPlan(interior: 3000, initial: 1000)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "log-fokker-planck"
    public static let summary = "the Fokker–Planck equation of an Ornstein–Uhlenbeck process, for the logarithm of its density"
    public static var fields: [Field<Self>] {
        [
            .integer("dimension", \.dimension, atLeast: 1, atMost: 1000, meaning: "d, the dimension of space"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func validate() throws {
        if let largest = points.sampling.largestDimension, dimension + 1 > largest {
            throw ConfigurationError(
                path: "points.sampling",
                reason: "\(points.sampling.rawValue) points end at \(largest) dimensions, time and space have \(dimension + 1): take "
                    + "uniform or latin-hypercube")
        }
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        try validate()
        let pde = LogFokkerPlanck(dimension: dimension)
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings,
            kernelForm: kernelForm)
    }
}

/// Registers the problem `log-fokker-planck`.
public enum FokkerPlanckPlugin: Plugin {
    public static let identifier = "fokker-planck"

    public static func register(in registry: inout Registry) throws { try registry.register(problem: LogFokkerPlanckSetup.self) }
}
