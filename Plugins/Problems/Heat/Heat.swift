import Differentiation
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The heat equation on (t, x) ∈ [0, 1] × [0, 1]ᵈ:  uₜ = κΔu, initial and boundary values those of one of two solutions:
///
///     product   u = e^(−κdπ²t) Πᵢ sin πxᵢ    zero on the walls      (d = 1 in the energy-natural-gradient studies: “heat 1+1”)
///     sum       u = e^(−4κt) Σᵢ sin 2xᵢ                             (d = 4 there: “heat 4+1”)
///
/// both with κ = ¼. The conditions are soft, terms of the loss, or for the product hard:
///
///     u = Πᵢ sin πxᵢ + t·Πᵢ 4xᵢ(1 − xᵢ)·N(t, x)
///
/// Errors are measured on 101 × 101 points for d = 1, edges included, else at 10 000 independent uniform points.
/// J. Müller, M. Zeinhofer, arXiv:2302.13163; F. Dangel, J. Müller, M. Zeinhofer, arXiv:2405.15603.
public struct Heat: PDEProblem {
    /// Which solution, and so which initial and boundary values.
    public enum Solution: String, Sendable, Hashable, CaseIterable {
        case product
        case sum
    }

    /// d.
    public var dimension: Int
    public var solution: Solution
    /// κ.
    public var conductivity: Double
    public var enforcement: ConditionEnforcement

    /// Hard conditions need the solution `product`.
    public init(
        dimension: Int = 1, solution: Solution = .product, conductivity: Double = 0.25,
        enforcement: ConditionEnforcement = .soft
    ) {
        precondition(dimension > 0, "the heat equation in \(dimension) dimensions")
        precondition(conductivity > 0, "a conductivity of \(conductivity)")
        precondition(
            enforcement == .soft || solution == .product, "hard conditions are offered for the solution that vanishes on the walls")
        (self.dimension, self.solution, self.conductivity) = (dimension, solution, conductivity)
        self.enforcement = enforcement
    }

    public var name: String { "heat" }
    public var domain: Domain {
        let space = dimension == 1 ? ["x"] : (1...dimension).map { "x\($0)" }
        return Domain([("t", 0...1)] + space.map { ($0, 0...1) }, time: "t")
    }
    public var isLinear: Bool { true }
    public var conditions: [Condition] {
        enforcement == .hard ? [] : [.initialState(values: value), Condition.dirichlet(values: value).named("boundary")]
    }
    public func fields(of network: Fields, at p: Point) -> [Expression] {
        guard enforcement == .hard else { return [network[0]] }
        let (t, x) = (p.coordinates[0], p.coordinates.dropFirst())
        let start = x.dropFirst().reduce(sin(.pi * x[1])) { $0 * sin(.pi * $1) }
        let bump = x.reduce(t) { $0 * (4 * $1 * (1 - $1)) }
        return [start + bump * network[0]]
    }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        [Residual("heat", u[0].t - conductivity * u[0].laplacian)]
    }
    public var reference: Reference? {
        dimension == 1 ? .closedForm(grid: [101, 101], value) : .closedForm(scattered: 10_000, value)
    }

    /// u.
    private var value: @Sendable ([Double]) -> Double {
        let (κ, d) = (conductivity, Double(dimension))
        switch solution {
        case .product: return { p in p.dropFirst().reduce(exp(-κ * d * .pi * .pi * p[0])) { $0 * sin(.pi * $1) } }
        case .sum: return { p in exp(-4 * κ * p[0]) * p.dropFirst().reduce(0) { $0 + sin(2 * $1) } }
        }
    }
}
