import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The solution of uₜ = D uₓₓ + 5(u − u³), u(0, x) = x² cos πx, periodic on [−1, 1], by a spectral method.
///
/// The solution is even, u = Σₖ aₖ(t) cos kπx for k = 0 … K. The modes obey a′ = La + N(a) with L = −D(kπ)² and N the cosine
/// coefficients of 5(u − u³), formed on the nodes j/K. Time is advanced by the fourth-order exponential Runge–Kutta method ETDRK4 of Cox
/// and Matthews in steps h,
///
///     a₁ = e^{hL/2} a + Q N(a),   a₂ = e^{hL/2} a + Q N(a₁),   a₃ = e^{hL/2} a₁ + Q (2N(a₂) − N(a)),
///     a ← e^{hL} a + f₁ N(a) + 2f₂ (N(a₁) + N(a₂)) + f₃ N(a₃),
///
/// whose coefficients are means over a circle of radius 1 around hL, where their formulas do not cancel (Kassam and Trefethen).
///
/// The start has a jump in its slope at x = ±1. Its modes are therefore given exactly, not from its values on the nodes: these
/// alias, an error of 1e-5 near the ends at t = 0.1 that only dies away with diffusion.
///
/// Accuracy at D = 1e-4, h = 1e-3, K = 1 024: 1e-11 in time (against h/2) and, from t = 0.1 on, 1e-11 in space (against 2K); before, the
/// kink's modes beyond K are missing, 4/(πK)² at most inside and e^{−1000t} of that. The walls are layers of the width
/// √(2D/5), and K grows as its inverse; the steps stay, since the reaction sets them. The snapshots take 101·(K + 1) numbers. Any other
/// time is reached by one to ten steps from the snapshot before it.
///
/// A.-K. Kassam, L. N. Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214, doi:10.1137/S1064827502410633; S. M. Cox, P. C. Matthews, J. Comput.
/// Phys. 176 (2002) 430, doi:10.1006/jcph.2002.6995.
public final class AllenCahnSolution: Sendable {
    /// D.
    public let diffusivity: Double
    private let modes: Int
    private let stepsPerSnapshot: Int
    private let transform: CosineTransform
    /// aₖ at the times n/100.
    private let snapshots: [[Double]]
    /// The last time that was no snapshot's, and the modes there: neighbours in x ask for the same time.
    private let latest = Mutex<(time: Double, modes: [Double])?>(nil)

    private static let snapshotCount = 100

    /// Solves the equation up to t = 1 in 100·`stepsPerSnapshot` steps with K = `modes`, a power of two; by default as many as the walls
    /// need to be resolved to rounding: their modes fall off as e^{−kπ²√(2D/5)/2}.
    public init(diffusivity: Double = 1e-4, modes: Int? = nil, stepsPerSnapshot: Int = 10) {
        precondition(diffusivity > 0 && diffusivity.isFinite, "a diffusivity of \(diffusivity)")
        precondition(stepsPerSnapshot > 0, "\(stepsPerSnapshot) steps a snapshot")
        let needed = 66 / (.pi * .pi * (2 * diffusivity / 5).squareRoot())
        let modes = modes ?? max(64, 1 << Int(log2(min(max(needed, 1), 0x1p20)).rounded()))
        (self.diffusivity, self.modes, self.stepsPerSnapshot) = (diffusivity, modes, stepsPerSnapshot)
        transform = CosineTransform(intervals: modes)
        let step = ExponentialStep(Self.decayRates(diffusivity, modes), length: 1 / Double(Self.snapshotCount * stepsPerSnapshot))
        var a = Self.start(modes)
        var snapshots = [a]
        for _ in 0..<Self.snapshotCount {
            for _ in 0..<stepsPerSnapshot { step.advance(&a) { [transform] in Self.reaction($0, transform) } }
            snapshots.append(a)
        }
        self.snapshots = snapshots
    }

    /// The solution at D = 1e-4, computed once a process; at others it is computed here.
    static func shared(diffusivity: Double) -> AllenCahnSolution {
        diffusivity == standard.diffusivity ? standard : AllenCahnSolution(diffusivity: diffusivity)
    }

    private static let standard = AllenCahnSolution()

    /// u(t, x) for 0 ≤ t ≤ 1, periodic in x; earlier the start, later (a little) what follows.
    public func callAsFunction(t: Double, x: Double) -> Double {
        guard t > 0 else {
            let x = x.remainder(dividingBy: 2)
            return x * x * cos(.pi * x)
        }
        let position = t * Double(Self.snapshotCount)
        let nearest = min(position.rounded(), Double(Self.snapshotCount))
        return value(position == nearest ? snapshots[Int(nearest)] : modes(at: t), x)
    }

    private func modes(at t: Double) -> [Double] {
        latest.withLock { latest in
            if let latest, latest.time == t { return latest.modes }
            let count = Double(Self.snapshotCount)
            let index = Int(min((t * count).rounded(.down), count))
            let interval = t - Double(index) / count
            let steps = max(1, Int((interval * count * Double(stepsPerSnapshot)).rounded(.up)))
            let step = ExponentialStep(Self.decayRates(diffusivity, modes), length: interval / Double(steps))
            var a = snapshots[index]
            for _ in 0..<steps { step.advance(&a) { Self.reaction($0, transform) } }
            latest = (t, a)
            return a
        }
    }

    /// Σₖ aₖ cos kπx, by Clenshaw's recurrence.
    private func value(_ a: [Double], _ x: Double) -> Double {
        let twice = 2 * cos(.pi * x)
        var (b1, b2) = (0.0, 0.0)
        for k in stride(from: a.count - 1, to: 0, by: -1) { (b1, b2) = (a[k] + twice * b1 - b2, b1) }
        return a[0] + twice / 2 * b1 - b2
    }

    private static func decayRates(_ diffusivity: Double, _ modes: Int) -> [Double] {
        (0...modes).map { -diffusivity * pow(Double($0) * .pi, 2) }
    }

    /// The modes of x² cos πx: aₖ = I(k + 1) + I(k − 1) with I(m) = ∫₀¹ x² cos mπx dx = 2(−1)ᵐ/(mπ)², and half of it for k = 0.
    private static func start(_ modes: Int) -> [Double] {
        func integral(_ m: Int) -> Double { m == 0 ? 1.0 / 3 : (m % 2 == 0 ? 2 : -2) / pow(Double(m) * .pi, 2) }
        return (0...modes).map { k in k == 0 ? integral(1) : integral(k + 1) + integral(k - 1) }
    }

    /// The modes of 5(u − u³).
    private static func reaction(_ a: [Double], _ transform: CosineTransform) -> [Double] {
        transform.modes(transform.values(a).map { 5 * ($0 - $0 * $0 * $0) })
    }
}
