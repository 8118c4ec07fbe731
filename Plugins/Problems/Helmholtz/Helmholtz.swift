import Differentiation
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Helmholtz' equation on the square [−1, 1]²:  Δu + k²u = q,  u = 0 on the boundary,  with the solution u = sin a₁πx sin a₂πy:
///
///     q = (k² − (a₁² + a₂²)π²) sin a₁πx sin a₂πy.
///
/// (a₁, a₂, k) = (1, 4, 1) is the standard case, (6, 6, 1) and (10, 10, ·) are harder ones. Where k² is an eigenvalue (m² + n²)π²/4 of
/// −Δ on the square the solution is not unique.
///
/// Hard conditions: u = (1 − x²)(1 − y²)·N. Errors are measured on 101 × 101 points, edges included.
/// S. Wang, Y. Teng, P. Perdikaris, doi:10.1137/20M1318043.
public struct Helmholtz: PDEProblem {
    /// a₁: whole waves along x.
    public var wavesAlongX: Int
    /// a₂: whole waves along y.
    public var wavesAlongY: Int
    /// k.
    public var wavenumber: Double
    public var enforcement: ConditionEnforcement

    public init(wavesAlongX: Int = 1, wavesAlongY: Int = 4, wavenumber: Double = 1, enforcement: ConditionEnforcement = .soft) {
        (self.wavesAlongX, self.wavesAlongY, self.wavenumber) = (wavesAlongX, wavesAlongY, wavenumber)
        self.enforcement = enforcement
    }

    public var name: String { "helmholtz-2d" }
    public var domain: Domain { .box(x: -1...1, y: -1...1) }
    public var isLinear: Bool { true }
    public var conditions: [Condition] { enforcement == .soft ? [.dirichlet(0).named("boundary")] : [] }
    public func fields(of network: Fields, at p: Point) -> [Expression] {
        guard enforcement == .hard else { return [network[0]] }
        return [(1 - p.x * p.x) * (1 - p.y * p.y) * network[0]]
    }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        let (u, a1, a2, k) = (u[0], Double(wavesAlongX), Double(wavesAlongY), wavenumber)
        let amplitude = k * k - (a1 * a1 + a2 * a2) * .pi * .pi
        let source = amplitude * sin(a1 * .pi * p.x) * sin(a2 * .pi * p.y)
        return [Residual("helmholtz", u.laplacian + k * k * u - source)]
    }
    public var reference: Reference? {
        let (a1, a2) = (Double(wavesAlongX) * .pi, Double(wavesAlongY) * .pi)
        return .closedForm(grid: [101, 101]) { sin(a1 * $0[0]) * sin(a2 * $0[1]) }
    }
}
