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
        "\(square.symbol) \(form): \(operations(flops)), blind to singular values of J below \(short(Self.resolution)) of the largest"
    }
}

/// The square of J that a method takes on a problem, and what the other would have cost it: told by the preflight.
public struct SquareChoice: Sendable, Hashable, CustomStringConvertible {
    /// What is needed to form a square, and what the method then does with it.
    public struct Candidate: Sendable, Hashable {
        public var plan: SquarePlan
        /// Operations beside those of `plan`: a factorisation, eigenvalues.
        public var arithmetic: Double

        public init(_ plan: SquarePlan, arithmetic: Double) { (self.plan, self.arithmetic) = (plan, arithmetic) }

        /// All of them.
        public var flops: Double { plan.flops + arithmetic }
    }

    public var taken: Candidate
    /// The square that was not taken; nil where there was no choice.
    public var other: Candidate?
    /// What bounds the rounding of a step by either square.
    public var precision = SquarePrecision()

    public init(_ plan: SquarePlan) { taken = Candidate(plan, arithmetic: 0) }

    public init(_ taken: Candidate, over other: Candidate?, precision: SquarePrecision) {
        (self.taken, self.other, self.precision) = (taken, other, precision)
    }

    public var description: String {
        var text = taken.plan.description
        if let other {
            text += "; squared and factorised \(operations(taken.flops)), by \(other.plan.square.symbol) \(operations(other.flops))"
        }
        if let told = precision.told { text += "; either way a step is good to \(told)" }
        return text
    }
}

/// How much of a step by a square of J is lost in rounding, as far as it is known beforehand.
///
/// With eigenvalues σᵢ² of the matrix that is inverted, of which those up to c·σ₁² are cut off, a share of
///
///     2⁻⁵²·σ₁² / max(λ, c·σ₁²) = min(2⁻⁵²/λ · σ₁², 2⁻⁵²/c)
///
/// is lost.
public struct SquarePrecision: Sendable, Hashable {
    /// λ of the first step, where it is known.
    public var damping: Double?
    /// c, where there is one.
    public var cutoff: Double?
    /// Whether the matrix is scaled to a unit diagonal before it is damped: σ₁² is then the scaled one's, at most its order.
    public var isScaled: Bool

    public init(damping: Double? = nil, cutoff: Double? = nil, isScaled: Bool = false) {
        (self.damping, self.cutoff, self.isScaled) = (damping, cutoff, isScaled)
    }

    /// 2⁻⁵²/λ: this times σ₁² is lost by the damping. `nil` where λ is not known.
    public var lostShare: Double? { damping.map { .ulpOfOne / $0 } }

    /// 2⁻⁵²/c: no more is lost, whatever σ₁² is. `nil` without a cut-off.
    public var greatestLoss: Double? { cutoff.flatMap { $0 > 0 ? .ulpOfOne / $0 : nil } }

    /// In words; nil where nothing is known.
    fileprivate var told: String? {
        let byDamping = lostShare.map { "\(short($0))·σ₁²\(isScaled ? " of the scaled matrix" : "") (λ = \(short(damping ?? 0)))" }
        let byCutoff = greatestLoss.map { "\(short($0)) (cut-off \(short(cutoff ?? 0)))" }
        switch (byDamping, byCutoff) {
        case (let damped?, let cut?): return "the lesser of \(damped) and \(cut)"
        case (let one, let other): return one ?? other
        }
    }
}

extension JacobianSquare {
    /// “JᵀJ”.
    var symbol: String { self == .gramian ? "JᵀJ" : "JJᵀ" }
}
