import LinearAlgebra

/// Gill, Murray and Wright's modified Cholesky factorisation: Π(A + E)Πᵀ = L·D·Lᵀ with E ≥ 0 diagonal and A + E positive definite.
///
/// Every pivot is made large enough that no entry of L·√D exceeds β, the largest that a positive definite A of these entries would need:
///
///     dⱼ = max(|cⱼⱼ|, θⱼ²/β², δ),   θⱼ = max |cᵢⱼ| (i > j),   β² = max(γ, ξ/√(n² − 1)),   δ = ε(γ + ξ)
///
/// γ and ξ are the largest magnitudes of A on and off the diagonal, c the entries of the Schur complement; the largest |cⱼⱼ| that is left
/// is the next pivot. E = 0 where A is sufficiently positive definite. n³/3 flops, n² doubles.
/// Variant: GMW81 with diagonal pivoting and a δ without the original's absolute 1, so that A may be scaled by anything.
/// Source: Gill, Murray & Wright, *Practical Optimization*, 1981, §4.4.2.2; Fang & O'Leary, Math. Prog. 115 (2008) 319–349,
/// doi:10.1007/s10107-007-0177-6.
package struct ModifiedCholesky: Sendable {
    /// L below the diagonal (whose ones are not stored), D on it.
    private let factors: Matrix
    /// Row i of Π·A is row `permutation[i]` of A.
    package let permutation: [Int]
    /// E's diagonal, in A's order.
    package let modification: Vector

    /// nil where A is zero or not finite. The lower triangle is read.
    package init?(_ a: Matrix) {
        precondition(a.rows == a.columns, "Cholesky of a \(a.rows) × \(a.columns) matrix")
        let n = a.rows
        guard n > 0, a.isFinite else { return nil }
        var w = a.elements
        var (γ, ξ) = (0.0, 0.0)
        for j in 0..<n {
            γ = Swift.max(γ, abs(w[j + j * n]))
            for i in (j + 1)..<Swift.max(n, j + 1) {
                ξ = Swift.max(ξ, abs(w[i + j * n]))
                w[j + i * n] = w[i + j * n]
            }
        }
        guard γ + ξ > 0 else { return nil }
        let δ = Double.ulpOfOne * (γ + ξ)
        let βSquared = n > 1 ? Swift.max(γ, ξ / (Double(n) * Double(n) - 1).squareRoot()) : γ
        var order = Array(0..<n)
        var added = Vector.zeros(n)
        for j in 0..<n {
            var pivot = j
            for i in j..<n where abs(w[i + i * n]) > abs(w[pivot + pivot * n]) { pivot = i }
            if pivot != j {
                order.swapAt(j, pivot)
                for i in 0..<n { w.swapAt(i + j * n, i + pivot * n) }
                for i in 0..<n { w.swapAt(j + i * n, pivot + i * n) }
            }
            var θ = 0.0
            for i in (j + 1)..<Swift.max(n, j + 1) { θ = Swift.max(θ, abs(w[i + j * n])) }
            let c = w[j + j * n]
            let d = Swift.max(abs(c), θ * θ / βSquared, δ)
            added[order[j]] = d - c
            w[j + j * n] = d
            // The Schur complement, both triangles, so that rows and columns can be exchanged.
            for k in (j + 1)..<Swift.max(n, j + 1) {
                let factor = w[k + j * n] / d
                for i in (j + 1)..<n { w[i + k * n] -= factor * w[i + j * n] }
            }
            for i in (j + 1)..<Swift.max(n, j + 1) { w[i + j * n] /= d }
        }
        (factors, permutation, modification) = (Matrix(rows: n, columns: n, elements: w), order, added)
    }

    /// (A + E)⁻¹·b.
    package func solve(_ b: Vector) -> Vector {
        let n = factors.rows
        precondition(b.count == n, "a \(n) × \(n) system with a right-hand side of \(b.count)")
        var y = Vector(permutation.map { b[$0] })
        for j in 0..<n { for i in (j + 1)..<Swift.max(n, j + 1) { y[i] -= factors.elements[i + j * n] * y[j] } }
        for j in 0..<n { y[j] /= factors.elements[j + j * n] }
        for j in stride(from: n - 1, through: 0, by: -1) {
            for i in (j + 1)..<Swift.max(n, j + 1) { y[j] -= factors.elements[i + j * n] * y[i] }
        }
        var x = Vector.zeros(n)
        for i in 0..<n { x[permutation[i]] = y[i] }
        return x
    }
}
