import LinearAlgebra
import OptimizationCore
import PhysicsInformed
import Poisson

/// ½θᵀAθ − bᵀθ + offset for a symmetric A.
package struct Quadratic: TwiceDifferentiableProblem {
    package var A: Matrix
    package var b: Vector
    package var offset: Double

    package init(A: Matrix, b: Vector, offset: Double = 0) { (self.A, self.b, self.offset) = (A, b, offset) }

    package var name: String { "quadratic" }
    package var identity: Setting { .scalar(name) }
    package var layout: ParameterLayout { ParameterLayout(count: b.count) }
    package func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(.zeros(b.count)) }
    package func loss(at θ: Vector) -> LossValue { LossValue(0.5 * θ.dot(A.times(θ)) - b.dot(θ) + offset) }
    package func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: A.times(θ) - b) }
    package func hessian(at θ: Vector) -> any HessianOperator { MatrixOperator(matrix: A) }
}

package struct MatrixOperator: HessianOperator {
    package var matrix: Matrix

    package init(matrix: Matrix) { self.matrix = matrix }

    package var parameterCount: Int { matrix.columns }
    package func product(_ v: Vector) -> Vector { matrix.times(v) }
}

/// ¼x₁⁴ − ½x₁² + ½Σxᵢ² (i > 1): a saddle at zero between minima of −¼ at x₁ = ±1.
package struct Saddle: TwiceDifferentiableProblem {
    package var count: Int

    package init(count: Int = 3) { self.count = count }

    package var name: String { "saddle" }
    package var identity: Setting { .scalar(name) }
    package var layout: ParameterLayout { ParameterLayout(count: count) }
    package func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(Vector(repeating: 1e-3, count: count)) }
    package func loss(at x: Vector) -> LossValue { lossAndGradient(at: x).loss }
    package func lossAndGradient(at x: Vector) -> Evaluation {
        var (g, loss) = (x, 0.25 * x[0] * x[0] * x[0] * x[0] - 0.5 * x[0] * x[0])
        g[0] = x[0] * x[0] * x[0] - x[0]
        for i in 1..<count { loss += 0.5 * x[i] * x[i] }
        return Evaluation(loss: LossValue(loss), gradient: g)
    }
    package func hessian(at x: Vector) -> any HessianOperator {
        var H = Matrix.identity(count)
        H[0, 0] = 3 * x[0] * x[0] - 1
        return MatrixOperator(matrix: H)
    }
}

/// A loss, its gradient and its curvature times a power of four: the same function but for the exponents of its values.
package struct Rescaled<Base: TwiceDifferentiableProblem & LeastSquaresProblem>: TwiceDifferentiableProblem, LeastSquaresProblem {
    package var base: Base
    package var factor: Double

    package init(base: Base, factor: Double) { (self.base, self.factor) = (base, factor) }

    package var name: String { base.name }
    package var identity: Setting { base.identity }
    package var layout: ParameterLayout { base.layout }
    package var residualCount: Int { base.residualCount }
    package func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
    package func loss(at θ: Vector) throws -> LossValue { LossValue(factor * (try base.loss(at: θ)).total) }
    package func lossAndGradient(at θ: Vector) throws -> Evaluation {
        let value = try base.lossAndGradient(at: θ)
        return Evaluation(loss: LossValue(factor * value.loss.total), gradient: factor * value.gradient)
    }
    package func residual(at θ: Vector) throws -> Vector { factor.squareRoot() * (try base.residual(at: θ)) }
    package func linearization(at θ: Vector) throws -> any Linearization {
        ScaledLinearization(base: try base.linearization(at: θ), factor: factor.squareRoot())
    }
    package func hessian(at θ: Vector) throws -> any HessianOperator { ScaledHessian(base: try base.hessian(at: θ), factor: factor) }
}

private struct ScaledHessian: HessianOperator {
    var base: any HessianOperator
    var factor: Double
    var parameterCount: Int { base.parameterCount }
    func product(_ v: Vector) -> Vector { factor * base.product(v) }
}

private struct ScaledLinearization: Linearization {
    var base: any Linearization
    var factor: Double
    var residualCount: Int { base.residualCount }
    var parameterCount: Int { base.parameterCount }
    var residual: Vector { factor * base.residual }
    func product(_ v: Vector) -> Vector { factor * base.product(v) }
    func transposedProduct(_ w: Vector) -> Vector { factor * base.transposedProduct(w) }
    func jacobian(rows: Range<Int>) -> Matrix {
        let J = base.jacobian(rows: rows)
        return Matrix(rows: J.rows, columns: J.columns, elements: J.elements.map { factor * $0 })
    }
}

/// A symmetric matrix with these eigenvalues in random eigenvectors.
package func symmetric(eigenvalues: [Double], seed: UInt64) throws -> Matrix {
    let n = eigenvalues.count
    var random = RandomStream(seed: seed, name: "eigenvectors")
    let Q = try QR.factorize(Matrix(rows: n, columns: n, elements: random.normalVector(n * n).elements)).get().thinQ
    let A = Matrix.product(Q.scalingColumns(by: Vector(eigenvalues)), Q, transposingSecond: true)
    var mean = A
    for j in 0..<n { for i in 0..<n { mean[i, j] = 0.5 * (A[i, j] + A[j, i]) } }
    return mean
}

/// The network of the one-dimensional Poisson problem: 97 parameters, 64 points.
package func poissonNetwork(seed: UInt64) throws -> PhysicsInformedProblem {
    var setup = PoissonOnIntervalSetup()
    setup.points.interior = 64
    guard let problem = try setup.makeProblem(seed: seed) as? PhysicsInformedProblem else {
        throw ConfigurationError(path: "poisson-1d", reason: "not a physics-informed problem")
    }
    return problem
}

/// Where a run with this seed starts.
package func startingPoint(of problem: any Problem, seed: UInt64 = 1) -> Parameters {
    var random = RandomStream(seed: seed, name: "initialization")
    return problem.initialParameters(from: &random)
}

/// Steps of a method driven by hand, up to an end.
package func drive<O: Optimizer>(
    _ optimizer: O, on problem: O.Objective, from start: Parameters, steps: Int
) throws -> (state: O.State, reports: [StepReport]) {
    var state = try optimizer.start(on: problem, from: start)
    var reports: [StepReport] = []
    for _ in 0..<steps {
        reports.append(try optimizer.step(&state, on: problem))
        switch reports[reports.count - 1].verdict {
        case .stationary, .brokeDown: return (state, reports)
        case .accepted, .rejected, .invalid: break
        }
    }
    return (state, reports)
}
