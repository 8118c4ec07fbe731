import CKernels

/// A smooth activation σ: ℝ → ℝ, with its derivatives up to order 6.
///
/// The derivatives are stated once, in `CKernels/activations.inc`; a further activation is one function there and a case here.
public enum Activation: String, Sendable, Hashable, CaseIterable {
    case tanh
    case sin
    /// x·Φ(x) with the exact normal distribution Φ (not its tanh approximation).
    case gelu
    /// x/(1 + e⁻ˣ), also called swish.
    case silu
    /// log(1 + eˣ)
    case softplus

    /// The highest derivative that `derivatives` gives.
    public static let highestDerivative = Int(CK_HIGHEST_DERIVATIVE)

    var code: Int32 {
        switch self {
        case .tanh: Int32(CK_TANH)
        case .sin: Int32(CK_SIN)
        case .gelu: Int32(CK_GELU)
        case .silu: Int32(CK_SILU)
        case .softplus: Int32(CK_SOFTPLUS)
        }
    }

    /// σ⁽ᵏ⁾(x) for k = 0…order, at every x: `[k][i]`.
    public func derivatives(upTo order: Int, at x: [Double]) -> [[Double]] {
        precondition(order >= 0 && order <= Activation.highestDerivative, "derivative \(order) of an activation")
        var table = [Double](repeating: 0, count: (order + 1) * x.count)
        ck_activation(code, Int32(order), x.count, x, &table)
        return (0...order).map { Array(table[($0 * x.count)..<(($0 + 1) * x.count)]) }
    }
}

/// The instruction set of the element-wise kernels. Results differ between levels by rounding, never between thread counts.
public enum InstructionSet: Int32, Sendable, CaseIterable {
    case baseline = 0
    case avx2 = 1
    case avx512 = 2

    /// The level in use: what the processor offers, or `CURVATURE_SIMD` (`baseline`, `avx2`, `avx512`) where that is less.
    public static var current: InstructionSet { InstructionSet(rawValue: ck_simd_level()) ?? .baseline }

    /// Asks for a level, for tests, while no program is running; returns the one then in use.
    @discardableResult
    public static func use(_ level: InstructionSet) -> InstructionSet {
        InstructionSet(rawValue: ck_set_simd_level(level.rawValue)) ?? .baseline
    }
}
