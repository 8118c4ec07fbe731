import LinearAlgebra

/// Offers the gradients of its samples in factors: where a sample's loss ℓᵢ sees θ through a linear map Aᵢθ ∈ ℝᴷ only, its gradient is a
/// matrix of data times K numbers.
///
///     L(θ) = (1/n) Σᵢ ℓᵢ(Aᵢθ) + R(θ),   ∇L(θ) = (1/n) Σᵢ Aᵢᵀcᵢ + ∇R(θ),   cᵢ = ∇ℓᵢ(Aᵢθ) ∈ ℝᴷ
///
/// All regressions with linear predictors have this form, with K = 1 or the number of classes. A method that remembers every sample's
/// gradient (SAGA) then stores nK numbers instead of nP. There is one sample set, and a view offers the same for its samples.
public protocol FactoredGradientProblem: DifferentiableProblem, SampledProblem {
    /// K.
    var factorCount: Int { get }

    /// L(θ), the factors of every sample and ∇R(θ), in one pass.
    func lossAndFactors(at θ: Vector) throws -> FactoredEvaluation

    /// (1/n) Σᵢ Aᵢᵀcᵢ ∈ ℝᴾ for factors C ∈ ℝᴷˣⁿ, a column for each sample. Linear in C.
    func gradient(ofFactors factors: Matrix) -> Vector
}

/// The loss at one θ, and its gradient in factors.
public struct FactoredEvaluation: Sendable, Hashable {
    public var loss: LossValue
    /// C ∈ ℝᴷˣⁿ, column i the factors of sample i.
    public var factors: Matrix
    /// ∇R(θ) ∈ ℝᴾ: what is the same for every batch.
    public var remainder: Vector

    public init(loss: LossValue, factors: Matrix, remainder: Vector) {
        (self.loss, self.factors, self.remainder) = (loss, factors, remainder)
    }

    public var isFinite: Bool { loss.isFinite && factors.isFinite && remainder.isFinite }
}
