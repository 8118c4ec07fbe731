import LinearAlgebra
import OptimizationCore

/// Feature vectors with labels of K classes.
public struct ClassSamples: Sendable, Equatable {
    /// X ∈ ℝᵈˣⁿ, a sample in each column.
    public let features: Matrix
    /// yᵢ ∈ 0..<K.
    public let labels: [Int]
    /// K.
    public let classCount: Int

    public init(features: Matrix, labels: [Int], classCount: Int) {
        precondition(features.columns == labels.count, "\(features.columns) samples with \(labels.count) labels")
        precondition(labels.allSatisfy((0..<classCount).contains), "a label is none of 0..<\(classCount)")
        (self.features, self.labels, self.classCount) = (features, labels, classCount)
    }

    public var count: Int { labels.count }

    /// The samples at `indices`, which must lie in 0..<count.
    func taking(_ indices: [Int]) -> ClassSamples {
        ClassSamples(features: features.takingColumns(indices), labels: indices.map { labels[$0] }, classCount: classCount)
    }

    /// FNV-1a over the bits of features and labels: what tells one data set from another in a run's identity.
    var digest: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for value in features.elements { hash = (hash ^ value.bitPattern) &* 0x100_0000_01b3 }
        for label in labels { hash = (hash ^ UInt64(label)) &* 0x100_0000_01b3 }
        return hash
    }
}

extension Matrix {
    /// The columns at `indices`, in their order.
    func takingColumns(_ indices: [Int]) -> Matrix {
        let d = rows
        var taken = Matrix.zeros(d, indices.count)
        taken.elements.withUnsafeMutableBufferPointer { to in
            elements.withUnsafeBufferPointer { from in
                for (j, i) in indices.enumerated() {
                    for k in 0..<d { to[j * d + k] = from[i * d + k] }
                }
            }
        }
        return taken
    }
}

/// K Gaussian classes of equal weight around random directions: x = z + δuᵧ, z ∼ 𝒩(0, I), uₖ random unit vectors.
public struct GaussianClasses: Configurable, Hashable {
    /// n.
    public var samples = 300
    /// K.
    public var classes = 3
    /// d.
    public var features = 5
    /// δ ≥ 0.
    public var separation = 2.0

    public init() {}

    public init(samples: Int, classes: Int = 3, features: Int = 5, separation: Double = 2) {
        precondition(samples > 0 && classes > 1 && features > 0 && separation >= 0, "no samples, features, or fewer than two classes")
        (self.samples, self.classes, self.features, self.separation) = (samples, classes, features, separation)
    }

    public static let identifier = "gaussian-classes"
    public static let summary = "Gaussian classes around random directions."
    public static var fields: [Field<Self>] {
        [
            .integer("samples", \.samples, atLeast: 1, meaning: "n, the samples to train on"),
            .integer("classes", \.classes, atLeast: 2, meaning: "K"),
            .integer("features", \.features, atLeast: 1, meaning: "d"),
            .number("separation", \.separation, in: .nonNegative, meaning: "δ, how far a class's centre lies from 0"),
        ]
    }

    /// `count` samples from `random`; the first K unit vectors drawn decide the distribution.
    public func samples(_ count: Int, from random: inout RandomStream) -> ClassSamples {
        let centres = (0..<classes).map { _ in
            let v = random.normalVector(features)
            return (separation / v.norm) * v
        }
        var (x, labels) = (Matrix.zeros(features, count), Array(repeating: 0, count: count))
        for i in 0..<count {
            labels[i] = random.index(below: classes)
            let sample = random.normalVector(features) + centres[labels[i]]
            x.elements.replaceSubrange((i * features)..<((i + 1) * features), with: sample)
        }
        return ClassSamples(features: x, labels: labels, classCount: classes)
    }
}

/// What features are divided by, and shifted by, before training: as the training samples say, and the same for held-out ones.
public enum FeatureScaling: String, CaseIterable, Sendable {
    /// As they are.
    case none
    /// All of them divided by the largest magnitude: pixels of 0 to 16 become 0 to 1.
    case largest
    /// Each shifted to mean 0 and divided by its standard deviation; one that is the same in all samples becomes 0.
    case standard

    /// The same map for the samples to train on and for others.
    public func applied(to training: ClassSamples, _ others: ClassSamples?) -> (training: ClassSamples, others: ClassSamples?) {
        let (d, n, x) = (training.features.rows, training.count, training.features.elements)
        var (shift, factor) = (Vector.zeros(d), Vector(repeating: 1, count: d))
        switch self {
        case .none: return (training, others)
        case .largest:
            let largest = x.reduce(0) { max($0, abs($1)) }
            if largest > 0 { factor = Vector(repeating: 1 / largest, count: d) }
        case .standard:
            for k in 0..<d {
                let values = (0..<n).map { x[$0 * d + k] }
                let mean = values.reduce(0, +) / Double(n)
                let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(n)).squareRoot()
                shift[k] = mean
                // The mean of equal values may round beside them.
                factor[k] = deviation > 8 * .ulpOfOne * abs(mean) ? 1 / deviation : 0
            }
        }
        func map(_ samples: ClassSamples) -> ClassSamples {
            var features = samples.features
            for i in 0..<samples.count {
                for k in 0..<d { features.elements[i * d + k] = (features.elements[i * d + k] - shift[k]) * factor[k] }
            }
            return ClassSamples(features: features, labels: samples.labels, classCount: samples.classCount)
        }
        return (map(training), others.map(map))
    }
}
