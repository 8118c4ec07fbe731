import LinearAlgebra
import OptimizationCore
import StochasticCurvature

/// L(θ) = mean of ½‖θ − aᵢ‖²·hᵢ over one set of samples: gradients hᵢ(θ − aᵢ), curvature mean(hᵢ)·I, residuals √(hᵢ/n)·(θ − aᵢ).
struct Bowls: LeastSquaresProblem, TwiceDifferentiableProblem, SampledProblem {
    var centres: [Vector]
    var curvatures: [Double]

    init(centres: [Vector], curvatures: [Double]? = nil) {
        (self.centres, self.curvatures) = (centres, curvatures ?? centres.map { _ in 1 })
    }

    /// Centres from a normal distribution, and curvatures about 1 where `uneven`.
    static func random(_ count: Int, dimension: Int, seed: UInt64 = 1, uneven: Bool = false) -> Bowls {
        var random = RandomStream(seed: seed, name: "bowls")
        let centres = (0..<count).map { _ in random.normalVector(dimension) }
        return Bowls(centres: centres, curvatures: centres.map { _ in uneven ? 0.5 + random.uniform() : 1 })
    }

    var name: String { "bowls" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: centres[0].count) }
    var sampleSets: [SampleSet] { [SampleSet(name: "bowls", count: centres.count)] }
    var residualCount: Int { centres.count * centres[0].count }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(Vector(repeating: 3, count: centres[0].count)) }

    func gradient(_ i: Int, at θ: Vector) -> Vector { curvatures[i] * (θ - centres[i]) }

    func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        var (loss, g) = (0.0, Vector.zeros(θ.count))
        for i in centres.indices {
            let d = θ - centres[i]
            loss += 0.5 * curvatures[i] * d.dot(d)
            g.add(gradient(i, at: θ))
        }
        let n = Double(centres.count)
        return Evaluation(loss: LossValue(loss / n), gradient: (1 / n) * g)
    }

    func residual(at θ: Vector) -> Vector { linearization(at: θ).residual }
    func linearization(at θ: Vector) -> any Linearization {
        let scales = curvatures.map { ($0 / Double(centres.count)).squareRoot() }
        return Rows(scales: scales, residual: Vector(zip(scales, centres).flatMap { s, a in (s * (θ - a)).elements }), count: θ.count)
    }
    func hessian(at θ: Vector) -> any HessianOperator {
        Multiple(factor: curvatures.reduce(0, +) / Double(curvatures.count), parameterCount: θ.count)
    }

    func restricted(to batch: Batch) throws -> Bowls {
        Bowls(centres: batch.indices[0].map { centres[$0] }, curvatures: batch.indices[0].map { curvatures[$0] })
    }

    private struct Multiple: HessianOperator {
        var factor: Double
        var parameterCount: Int
        func product(_ v: Vector) -> Vector { factor * v }
    }

    private struct Rows: Linearization {
        var scales: [Double]
        var residual: Vector
        var count: Int
        var residualCount: Int { residual.count }
        var parameterCount: Int { count }
        func product(_ v: Vector) -> Vector { Vector(scales.flatMap { ($0 * v).elements }) }
        func transposedProduct(_ w: Vector) -> Vector {
            var sum = Vector.zeros(count)
            for (i, s) in scales.enumerated() { sum.add(Vector(w.elements[(i * count)..<((i + 1) * count)]), scaledBy: s) }
            return sum
        }
        func jacobian(rows: Range<Int>) -> Matrix {
            var J = Matrix.zeros(rows.count, count)
            for (k, row) in rows.enumerated() { J[k, row % count] = scales[row / count] }
            return J
        }
    }
}
