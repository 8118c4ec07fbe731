import LinearAlgebra
import OptimizationCore

/// What a damped metric is solved for.
enum MetricTarget {
    /// ζ ∈ ℝᴺ, for Jᵀ(JJᵀ + λI)⁻¹ζ = (JᵀJ + λI)⁻¹Jᵀζ.
    case samples(Vector)
    /// b ∈ ℝᴾ, for (JᵀJ + λI)⁻¹b: where there is no residual.
    case parameters(Vector)

    var isFinite: Bool {
        switch self {
        case .samples(let v), .parameters(let v): v.isFinite
        }
    }

    /// Jᵀζ or b.
    func inParameters(_ model: any GaussNewtonFactor) -> Vector {
        switch self {
        case .samples(let ζ): model.transposedProduct(ζ)
        case .parameters(let b): b
        }
    }

    /// ζ.
    var inSamples: Vector {
        guard case .samples(let ζ) = self else { preconditionFailure("a right-hand side of parameters in the space of samples") }
        return ζ
    }
}

/// (JᵀJ + λI)⁻¹ or Jᵀ(JJᵀ + λI)⁻¹ at one point, for one λ after another.
protocol DampedMetric {
    /// The largest diagonal entry of what is damped, or as near to it as is known: what the first λ of a damping rule is relative to.
    var scale: Double { get }

    mutating func solve(_ target: MetricTarget, damping λ: Double) -> Result<MetricSolution, FactorizationFailure>
}

/// A direction, and what it took.
struct MetricSolution {
    var direction: Vector
    /// The λ that was added, which may be more than was asked for.
    var damping: Double
    var iterations = 0
    /// ε·tr(A)/λ ≥ ε·σ₁²/λ: the relative accuracy that the squared system leaves; nil where no trace is known.
    var resolution: Double?
}

extension MetricSolver {
    /// The metric of a linearisation in a space that is not automatic; `average` stands in for JᵀJ where there is one, and sketches are drawn
    /// from `random`.
    func metric(
        of model: any GaussNewtonFactor, in space: MetricSpace, scaling: MetricScaling, average: Matrix?, random: inout RandomStream
    ) -> Result<any DampedMetric, FactorizationFailure> {
        switch self {
        case .exact:
            let (metric, matrix) = DenseMetric.form(model, in: space, scaling: scaling, average: average)
            return .success(FactorizedMetric(metric, matrix))
        case .truncated(let kind):
            let (metric, matrix) = DenseMetric.form(model, in: space, scaling: scaling, average: average)
            return EigenMetric.of(metric, matrix, relativeCutoff: kind.relativeCutoff)
        case .nystrom(let kind):
            return SquaredJacobian(model, space).sketch(share: kind.share, random: &random).map {
                SketchedMetric(model, space, $0, liftsDamping: kind.liftsDamping)
            }
        case .pcg(let kind):
            let square = SquaredJacobian(model, space)
            guard kind.share > 0 else { return .success(IteratedMetric(square, sketch: nil, kind)) }
            return square.sketch(share: kind.share, random: &random).map { IteratedMetric(square, sketch: $0, kind) }
        }
    }

    /// Operations on a metric of order n that is formed, beside forming it.
    func arithmetic(order n: Double) -> Double {
        switch self {
        case .truncated: 4 * n * n * n
        case .exact, .nystrom, .pcg: n * n * n / 3
        }
    }
}

/// A = JᵀJ, an average of it, or JJᵀ, formed, S·A·S where a scaling is asked for: all of it but the matrix.
private struct DenseMetric {
    let model: any GaussNewtonFactor
    let inSamples: Bool
    let trace: Double
    /// The largest diagonal entry.
    let scale: Double
    /// S's diagonal, where there is a scaling.
    private let scaling: Vector?

    /// The metric and its matrix, which a factorisation may take over.
    static func form(
        _ model: any GaussNewtonFactor, in space: MetricSpace, scaling: MetricScaling, average: Matrix?
    ) -> (metric: DenseMetric, matrix: Matrix) {
        let inSamples = space == .samples
        var matrix = inSamples ? model.kernel() : average ?? model.gramian()
        var roots: Vector?
        if scaling == .jacobi {
            let s = Vector(matrix.diagonal.map { $0 > 0 ? 1 / $0.squareRoot() : 1 })
            for j in 0..<matrix.columns { for i in 0..<matrix.rows { matrix.elements[i + j * matrix.rows] *= s[i] * s[j] } }
            roots = s
        }
        let diagonal = matrix.diagonal
        let metric = DenseMetric(
            model: model, inSamples: inSamples, trace: diagonal.reduce(0, +), scale: diagonal.maximumNorm, scaling: roots)
        return (metric, matrix)
    }

    /// The direction for a right-hand side by the inverse of the damped matrix; nil where it is not finite.
    func direction(for target: MetricTarget, inverse: (Vector) -> Vector) -> Vector? {
        let solved = scaled(inverse(scaled(inSamples ? target.inSamples : target.inParameters(model))))
        let direction = inSamples ? model.transposedProduct(solved) : solved
        return direction.isFinite ? direction : nil
    }

    private func scaled(_ v: Vector) -> Vector { scaling.map { s in Vector(zip(v, s).map { $0 * $1 }) } ?? v }
}

/// Cholesky's factorisation, n³/3 flops a λ, where the matrix lies.
private struct FactorizedMetric: DampedMetric {
    private let metric: DenseMetric
    private var matrix: DampedCholesky
    /// The last factorisation, for another right-hand side.
    private var last: (damping: Double, factors: Cholesky)?

    init(_ metric: DenseMetric, _ matrix: consuming Matrix) { (self.metric, self.matrix) = (metric, DampedCholesky(matrix)) }

    var scale: Double { metric.scale }

    mutating func solve(_ target: MetricTarget, damping λ: Double) -> Result<MetricSolution, FactorizationFailure> {
        let trace = metric.trace
        guard target.isFinite, trace.isFinite else { return .failure(.nonFinite) }
        var used = λ
        while true {
            switch factors(damping: used) {
            case .success(let factors):
                guard let direction = metric.direction(for: target, inverse: { factors.solve($0) }) else { return .failure(.nonFinite) }
                return .success(MetricSolution(direction: direction, damping: used, resolution: .ulpOfOne * trace / used))
            case .failure(let failure):
                guard failure != .nonFinite, used < trace else { return .failure(failure) }
                used = Swift.max(10 * used, .ulpOfOne * metric.scale)
            }
        }
    }
}

extension FactorizedMetric {
    private mutating func factors(damping λ: Double) -> Result<Cholesky, FactorizationFailure> {
        if let last, last.damping == λ { return .success(last.factors) }
        last = nil  // so that its memory is free
        let found = matrix.factorize(addingToDiagonal: Vector(repeating: λ, count: matrix.order))
        if case .success(let factors) = found { last = (λ, factors) }
        return found
    }
}

/// Eigenvalues, 4n³ flops once.
private struct EigenMetric: DampedMetric {
    private let metric: DenseMetric
    private let spectrum: SymmetricEigen
    private let cutoff: Double

    static func of(
        _ metric: DenseMetric, _ matrix: consuming Matrix, relativeCutoff: Double
    ) -> Result<any DampedMetric, FactorizationFailure> {
        SymmetricEigen.factorize(matrix).map { EigenMetric(metric: metric, spectrum: $0, cutoff: relativeCutoff) }
    }

    var scale: Double { metric.scale }

    func solve(_ target: MetricTarget, damping λ: Double) -> Result<MetricSolution, FactorizationFailure> {
        guard target.isFinite, let largest = spectrum.values.last else { return .failure(.nonFinite) }
        let least = cutoff * largest
        let direction = metric.direction(for: target) { b in
            let c = spectrum.vectors.transposedTimes(b)
            return spectrum.vectors.times(Vector(zip(c, spectrum.values).map { $1 > least ? $0 / ($1 + λ) : 0 }))
        }
        let resolution = .ulpOfOne * metric.trace / Swift.max(λ, least)
        return direction.map { .success(MetricSolution(direction: $0, damping: λ, resolution: resolution)) } ?? .failure(.nonFinite)
    }
}

/// A = JᵀJ or JJᵀ by products with J and Jᵀ.
private struct SquaredJacobian {
    let model: any GaussNewtonFactor
    let space: MetricSpace

    init(_ model: any GaussNewtonFactor, _ space: MetricSpace) { (self.model, self.space) = (model, space) }

    var order: Int { space == .samples ? model.rowCount : model.parameterCount }

    func times(_ v: Vector) -> Vector {
        space == .samples ? model.product(model.transposedProduct(v)) : model.transposedProduct(model.product(v))
    }

    /// Where J has at most this many entries it is formed once for a sketch, which 2l products would cost more than.
    private static let dense = 1 << 26

    func sketch(share: Double, random: inout RandomStream) -> Result<NystromSketch, FactorizationFailure> {
        let n = order
        let rank = Swift.min(n, Swift.max(1, Int((share * Double(n)).rounded(.up))))
        return NystromSketch.of(order: n, rank: rank, from: &random) { Ω in
            if model.rowCount * model.parameterCount <= Self.dense {
                let J = model.jacobian()
                return space == .samples
                    ? Matrix.product(J, Matrix.product(J, Ω, transposingFirst: true))
                    : Matrix.product(J, Matrix.product(J, Ω), transposingFirst: true)
            }
            return Matrix(rows: n, columns: Ω.columns, elements: (0..<Ω.columns).flatMap { times(Ω.column($0)).elements })
        }
    }
}

/// The sketch in place of A.
private struct SketchedMetric: DampedMetric {
    private let model: any GaussNewtonFactor
    private let space: MetricSpace
    private let sketch: NystromSketch
    private let liftsDamping: Bool

    init(_ model: any GaussNewtonFactor, _ space: MetricSpace, _ sketch: NystromSketch, liftsDamping: Bool) {
        (self.model, self.space, self.sketch, self.liftsDamping) = (model, space, sketch, liftsDamping)
    }

    var scale: Double { sketch.largest }

    func solve(_ target: MetricTarget, damping λ: Double) -> Result<MetricSolution, FactorizationFailure> {
        let used = liftsDamping ? Swift.max(λ, sketch.smallest) : λ
        let direction =
            space == .samples
            ? model.transposedProduct(sketch.solve(target.inSamples, damping: used))
            : sketch.solve(target.inParameters(model), damping: used)
        return direction.isFinite ? .success(MetricSolution(direction: direction, damping: used)) : .failure(.nonFinite)
    }
}

/// A by its products, with the sketch as preconditioner.
private struct IteratedMetric: DampedMetric {
    private let square: SquaredJacobian
    private let sketch: NystromSketch?
    private let settings: PreconditionedMetric

    init(_ square: SquaredJacobian, sketch: NystromSketch?, _ settings: PreconditionedMetric) {
        (self.square, self.sketch, self.settings) = (square, sketch, settings)
    }

    /// The sketch's, or what four steps of the power method find.
    var scale: Double {
        if let sketch { return sketch.largest }
        var (v, largest) = (Vector(repeating: 1, count: square.order), 0.0)
        for _ in 0..<4 {
            v = square.times((1 / v.norm) * v)
            largest = v.norm
            guard largest > 0, largest.isFinite else { break }
        }
        return largest
    }

    func solve(_ target: MetricTarget, damping λ: Double) -> Result<MetricSolution, FactorizationFailure> {
        let inSamples = square.space == .samples
        let right = inSamples ? target.inSamples : target.inParameters(square.model)
        guard right.isFinite else { return .failure(.nonFinite) }
        let found = ConjugateGradients.solve(
            right, tolerance: settings.tolerance, limit: settings.maximumIterations,
            times: { square.times($0).adding($0, scaledBy: λ) }, preconditioned: { sketch?.precondition($0, damping: λ) ?? $0 })
        let direction = inSamples ? square.model.transposedProduct(found.x) : found.x
        guard direction.isFinite else { return .failure(.nonFinite) }
        // A product that was not finite ends the iteration before its first step.
        guard found.iterations > 0 || right.norm == 0 else { return .failure(.notConverged) }
        return .success(MetricSolution(direction: direction, damping: λ, iterations: found.iterations))
    }
}
