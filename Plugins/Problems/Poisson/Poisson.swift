import Differentiation
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Poisson's equation on the unit interval:  −u″ = (kπ)² sin kπx,  u(0) = u(1) = 0,  with the solution u = sin kπx.
///
/// At k = 4 the problem of many small studies. Hard conditions: u = 4x(1 − x)·N. Errors are measured on 2 001 points, both ends included.
public struct PoissonOnInterval: PDEProblem {
    /// k: half waves in the interval.
    public var frequency: Int
    public var enforcement: ConditionEnforcement

    public init(frequency: Int = 4, enforcement: ConditionEnforcement = .soft) {
        (self.frequency, self.enforcement) = (frequency, enforcement)
    }

    private var wavenumber: Double { Double(frequency) * .pi }

    public var name: String { "poisson-1d" }
    public var domain: Domain { .box(x: 0...1) }
    public var isLinear: Bool { true }
    public var conditions: [Condition] { enforcement == .soft ? [.dirichlet(0).named("boundary")] : [] }
    public func fields(of network: Fields, at p: Point) -> [Expression] { [enforcement.vanishing(network[0], at: p)] }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        let (u, κ) = (u[0], wavenumber)
        return [Residual("poisson", -u.xx - κ * κ * sin(κ * p.x))]
    }
    public var reference: Reference? {
        let κ = wavenumber
        return .closedForm(grid: [2001]) { sin(κ * $0[0]) }
    }
}

/// Poisson's equation on the unit square:  −Δu = 2π² sin πx sin πy,  u = 0 on the boundary,  with the solution u = sin πx sin πy.
///
/// The smallest problem of the energy-natural-gradient literature. Hard conditions: u = 16x(1 − x)y(1 − y)·N. Errors
/// are measured on 101 × 101 points, edges included.
public struct PoissonOnSquare: PDEProblem {
    public var enforcement: ConditionEnforcement

    public init(enforcement: ConditionEnforcement = .soft) { self.enforcement = enforcement }

    public var name: String { "poisson-2d" }
    public var domain: Domain { .box(x: 0...1, y: 0...1) }
    public var isLinear: Bool { true }
    public var conditions: [Condition] { enforcement == .soft ? [.dirichlet(0).named("boundary")] : [] }
    public func fields(of network: Fields, at p: Point) -> [Expression] { [enforcement.vanishing(network[0], at: p)] }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        let source = 2 * .pi * .pi * sin(.pi * p.x) * sin(.pi * p.y)
        return [Residual("poisson", -u[0].laplacian - source)]
    }
    public var reference: Reference? {
        .closedForm(grid: [101, 101]) { sin(.pi * $0[0]) * sin(.pi * $0[1]) }
    }
}

extension ConditionEnforcement {
    /// N, or Πᵢ 4xᵢ(1 − xᵢ)·N, which is zero on the boundary of the unit cube and as large as N in its middle.
    func vanishing(_ network: Expression, at p: Point) -> Expression {
        self == .hard ? p.coordinates.reduce(network) { $0 * (4 * $1 * (1 - $1)) } : network
    }
}
