import LinearAlgebra
import OptimizationCore

/// The damped normal equations (JᵀJ + λ·D)d = −Jᵀr of one linearisation, solvable for one λ after another.
///
/// What does not depend on λ (JᵀJ, JJᵀ or R) is formed once. D is diagonal and positive.
protocol DampedSystem {
    /// diag(JᵀJ), the squared column norms of J; nil where J was not formed, since D = I needs none.
    var squaredColumnNorms: Vector? { get }
    /// The largest diagonal entry of the matrix that is damped.
    var largestDiagonal: Double { get }
    /// The step for a damping λ > 0 and the diagonal of D; a λ too small for the arithmetic comes back as a failure.
    func step(damping λ: Double, scale D: Vector) -> Result<Vector, FactorizationFailure>
}

/// Which matrix is factorised.
public enum NormalEquations: String, CaseIterable, Sendable, Hashable {
    /// The kernel where N < P, else the Gramian.
    case automatic
    /// JᵀJ + λD by Cholesky: P×P. Squares the condition number.
    case gramian
    /// [J; √λ·D^½] by QR: the most accurate and the slowest.
    case jacobian
    /// J·D⁻¹·Jᵀ + λI by Cholesky: N×N (Woodbury). Squares the condition number.
    case kernel

    package func resolved(parameters: Int, residuals: Int) -> NormalEquations {
        self == .automatic ? (residuals < parameters ? .kernel : .gramian) : self
    }
}

/// (JᵀJ + λD)d = −Jᵀr by Cholesky. P³/3 flops a λ.
struct GramianSystem: DampedSystem {
    private let gramian: Matrix
    private let gradient: Vector

    init(_ model: any Linearization) {
        gramian = model.gramian()
        gradient = model.transposedProduct(model.residual)
    }

    var squaredColumnNorms: Vector? { gramian.diagonal }
    var largestDiagonal: Double { gramian.diagonal.maximumNorm }

    func step(damping λ: Double, scale D: Vector) -> Result<Vector, FactorizationFailure> {
        Cholesky.factorize(gramian, addingToDiagonal: λ * D).map { -$0.solve(gradient) }
    }
}

/// min ‖[R; √λ·D^½]d + [Qᵀr; 0]‖ with J = QR factorised once. 2P³/3 flops a λ for N > P.
struct JacobianSystem: DampedSystem {
    /// R, or J itself where it is not taller than wide.
    private let reduced: Matrix
    private let isTriangular: Bool
    private let rotated: Vector
    let squaredColumnNorms: Vector?
    let largestDiagonal: Double

    init(_ model: any Linearization) throws {
        let jacobian = model.jacobian()
        let norms = columnNorms(jacobian)
        (squaredColumnNorms, largestDiagonal) = (norms, norms.maximumNorm)
        let (rows, columns) = (jacobian.rows, jacobian.columns)
        if rows > columns {
            let qr = try QR.factorize(consume jacobian).get()
            (reduced, isTriangular) = (qr.r, true)
            rotated = Vector(qr.transposedQ(times: model.residual).prefix(columns))
        } else {
            (reduced, isTriangular, rotated) = (jacobian, false, model.residual)
        }
    }

    func step(damping λ: Double, scale D: Vector) -> Result<Vector, FactorizationFailure> {
        QR.factorize(reduced, overDiagonal: Vector(D.map { (λ * $0).squareRoot() }), upperTriangular: isTriangular)
            .flatMap { $0.solveLeastSquares(Vector((-rotated).elements + Array(repeating: 0, count: reduced.columns))) }
    }
}

/// d = −Jᵀ(JJᵀ + λI)⁻¹r by Cholesky, for D = I. N³/3 flops a λ; J itself is never formed, so P may be large.
struct KernelSystem: DampedSystem {
    private let model: any Linearization
    private let kernel: Matrix

    init(_ model: any Linearization) { (self.model, kernel) = (model, model.kernel()) }

    var squaredColumnNorms: Vector? { nil }
    var largestDiagonal: Double { kernel.diagonal.maximumNorm }

    func step(damping λ: Double, scale D: Vector) -> Result<Vector, FactorizationFailure> {
        Cholesky.factorize(kernel, addingToDiagonal: Vector(repeating: λ, count: kernel.rows))
            .map { -model.transposedProduct($0.solve(model.residual)) }
    }
}

/// d = −D⁻¹Jᵀ(J·D⁻¹·Jᵀ + λI)⁻¹r by Cholesky, for any D. N²P flops and a dense J, then N³/3 flops a λ.
struct ScaledKernelSystem: DampedSystem {
    private let residual: Vector
    private let jacobian: Matrix
    let squaredColumnNorms: Vector?
    let largestDiagonal: Double

    init(_ model: any Linearization) {
        (residual, jacobian) = (model.residual, model.jacobian())
        let norms = columnNorms(jacobian)
        (squaredColumnNorms, largestDiagonal) = (norms, norms.maximumNorm)
    }

    func step(damping λ: Double, scale D: Vector) -> Result<Vector, FactorizationFailure> {
        var kernel = jacobian.scalingColumns(by: Vector(D.map { 1 / $0.squareRoot() })).outerGram
        kernel.addDiagonal(Vector(repeating: λ, count: kernel.rows))
        return Cholesky.factorize(consume kernel).map { cholesky in
            let d = jacobian.transposedTimes(cholesky.solve(residual))
            return Vector(zip(d, D).map { -$0 / $1 })
        }
    }
}

private func columnNorms(_ a: Matrix) -> Vector {
    Vector((0..<a.columns).map { j in a.column(j).reduce(0) { $0 + $1 * $1 } })
}
