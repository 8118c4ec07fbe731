import Differentiation
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The Fokker–Planck equation of an Ornstein–Uhlenbeck process, dX = −½X dt + √2 dW, for the logarithm q of its density:
///
///     q_t − d/2 − ½ x·∇q − ‖∇q‖² − Δq = 0  on (t, x) ∈ [0, 1] × [−5, 5]ᵈ,   q(0, x) = log N(x; 0, I)
///
/// with the solution q = log N(x; 0, vI), v = 2 − e⁻ᵗ: a nonlinear equation whose density could not be trained on directly, since it
/// spans many orders of magnitude. The initial condition is its only one. Errors are measured at 10 000 independent uniform points.
/// F. Dangel, J. Müller, M. Zeinhofer, arXiv:2405.15603 (d = 9).
public struct LogFokkerPlanck: PDEProblem {
    /// d.
    public var dimension: Int

    public init(dimension: Int = 9) {
        precondition(dimension > 0, "the Fokker–Planck equation in \(dimension) dimensions")
        self.dimension = dimension
    }

    public var name: String { "log-fokker-planck" }
    public var domain: Domain {
        Domain([("t", 0...1)] + (1...dimension).map { ("x\($0)", -5...5) }, time: "t")
    }
    public var conditions: [Condition] { [.initialState(values: value)] }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        let (q, x) = (u[0], p.coordinates.dropFirst())
        let slopes = q.gradient
        let drift = zip(x, slopes).dropFirst().reduce(x[1] * slopes[0]) { $0 + $1.0 * $1.1 }
        let square = slopes.dropFirst().reduce(slopes[0] * slopes[0]) { $0 + $1 * $1 }
        return [Residual("fokker-planck", q.t - Double(dimension) / 2 - 0.5 * drift - square - q.laplacian)]
    }
    public var reference: Reference? { .closedForm(scattered: 10_000, value) }

    /// q.
    private var value: @Sendable ([Double]) -> Double {
        let d = Double(dimension)
        return { p in
            let v = 2 - exp(-p[0])
            return -d / 2 * log(2 * .pi * v) - p.dropFirst().reduce(0) { $0 + $1 * $1 } / (2 * v)
        }
    }
}
