import Differentiation
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Poisson's equation on the unit cube of d dimensions:  −Δu = f on (0, 1)ᵈ,  u = g on the boundary,  with one of four solutions.
///
/// With s the root mean square of the solution over the cube before it is divided, to two decimals (33.47 for ‖x‖² at d = 100, 1.34
/// for the products at d = 10):
///
///     cosines        u = Σᵢ cos πxᵢ             f = π² Σᵢ cos πxᵢ    (d = 5 in the energy-natural-gradient studies)
///     squared-norm   u = ‖x‖²/s                 f = −2d/s             (Weinan E's, d = 100)
///     products       u = Σₖ x₂ₖ₋₁x₂ₖ/s          f = 0                 (Weinan E's harmonic one, d even; d = 10)
///     sines          u = Πᵢ sin πxᵢ             f = dπ²·u             (zero on the boundary)
///
/// Hard conditions: u = Πᵢ 4xᵢ(1 − xᵢ)·N, for the sines alone: the others are sums of functions of one or two coordinates, which blending
/// of their boundary values (Gordon & Hall, doi:10.1007/BF01436298) gives exactly for d > 1, so that nothing would be left to train.
///
/// A grid of the cube has too many points; errors are measured at 10 000 independent uniform points.
/// W. E, B. Yu, doi:10.1007/s40304-018-0127-z; F. Dangel, J. Müller, M. Zeinhofer, arXiv:2405.15603, whose code divides by s.
public struct PoissonOnCube: PDEProblem {
    /// Which solution, and so which source and boundary values.
    public enum Solution: String, Sendable, Hashable, CaseIterable {
        case cosines
        case squaredNorm = "squared-norm"
        case products
        case sines
    }

    /// d.
    public var dimension: Int
    public var solution: Solution
    public var enforcement: ConditionEnforcement

    /// The products need an even dimension, hard conditions the sines.
    public init(dimension: Int = 5, solution: Solution = .cosines, enforcement: ConditionEnforcement = .soft) {
        precondition(dimension > 0, "a cube of dimension \(dimension)")
        precondition(solution != .products || dimension % 2 == 0, "products of pairs of \(dimension) coordinates")
        precondition(enforcement == .soft || solution == .sines, "hard conditions for a solution that is not zero on the boundary")
        (self.dimension, self.solution, self.enforcement) = (dimension, solution, enforcement)
    }

    public var name: String { "poisson-cube" }
    public var domain: Domain { .cube(dimension: dimension) }
    public var isLinear: Bool { true }
    public var conditions: [Condition] { enforcement == .soft ? [Condition.dirichlet(values: value).named("boundary")] : [] }
    public func fields(of network: Fields, at p: Point) -> [Expression] { [enforcement.vanishing(network[0], at: p)] }
    public func residuals(_ u: Fields, at p: Point) -> [Residual] {
        let minusLaplacian = -u[0].laplacian
        switch solution {
        case .cosines:
            let x = p.coordinates
            let sum = x.dropFirst().reduce(cos(.pi * x[0])) { $0 + cos(.pi * $1) }
            return [Residual("poisson", minusLaplacian - .pi * .pi * sum)]
        case .squaredNorm: return [Residual("poisson", minusLaplacian + 2 * Double(dimension) / scale)]
        case .products: return [Residual("poisson", minusLaplacian)]
        case .sines:
            let amplitude = Double(dimension) * .pi * .pi
            let product = p.coordinates.dropFirst().reduce(sin(.pi * p.coordinates[0])) { $0 * sin(.pi * $1) }
            return [Residual("poisson", minusLaplacian - amplitude * product)]
        }
    }
    public var reference: Reference? { .closedForm(scattered: 10_000, value) }

    /// u.
    private var value: @Sendable ([Double]) -> Double {
        let s = scale
        switch solution {
        case .cosines: return { $0.reduce(0) { $0 + cos(.pi * $1) } }
        case .squaredNorm: return { $0.reduce(0) { $0 + $1 * $1 } / s }
        case .products: return { x in stride(from: 0, to: x.count, by: 2).reduce(0) { $0 + x[$1] * x[$1 + 1] } / s }
        case .sines: return { $0.reduce(1) { $0 * sin(.pi * $1) } }
        }
    }

    /// s: the mean of ‖x‖⁴ is d²/9 + 4d/45, that of (Σ x₂ₖ₋₁x₂ₖ)² over n = d/2 pairs n²/16 + 7n/144.
    private var scale: Double {
        let d = Double(dimension)
        switch solution {
        case .cosines, .sines: return 1
        case .squaredNorm: return ((d * d / 9 + 4 * d / 45).squareRoot() * 100).rounded() / 100
        case .products: return ((d * d / 64 + 7 * d / 288).squareRoot() * 100).rounded() / 100
        }
    }
}
