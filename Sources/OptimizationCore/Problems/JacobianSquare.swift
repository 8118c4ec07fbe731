/// A square of the Jacobian J ∈ ℝᴺˣᴾ that a method factorises.
public enum JacobianSquare: Sendable, Hashable {
    /// JᵀJ ∈ ℝᴾˣᴾ.
    case gramian
    /// JJᵀ ∈ ℝᴺˣᴺ.
    case kernel
}

/// How a problem forms a square of its Jacobian, and what that takes: told by the preflight.
public struct SquarePlan: Sendable, Hashable, CustomStringConvertible {
    public var square: JacobianSquare
    /// In words: “from J”, “layer by layer”.
    public var form: String
    /// Operations, the symmetric half counted once.
    public var flops: Double
    /// The bytes that the problem works in to form it, beside the square itself.
    public var bytes: Int

    public init(_ square: JacobianSquare, form: String, flops: Double, bytes: Int = 0) {
        (self.square, self.form, self.flops, self.bytes) = (square, form, flops, bytes)
    }

    /// The square of an N×P matrix by its entries: NP² operations for JᵀJ, N²P for JJᵀ.
    public static func fromJacobian(_ square: JacobianSquare, residuals: Int, parameters: Int) -> SquarePlan {
        let (n, p) = (Double(residuals), Double(parameters))
        return SquarePlan(square, form: "from J", flops: square == .gramian ? n * p * p : n * n * p)
    }

    /// Singular values of J below this share of the largest are lost in the rounding of either square: 2⁻²⁶. A step that is damped by λ is good to about
    /// 2⁻⁵²·σ₁²/λ; a factorisation of J itself (`gauss-newton`, Levenberg–Marquardt's solvers `jacobian` and `svd`) reaches 2⁻⁵².
    public static let resolution = 0x1p-26

    public var description: String {
        "\(square == .gramian ? "JᵀJ" : "JJᵀ") \(form): \(operations(flops)), blind to singular values of J below \(short(Self.resolution)) of the largest"
    }
}
