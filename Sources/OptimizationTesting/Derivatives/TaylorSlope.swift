import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The order at which a Taylor remainder R(h) vanishes, fitted just above rounding.
///
/// R is measured for h = 1, ½, ¼, … A remainder of order p falls by 2ᵖ a halving until it meets the rounding errors of its
/// terms; a wrong derivative leaves a term of order p − 1 that dominates before that. So the slope is fitted to the smallest
/// h whose remainders stand clear of rounding, where the leading term rules, and not to those where it is easiest to see.
public struct TaylorSlope: Sendable, Hashable {
    /// The fitted order; `nil` where the remainder never rises above rounding: the expansion is exact.
    public let slope: Double?
    /// The step sizes fitted, the largest and the smallest.
    public let steps: ClosedRange<Double>?
    /// The rounding floor at the smallest steps, and the largest remainder measured.
    public let floor: Double
    public let largest: Double

    /// One measured remainder and the magnitude of the terms it is the difference of.
    typealias Sample = (remainder: Double, magnitude: Double)

    /// How far above the rounding floor a remainder must be to be fitted: its error then moves the slope by less than 0.02.
    private static let clearance = 64.0
    /// How many halvings are measured, and how many of the last tell the rounding floor.
    private static let (halvings, floorHalvings) = (52, 8)
    /// How many consecutive step sizes are fitted.
    private static let window = 6

    init(_ sample: (_ h: Double) throws -> Sample) rethrows {
        let ladder: [(h: Double, sample: Sample)] = try (0..<TaylorSlope.halvings).map { k in
            let h = exp2(-Double(k))
            return (h, try sample(h))
        }.filter { $0.sample.remainder.isFinite && $0.sample.magnitude.isFinite }

        // Each of the terms carries some units of relative rounding; what the objective itself loses shows at tiny h.
        let observed = ladder.suffix(TaylorSlope.floorHalvings).map(\.sample.remainder).max() ?? 0
        let clear = ladder.filter { _, sample in
            sample.remainder > TaylorSlope.clearance * max(observed, 4 * .ulpOfOne * sample.magnitude)
        }
        floor = observed
        largest = clear.map(\.sample.remainder).max() ?? 0
        // Of the contiguous run of clear steps that begins with the largest, the smallest ones.
        var fitted: [(h: Double, sample: Sample)] = []
        for step in clear {
            if let last = fitted.last, last.h > 2 * step.h { break }
            fitted.append(step)
        }
        fitted = Array(fitted.suffix(TaylorSlope.window))
        guard fitted.count >= 3, let first = fitted.first, let last = fitted.last else {
            (slope, steps) = (nil, nil)
            return
        }
        let (x, y) = (fitted.map { log2($0.h) }, fitted.map { log2($0.sample.remainder) })
        let count = Double(fitted.count)
        let (meanX, meanY) = (x.reduce(0, +) / count, y.reduce(0, +) / count)
        let covariance = zip(x, y).reduce(0) { $0 + ($1.0 - meanX) * ($1.1 - meanY) }
        slope = covariance / x.reduce(0) { $0 + ($1 - meanX) * ($1 - meanX) }
        steps = last.h...first.h
    }
}
