import Differentiation
import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `poisson-1d`: frequency, conditions, network and points.
///
/// Defaults: soft conditions, one hidden layer of 32 tanh units (97 parameters), 256 points at the midpoints of a grid and the two ends, whose weight
/// is 100. The units start spread over the interval with slope 4: with a Glorot start all of them bend at its left end.
public struct PoissonOnIntervalSetup: ProblemConfiguration {
    /// k.
    public var frequency = 4
    public var conditions = ConditionEnforcement.soft
    public var network = PerceptronSettings(width: 32, depth: 1, initialization: .lecunNormal, firstLayerSlope: 4)
    public var points = PointPlan(interior: 256, boundary: 2, monitor: 500, sampling: .grid, boundaryWeight: 100)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "poisson-1d"
    public static let summary = "−u″ = (kπ)² sin kπx on the unit interval with u = 0 at its ends"
    public static var fields: [Field<Self>] {
        [
            .integer("frequency", \.frequency, atLeast: 1, meaning: "k, the half waves in the interval"),
            .choice("conditions", \.conditions, meaning: "how they are imposed: by loss terms, or by the form of u"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        let pde = PoissonOnInterval(frequency: frequency, enforcement: conditions)
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings,
            kernelForm: kernelForm)
    }
}

/// The settings of `poisson-2d`: conditions, network and points.
///
/// Defaults: soft conditions, two hidden layers of 32 tanh units (1 185 parameters), 900 scrambled Sobol points of the interior, 30 on each edge. The
/// units of the first layer start spread over the square with slope 1: from there Gauss–Newton by truncated singular values (relative
/// cutoff 1e-10) reached relative errors of 2e-10 to 7e-10 in 26 to 49 steps for each of five seeds; from a Glorot start with zero
/// biases it takes no step to speak of.
public struct PoissonOnSquareSetup: ProblemConfiguration {
    public var conditions = ConditionEnforcement.soft
    public var network = PerceptronSettings(width: 32, depth: 2, firstLayerSlope: 1)
    public var points = PointPlan(interior: 900, boundary: 120, boundaryWeight: 1)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "poisson-2d"
    public static let summary = "−Δu = 2π² sin πx sin πy on the unit square with u = 0 on its boundary"
    public static var fields: [Field<Self>] {
        [
            .choice("conditions", \.conditions, meaning: "how they are imposed: by loss terms, or by the form of u"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        let pde = PoissonOnSquare(enforcement: conditions)
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings,
            kernelForm: kernelForm)
    }
}

/// The settings of `poisson-cube`: dimension, solution, conditions, network and points.
///
/// Defaults: soft conditions, the problem of five dimensions, two hidden layers of 64 tanh units (4 609 parameters), 3 000 points of the interior and 500
/// of the boundary. Points are spread by Latin hypercubes, which any dimension has; Sobol's end at 21.
public struct PoissonOnCubeSetup: ProblemConfiguration {
    /// d.
    public var dimension = 5
    public var solution = PoissonOnCube.Solution.cosines
    public var conditions = ConditionEnforcement.soft
    public var network = PerceptronSettings(width: 64, depth: 2)
    public var points = PointPlan(interior: 3000, boundary: 500, sampling: .latinHypercube)
    /// How JJᵀ is formed.
    public var kernelForm = GramForm.automatic

    public init() {}

    public static let identifier = "poisson-cube"
    public static let summary = "−Δu = f on the unit cube of any dimension, with one of four solutions as boundary values"
    public static var fields: [Field<Self>] {
        [
            .integer("dimension", \.dimension, atLeast: 1, atMost: 1000, meaning: "d"),
            .choice("solution", \.solution, meaning: "the solution; products need an even dimension"),
            .choice("conditions", \.conditions, meaning: "how they are imposed: by loss terms, or by the form of u (sines only)"),
            .section("network", \.network, meaning: "the network"),
            .section("points", \.points, meaning: "the points of the loss terms and their weights"),
            .choice("kernelForm", \.kernelForm, meaning: "how JJᵀ is formed; automatic takes the fewest operations"),
        ]
    }

    public func validate() throws {
        if solution == .products, dimension % 2 != 0 {
            throw ConfigurationError(path: "dimension", reason: "\(dimension) is odd: the solution “products” pairs the coordinates")
        }
        if conditions == .hard, solution != .sines {
            throw ConfigurationError(
                path: "conditions",
                reason: "hard conditions need the solution sines: the boundary values of “\(solution.rawValue)” alone give it")
        }
        if let largest = points.sampling.largestDimension, dimension > largest {
            throw ConfigurationError(
                path: "points.sampling",
                reason: "\(points.sampling.rawValue) points end at \(largest) dimensions, the cube has \(dimension): take uniform or "
                    + "latin-hypercube")
        }
    }

    public func makeProblem(seed: UInt64) throws -> any Problem {
        try validate()
        let pde = PoissonOnCube(dimension: dimension, solution: solution, enforcement: conditions)
        return try PhysicsInformedProblem(
            pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings,
            kernelForm: kernelForm)
    }
}

/// Registers the problems `poisson-1d`, `poisson-2d` and `poisson-cube`.
public enum PoissonPlugin: Plugin {
    public static let identifier = "poisson"

    public static func register(in registry: inout Registry) throws {
        try registry.register(problem: PoissonOnIntervalSetup.self)
        try registry.register(problem: PoissonOnSquareSetup.self)
        try registry.register(problem: PoissonOnCubeSetup.self)
    }
}
