import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// −u″ = (4π)² sin 4πx on [0, 1], u(0) = u(1) = 0, by u_θ(x) = Σ cₖ tanh(wₖx + bₖ) + d with 32 neurons: 97 parameters, 256 midpoints and
/// two boundary points of weight 100. Written out by hand, apart from the derivative engine, as a small physics-informed problem.
struct PoissonNetwork: LeastSquaresProblem {
    static let neurons = 32
    static let points = 256

    var name: String { "poisson network" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout([("w", [32]), ("b", [32]), ("c", [32]), ("d", [1])]) }
    var residualCount: Int { PoissonNetwork.points + 2 }

    func initialParameters(from random: inout RandomStream) -> Parameters {
        let K = PoissonNetwork.neurons
        var θ = Vector.zeros(3 * K + 1)
        for k in 0..<K { θ[k] = 4 * random.normal() }
        for k in 0..<K { θ[K + k] = -θ[k] * random.uniform() }
        for k in 0..<K { θ[2 * K + k] = random.normal() / Double(K).squareRoot() }
        return Parameters(layout: layout, values: θ)
    }

    func residual(at θ: Vector) -> Vector { evaluate(θ, wantsJacobian: false).0 }
    func loss(at θ: Vector) -> LossValue {
        let r = residual(at: θ)
        return LossValue(0.5 * r.dot(r))
    }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        let (r, J) = evaluate(θ, wantsJacobian: true)
        return Evaluation(loss: LossValue(0.5 * r.dot(r)), gradient: J.transposedTimes(r))
    }
    func linearization(at θ: Vector) -> any Linearization {
        let (r, J) = evaluate(θ, wantsJacobian: true)
        return Residuals.Dense(residual: r, matrix: J)
    }

    /// The relative L2 error on 2001 points.
    func relativeError(at θ: Vector) -> Double {
        let K = PoissonNetwork.neurons
        var (error, norm) = (0.0, 0.0)
        for i in 0...2_000 {
            let x = Double(i) / 2_000
            var u = θ[3 * K]
            for k in 0..<K { u += θ[2 * K + k] * tanh(θ[k] * x + θ[K + k]) }
            let exact = sin(4 * .pi * x)
            error += (u - exact) * (u - exact)
            norm += exact * exact
        }
        return (error / norm).squareRoot()
    }

    private func evaluate(_ θ: Vector, wantsJacobian: Bool) -> (Vector, Matrix) {
        let (K, N, rows) = (PoissonNetwork.neurons, PoissonNetwork.points, residualCount)
        var r = [Double](repeating: 0, count: rows)
        var J = [Double](repeating: 0, count: wantsJacobian ? rows * (3 * K + 1) : 0)
        let inside = 1 / Double(N).squareRoot()
        let boundary = (100.0 / 2).squareRoot()
        θ.withUnsafeBufferPointer { θ in
            J.withUnsafeMutableBufferPointer { J in
                for i in 0..<rows {
                    let isInside = i < N
                    let x = isInside ? (Double(i) + 0.5) / Double(N) : Double(i - N)
                    let weight = isInside ? inside : boundary
                    var value = isInside ? -16 * .pi * .pi * sin(4 * .pi * x) : θ[3 * K]
                    if wantsJacobian && !isInside { J[i + 3 * K * rows] = weight }
                    for k in 0..<K {
                        let (w, c) = (θ[k], θ[2 * K + k])
                        let t = tanh(w * x + θ[K + k])
                        let t1 = 1 - t * t
                        let (t2, t3) = (-2 * t * t1, t1 * (6 * t * t - 2))
                        value += isInside ? -c * w * w * t2 : c * t
                        guard wantsJacobian else { continue }
                        J[i + k * rows] = weight * (isInside ? -c * (2 * w * t2 + w * w * x * t3) : c * t1 * x)
                        J[i + (K + k) * rows] = weight * (isInside ? -c * w * w * t3 : c * t1)
                        J[i + (2 * K + k) * rows] = weight * (isInside ? -w * w * t2 : t)
                    }
                    r[i] = weight * value
                }
            }
        }
        return (Vector(r), wantsJacobian ? Matrix(rows: rows, columns: 3 * K + 1, elements: J) : .zeros(0, 0))
    }
}
