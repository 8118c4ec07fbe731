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

/// An activation of one's own: what a target outside this package adds to a network.
///
/// Its derivatives up to order 6 are stated once; jets of any order, reverse passes, tangents and curvature products follow from
/// them by Faà di Bruno's formula. `LayerConformance` in OptimizationTesting checks them.
public protocol CustomActivation: Sendable {
    /// What it is called in reports.
    var name: String { get }

    /// σ⁽ᵏ⁾(xᵢ) to derivatives[k·count + i] for k = 0…order, order ≤ ``Activation/highestDerivative``. Pure, each x on its own.
    func derivatives(upTo order: Int, count: Int, at x: UnsafePointer<Double>, into derivatives: UnsafeMutablePointer<Double>)
}

/// An activation of a layer: one that has kernels of its own, or one that is given by its derivatives.
public enum ActivationFunction: Sendable {
    case standard(Activation)
    case custom(any CustomActivation)

    public var name: String {
        switch self {
        case .standard(let activation): activation.rawValue
        case .custom(let activation): activation.name
        }
    }
}
