import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A problem with bounds l ≤ x ≤ u on its parameters, kept by reflection: a path that runs into a bound turns back there.
///
/// The method works on φ without bounds, and xᵢ(φᵢ) is smooth, so that the gradient in φ vanishes at a minimiser on a bound:
///
///     x = (l + u)/2 + (u − l)/2·sin φ        x = l − 1 + √(φ² + 1)        x = u + 1 − √(φ² + 1)        x = φ
///
/// for bounds on both sides, below, above and none. With s = dx/dφ and t = d²x/dφ²: ∇_φL = s∘∇L, J_φ = J·diag(s) and
/// ∇²_φL = diag(s)·∇²L·diag(s) + diag(t∘∇L). It offers what its base offers of losses, monitor losses, residuals, Hessians and samples. A
/// start on a bound would not leave it, since dx/dφ = 0 there: it is moved inside by 1e-3 of the interval (of one, where there is no other
/// bound).
/// Source: James & Roos, *MINUIT*, Comput. Phys. Commun. 10:343–367 (1975), doi:10.1016/0010-4655(75)90039-9.
public struct BoundedProblem<Base: Problem>: Problem {
    public let base: Base
    /// l; −∞ where there is none.
    public let lower: Vector
    /// u; ∞ where there is none.
    public let upper: Vector

    public init(_ base: Base, lower: Vector, upper: Vector) {
        precondition(
            lower.count == base.layout.count && upper.count == lower.count, "bounds for \(lower.count) of \(base.layout.count) parameters")
        precondition(zip(lower, upper).allSatisfy { $0 < $1 }, "a lower bound is not below its upper one")
        (self.base, self.lower, self.upper) = (base, lower, upper)
    }

    public var name: String { base.name }
    public var identity: Setting {
        let bounds = [("lower", lower), ("upper", upper)].map { Setting.Pair($0, .list($1.map(Setting.number))) }
        return base.identity.setting(["bounds"], to: .map(bounds))
    }
    public var layout: ParameterLayout { base.layout }
    public var version: Int { base.version }
    public var operatorMemory: Int { base.operatorMemory }

    /// x(φ).
    public func parameters(at φ: Vector) -> Vector { Vector(φ.indices.map { place($0, φ[$0]).x }) }

    /// φ with x(φ) = x, on or within the bounds.
    public func unbounded(_ x: Vector) -> Vector {
        Vector(
            x.indices.map { i in
                let (l, u) = (lower[i], upper[i])
                let inset = 1e-3 * (l.isFinite && u.isFinite ? u - l : 1)
                let inside = Swift.min(Swift.max(x[i], l + inset), u - inset)
                switch (l.isFinite, u.isFinite) {
                case (true, true): return asin((2 * inside - l - u) / (u - l))
                case (true, false): return ((inside - l + 1) * (inside - l + 1) - 1).squareRoot()
                case (false, true): return ((u - inside + 1) * (u - inside + 1) - 1).squareRoot()
                case (false, false): return inside
                }
            })
    }

    private func place(_ i: Int, _ φ: Double) -> (x: Double, slope: Double, bend: Double) {
        let (l, u) = (lower[i], upper[i])
        let root = (φ * φ + 1).squareRoot()
        switch (l.isFinite, u.isFinite) {
        case (true, true):
            // The sum may round beyond a bound that it stands for.
            let x = Swift.min(Swift.max(0.5 * (l + u) + 0.5 * (u - l) * sin(φ), l), u)
            return (x, 0.5 * (u - l) * cos(φ), -0.5 * (u - l) * sin(φ))
        // φ²/(1 + √(φ² + 1)) is √(φ² + 1) − 1 without cancellation.
        case (true, false): return (l + φ * φ / (1 + root), φ / root, 1 / (root * root * root))
        case (false, true): return (u - φ * φ / (1 + root), -φ / root, -1 / (root * root * root))
        case (false, false): return (φ, 1, 0)
        }
    }

    public func initialParameters(from random: inout RandomStream) -> Parameters {
        let start = base.initialParameters(from: &random)
        return start.with(unbounded(start.values))
    }

    private func slopes(_ φ: Vector) -> Vector { Vector(φ.indices.map { place($0, φ[$0]).slope }) }
}

extension BoundedProblem: DifferentiableProblem where Base: DifferentiableProblem {
    public var terms: [String] { base.terms }

    public func loss(at φ: Vector) throws -> LossValue { try base.loss(at: parameters(at: φ)) }

    public func lossAndGradient(at φ: Vector) throws -> Evaluation {
        let value = try base.lossAndGradient(at: parameters(at: φ))
        return Evaluation(loss: value.loss, gradient: Vector(φ.indices.map { value.gradient[$0] * place($0, φ[$0]).slope }))
    }

    public func locateFault(at φ: Vector) -> Fault? { base.locateFault(at: parameters(at: φ)) }
}

extension BoundedProblem: LeastSquaresProblem where Base: LeastSquaresProblem {
    public var residualCount: Int { base.residualCount }
    public var residualCounts: [Int]? { base.residualCounts }

    public func residual(at φ: Vector) throws -> Vector { try base.residual(at: parameters(at: φ)) }

    public func linearization(at φ: Vector) throws -> any Linearization {
        ColumnScaledLinearization(base: try base.linearization(at: parameters(at: φ)), slopes: slopes(φ))
    }
}

extension BoundedProblem: GeneralizedGaussNewtonProblem where Base: GeneralizedGaussNewtonProblem {
    public var factorRowCount: Int { base.factorRowCount }

    public func gaussNewtonFactor(at φ: Vector) throws -> any GaussNewtonFactor {
        ColumnScaledFactor(base: try base.gaussNewtonFactor(at: parameters(at: φ)), slopes: slopes(φ))
    }
}

extension BoundedProblem: PartiallyLinearProblem where Base: PartiallyLinearProblem {
    /// Those of the base that have no bounds: a reflection bends the others.
    public var linearParameters: [Int] { base.linearParameters.filter { !lower[$0].isFinite && !upper[$0].isFinite } }
}

extension BoundedProblem: TwiceDifferentiableProblem where Base: TwiceDifferentiableProblem {
    public func hessian(at φ: Vector) throws -> any HessianOperator {
        let x = parameters(at: φ)
        let gradient = try base.lossAndGradient(at: x).gradient
        let bends = Vector(φ.indices.map { gradient[$0] * place($0, φ[$0]).bend })
        return ReflectedHessian(base: try base.hessian(at: x), slopes: slopes(φ), bends: bends)
    }
}

extension BoundedProblem: SampledProblem where Base: SampledProblem {
    public var sampleSets: [SampleSet] { base.sampleSets }
    public func restricted(to batch: Batch) throws -> BoundedProblem<Base> {
        BoundedProblem(try base.restricted(to: batch), lower: lower, upper: upper)
    }
}

extension BoundedProblem: MonitoredProblem where Base: MonitoredProblem {
    public func monitorLoss(at φ: Vector) throws -> Double? { try base.monitorLoss(at: parameters(at: φ)) }
}

/// diag(s)·H·diag(s) + diag(b).
private struct ReflectedHessian: HessianOperator {
    let base: any HessianOperator
    let slopes: Vector
    let bends: Vector

    var parameterCount: Int { base.parameterCount }
    func product(_ v: Vector) -> Vector {
        let inner = base.product(Vector(zip(v, slopes).map { $0 * $1 }))
        return Vector(v.indices.map { slopes[$0] * inner[$0] + bends[$0] * v[$0] })
    }
}

/// J·diag(s) for the J of another linearisation.
private struct ColumnScaledLinearization: Linearization {
    private let base: any Linearization
    private let factor: ColumnScaledFactor

    init(base: any Linearization, slopes: Vector) { (self.base, factor) = (base, ColumnScaledFactor(base: base, slopes: slopes)) }

    var residualCount: Int { base.residualCount }
    var parameterCount: Int { base.parameterCount }
    var residual: Vector { base.residual }
    func product(_ v: Vector) -> Vector { factor.product(v) }
    func transposedProduct(_ w: Vector) -> Vector { factor.transposedProduct(w) }
    func jacobian(rows: Range<Int>) -> Matrix { factor.jacobian(rows: rows) }
}

/// J·diag(s) for another factor J.
private struct ColumnScaledFactor: GaussNewtonFactor {
    let base: any GaussNewtonFactor
    let slopes: Vector

    var rowCount: Int { base.rowCount }
    var parameterCount: Int { base.parameterCount }
    func product(_ v: Vector) -> Vector { base.product(Vector(zip(v, slopes).map { $0 * $1 })) }
    func transposedProduct(_ w: Vector) -> Vector { Vector(zip(base.transposedProduct(w), slopes).map { $0 * $1 }) }
    func jacobian(rows: Range<Int>) -> Matrix { base.jacobian(rows: rows).scalingColumns(by: slopes) }
}
