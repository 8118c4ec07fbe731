#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

import LinearAlgebra
import OptimizationCore

/// L = ½ Σᵢ ‖tanh(Wᵀxᵢ + b) − yᵢ‖², θ = (W by rows, b): what the reference trajectories of methods that see layers run on.
package struct TanhLayer: TwiceDifferentiableProblem, Decodable {
    var rows, columns: Int
    var x, y: [[Double]]
    package var start: [Double]

    package var name: String { "layer" }
    package var identity: Setting { .scalar(name) }
    package var layout: ParameterLayout { ParameterLayout([("weights", [rows, columns]), ("biases", [columns])]) }
    package func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(layout: layout, values: Vector(start)) }
    package func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
    package func lossAndGradient(at θ: Vector) -> Evaluation {
        var loss = 0.0
        let gradient = gathered { sample, j in
            let t = tanh(sum(θ, sample, j))
            loss += 0.5 * (t - y[sample][j]) * (t - y[sample][j])
            return (t - y[sample][j]) * (1 - t * t)
        }
        return Evaluation(loss: LossValue(loss), gradient: gradient)
    }
    package func hessian(at θ: Vector) -> any HessianOperator { TanhLayerHessian(layer: self, θ: θ) }

    /// What sample puts into output j.
    fileprivate func sum(_ θ: Vector, _ sample: Int, _ j: Int) -> Double {
        (0..<rows).reduce(θ[rows * columns + j]) { $0 + x[sample][$1] * θ[$1 * columns + j] }
    }

    /// The derivatives of the outputs gathered in the parameters.
    fileprivate func gathered(_ derivative: (_ sample: Int, _ output: Int) -> Double) -> Vector {
        var gradient = Vector.zeros(rows * columns + columns)
        for sample in x.indices {
            for j in 0..<columns {
                let d = derivative(sample, j)
                for i in 0..<rows { gradient[i * columns + j] += d * x[sample][i] }
                gradient[rows * columns + j] += d
            }
        }
        return gradient
    }
}

private struct TanhLayerHessian: HessianOperator {
    var layer: TanhLayer
    var θ: Vector
    var parameterCount: Int { θ.count }
    func product(_ v: Vector) -> Vector {
        layer.gathered { sample, j in
            let t = tanh(layer.sum(θ, sample, j))
            let s = 1 - t * t
            return (s * s - 2 * (t - layer.y[sample][j]) * t * s) * layer.sum(v, sample, j)
        }
    }
}
