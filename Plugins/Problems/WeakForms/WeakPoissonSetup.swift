import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The settings of `weak-poisson-1d`: frequency, network, mesh and test functions.
///
/// Defaults: one hidden layer of 32 tanh units (97 parameters), and 40 elements of 6 Gauss–Legendre nodes with 2 bubbles each, which with the
/// hats are 119 test functions. As in `poisson-1d`, the units start spread over the interval with slope 4.
public struct WeakPoissonSetup: ProblemConfiguration, Hashable {
    /// k.
    public var frequency = 2
    public var network = PerceptronSettings(width: 32, depth: 1, initialization: .lecunNormal, firstLayerSlope: 4)
    public var elements = 40
    public var nodesPerElement = 6
    /// K.
    public var bubbles = 2

    public init() {}

    public static let identifier = "weak-poisson-1d"
    public static let summary = "−u″ = (kπ)² sin kπx on the unit interval in its weak form, tested with hats and bubbles (VPINN)"
    public static var fields: [Field<Self>] {
        [
            .integer("frequency", \.frequency, atLeast: 1, meaning: "k, the half waves in the interval"),
            .section("network", \.network, meaning: "the network N in u = x(1 − x)N"),
            .integer("elements", \.elements, atLeast: 1, meaning: "elements of the mesh"),
            .integer("nodesPerElement", \.nodesPerElement, atLeast: 1, meaning: "Gauss–Legendre nodes in an element, at most 100"),
            .integer("bubbles", \.bubbles, meaning: "K, test functions inside each element, fewer than its nodes"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem { try problem() }

    /// The problem with its type. Nothing of it is drawn at random.
    public func problem() throws -> WeakPoisson {
        // Nodes, twice, and the partials of a residual by each node's two channels.
        let numbers = Double(elements) * Double(nodesPerElement) * 16
        try requireMemory(forNumbers: numbers, as: "\(elements) elements", path: "elements", advice: "take fewer elements")
        let rule = try CompositeGaussLegendre(elements: elements, nodesPerElement: nodesPerElement)
        return try WeakPoisson(
            frequency: frequency, model: try network.model(over: [0...1], outputs: 1), space: try TestSpace(rule: rule, bubbles: bubbles),
            identity: settings)
    }
}

/// Registers the problem `weak-poisson-1d`.
public enum WeakFormsPlugin: Plugin {
    public static let identifier = "weak-forms"

    public static func register(in registry: inout Registry) throws { try registry.register(problem: WeakPoissonSetup.self) }
}
