import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A member of the Broyden family, self-scaled or not: how θ and τ are chosen.
public enum BroydenVariant: String, CaseIterable, Sendable, Hashable {
    /// θ = 0, τ = 1: the textbook update.
    case bfgs = "bfgs"
    /// θ = 1, τ = 1: Davidon, Fletcher and Powell's, which recovers slowly from curvatures that it took for too large.
    case dfp = "dfp"
    /// θ = 0, τ = min(1, 1/b): Al-Baali's self-scaled BFGS.
    case selfScaledBFGS = "ss-bfgs-ab"
    /// θ = 0, τ = 1/b: Oren and Luenberger's.
    case orenLuenberger = "ss-bfgs-ol"
    case selfScaledBroyden1 = "ss-broyden-1"
    case selfScaledBroyden2 = "ss-broyden-2"
    case selfScaledBroyden3 = "ss-broyden-3"
}

/// One update of an inverse Hessian approximation within the self-scaled Broyden family:
///
///     H⁺ = [H − qqᵀ/w + φ·w·vvᵀ]/τ + ρ·ssᵀ      q = Hy, w = yᵀHy, ρ = 1/yᵀs, v = ρs − q/w, φ = (1 − θ)/(1 + aθ)
///
/// with b = sᵀBs/sᵀy (B = H⁻¹), h = ρw and a = bh − 1 ≥ 0. The secant equation H⁺y = s holds for every θ and τ.
package struct BroydenUpdate {
    /// The parameter of the family: 0 is BFGS, 1 is DFP.
    package let θ: Double
    /// The self-scaling of H.
    package let τ: Double
    package let φ: Double
    let ρ: Double
    let w: Double

    /// The variant's θ and τ. `b` = sᵀBs/sᵀy, `w` = yᵀHy, `order` = P.
    package init(_ variant: BroydenVariant, b: Double, w: Double, ρ: Double, order: Int) {
        let h = ρ * w
        let a = Swift.max(b * h - 1, 0)
        // Names as in Urbán, Stefanou and Pons (their code): ρ⁻ bounds σ = 1 + aθ from below, θ⁻ and θ⁺ bound θ.
        let c = (a / (1 + a)).squareRoot()
        let lowest = Swift.min(1, h * (1 - c))
        let θminus = a > 0 ? (lowest - 1) / a : 0
        let θ: Double
        switch variant {
        case .bfgs, .selfScaledBFGS, .orenLuenberger: θ = 0
        case .dfp: θ = 1
        case .selfScaledBroyden1:
            let symmetricRankOne = 1 / (1 - b)
            θ = b > 1 ? Swift.max(θminus, symmetricRankOne) : Swift.min(Swift.max(1, b * (1 + c)), symmetricRankOne)
        case .selfScaledBroyden2: θ = Swift.max(θminus, Swift.min(1 / lowest, (1 - b) / b))
        case .selfScaledBroyden3: θ = θminus
        }
        let scale = Swift.min(1, 1 / b)
        switch variant {
        case .bfgs, .dfp: τ = 1
        case .selfScaledBFGS: τ = scale
        case .orenLuenberger: τ = 1 / b
        case .selfScaledBroyden1, .selfScaledBroyden2, .selfScaledBroyden3:
            let σ = 1 + θ * a
            let σn = order > 1 ? pow(abs(σ), 1 / (1 - Double(order))) : 1
            τ = θ <= 0 ? Swift.min(scale * σn, σ) : scale * Swift.min(σn, 1 / θ)
        }
        (self.θ, self.φ, self.ρ, self.w) = (θ, (1 - θ) / (1 + a * θ), ρ, w)
    }

    /// Whether H⁺ can be formed: τ > 0 and 1 + aθ > 0 keep it positive definite.
    package var isUsable: Bool { τ > 0 && τ.isFinite && φ.isFinite && (1 / τ).isFinite && ρ > 0 && ρ.isFinite && w > 0 && w.isFinite }

    /// H ← H⁺ in one pass: everything added lies in the span of s and q.
    package func apply(to H: inout SymmetricMatrix, s: Vector, q: Vector) {
        H.update(scaling: 1 / τ, s, q, ss: φ * w * ρ * ρ / τ + ρ, sq: -φ * ρ / τ, qq: (φ - 1) / (w * τ))
    }
}
