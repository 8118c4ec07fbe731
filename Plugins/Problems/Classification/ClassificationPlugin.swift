import OptimizationCore

/// Classical classification: `logistic-regression` on synthetic data, `softmax-regression` on data of a file too.
public enum ClassificationPlugin: Plugin {
    public static let identifier = "classification"

    public static func register(in registry: inout Registry) throws {
        try registry.register(problem: SyntheticLogisticRegression.self)
        try registry.register(problem: SoftmaxRegressionSetup.self)
    }
}

/// The settings of a logistic regression on two Gaussian classes, drawn from the stream “samples” of the run's seed.
public struct SyntheticLogisticRegression: ProblemConfiguration, Hashable {
    public var samples = 2_000
    public var heldOut = 0
    public var regularization = 1e-3
    public var classes = TwoGaussians()

    public init() {}

    public init(samples: Int, heldOut: Int = 0, regularization: Double = 1e-3, classes: TwoGaussians = TwoGaussians()) {
        precondition(samples > 0 && heldOut >= 0 && regularization >= 0, "samples must be > 0, heldOut and regularization ≥ 0")
        (self.samples, self.heldOut, self.regularization, self.classes) = (samples, heldOut, regularization, classes)
    }

    public static let identifier = "logistic-regression"
    public static let summary = "Logistic regression with an ℓ2 penalty on two Gaussian classes."
    public static var fields: [Field<Self>] {
        [
            .integer("samples", \.samples, atLeast: 1, meaning: "n, the samples to train on"),
            .integer("heldOut", \.heldOut, meaning: "samples set aside, whose loss chooses the best point"),
            .integer("features", \.classes.features, atLeast: 1, meaning: "d"),
            .number("regularization", \.regularization, in: .nonNegative, meaning: "λ in ½λ‖w‖²"),
            .number("conditionNumber", \.classes.conditionNumber, in: .atLeast(1), meaning: "κ of the covariance within a class"),
            .number("separation", \.classes.separation, in: .nonNegative, meaning: "δ, the Mahalanobis distance of the classes"),
            .number("labelNoise", \.classes.labelNoise, in: .within(0...0.5), meaning: "the share of wrong labels"),
        ]
    }

    public func makeProblem(seed: UInt64) throws -> any Problem { try problem(seed: seed) }

    /// The problem with its type; training samples do not change with the number of held-out ones.
    public func problem(seed: UInt64) throws -> LogisticRegression {
        let all = Double(samples) + Double(heldOut)
        try requireMemory(
            forNumbers: 2 * all * Double(classes.features + 2), as: "\(Int(all)) samples of \(classes.features) features", path: "samples",
            advice: "take fewer samples or features")
        var random = RandomStream(seed: seed, name: "samples")
        let drawn = classes.samples(samples + heldOut, from: &random)
        guard heldOut > 0 else { return try LogisticRegression(drawn, regularization: regularization) }
        return try LogisticRegression(
            drawn.taking(Array(0..<samples)), regularization: regularization,
            heldOut: drawn.taking(Array(samples..<(samples + heldOut))))
    }
}
