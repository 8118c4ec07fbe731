import LinearAlgebra

/// The quadratic model gᵀp + ½pᵀBp in the eigenvectors of B, where its global minimisers under a bound or a cubic term are roots of one
/// equation in one unknown.
///
/// With B = V·Λ·Vᵀ, c = Vᵀg and p = V·h, a minimiser satisfies (Λ + μI)h = −c with Λ + μI ⪰ 0, and
///
///     within ‖h‖ ≤ Δ:               μ ≥ 0 and μ·(Δ − ‖h‖) = 0
///     with the term ⅓σ‖h‖³:         μ = σ·‖h‖
///
/// Both are necessary and sufficient (Moré & Sorensen; Cartis, Gould & Toint, theorem 3.1). The unknown is t = μ − max(0, −λ₁), the
/// distance from the first value that is allowed: λᵢ + μ is then exact to rounding however close μ comes to −λ₁. Newton's iteration on
/// 1/‖h‖, which is nearly linear in t, within a bracket. **The hard case** (c has no part in the lowest eigenvectors and ‖h‖ stays too
/// short down to t = 0) gets its missing length along the lowest eigenvector, by which the model changes by ½λ₁τ² only.
/// Cost: one eigendecomposition, then O(n) flops for each of a few iterations, for any number of Δ and σ.
/// Variant: Moré and Sorensen factorise B + μI by Cholesky for each μ, 3 to 4 times n³/3 flops instead of 4n³ once.
/// Sources: Moré & Sorensen, SIAM J. Sci. Stat. Comput. 4 (1983) 553–572, doi:10.1137/0904038; Cartis, Gould & Toint, Math. Prog. 127
/// (2011) 245–295, doi:10.1007/s10107-009-0286-5.
public struct SpectralModel: Sendable {
    /// λ₁ ≤ λ₂ ≤ …
    public let eigenvalues: Vector
    /// c = Vᵀg.
    public let slopes: Vector

    /// λᵢ + max(0, −λ₁) ≥ 0.
    private let gaps: [Double]
    /// max(0, −λ₁), the least μ.
    private let leastShift: Double

    public init(eigenvalues: Vector, slopes: Vector) {
        precondition(eigenvalues.count == slopes.count && !slopes.isEmpty, "\(slopes.count) slopes for \(eigenvalues.count) eigenvalues")
        precondition(zip(eigenvalues, eigenvalues.dropFirst()).allSatisfy { $0 <= $1 }, "eigenvalues out of order")
        (self.eigenvalues, self.slopes) = (eigenvalues, slopes)
        leastShift = Swift.max(0, -eigenvalues[0])
        gaps = eigenvalues.map { [leastShift] in $0 + leastShift }
    }

    /// A minimiser in the eigenvectors' coordinates.
    public struct Minimizer: Sendable {
        /// h.
        public var coefficients: Vector
        /// μ.
        public var multiplier: Double
        /// How far the model falls, the cubic term included where there is one: a sum of squares, free of cancellation.
        public var decrease: Double
        /// Whether the constraint holds with equality.
        public var isOnBoundary: Bool
        /// Whether a part along the lowest eigenvector was added.
        public var isHardCase: Bool
    }

    /// The global minimiser within ‖h‖ ≤ Δ.
    public func minimizer(within Δ: Double) -> Minimizer {
        precondition(Δ > 0, "a radius of \(Δ)")
        let limit = step(at: 0)
        if limit.isComplete, limit.norm <= Δ {
            if leastShift == 0 { return minimizer(limit.h, t: 0, onBoundary: limit.norm == Δ) }
            return hardCase(limit.h, length: Δ)
        }
        let t = root(isTooLong: { $0 > Δ }) { t, norm, falling in
            // Newton on 1/‖h‖ = 1/Δ.
            t + norm * (norm - Δ) / (Δ * falling)
        } lower: {
            abs($0) / Δ
        } upper: {
            $0 / Δ
        }
        return minimizer(step(at: t).h, t: t, onBoundary: true)
    }

    /// The global minimiser of the model with ⅓σ‖h‖³ added.
    public func minimizer(cubic σ: Double) -> Minimizer {
        precondition(σ > 0, "a cubic term of weight \(σ)")
        let limit = step(at: 0)
        if limit.isComplete, leastShift > 0, σ * limit.norm <= leastShift {
            var end = hardCase(limit.h, length: leastShift / σ)
            end.decrease -= leastShift * leastShift * leastShift / (3 * σ * σ)
            return end
        }
        let t = root(isTooLong: nil, balance: { t, norm in σ * norm - (t + leastShift) }) { t, norm, falling in
            // Newton on 1/‖h‖ = σ/μ.
            let μ = t + leastShift
            return t + (σ * norm - μ) / (μ * falling / norm + σ * norm / μ)
        } lower: { _ in
            0
        } upper: {
            (σ * $0).squareRoot()
        }
        var end = minimizer(step(at: t).h, t: t, onBoundary: true)
        end.decrease -= σ * power3(end.coefficients.norm) / 3
        return end
    }

    // MARK: The equation

    /// h(t) = −c/(gap + t) over the entries where that is finite, and whether that is all of them but for 0/0.
    private func step(at t: Double) -> (h: Vector, norm: Double, falling: Double, isComplete: Bool) {
        var (h, isComplete) = (Vector.zeros(slopes.count), true)
        var falling = 0.0
        for i in 0..<slopes.count where slopes[i] != 0 {
            let denominator = gaps[i] + t
            let value = -slopes[i] / denominator
            guard value.isFinite else {
                isComplete = false
                continue
            }
            h[i] = value
            falling += value * value / denominator
        }
        // −d‖h‖/dt.
        let norm = h.norm
        return (h, norm, norm > 0 ? falling / norm : 0, isComplete)
    }

    /// The t ≥ 0 at which ‖h(t)‖ crosses over, by Newton's iteration within a bracket that bisections shorten.
    private func root(
        isTooLong: ((Double) -> Bool)?, balance: ((_ t: Double, _ norm: Double) -> Double)? = nil,
        newton: (_ t: Double, _ norm: Double, _ falling: Double) -> Double, lower: (Double) -> Double, upper: (Double) -> Double
    ) -> Double {
        func above(_ t: Double, _ norm: Double) -> Bool { isTooLong.map { $0(norm) } ?? balance.map { $0(t, norm) > 0 } ?? false }
        // From the left, where ‖h‖ is too long, Newton's iteration is monotone.
        var low = 0.0
        for i in 0..<slopes.count { low = Swift.max(low, lower(slopes[i]) - gaps[i]) }
        var high = Swift.max(upper(slopes.norm), low) * (1 + 4 * Double.ulpOfOne) + Double.leastNonzeroMagnitude
        var t = low > 0 ? low : high
        for _ in 0..<200 {
            let here = step(at: t)
            if !here.isComplete || above(t, here.norm) { low = t } else { high = t }
            let wish = here.isComplete ? newton(t, here.norm, here.falling) : .nan
            var next = wish
            if !(wish > low && wish < high) {
                // The root may lie decades below: halve the exponent while the bracket reaches down to zero.
                next = low > 0 ? (high > 16 * low ? (low * high).squareRoot() : 0.5 * (low + high)) : high * 0x1p-12
            }
            if abs(wish - t) <= 2 * Double.ulpOfOne * t || !(next > low && next < high) { break }
            t = next
        }
        return t
    }

    private func minimizer(_ h: Vector, t: Double, onBoundary: Bool) -> Minimizer {
        let μ = t + leastShift
        var twice = μ * h.dot(h)
        for i in 0..<h.count { twice += (gaps[i] + t) * h[i] * h[i] }
        return Minimizer(coefficients: h, multiplier: μ, decrease: 0.5 * twice, isOnBoundary: onBoundary, isHardCase: false)
    }

    /// h with a part along the lowest eigenvector that makes it `length` long.
    private func hardCase(_ h: Vector, length: Double) -> Minimizer {
        var h = h
        let rest = Swift.max(0, (length - h.norm) * (length + h.norm)).squareRoot()
        h[0] = slopes[0] > 0 ? -rest : rest
        var end = minimizer(h, t: 0, onBoundary: true)
        end.isHardCase = true
        return end
    }

    private func power3(_ x: Double) -> Double { x * x * x }
}
