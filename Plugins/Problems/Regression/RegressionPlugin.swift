import NeuralModels
import OptimizationCore

/// Networks fitted to functions of one variable: `multi-frequency-regression` and `noisy-regression`.
public enum RegressionPlugin: Plugin {
    public static let identifier = "regression"

    public static func register(in registry: inout Registry) throws {
        try registry.register(problem: MultiFrequencyRegression.self)
        try registry.register(problem: NoisyRegression.self)
    }
}

/// What a fit is of: the function, its samples, their noise, and the network.
public struct FunctionFit: Sendable, Hashable {
    /// κₖ > 0.
    public var frequencies: [Double]
    /// aₖ, as many.
    public var amplitudes: [Double]
    /// n.
    public var samples: Int
    public var heldOut: Int
    /// σ ≥ 0.
    public var noise: Double
    /// Whether samples lie at random points, and not at the midpoints of a grid.
    public var isScattered: Bool
    public var network: PerceptronSettings

    public var target: SumOfSines { SumOfSines(frequencies: frequencies, amplitudes: amplitudes) }

    static var fields: [Field<FunctionFit>] {
        [
            .numbers("frequencies", \.frequencies, in: .positive, meaning: "κₖ in f = Σ aₖ sin 2πκₖx"),
            .numbers("amplitudes", \.amplitudes, meaning: "aₖ, one for each frequency"),
            .integer("samples", \.samples, atLeast: 1, meaning: "n, the samples to train on"),
            .integer("heldOut", \.heldOut, meaning: "samples set aside, whose loss chooses the best point"),
            .number("noise", \.noise, in: .nonNegative, meaning: "σ, the noise's standard deviation"),
            .flag("scattered", \.isScattered, meaning: "whether samples lie at random points instead of a grid's midpoints"),
            .section("network", \.network, meaning: "the network"),
        ]
    }

    func validate() throws {
        guard frequencies.count == amplitudes.count, !frequencies.isEmpty else {
            throw ConfigurationError(
                path: "amplitudes", reason: "\(amplitudes.count) amplitudes for \(frequencies.count) frequencies; give one for each")
        }
        guard amplitudes.contains(where: { $0 != 0 }) else {
            throw ConfigurationError(path: "amplitudes", reason: "are all zero: there is nothing to fit, and no relative error")
        }
    }

    /// Points and noise are drawn from the streams “samples/…” and “held-out/…” of the seed; held-out samples are scattered.
    func problem(named name: String, seed: UInt64, identity: Setting) throws -> NetworkRegression {
        try validate()
        try requireMemory(
            forNumbers: 8 * (Double(samples) + Double(heldOut)), as: "\(samples) and \(heldOut) samples", path: "samples",
            advice: "take fewer")
        let training = NoisySamples(samples, of: target, noise: noise, isScattered: isScattered, seed: seed, name: "samples")
        let others = NoisySamples(heldOut, of: target, noise: noise, isScattered: true, seed: seed, name: "held-out")
        return try NetworkRegression(
            name: name, target: target, model: try network.model(over: [0...1], outputs: 1), samples: training,
            heldOut: heldOut > 0 ? others : nil, identity: identity)
    }
}

/// The settings of `multi-frequency-regression`: without noise, frequencies 1, 2, 4 and 8 of equal weight.
///
/// Defaults: one hidden layer of 48 tanh units (145 parameters), spread over the interval with slope 20, 256 samples on a grid.
public struct MultiFrequencyRegression: ProblemConfiguration, Hashable {
    public var fit = FunctionFit(
        frequencies: [1, 2, 4, 8], amplitudes: [1, 1, 1, 1], samples: 256, heldOut: 0, noise: 0, isScattered: false,
        network: PerceptronSettings(width: 48, depth: 1, initialization: .lecunNormal, firstLayerSlope: 20))

    public init() {}

    public static let identifier = "multi-frequency-regression"
    public static let summary = "a network fitted to a sum of sines of several frequencies on [0, 1]"
    public static var fields: [Field<Self>] { FunctionFit.fields.map { $0.lifted(to: \.fit) } }

    public func validate() throws { try fit.validate() }
    public func makeProblem(seed: UInt64) throws -> any Problem { try problem(seed: seed) }

    /// The problem with its type.
    public func problem(seed: UInt64) throws -> NetworkRegression {
        try fit.problem(named: Self.identifier, seed: seed, identity: settings)
    }
}

/// The settings of `noisy-regression`: two frequencies, noise of a fifth of the larger amplitude, scattered samples, and held-out ones.
///
/// Defaults: one hidden layer of 40 tanh units (121 parameters) for 120 samples, so that a fit can follow the noise.
public struct NoisyRegression: ProblemConfiguration, Hashable {
    public var fit = FunctionFit(
        frequencies: [1, 3], amplitudes: [1, 0.5], samples: 120, heldOut: 120, noise: 0.2, isScattered: true,
        network: PerceptronSettings(width: 40, depth: 1, initialization: .lecunNormal, firstLayerSlope: 10))

    public init() {}

    public static let identifier = "noisy-regression"
    public static let summary = "a network fitted to noisy samples of a sum of sines on [0, 1], with held-out samples"
    public static var fields: [Field<Self>] { FunctionFit.fields.map { $0.lifted(to: \.fit) } }

    public func validate() throws { try fit.validate() }
    public func makeProblem(seed: UInt64) throws -> any Problem { try problem(seed: seed) }

    /// The problem with its type.
    public func problem(seed: UInt64) throws -> NetworkRegression {
        try fit.problem(named: Self.identifier, seed: seed, identity: settings)
    }
}
