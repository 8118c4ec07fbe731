import LinearAlgebra

/// Preconditioned conjugate gradients on A·x = b, A symmetric and positive definite, by products A·p alone.
///
/// One product, one preconditioning and about 10n flops an iteration, five vectors. Source: Nocedal & Wright, *Numerical Optimization*,
/// algorithm 5.3.
enum ConjugateGradients {
    struct Solution {
        var x: Vector
        var iterations: Int
        /// ‖b − A·x‖; not finite where a product with the start was not.
        var residualNorm: Double
    }

    /// Iterates from `start` (zero where there is none) until ‖b − A·x‖ ≤ `tolerance`·‖b‖, `limit` iterations, or `stops` says so: it is
    /// called after each iteration with the iterate and its residual b − A·x. Curvature that is not positive ends the iteration.
    static func solve(
        _ b: Vector, from start: Vector? = nil, tolerance: Double, limit: Int, times A: (Vector) -> Vector,
        preconditioned: (Vector) -> Vector = { $0 },
        stops: (_ iteration: Int, _ x: Vector, _ residual: Vector) -> Bool = { _, _, _ in false }
    ) -> Solution {
        var x = start ?? .zeros(b.count)
        var r = start.map { b - A($0) } ?? b
        var z = preconditioned(r)
        var (p, γ) = (z, r.dot(z))
        let goal = tolerance * b.norm
        for iteration in 0..<limit {
            guard r.norm > goal, γ > 0 else { return Solution(x: x, iterations: iteration, residualNorm: r.norm) }
            let q = A(p)
            let curvature = p.dot(q)
            guard curvature > 0 else { return Solution(x: x, iterations: iteration, residualNorm: r.norm) }
            let α = γ / curvature
            x.add(p, scaledBy: α)
            r.add(q, scaledBy: -α)
            if stops(iteration + 1, x, r) { return Solution(x: x, iterations: iteration + 1, residualNorm: r.norm) }
            z = preconditioned(r)
            let next = r.dot(z)
            p = z.adding(p, scaledBy: next / γ)
            γ = next
        }
        return Solution(x: x, iterations: limit, residualNorm: r.norm)
    }
}
