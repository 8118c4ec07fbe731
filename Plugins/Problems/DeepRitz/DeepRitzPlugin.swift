import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `deep-ritz-1d`: frequency, network and quadrature.
///
/// Defaults: one hidden layer of 32 tanh units (97 parameters) and 64 elements of 4 Gauss–Legendre nodes. As in `poisson-1d`, the units
/// start spread over the interval with slope 4.
public struct DeepRitzSetup: ProblemConfiguration, Hashable {
    /// k.
    public var frequency = 2
    public var network = PerceptronSettings(width: 32, depth: 1, initialization: .lecunNormal, firstLayerSlope: 4)
    public var elements = 64
    public var nodesPerElement = 4

    public init() {}

    public static let identifier = "deep-ritz-1d"
    public static let summary = "the energy ∫½u′² − fu of −u″ = (kπ)² sin kπx on the unit interval; no least-squares loss"
    public static var fields: [Field<Self>] {
        [
            .integer("frequency", \.frequency, atLeast: 1, meaning: "k, the half waves in the interval"),
            .section("network", \.network, meaning: "the network N in u = x(1 − x)N"),
            .integer("elements", \.elements, atLeast: 1, meaning: "elements of the quadrature's mesh"),
            .integer("nodesPerElement", \.nodesPerElement, atLeast: 1, meaning: "Gauss–Legendre nodes in an element, at most 100"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem { try problem() }

    /// The problem with its type. Nothing of it is drawn at random.
    public func problem() throws -> PoissonEnergy {
        try PoissonEnergy(
            frequency: frequency, model: try network.model(over: [0...1], outputs: 1),
            quadrature: try CompositeGaussLegendre(elements: elements, nodesPerElement: nodesPerElement), identity: settings)
    }
}

/// Registers the problem `deep-ritz-1d`.
public enum DeepRitzPlugin: Plugin {
    public static let identifier = "deep-ritz"

    public static func register(in registry: inout Registry) throws { try registry.register(problem: DeepRitzSetup.self) }
}
