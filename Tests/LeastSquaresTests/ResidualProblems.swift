import Foundation
import LinearAlgebra
import OptimizationCore

/// A least-squares problem given by its residual and Jacobian.
struct Residuals: LeastSquaresProblem {
    var name: String
    var parameterCount: Int
    var residualCount: Int
    var version = 0
    var r: @Sendable (Vector) -> Vector
    var J: @Sendable (Vector) -> Matrix

    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: parameterCount) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(.zeros(parameterCount)) }
    func residual(at θ: Vector) -> Vector { r(θ) }
    func loss(at θ: Vector) -> LossValue {
        let r = r(θ)
        return LossValue(0.5 * r.dot(r))
    }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: J(θ).transposedTimes(r(θ))) }
    func linearization(at θ: Vector) -> any Linearization { Dense(residual: r(θ), matrix: J(θ)) }

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
}

extension Residuals {
    /// r = A·θ − b.
    static func linear(_ a: Matrix, _ b: Vector) -> Residuals {
        Residuals(name: "linear", parameterCount: a.columns, residualCount: a.rows, r: { a.times($0) - b }, J: { _ in a })
    }

    /// Rosenbrock (Moré, Garbow & Hillstrom, no. 1): minimum 0 at (1, 1), start (−1.2, 1). Not a number beyond `wall` in x₁.
    static func rosenbrock(wall: Double = .infinity) -> Residuals {
        Residuals(
            name: "rosenbrock", parameterCount: 2, residualCount: 2,
            r: { x in x[0] > wall ? [.nan, .nan] : [10 * (x[1] - x[0] * x[0]), 1 - x[0]] },
            J: { x in Matrix(rows: [[-20 * x[0], 10], [-1, 0]]) })
    }

    /// arctan(x − 10), for which Gauss–Newton diverges from beyond 10 ± 1.39.
    static let arctangent = Residuals(
        name: "arctangent", parameterCount: 1, residualCount: 1, r: { x in [atan(x[0] - 10)] },
        J: { x in Matrix(rows: [[1 / (1 + (x[0] - 10) * (x[0] - 10))]]) })

    /// Powell's singular function (no. 13): minimum 0 at the origin, where J has rank two; start (3, −1, 0, 1).
    static let powellSingular = Residuals(
        name: "powell singular", parameterCount: 4, residualCount: 4,
        r: { x in
            let (a, b) = (x[1] - 2 * x[2], x[0] - x[3])
            return [x[0] + 10 * x[1], 5.0.squareRoot() * (x[2] - x[3]), a * a, 10.0.squareRoot() * b * b]
        },
        J: { x in
            let (a, b) = (2 * (x[1] - 2 * x[2]), 2 * 10.0.squareRoot() * (x[0] - x[3]))
            let s = 5.0.squareRoot()
            return Matrix(rows: [[1, 10, 0, 0], [0, 0, s, -s], [0, a, -2 * a, 0], [b, 0, 0, -b]])
        })

    /// A circle through twelve points that lie on none: rᵢ = |x − pᵢ| − R, a minimum whose residual does not vanish.
    static let circle: Residuals = {
        let points = (0..<12).map { i -> (Double, Double) in
            let corners = [(1.0, 0.1), (0.8, 0.7), (0.1, 1.1), (-0.6, 0.8), (-1.05, 0), (-0.7, -0.7)]
            let (x, y) = corners[i % 6]
            return i < 6 ? (x + 2, y - 1) : (2.03 - 0.98 * x, -1.02 - 1.01 * y)
        }
        return Residuals(
            name: "circle", parameterCount: 3, residualCount: 12,
            r: { c in Vector(points.map { p in ((p.0 - c[0]) * (p.0 - c[0]) + (p.1 - c[1]) * (p.1 - c[1])).squareRoot() - c[2] }) },
            J: { c in
                Matrix(
                    rows: points.map { p in
                        let d = ((p.0 - c[0]) * (p.0 - c[0]) + (p.1 - c[1]) * (p.1 - c[1])).squareRoot()
                        return [(c[0] - p.0) / d, (c[1] - p.1) / d, -1]
                    })
            })
    }()
}

func drive<O: Optimizer>(
    _ optimizer: O, on problem: O.Objective, from start: Vector, steps: Int
) throws -> (state: O.State, reports: [StepReport]) {
    var state = try optimizer.start(on: problem, from: Parameters(start))
    var reports: [StepReport] = []
    for _ in 0..<steps {
        reports.append(try optimizer.step(&state, on: problem))
        if case .rejected? = reports.last?.verdict { continue }
        if reports.last?.verdict != .accepted { break }
    }
    return (state, reports)
}
