import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A rising function T of a loss: what is minimised in its place has the same minimisers and other curvatures.
public protocol LossTransform: Sendable {
    static var identifier: String { get }
    /// T(L), T′(L) and T″(L).
    static func value(_ L: Double) -> (value: Double, slope: Double, bend: Double)
}

/// T(L) = √L: a loss that is quadratic in an error becomes linear in it. At L = 0, where it has no slope, the slope is taken to be zero.
public enum SquareRoot: LossTransform {
    public static let identifier = "square-root"
    public static func value(_ L: Double) -> (value: Double, slope: Double, bend: Double) {
        let root = L.squareRoot()
        return L == 0 ? (0, 0, 0) : (root, 0.5 / root, -0.25 / (root * L))
    }
}

/// T(L) = log L: a loss that falls geometrically falls evenly. Not finite at L = 0, nor for energies below zero.
public enum Logarithm: LossTransform {
    public static let identifier = "logarithm"
    public static func value(_ L: Double) -> (value: Double, slope: Double, bend: Double) { (log(L), 1 / L, -1 / (L * L)) }
}

/// A problem whose loss L is replaced by T(L), with exact derivatives. In a run's file: `{name: burgers, lossTransform: square-root}`.
///
///     ∇T(L) = T′·g,   ∇²T(L) = T′·∇²L + T″·ggᵀ,   Gauss–Newton pulled back: T′·JᵀJ + T″·ggᵀ
///
/// Quasi-Newton methods late in a run meet a loss of 1e-12 with curvatures over many decades; √L and log L scale both
/// (Urbán, Stefanou & Pons, arXiv:2405.04230). Terms are scaled alike, so that they still add up to the loss. It offers what its base
/// offers, but for one thing: only √L is again a sum of squares, ½‖r̃‖² with r̃ = r/L^¼ (``LeastSquaresProblem``), log L is none. Monitor losses
/// and reference errors are the base's. A batch's loss is the transform of the base's batch.
public struct Transformed<Base: Problem, T: LossTransform>: Problem {
    public let base: Base

    public init(_ base: Base, by transform: T.Type) { self.base = base }

    public var name: String { "\(T.identifier) of \(base.name)" }
    public var identity: Setting { .map([.init("transform", .scalar(T.identifier)), .init("problem", base.identity)]) }
    public var layout: ParameterLayout { base.layout }
    public var version: Int { base.version }
    public var operatorMemory: Int { base.operatorMemory }
    public func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }

    private func transformed(_ loss: LossValue) -> LossValue {
        let value = T.value(loss.total).value
        guard loss.terms.count > 1 else { return LossValue(total: value, terms: loss.terms.map { _ in value }) }
        let share = loss.total == 0 ? 0 : value / loss.total
        return LossValue(total: value, terms: loss.terms.map { $0 * share })
    }
}

extension Transformed: DifferentiableProblem where Base: DifferentiableProblem {
    public var terms: [String] { base.terms }

    public func loss(at θ: Vector) throws -> LossValue { transformed(try base.loss(at: θ)) }

    public func lossAndGradient(at θ: Vector) throws -> Evaluation {
        let value = try base.lossAndGradient(at: θ)
        return Evaluation(loss: transformed(value.loss), gradient: T.value(value.loss.total).slope * value.gradient)
    }

    public func locateFault(at θ: Vector) -> Fault? { base.locateFault(at: θ) }
}

extension Transformed: TwiceDifferentiableProblem where Base: TwiceDifferentiableProblem {
    public func hessian(at θ: Vector) throws -> any HessianOperator {
        let (value, hessian) = (try base.lossAndGradient(at: θ), try base.hessian(at: θ))
        let (_, slope, bend) = T.value(value.loss.total)
        return BentOperator(parameterCount: layout.count, slope: slope, bend: bend, gradient: value.gradient) { hessian.product($0) }
    }
}

extension Transformed: GaussNewtonOperatorProblem where Base: LeastSquaresProblem {
    /// The Gauss–Newton matrix pulled back through T: T′·JᵀJ + T″·ggᵀ, g = Jᵀr, which is positive semidefinite for √L, and not for log L. It is what
    /// `model: gauss-newton` is of log L; √L is a sum of squares again, which has a matrix of its own.
    public func gaussNewtonOperator(at θ: Vector) throws -> any HessianOperator {
        let model = try base.linearization(at: θ)
        let r = model.residual
        let (_, slope, bend) = T.value(0.5 * r.dot(r))
        return BentOperator(parameterCount: layout.count, slope: slope, bend: bend, gradient: model.transposedProduct(r)) {
            model.transposedProduct(model.product($0))
        }
    }
}

/// slope·A·v + bend·g·(gᵀv).
private struct BentOperator: HessianOperator {
    let parameterCount: Int
    let slope: Double
    let bend: Double
    let gradient: Vector
    let base: @Sendable (Vector) -> Vector

    func product(_ v: Vector) -> Vector {
        var product = slope * base(v)
        product.add(gradient, scaledBy: bend * gradient.dot(v))
        return product
    }
}

// MARK: √L as a sum of squares

extension Transformed: LeastSquaresProblem where Base: LeastSquaresProblem, T == SquareRoot {
    public var residualCount: Int { base.residualCount }
    public var residualCounts: [Int]? { base.residualCounts }

    public func residual(at θ: Vector) throws -> Vector {
        let r = try base.residual(at: θ)
        return RootScale(r).factor * r
    }

    public func linearization(at θ: Vector) throws -> any Linearization { RootLinearization(try base.linearization(at: θ)) }
}

extension Transformed: GeneralizedGaussNewtonProblem where Base: LeastSquaresProblem, T == SquareRoot {}

/// c = L^−¼, by which r becomes r̃ = c·r with ½‖r̃‖² = √L; zero at r = 0.
private struct RootScale {
    let factor: Double
    /// L.
    let loss: Double

    init(_ r: Vector) {
        loss = 0.5 * r.dot(r)
        factor = loss == 0 ? 0 : 1 / loss.squareRoot().squareRoot()
    }
}

/// J̃ = c·(J − r·gᵀ/4L), from ∇c = −c·g/4L.
private struct RootLinearization: Linearization {
    let base: any Linearization
    let residual: Vector
    private let factor: Double
    private let unscaled: Vector
    /// gᵀ/4L.
    private let fraction: Vector

    init(_ base: any Linearization) {
        let (r, scale) = (base.residual, RootScale(base.residual))
        (self.base, unscaled, factor) = (base, r, scale.factor)
        residual = scale.factor * r
        fraction = (scale.loss == 0 ? 0 : 0.25 / scale.loss) * base.transposedProduct(r)
    }

    var residualCount: Int { base.residualCount }
    var parameterCount: Int { base.parameterCount }

    func product(_ v: Vector) -> Vector { factor * base.product(v).adding(unscaled, scaledBy: -fraction.dot(v)) }

    func transposedProduct(_ w: Vector) -> Vector {
        factor * base.transposedProduct(w).adding(fraction, scaledBy: -unscaled.dot(w))
    }

    func jacobian(rows: Range<Int>) -> Matrix {
        var part = base.jacobian(rows: rows)
        for j in 0..<part.columns {
            for i in 0..<part.rows { part[i, j] = factor * (part[i, j] - unscaled[rows.lowerBound + i] * fraction[j]) }
        }
        return part
    }
}

// MARK: The rest is the base's

extension Transformed: SampledProblem where Base: SampledProblem {
    public var sampleSets: [SampleSet] { base.sampleSets }
    public func restricted(to batch: Batch) throws -> Transformed<Base, T> {
        Transformed(try base.restricted(to: batch), by: T.self)
    }
}

extension Transformed: RevisableProblem where Base: RevisableProblem {
    public func revised(by revision: any Revision) throws -> Transformed<Base, T> {
        Transformed(try base.revised(by: revision), by: T.self)
    }

    public func encodeRevisions(into archive: inout Archive) { base.encodeRevisions(into: &archive) }

    public func restoringRevisions(from archive: Archive) throws -> Transformed<Base, T> {
        Transformed(try base.restoringRevisions(from: archive), by: T.self)
    }
}

extension Transformed: MonitoredProblem where Base: MonitoredProblem {
    public func monitorLoss(at θ: Vector) throws -> Double? { try base.monitorLoss(at: θ) }
}

extension Transformed: ReferencedProblem where Base: ReferencedProblem {
    public func referenceError(at θ: Vector) throws -> Double? { try base.referenceError(at: θ) }
}

extension Transformed: FreshlyReferencedProblem where Base: FreshlyReferencedProblem {
    public func freshErrors(at θ: Vector, grid: [Int]?) throws -> ReferenceErrors? { try base.freshErrors(at: θ, grid: grid) }
}

extension Transformed: ResidualMonitoredProblem where Base: ResidualMonitoredProblem {
    public func monitorResiduals(at θ: Vector) throws -> [ResidualNorm]? { try base.monitorResiduals(at: θ) }
}

extension Transformed: PredictingProblem where Base: PredictingProblem {
    public var coordinateNames: [String] { base.coordinateNames }
    public func prediction(at points: Matrix, parameters θ: Vector, including extras: PredictionExtras) throws -> Prediction {
        try base.prediction(at: points, parameters: θ, including: extras)
    }
}

extension Transformed: PicturedProblem where Base: PicturedProblem {
    public func picture(at θ: Vector) throws -> SolutionPicture? { try base.picture(at: θ) }
}
