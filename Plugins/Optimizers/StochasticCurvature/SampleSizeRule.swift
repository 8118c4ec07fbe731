import LinearAlgebra
import OptimizationCore

/// How large the next sample is, by the scatter of gradients over the present one.
///
/// The sample is evaluated in b = `groups` parts of equal size, whose gradients gⱼ have the sample's own, ḡ, as their mean: no sample is
/// evaluated twice. For samples drawn without replacement
///
///     V = (1 − f)·T,   T = Σⱼ‖gⱼ − ḡ‖²/(b(b − 1))
///
/// is an unbiased estimate of E‖ḡ − ∇L‖², with f the sampled share of the sets that are not taken whole: of one set exactly, of several as
/// far as they are sampled in equal shares. With b as many as samples the gⱼ are those of single samples.
public protocol SampleSizeRule: Configurable {
    /// b ≥ 2, or 1 where nothing is measured.
    var groups: Int { get }
    /// By what factor the sample should grow: 1 where it is large enough.
    func growth(gradients: [Vector], mean: Vector, fraction f: Double) -> Double
}

extension Field {
    /// A rule for the sample size chosen by its name.
    static func sampleSize(_ name: String, _ path: Path<any SampleSizeRule>) -> Field {
        .variant(
            name, among: [FixedSampleSize.self, NormTest.self, InnerProductTest.self],
            meaning: "how the sample size follows the scatter of gradients", describe: { $0[keyPath: path].settings }
        ) { root, chosen in
            guard let rule = chosen as? any SampleSizeRule else { preconditionFailure("\(type(of: chosen)) is no rule for a sample size") }
            root[keyPath: path] = rule
        }
    }
}

/// The size as it is.
public struct FixedSampleSize: SampleSizeRule, Hashable {
    public init() {}

    public static let identifier = "fixed"
    public static let summary = "The sample size as it is set."
    public static var fields: [Field<Self>] { [] }

    public var groups: Int { 1 }
    public func growth(gradients: [Vector], mean: Vector, fraction f: Double) -> Double { 1 }
}

/// The norm test: the sample is large enough where V ≤ θ²‖ḡ‖², and otherwise grows to where it would be.
///
/// T falls as 1/m, so that with m′ = c·m samples V = T/c − f·T and c = T/(θ²‖ḡ‖² + f·T); c ≤ `maximumGrowth`. A sample never shrinks.
/// Variant: V has the finite population's correction, by which the whole set always passes; the paper's practical test drops it. θ of 0.9
/// is that of Bollapragada et al.; the paper's experiments have ½.
/// Source: Byrd, Chin, Nocedal & Wu, Math. Prog. 134 (2012) 127–155, doi:10.1007/s10107-012-0572-5.
public struct NormTest: SampleSizeRule, Hashable {
    /// θ > 0: the error of the gradient, relative to it, that is put up with.
    public var tolerance = 0.9
    public var groups = 8
    public var maximumGrowth = 10.0

    public init() {}
    public init(tolerance: Double, groups: Int = 8, maximumGrowth: Double = 10) {
        precondition(groups >= 2 && maximumGrowth >= 1 && tolerance > 0, "groups ≥ 2, maximumGrowth ≥ 1, tolerance > 0")
        (self.tolerance, self.groups, self.maximumGrowth) = (tolerance, groups, maximumGrowth)
    }

    public static let identifier = "norm-test"
    public static let summary = "Samples grow where the scatter of their gradient is large beside its norm."
    public static var fields: [Field<Self>] {
        [
            .number("tolerance", \.tolerance, in: .positive, meaning: "θ, the relative error of a gradient that is put up with"),
            .integer("groups", \.groups, atLeast: 2, meaning: "b, the parts of a sample whose gradients are compared"),
            .number("maximumGrowth", \.maximumGrowth, in: .atLeast(1), meaning: "the most that a sample grows by at once"),
        ]
    }

    public func growth(gradients: [Vector], mean: Vector, fraction f: Double) -> Double {
        Swift.min(needed(scatter(gradients, about: mean), allowed: tolerance * tolerance * mean.dot(mean), f), maximumGrowth)
    }
}

/// The augmented inner-product test: the sample is large enough where its gradient is one of descent, and not mainly orthogonal to ∇L.
///
///     (1 − f)·Σⱼ(gⱼᵀḡ − ‖ḡ‖²)²/(b(b − 1)) ≤ θ²s²   and   (1 − f)·Σⱼ‖gⱼ − (gⱼᵀḡ/‖ḡ‖²)·ḡ‖²/(b(b − 1)) ≤ ν²s
///
/// with s = ‖ḡ‖², or with `debiased` s = max(0, ‖ḡ‖² − V), which estimates ‖∇L‖² without bias. Weaker than the norm test, whose samples
/// grow sooner. Growth as there.
/// Variants: with the finite population's correction. s = ‖ḡ‖² is the authors'; where a gradient is all noise in n directions the first
/// ratio is then about 1/n and the test passes for ever, which they mend by an average of past gradients. On a logistic regression of 21
/// parameters (2 000 samples, κ = 1 000, 60 gradients' work) `progressive-l-bfgs` ended at a gap of 3e-2 with s = ‖ḡ‖² and of 2e-6 debiased.
/// Source: Bollapragada, Byrd & Nocedal, SIAM J. Optim. 28 (2018) 3312–3343, doi:10.1137/17M1154679: θ = 0.9, ν = 5.84.
public struct InnerProductTest: SampleSizeRule, Hashable {
    /// θ > 0.
    public var tolerance = 0.9
    /// ν > 0.
    public var orthogonality = 5.84
    /// Whether the gradient's own variance is taken off its square.
    public var debiased = true
    public var groups = 8
    public var maximumGrowth = 10.0

    public init() {}
    public init(tolerance: Double, orthogonality: Double = 5.84, debiased: Bool = true, groups: Int = 8, maximumGrowth: Double = 10) {
        precondition(groups >= 2 && maximumGrowth >= 1, "groups ≥ 2, maximumGrowth ≥ 1")
        precondition(tolerance > 0 && orthogonality > 0, "tolerance and orthogonality > 0")
        (self.tolerance, self.orthogonality, self.debiased) = (tolerance, orthogonality, debiased)
        (self.groups, self.maximumGrowth) = (groups, maximumGrowth)
    }

    public static let identifier = "inner-product-test"
    public static let summary = "Samples grow where their gradient may not be one of descent, or lies mainly across the loss's."
    public static var fields: [Field<Self>] {
        [
            .number("tolerance", \.tolerance, in: .positive, meaning: "θ, the relative scatter along the gradient that is put up with"),
            .number("orthogonality", \.orthogonality, in: .positive, meaning: "ν, the relative scatter across it that is put up with"),
            .flag("debiased", \.debiased, meaning: "whether the gradient's own variance is taken off its square"),
            .integer("groups", \.groups, atLeast: 2, meaning: "b, the parts of a sample whose gradients are compared"),
            .number("maximumGrowth", \.maximumGrowth, in: .atLeast(1), meaning: "the most that a sample grows by at once"),
        ]
    }

    public func growth(gradients: [Vector], mean: Vector, fraction f: Double) -> Double {
        let square = mean.dot(mean)
        guard square > 0 else { return Swift.min(1 / f, maximumGrowth) }
        let s = debiased ? Swift.max(0, square - (1 - f) * scatter(gradients, about: mean)) : square
        let along = gradients.map { $0.dot(mean) }
        let pairs = Double(gradients.count * (gradients.count - 1))
        let T1 = along.reduce(0) { $0 + ($1 - square) * ($1 - square) } / pairs
        let T2 = zip(gradients, along).reduce(0) { sum, pair in
            let across = pair.0.adding(mean, scaledBy: -pair.1 / square)
            return sum + across.dot(across)
        }
        let growth = Swift.max(
            needed(T1, allowed: tolerance * tolerance * s * s, f),
            needed(T2 / pairs, allowed: orthogonality * orthogonality * s, f))
        return Swift.min(growth, maximumGrowth)
    }
}

/// T = Σⱼ‖gⱼ − ḡ‖²/(b(b − 1)).
package func scatter(_ gradients: [Vector], about mean: Vector) -> Double {
    let sum = gradients.reduce(0) { sum, g in
        let d = g - mean
        return sum + d.dot(d)
    }
    return sum / Double(gradients.count * (gradients.count - 1))
}

/// c ≥ 1 with T/c − f·T ≤ `allowed`.
private func needed(_ T: Double, allowed: Double, _ f: Double) -> Double {
    let c = T / (allowed + f * T)
    return c > 1 ? c : 1
}
