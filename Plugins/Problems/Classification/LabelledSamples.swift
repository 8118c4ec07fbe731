import LinearAlgebra
import OptimizationCore

/// Feature vectors with labels of two classes.
public struct LabelledSamples: Sendable, Equatable {
    /// X ∈ ℝᵈˣⁿ, a sample in each column.
    public let features: Matrix
    /// yᵢ ∈ {−1, 1}.
    public let labels: Vector

    public init(features: Matrix, labels: Vector) {
        precondition(features.columns == labels.count, "\(features.columns) samples with \(labels.count) labels")
        precondition(labels.allSatisfy { abs($0) == 1 }, "a label must be −1 or 1")
        (self.features, self.labels) = (features, labels)
    }

    public var count: Int { labels.count }

    /// The samples at `indices`, which must lie in 0..<count.
    func taking(_ indices: [Int]) -> LabelledSamples {
        LabelledSamples(features: features.takingColumns(indices), labels: Vector(indices.map { labels[$0] }))
    }

    /// FNV-1a over the bits of features and labels: what tells one data set from another in a run's identity.
    var digest: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for values in [features.elements, labels.elements] {
            for value in values { hash = (hash ^ value.bitPattern) &* 0x100_0000_01b3 }
        }
        return hash
    }
}

/// Two Gaussian classes of equal weight, with a given conditioning and noise of labels.
///
/// x = H·S·(z + ½·δ·y·u), z ∼ 𝒩(0, I), y = ±1 with probability ½ each; then y changes sign with probability p. S is diagonal
/// with entries from 1 to κ^(−½), spaced geometrically, u a random unit vector and H the reflection of another, so that within a
/// class the covariance has condition number κ = `conditionNumber` and no axis of its own; δ = `separation` is the
/// Mahalanobis distance between the classes' means, p = `labelNoise`. With p = 0 the best classifier errs with probability
/// Φ(−δ/2).
public struct TwoGaussians: Sendable, Hashable {
    /// d.
    public var features = 20
    /// κ ≥ 1.
    public var conditionNumber = 100.0
    /// δ ≥ 0.
    public var separation = 2.0
    /// p in [0, ½].
    public var labelNoise = 0.05

    public init() {}

    public init(features: Int, conditionNumber: Double = 100, separation: Double = 2, labelNoise: Double = 0.05) {
        precondition(features > 0, "\(features) features")
        precondition(conditionNumber >= 1 && separation >= 0, "κ = \(conditionNumber) must be ≥ 1 and δ = \(separation) ≥ 0")
        precondition((0...0.5).contains(labelNoise), "a label cannot be wrong with probability \(labelNoise)")
        (self.features, self.conditionNumber) = (features, conditionNumber)
        (self.separation, self.labelNoise) = (separation, labelNoise)
    }

    /// n samples from `random`; the first two unit vectors drawn decide the distribution.
    public func samples(_ n: Int, from random: inout RandomStream) -> LabelledSamples {
        let d = features
        let u = unitVector(from: &random)
        let h = unitVector(from: &random)
        let scales = (0..<d).map { d == 1 ? 1 : power(conditionNumber, -0.5 * Double($0) / Double(d - 1)) }
        var (x, labels) = (Matrix.zeros(d, n), Vector.zeros(n))
        for i in 0..<n {
            let y = random.uniform() < 0.5 ? -1.0 : 1.0
            var sample = random.normalVector(d)
            for k in 0..<d { sample[k] = scales[k] * (sample[k] + 0.5 * separation * y * u[k]) }
            sample.add(h, scaledBy: -2 * h.dot(sample))
            x.elements.replaceSubrange((i * d)..<((i + 1) * d), with: sample)
            labels[i] = random.uniform() < labelNoise ? -y : y
        }
        return LabelledSamples(features: x, labels: labels)
    }

    private func unitVector(from random: inout RandomStream) -> Vector {
        while true {
            let v = random.normalVector(features)
            if v.norm > 0 { return (1 / v.norm) * v }
        }
    }
}
