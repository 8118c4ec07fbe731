import LinearAlgebra
import NeuralModels
import OptimizationCore
import PhysicsInformed
import Poisson

/// r = A·θ − b.
struct LinearResiduals: LeastSquaresProblem {
    var a: Matrix
    var b: Vector

    var name: String { "linear" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: a.columns) }
    var residualCount: Int { a.rows }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(.zeros(a.columns)) }
    func residual(at θ: Vector) -> Vector { a.times(θ) - b }
    func loss(at θ: Vector) -> LossValue {
        let r = residual(at: θ)
        return LossValue(0.5 * r.dot(r))
    }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        Evaluation(loss: loss(at: θ), gradient: a.transposedTimes(residual(at: θ)))
    }
    func linearization(at θ: Vector) -> any Linearization { Dense(residual: residual(at: θ), matrix: a) }

    struct Dense: Linearization {
        let residual: Vector
        let matrix: Matrix
        var residualCount: Int { matrix.rows }
        var parameterCount: Int { matrix.columns }
        func product(_ v: Vector) -> Vector { matrix.times(v) }
        func transposedProduct(_ w: Vector) -> Vector { matrix.transposedTimes(w) }
        func jacobian(rows: Range<Int>) -> Matrix {
            var part = Matrix.zeros(rows.count, matrix.columns)
            for j in 0..<matrix.columns { for i in rows { part[i - rows.lowerBound, j] = matrix[i, j] } }
            return part
        }
    }

    /// A = UΣVᵀ with random orthonormal U and V and the singular values given, b random.
    static func random(_ rows: Int, _ columns: Int, singularValues: [Double], seed: UInt64 = 5) throws -> LinearResiduals {
        var random = RandomStream(seed: seed, name: "linear residuals")
        func orthonormal(_ n: Int) throws -> Matrix {
            let k = singularValues.count
            return try QR.factorize(Matrix(rows: n, columns: k, elements: random.normalVector(n * k).elements)).get().thinQ
        }
        let u = try orthonormal(rows).scalingColumns(by: Vector(singularValues))
        let a = Matrix.product(u, try orthonormal(columns), transposingSecond: true)
        return LinearResiduals(a: a, b: random.normalVector(rows))
    }
}

/// A network on the unit square with about as many residuals as parameters: P = 4·width + 1 against `interior` + 16.
func smallPoisson(width: Int = 24, interior: Int = 60, seed: UInt64 = 1) throws -> PhysicsInformedProblem {
    var setup = PoissonOnSquareSetup()
    setup.network = PerceptronSettings(width: width, depth: 1, firstLayerSlope: 1)
    setup.points = PointPlan(interior: interior, boundary: 16, monitor: 0)
    guard let problem = try setup.makeProblem(seed: seed) as? PhysicsInformedProblem else {
        throw PhysicsError("no physics-informed problem")
    }
    return problem
}

func startingPoint(of problem: any Problem, seed: UInt64 = 1) -> Parameters {
    var random = RandomStream(seed: seed, name: "initialization")
    return problem.initialParameters(from: &random)
}

/// Steps until `count` are taken or the method ends.
func drive<O: Optimizer>(
    _ optimizer: O, on problem: O.Objective, from start: Parameters, steps: Int
) throws -> (state: O.State, reports: [StepReport]) {
    var state = try optimizer.start(on: problem, from: start)
    var reports: [StepReport] = []
    loop: for _ in 0..<steps {
        reports.append(try optimizer.step(&state, on: problem))
        switch reports.last?.verdict {
        case .stationary?, .brokeDown?: break loop
        default: continue
        }
    }
    return (state, reports)
}
