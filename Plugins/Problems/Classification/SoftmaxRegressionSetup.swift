import OptimizationCore

/// The settings of `softmax-regression`: samples of a file, or Gaussian classes drawn from the stream “samples” of the run's seed.
///
/// The handwritten digits come with the repository (`data: Examples/data/digits.h5`): 1797 pictures of 64 pixels, ten classes. Held-out
/// samples of a file are drawn from the stream “split” of the seed, and a feature is scaled by what the others say.
public struct SoftmaxRegressionSetup: ProblemConfiguration, Hashable {
    /// The file; empty for samples that are drawn.
    public var data = ""
    public var drawn = GaussianClasses()
    public var heldOut = 0
    public var regularization = 1e-3
    public var scaling = FeatureScaling.none

    public init() {}

    public init(data: String, heldOut: Int = 0, regularization: Double = 1e-3, scaling: FeatureScaling = .largest) {
        precondition(heldOut >= 0 && regularization >= 0, "heldOut and regularization must be ≥ 0")
        (self.data, self.heldOut, self.regularization, self.scaling) = (data, heldOut, regularization, scaling)
    }

    public static let identifier = "softmax-regression"
    public static let summary = "Softmax regression of several classes with an ℓ2 penalty, on samples of a file or Gaussian ones."
    public static var fields: [Field<Self>] {
        [
            .text("data", \.data, meaning: "HDF5 file of the samples (/features, /labels); empty: samples are drawn"),
            .part("drawn", \.drawn, meaning: "the samples that are drawn where there is no file"),
            .integer("heldOut", \.heldOut, meaning: "samples set aside, whose loss chooses the best point"),
            .number("regularization", \.regularization, in: .nonNegative, meaning: "λ in ½λ‖W‖²"),
            .choice("scaling", \.scaling, meaning: "features as they are, by the largest of all, or each to mean 0 and deviation 1"),
        ]
    }

    public func validate() throws {
        if !data.isEmpty, drawn != GaussianClasses() {
            throw ConfigurationError(path: "drawn", reason: "samples are drawn or read from “\(data)”, not both; leave one of them out")
        }
    }

    public func makeProblem(seed: UInt64) throws -> any Problem { try problem(seed: seed) }

    /// The problem with its type; drawn training samples do not change with the number of held-out ones.
    public func problem(seed: UInt64) throws -> SoftmaxRegression {
        try validate()
        let (training, others) = try data.isEmpty ? drawnSamples(seed: seed) : storedSamples(seed: seed)
        let scaled = scaling.applied(to: training, others)
        return try SoftmaxRegression(scaled.training, regularization: regularization, heldOut: scaled.others)
    }

    private func drawnSamples(seed: UInt64) throws -> (ClassSamples, ClassSamples?) {
        let all = Double(drawn.samples) + Double(heldOut)
        try requireMemory(
            forNumbers: 2 * all * Double(drawn.features + drawn.classes), as: "\(Int(all)) samples of \(drawn.features) features",
            path: "drawn.samples", advice: "take fewer samples, features or classes")
        var random = RandomStream(seed: seed, name: "samples")
        let samples = drawn.samples(drawn.samples + heldOut, from: &random)
        return split(samples, Array(0..<samples.count))
    }

    private func storedSamples(seed: UInt64) throws -> (ClassSamples, ClassSamples?) {
        let samples = try ClassDataFile.read(data)
        guard heldOut < samples.count else {
            throw ConfigurationError(
                path: "heldOut", reason: "\(heldOut) samples cannot be set aside: “\(data)” has \(samples.count); leave some to train on")
        }
        guard heldOut > 0 else { return (samples, nil) }
        var random = RandomStream(seed: seed, name: "split")
        return split(samples, random.permutation(of: samples.count))
    }

    private func split(_ samples: ClassSamples, _ order: [Int]) -> (ClassSamples, ClassSamples?) {
        let count = order.count - heldOut
        return (samples.taking(Array(order[..<count])), heldOut > 0 ? samples.taking(Array(order[count...])) : nil)
    }
}
