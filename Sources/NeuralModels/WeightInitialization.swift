import OptimizationCore

/// How a layer's weights W ∈ ℝᵐˣⁿ (m inputs, n outputs) are drawn: independent, with mean zero.
///
/// The normal variants are not truncated, as in PyTorch; Keras and JAX cut them at two standard deviations and rescale.
/// X. Glorot, Y. Bengio, AISTATS 2010; K. He et al., ICCV 2015, doi:10.1109/ICCV.2015.123; Y. LeCun et al., Efficient BackProp, 1998.
public enum WeightInitialization: String, Sendable, Hashable, CaseIterable {
    /// Variance 2/(m + n).
    case glorotNormal = "glorot-normal"
    /// Uniform on ±√(6/(m + n)): the same variance.
    case glorotUniform = "glorot-uniform"
    /// Variance 2/m.
    case heNormal = "he-normal"
    /// Variance 1/m.
    case lecunNormal = "lecun-normal"

    /// One weight of a layer.
    func weight(inputs m: Int, outputs n: Int, random: inout RandomStream) -> Double {
        switch self {
        case .glorotNormal: (2 / Double(m + n)).squareRoot() * random.normal()
        case .glorotUniform: (6 / Double(m + n)).squareRoot() * (2 * random.uniform() - 1)
        case .heNormal: (2 / Double(m)).squareRoot() * random.normal()
        case .lecunNormal: (1 / Double(m)).squareRoot() * random.normal()
        }
    }
}
