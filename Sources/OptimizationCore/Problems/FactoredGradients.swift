import LinearAlgebra

/// Offers the gradients of its samples in factors: K numbers cᵢ from which, with the sample's data, the gradient of its loss ℓᵢ follows.
///
///     L(θ) = (1/n) Σᵢ ℓᵢ(θ) + R(θ),   ∇L(θ) = (1/n) Σᵢ Gᵢ(cᵢ) + ∇R(θ)
///
/// Where ℓᵢ sees θ through a linear map Aᵢθ ∈ ℝᴷ only, as in all regressions with linear predictors, Gᵢ(c) = Aᵢᵀc with c = ∇ℓᵢ(Aᵢθ): K is 1 or the
/// number of classes. For a network with one output, c holds the inputs and cotangents of its layers and Gᵢ multiplies them: Σ(in + out)
/// numbers instead of Σ in·out. A method that remembers every sample's gradient (SAGA) then stores nK numbers instead of nP. There is
/// one sample set, and a view offers the same for its samples.
public protocol FactoredGradientProblem: DifferentiableProblem, SampledProblem {
    /// K.
    var factorCount: Int { get }

    /// L(θ), the factors of every sample and ∇R(θ), in one pass.
    func lossAndFactors(at θ: Vector) throws -> FactoredEvaluation

    /// (1/n) Σᵢ Gᵢ(cᵢ) ∈ ℝᴾ for factors C ∈ ℝᴷˣⁿ, a column for each sample, of whatever θ.
    func gradient(ofFactors factors: Matrix) -> Vector

    /// (1/n) Σᵢ Gᵢ(cᵢ) − Gᵢ(bᵢ). By default two gradients; where Gᵢ is linear, one does.
    func gradient(ofFactors factors: Matrix, minus others: Matrix) -> Vector
}

extension FactoredGradientProblem {
    public func gradient(ofFactors factors: Matrix, minus others: Matrix) -> Vector {
        gradient(ofFactors: factors) - gradient(ofFactors: others)
    }
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
