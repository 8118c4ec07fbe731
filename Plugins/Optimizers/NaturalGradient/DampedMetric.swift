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

    func solve(_ target: MetricTarget, damping λ: Double) -> Result<MetricSolution, FactorizationFailure>
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
        case .exact: return .success(FactorizedMetric(DenseMetric(model, in: space, scaling: scaling, average: average)))
        case .truncated(let kind):
            return EigenMetric.of(
                DenseMetric(model, in: space, scaling: scaling, average: average), relativeCutoff: kind.relativeCutoff)
        case .nystrom(let kind):
            return SquaredJacobian(model, space).sketch(share: kind.share, random: &random).map { SketchedMetric(model, space, $0) }
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

/// A = JᵀJ, an average of it, or JJᵀ as a matrix, S·A·S where a scaling is asked for.
private struct DenseMetric {
    let model: any GaussNewtonFactor
    let inSamples: Bool
    let matrix: Matrix
    /// S's diagonal, where there is a scaling.
    private let scaling: Vector?

    init(_ model: any GaussNewtonFactor, in space: MetricSpace, scaling: MetricScaling, average: Matrix?) {
        (self.model, inSamples) = (model, space == .samples)
        var matrix = inSamples ? model.kernel() : average ?? model.gramian()
        if scaling == .jacobi {
            let s = Vector(matrix.diagonal.map { $0 > 0 ? 1 / $0.squareRoot() : 1 })
            for j in 0..<matrix.columns { for i in 0..<matrix.rows { matrix.elements[i + j * matrix.rows] *= s[i] * s[j] } }
            self.scaling = s
        } else {
            self.scaling = nil
        }
        self.matrix = matrix
    }

    var trace: Double { matrix.diagonal.reduce(0, +) }
    var scale: Double { matrix.diagonal.maximumNorm }

    /// The direction for a right-hand side by the inverse of the damped matrix; nil where it is not finite.
    func direction(for target: MetricTarget, inverse: (Vector) -> Vector) -> Vector? {
        let solved = scaled(inverse(scaled(inSamples ? target.inSamples : target.inParameters(model))))
        let direction = inSamples ? model.transposedProduct(solved) : solved
        return direction.isFinite ? direction : nil
    }

    private func scaled(_ v: Vector) -> Vector { scaling.map { s in Vector(zip(v, s).map { $0 * $1 }) } ?? v }
}

/// Cholesky's factorisation, n³/3 flops a λ.
private struct FactorizedMetric: DampedMetric {
    private let metric: DenseMetric

    init(_ metric: DenseMetric) { self.metric = metric }

    var scale: Double { metric.scale }

    func solve(_ target: MetricTarget, damping λ: Double) -> Result<MetricSolution, FactorizationFailure> {
        let trace = metric.trace
        guard target.isFinite, trace.isFinite else { return .failure(.nonFinite) }
        var used = λ
        while true {
            switch Cholesky.factorize(metric.matrix, addingToDiagonal: Vector(repeating: used, count: metric.matrix.rows)) {
            case .success(let factors):
                guard let direction = metric.direction(for: target, inverse: { factors.solve($0) }) else { return .failure(.nonFinite) }
                return .success(MetricSolution(direction: direction, damping: used, resolution: .ulpOfOne * trace / used))
            case .failure(let failure):
                guard failure != .nonFinite, used < trace else { return .failure(failure) }
                used = Swift.max(10 * used, .ulpOfOne * metric.matrix.diagonal.maximumNorm)
            }
        }
    }
}

/// Eigenvalues, 4n³ flops once.
private struct EigenMetric: DampedMetric {
    private let metric: DenseMetric
    private let spectrum: SymmetricEigen
    private let cutoff: Double

    static func of(_ metric: DenseMetric, relativeCutoff: Double) -> Result<any DampedMetric, FactorizationFailure> {
        SymmetricEigen.factorize(metric.matrix).map { EigenMetric(metric: metric, spectrum: $0, cutoff: relativeCutoff) }
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

    init(_ model: any GaussNewtonFactor, _ space: MetricSpace, _ sketch: NystromSketch) {
        (self.model, self.space, self.sketch) = (model, space, sketch)
    }

    var scale: Double { sketch.largest }

    func solve(_ target: MetricTarget, damping λ: Double) -> Result<MetricSolution, FactorizationFailure> {
        let used = Swift.max(λ, sketch.smallest)
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
