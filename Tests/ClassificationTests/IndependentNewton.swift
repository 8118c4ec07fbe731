import Classification
import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The minimum of the logistic regression by Newton's iteration with plain loops and its own elimination: nothing of the
/// problem's code is used but its data.
func newton(_ samples: LabelledSamples, λ: Double) -> (minimiser: Vector, minimum: Double, gradientNorm: Double) {
    let (d, n) = (samples.features.rows, samples.count)
    let x = (0..<n).map { i in (0..<d).map { samples.features[$0, i] } + [1] }
    func penalty(_ j: Int) -> Double { j < d ? λ : 0 }

    func loss(_ θ: [Double]) -> Double {
        var sum = 0.0
        for i in 0..<n {
            let t = samples.labels[i] * zip(x[i], θ).reduce(0) { $0 + $1.0 * $1.1 }
            sum += max(0, -t) + log1p(exp(-abs(t)))
        }
        return sum / Double(n) + (0..<d).reduce(0) { $0 + 0.5 * λ * θ[$1] * θ[$1] }
    }

    /// The gradient and the Hessian, of which the last column is the negative gradient: the augmented system.
    func system(_ θ: [Double]) -> (gradient: [Double], rows: [[Double]]) {
        var (g, h) = ((0...d).map { penalty($0) * θ[$0] }, (0...d).map { j in (0...d).map { $0 == j ? penalty(j) : 0 } })
        for i in 0..<n {
            let y = samples.labels[i]
            let p = 0.5 * (1 - tanh(0.5 * y * zip(x[i], θ).reduce(0) { $0 + $1.0 * $1.1 }))
            for j in 0...d {
                g[j] -= y * p * x[i][j] / Double(n)
                for k in 0...d { h[j][k] += p * (1 - p) * x[i][j] * x[i][k] / Double(n) }
            }
        }
        return (g, (0...d).map { h[$0] + [-g[$0]] })
    }

    var θ = Array(repeating: 0.0, count: d + 1)
    for _ in 0..<30 {
        let step = eliminated(system(θ).rows)
        let current = loss(θ)
        var length = 1.0
        // Halved while the loss rises by more than its rounding: far from the minimum Newton's step may overshoot.
        while length > 1e-6, loss(zip(θ, step).map { $0 + length * $1 }) > current + 1e-14 { length /= 2 }
        θ = zip(θ, step).map { $0 + length * $1 }
    }
    let norm = system(θ).gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return (Vector(θ), loss(θ), norm)
}

/// The solution of an augmented system by Gaussian elimination with row pivoting.
private func eliminated(_ system: [[Double]]) -> [Double] {
    let n = system.count
    var rows = system
    for k in 0..<n {
        let pivot = (k..<n).max { abs(rows[$0][k]) < abs(rows[$1][k]) } ?? k
        rows.swapAt(k, pivot)
        for i in (k + 1)..<max(n, k + 1) {
            let factor = rows[i][k] / rows[k][k]
            for j in k...n { rows[i][j] -= factor * rows[k][j] }
        }
    }
    var solution = Array(repeating: 0.0, count: n)
    for k in (0..<n).reversed() {
        let known = ((k + 1)..<max(n, k + 1)).reduce(0) { $0 + rows[k][$1] * solution[$1] }
        solution[k] = (rows[k][n] - known) / rows[k][k]
    }
    return solution
}
