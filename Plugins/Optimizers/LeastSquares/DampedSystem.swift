import LinearAlgebra
import OptimizationCore

/// The damped linear problem min ½‖J·d + w‖² + ½λ‖D^½d‖² of one linearisation, solvable for one λ after another.
///
/// What does not depend on λ (JᵀJ, JJᵀ, R or the singular values) is formed once. D is diagonal and positive.
protocol DampedSystem {
    /// diag(JᵀJ), the squared column norms of J; nil where J was not formed, since D = I needs none.
    var squaredColumnNorms: Vector? { get }
    /// The largest diagonal entry of the matrix that is damped.
    var largestDiagonal: Double { get }
    /// Fixes D, before the first λ.
    mutating func scale(by D: Vector) throws(FactorizationFailure)
    /// The factors for a damping λ > 0; a λ too small for the arithmetic comes back as a failure.
    mutating func factorized(damping λ: Double) -> Result<any DampedFactors, FactorizationFailure>
}

/// The damped problem, factorised for one λ: solvable for one w after another.
protocol DampedFactors {
    /// d = −(JᵀJ + λD)⁻¹Jᵀw.
    func solution(for w: Vector) -> Result<Vector, FactorizationFailure>
    /// The residual's own solution, w = r, and the iterations that an iterative solver took for it.
    func step() -> Result<(d: Vector, iterations: Int), FactorizationFailure>
}

/// How the damped equations are solved.
public enum DampedSolver: String, CaseIterable, Sendable, Hashable {
    /// The Jacobian where there are few parameters (P ≤ 256, NP ≤ 4·10⁶), so that squaring it would save nothing; beyond that the smaller
    /// square: the kernel where N < P, else the Gramian.
    case automatic
    /// JᵀJ + λD by Cholesky: P×P. Squares the condition number.
    case gramian
    /// [J; √λ·D^½] by QR: accurate, 2P³/3 flops a λ after one QR of J.
    case jacobian
    /// J·D^(−½) by its singular values: accurate, and every λ costs O(P²) only.
    case svd
    /// J·D⁻¹·Jᵀ + λI by Cholesky: N×N (Woodbury). Squares the condition number.
    case kernel
    /// LSMR on J·v and Jᵀ·w, no matrix formed. Its norms ‖Jᵀr‖ fall monotonically. A D other than I takes all rows of J once a step, a panel at a
    /// time, for its column norms.
    case lsmr
    /// Conjugate gradients on the normal equations by J·v and Jᵀ·w, as `lsmr` does.
    case cgls

    package func resolved(parameters: Int, residuals: Int) -> DampedSolver {
        guard self == .automatic else { return self }
        if parameters <= 256, residuals * parameters <= 4_000_000 { return .jacobian }
        return residuals < parameters ? .kernel : .gramian
    }

    /// Whether solutions are exact to rounding, by a factorisation, and not by an iteration.
    public var isDirect: Bool { self != .lsmr && self != .cgls }
}

// MARK: Squared

/// (JᵀJ + λD)d = −Jᵀw by Cholesky. P³/3 flops a λ.
struct GramianSystem: DampedSystem {
    private let model: any Linearization
    private var gramian: DampedCholesky
    private let gradient: Vector
    private var D: Vector
    let squaredColumnNorms: Vector?
    let largestDiagonal: Double

    init(_ model: any Linearization) {
        self.model = model
        let matrix = model.gramian()
        (squaredColumnNorms, largestDiagonal) = (matrix.diagonal, matrix.diagonal.maximumNorm)
        gramian = DampedCholesky(matrix)
        gradient = model.transposedProduct(model.residual)
        D = Vector(repeating: 1, count: gradient.count)
    }

    mutating func scale(by D: Vector) { self.D = D }

    mutating func factorized(damping λ: Double) -> Result<any DampedFactors, FactorizationFailure> {
        gramian.factorize(addingToDiagonal: λ * D).map { Factors(model: model, gradient: gradient, cholesky: $0) }
    }

    private struct Factors: DampedFactors {
        let model: any Linearization
        let gradient: Vector
        let cholesky: Cholesky

        func solution(for w: Vector) -> Result<Vector, FactorizationFailure> { .success(-cholesky.solve(model.transposedProduct(w))) }
        func step() -> Result<(d: Vector, iterations: Int), FactorizationFailure> { .success((-cholesky.solve(gradient), 0)) }
    }
}

/// d = −D⁻¹Jᵀ(J·D⁻¹·Jᵀ + λI)⁻¹w by Cholesky (Woodbury). N³/3 flops a λ.
///
/// With D = I the kernel JJᵀ comes from the problem and J is never formed, so P may be large; any other D takes a dense J and N²P flops.
struct KernelSystem: DampedSystem {
    private let model: any Linearization
    /// J, where D is not I.
    private let jacobian: Matrix?
    private var D: Vector?
    private var kernel: DampedCholesky
    let squaredColumnNorms: Vector?
    let largestDiagonal: Double

    init(_ model: any Linearization, scaled: Bool) {
        self.model = model
        if scaled {
            let jacobian = model.jacobian()
            let norms = columnNorms(jacobian)
            (self.jacobian, squaredColumnNorms, largestDiagonal) = (jacobian, norms, norms.maximumNorm)
            kernel = DampedCholesky(.zeros(0, 0))
        } else {
            let matrix = model.kernel()
            (jacobian, squaredColumnNorms, largestDiagonal) = (nil, nil, matrix.diagonal.maximumNorm)
            kernel = DampedCholesky(matrix)
        }
    }

    mutating func scale(by D: Vector) {
        guard let jacobian else { return }
        self.D = D
        kernel = DampedCholesky(jacobian.scalingColumns(by: Vector(D.map { 1 / $0.squareRoot() })).outerGram)
    }

    mutating func factorized(damping λ: Double) -> Result<any DampedFactors, FactorizationFailure> {
        kernel.factorize(addingToDiagonal: Vector(repeating: λ, count: kernel.order)).map {
            Factors(model: model, jacobian: jacobian, D: D, cholesky: $0)
        }
    }

    private struct Factors: DampedFactors {
        let model: any Linearization
        let jacobian: Matrix?
        let D: Vector?
        let cholesky: Cholesky

        func solution(for w: Vector) -> Result<Vector, FactorizationFailure> {
            let z = cholesky.solve(w)
            guard let jacobian, let D else { return .success(-model.transposedProduct(z)) }
            return .success(Vector(zip(jacobian.transposedTimes(z), D).map { -$0 / $1 }))
        }

        func step() -> Result<(d: Vector, iterations: Int), FactorizationFailure> { solution(for: model.residual).map { ($0, 0) } }
    }
}

// MARK: Not squared

/// min ‖[R; √λ·D^½]d + [Qᵀw; 0]‖ with J = QR factorised once. 2P³/3 flops a λ for N > P.
struct JacobianSystem: DampedSystem {
    private let residual: Vector
    private let qr: QR?
    /// R, or J itself where it is not taller than wide.
    private let reduced: Matrix
    private var D: Vector
    let squaredColumnNorms: Vector?
    let largestDiagonal: Double

    init(_ model: any Linearization) throws(FactorizationFailure) {
        let jacobian = model.jacobian()
        let norms = columnNorms(jacobian)
        (squaredColumnNorms, largestDiagonal, residual) = (norms, norms.maximumNorm, model.residual)
        D = Vector(repeating: 1, count: jacobian.columns)
        if jacobian.rows > jacobian.columns {
            let factors = try QR.factorize(consume jacobian).get()
            (qr, reduced) = (factors, factors.r)
        } else {
            (qr, reduced) = (nil, jacobian)
        }
    }

    mutating func scale(by D: Vector) { self.D = D }

    func factorized(damping λ: Double) -> Result<any DampedFactors, FactorizationFailure> {
        QR.factorize(reduced, overDiagonal: Vector(D.map { (λ * $0).squareRoot() }), upperTriangular: qr != nil)
            .map { Factors(system: self, damped: $0) }
    }

    private struct Factors: DampedFactors {
        let system: JacobianSystem
        let damped: QR

        func solution(for w: Vector) -> Result<Vector, FactorizationFailure> {
            let P = system.reduced.columns
            let rotated = system.qr.map { Vector($0.transposedQ(times: w).prefix(P)) } ?? w
            return damped.solveLeastSquares(Vector((-rotated).elements + Array(repeating: 0, count: P)))
        }

        func step() -> Result<(d: Vector, iterations: Int), FactorizationFailure> { solution(for: system.residual).map { ($0, 0) } }
    }
}

/// d = −D^(−½)V·Σ(Σ² + λ)⁻¹Uᵀw with J·D^(−½) = UΣVᵀ factorised and Uᵀr formed once: a λ more costs the lifting by V, 2P² flops.
struct SingularValueSystem: DampedSystem {
    private let residual: Vector
    private let jacobian: Matrix
    private var inverseRoot: Vector
    private var factors: (svd: SVD, rotated: Vector)?
    let squaredColumnNorms: Vector?
    let largestDiagonal: Double

    init(_ model: any Linearization) {
        (residual, jacobian) = (model.residual, model.jacobian())
        let norms = columnNorms(jacobian)
        (squaredColumnNorms, largestDiagonal) = (norms, norms.maximumNorm)
        inverseRoot = Vector(repeating: 1, count: jacobian.columns)
    }

    mutating func scale(by D: Vector) throws(FactorizationFailure) {
        inverseRoot = Vector(D.map { 1 / $0.squareRoot() })
        let svd = try SVD.factorize(jacobian.scalingColumns(by: inverseRoot)).get()
        factors = (svd, svd.rotated(residual))
    }

    func factorized(damping λ: Double) -> Result<any DampedFactors, FactorizationFailure> {
        guard let factors else { return .failure(.nonFinite) }
        return .success(Factors(svd: factors.svd, rotated: factors.rotated, inverseRoot: inverseRoot, λ: λ))
    }

    private struct Factors: DampedFactors {
        let svd: SVD
        /// Uᵀr.
        let rotated: Vector
        let inverseRoot: Vector
        let λ: Double

        func solution(for w: Vector) -> Result<Vector, FactorizationFailure> { solution(rotated: svd.rotated(w)) }

        private func solution(rotated c: Vector) -> Result<Vector, FactorizationFailure> {
            guard c.isFinite else { return .failure(.nonFinite) }
            return .success(Vector(zip(svd.solveDamped(rotated: c, damping: λ), inverseRoot).map { -$0 * $1 }))
        }

        func step() -> Result<(d: Vector, iterations: Int), FactorizationFailure> { solution(rotated: rotated).map { ($0, 0) } }
    }
}

// MARK: Matrix-free

/// min ‖[J·D^(−½); √λ·I]y + [w; 0]‖, d = D^(−½)y, by LSMR or CGLS: two products with J an iteration, a few vectors, no matrix.
struct IterativeSystem: DampedSystem {
    private var model: any Linearization
    private let solver: DampedSolver
    private let settings: KrylovSettings
    /// D^(−½), where D is not I.
    private var inverseRoot: Vector?
    let squaredColumnNorms: Vector?
    let largestDiagonal: Double

    init(_ model: any Linearization, _ solver: DampedSolver, _ settings: KrylovSettings, gradient: Vector, scaled: Bool) {
        (self.model, self.solver, self.settings) = (model, solver, settings)
        if scaled {
            let norms = Self.columnNorms(of: model)
            (squaredColumnNorms, largestDiagonal) = (norms, norms.maximumNorm)
        } else {
            // ‖J·ĝ‖² along the gradient: at most the largest eigenvalue of JᵀJ, and near it where that one dominates.
            let norm = gradient.norm
            let image = norm > 0 ? model.product((1 / norm) * gradient) : .zeros(0)
            (squaredColumnNorms, largestDiagonal) = (nil, image.dot(image))
        }
    }

    /// The doubles of a panel of J's rows.
    static let panelSize = 1 << 20

    static func panelRows(parameters: Int, residuals: Int) -> Int {
        Swift.max(1, Swift.min(residuals, panelSize / Swift.max(parameters, 1)))
    }

    /// diag(JᵀJ) from row panels of J.
    private static func columnNorms(of model: any Linearization) -> Vector {
        let (n, p) = (model.residualCount, model.parameterCount)
        var norms = Vector.zeros(p)
        for start in stride(from: 0, to: n, by: panelRows(parameters: p, residuals: n)) {
            let rows = start..<Swift.min(n, start + panelRows(parameters: p, residuals: n))
            norms.add(LeastSquares.columnNorms(model.jacobian(rows: rows)), scaledBy: 1)
        }
        return norms
    }

    mutating func scale(by D: Vector) {
        guard squaredColumnNorms != nil else { return }
        let root = Vector(D.map { 1 / $0.squareRoot() })
        (model, inverseRoot) = (ColumnScaledModel(base: model, factors: root), root)
    }

    func factorized(damping λ: Double) -> Result<any DampedFactors, FactorizationFailure> { .success(Factors(system: self, λ: λ)) }

    private struct Factors: DampedFactors {
        let system: IterativeSystem
        let λ: Double

        private func solve(_ w: Vector) -> Result<KrylovSolution, FactorizationFailure> {
            guard w.isFinite else { return .failure(.nonFinite) }
            let found =
                system.solver == .lsmr
                ? LSMR.solve(system.model, -w, damping: λ, system.settings) : CGLS.solve(system.model, -w, damping: λ, system.settings)
            guard found.solution.isFinite else { return .failure(.nonFinite) }
            guard let inverseRoot = system.inverseRoot else { return .success(found) }
            let d = Vector(zip(found.solution, inverseRoot).map { $0 * $1 })
            return .success(KrylovSolution(solution: d, iterations: found.iterations))
        }

        func solution(for w: Vector) -> Result<Vector, FactorizationFailure> { solve(w).map(\.solution) }
        func step() -> Result<(d: Vector, iterations: Int), FactorizationFailure> {
            solve(system.model.residual).map { ($0.solution, $0.iterations) }
        }
    }
}

/// J·diag(f), by its products.
private struct ColumnScaledModel: Linearization {
    let base: any Linearization
    let factors: Vector

    var residualCount: Int { base.residualCount }
    var parameterCount: Int { base.parameterCount }
    var residual: Vector { base.residual }
    func product(_ v: Vector) -> Vector { base.product(Vector(zip(v, factors).map { $0 * $1 })) }
    func transposedProduct(_ w: Vector) -> Vector { Vector(zip(base.transposedProduct(w), factors).map { $0 * $1 }) }
    func jacobian(rows: Range<Int>) -> Matrix { base.jacobian(rows: rows).scalingColumns(by: factors) }
}

/// The squared norms of a matrix's columns.
func columnNorms(_ a: Matrix) -> Vector {
    Vector((0..<a.columns).map { j in a.column(j).reduce(0) { $0 + $1 * $1 } })
}
