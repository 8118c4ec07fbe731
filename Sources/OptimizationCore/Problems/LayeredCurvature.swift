import LinearAlgebra

/// Offers JᵀJ's blocks of the affine layers of its model as Kronecker products, one for each layer and term of the loss.
public protocol LayeredCurvatureProblem: LeastSquaresProblem {
    /// The layers in the order of θ; parameters outside of them are of no layer.
    func layerCurvatures(at θ: Vector) throws -> [LayerCurvature]
}

/// JᵀJ's block of one affine layer x ↦ Wᵀx̃, approximately Σ_terms A ⊗ B.
///
/// Entry (i, j) of W ∈ ℝᵃˣᵇ, its row of biases included, lies at θ[offset + i·b + j]; the block's entry of (i, j) and (k, l) is
/// Σ_terms A[i, k]·B[j, l].
public struct LayerCurvature: Sendable {
    public var offset: Int
    /// One for each term with samples; all of one shape.
    public var terms: [KroneckerProduct]

    public init(offset: Int, terms: [KroneckerProduct]) { (self.offset, self.terms) = (offset, terms) }

    /// a and b.
    public var inputs: Int { terms.first?.input.rows ?? 0 }
    public var outputs: Int { terms.first?.output.rows ?? 0 }
    /// Where the layer's parameters lie in θ.
    public var range: Range<Int> { offset..<(offset + inputs * outputs) }
}

/// A ⊗ B of one term, from the vectors that pass through the layer: C channels (the value, its derivatives) of each sample.
public struct KroneckerProduct: Sendable {
    /// The term's place in ``DifferentiableProblem/terms``.
    public var term: Int
    /// How many vectors A is the mean of: samples times channels.
    public var vectors: Int
    /// C.
    public var channels: Int
    /// A ∈ ℝᵃˣᵃ, the mean of x̃x̃ᵀ over the vectors.
    public var input: Matrix
    /// B ∈ ℝᵇˣᵇ, the sum of ggᵀ over residuals and vectors, g being the derivative of the weighted residual by Wᵀx̃.
    public var output: Matrix

    public init(term: Int, vectors: Int, channels: Int, input: Matrix, output: Matrix) {
        precondition(input.rows == input.columns && output.rows == output.columns, "Kronecker factors that are not square")
        (self.term, self.vectors, self.channels, self.input, self.output) = (term, vectors, channels, input, output)
    }
}
