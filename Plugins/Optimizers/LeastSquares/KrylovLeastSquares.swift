import LinearAlgebra
import OptimizationCore

/// When an iterative solution of min ‖J·x − b‖² + λ‖x‖² is good enough.
public struct KrylovSettings: Configurable, Hashable {
    /// η: the iteration ends where the normal equations' residual is at or below η‖Jᵀb‖.
    public var tolerance = 1e-6
    /// The most iterations; 0 stands for 4·min(N, P), beyond which rounding, not the size, decides.
    public var maximumIterations = 0

    public init() {}

    public init(tolerance: Double, maximumIterations: Int = 0) {
        (self.tolerance, self.maximumIterations) = (tolerance, maximumIterations)
    }

    public static let identifier = "krylov"
    public static let summary = "When an iterative linear solver stops."
    public static var fields: [Field<Self>] {
        [
            .number("tolerance", \.tolerance, in: .openUnit, meaning: "the normal equations' residual, relative to the gradient"),
            .integer("maximumIterations", \.maximumIterations, meaning: "the most iterations; 0 for four times the smaller side of J"),
        ]
    }

    func limit(_ model: any Linearization) -> Int {
        maximumIterations > 0 ? maximumIterations : 4 * Swift.max(1, Swift.min(model.residualCount, model.parameterCount))
    }
}

/// What an iterative solver found, and in how many iterations.
package struct KrylovSolution {
    package var solution: Vector
    package var iterations: Int
}

/// Conjugate gradients on (JᵀJ + λI)x = Jᵀb, in the form that keeps the residual b − J·x and never forms JᵀJ·p.
///
/// One J·v and one Jᵀ·w an iteration, 2P + 2N numbers. Source: Björck, *Numerical Methods for Least Squares Problems*, §7.4 (CGLS).
package enum CGLS {
    package static func solve(_ J: any Linearization, _ b: Vector, damping λ: Double, _ settings: KrylovSettings) -> KrylovSolution {
        var (x, r) = (Vector.zeros(J.parameterCount), b)
        var s = J.transposedProduct(r)
        var (p, γ) = (s, s.dot(s))
        let goal = settings.tolerance * γ.squareRoot()
        for iteration in 0..<settings.limit(J) {
            if !(γ.squareRoot() > goal) { return KrylovSolution(solution: x, iterations: iteration) }
            let q = J.product(p)
            let δ = q.dot(q) + λ * p.dot(p)
            guard δ > 0 else { return KrylovSolution(solution: x, iterations: iteration) }
            let α = γ / δ
            x.add(p, scaledBy: α)
            r.add(q, scaledBy: -α)
            s = J.transposedProduct(r)
            s.add(x, scaledBy: -λ)
            let next = s.dot(s)
            p = s.adding(p, scaledBy: next / γ)
            γ = next
        }
        return KrylovSolution(solution: x, iterations: settings.limit(J))
    }
}

/// LSMR on min ‖[J; √λ·I]x − [b; 0]‖: MINRES on the normal equations through Golub–Kahan bidiagonalisation, so that ‖Jᵀr − λx‖ falls in
/// every iteration and stopping early is safe.
///
/// One J·v and one Jᵀ·w an iteration, 3P + 2N numbers. Source: Fong & Saunders, SIAM J. Sci. Comput. 33(5):2950–2971 (2011),
/// doi:10.1137/10079687X, whose notation the variables keep; without reorthogonalisation.
package enum LSMR {
    package static func solve(_ J: any Linearization, _ b: Vector, damping λ: Double, _ settings: KrylovSettings) -> KrylovSolution {
        let damp = λ.squareRoot()
        var u = b
        var β = normalize(&u)
        var v = J.transposedProduct(u)
        var α = normalize(&v)
        var x = Vector.zeros(J.parameterCount)
        guard α * β > 0 else { return KrylovSolution(solution: x, iterations: 0) }
        let goal = settings.tolerance * α * β
        var (ζbar, αbar, ρ, ρbar, cbar, sbar) = (α * β, α, 1.0, 1.0, 1.0, 0.0)
        var (h, hbar) = (v, Vector.zeros(x.count))
        for iteration in 1...settings.limit(J) {
            u = J.product(v).adding(u, scaledBy: -α)
            β = normalize(&u)
            v = J.transposedProduct(u).adding(v, scaledBy: -β)
            α = normalize(&v)
            let αhat = hypotenuse(αbar, damp)
            let ρold = ρ
            ρ = hypotenuse(αhat, β)
            let (c, s) = (αhat / ρ, β / ρ)
            let θnew = s * α
            αbar = c * α
            let (ρbarold, ζold) = (ρbar, ζbar)
            let (θbar, ρtemp) = (sbar * ρ, cbar * ρ)
            ρbar = hypotenuse(ρtemp, θnew)
            (cbar, sbar) = (ρtemp / ρbar, θnew / ρbar)
            let ζ = cbar * ζold
            ζbar = -sbar * ζold
            hbar = h.adding(hbar, scaledBy: -(θbar * ρ / (ρold * ρbarold)))
            x.add(hbar, scaledBy: ζ / (ρ * ρbar))
            h = v.adding(h, scaledBy: -(θnew / ρ))
            // |ζ̄| is the norm of the normal equations' residual.
            if !(abs(ζbar) > goal) || !(α > 0) { return KrylovSolution(solution: x, iterations: iteration) }
        }
        return KrylovSolution(solution: x, iterations: settings.limit(J))
    }

    private static func normalize(_ vector: inout Vector) -> Double {
        let norm = vector.norm
        if norm > 0 { vector.scale(by: 1 / norm) }
        return norm
    }

    private static func hypotenuse(_ a: Double, _ b: Double) -> Double {
        let (large, small) = (Swift.max(abs(a), abs(b)), Swift.min(abs(a), abs(b)))
        guard large > 0 else { return 0 }
        let ratio = small / large
        return large * (1 + ratio * ratio).squareRoot()
    }
}
