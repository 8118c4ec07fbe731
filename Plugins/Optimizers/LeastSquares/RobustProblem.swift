import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A loss ½Σρ(rᵢ²) that forgives outliers, where ½Σrᵢ² does not.
///
/// With the scale a, the residual at which an outlier begins, and s = r²; all are r² for small r.
public enum RobustLoss: String, CaseIterable, Sendable, Hashable {
    /// ρ = s for s ≤ a², else 2a√s − a²: linear far out, convex.
    case huber
    /// ρ = a²·log(1 + s/a²): logarithmic far out.
    case cauchy
    /// ρ = a·arctan(s/a): bounded by aπ/2. As in Ceres, here the outlier begins at s = a.
    case arctan

    /// ρ(s) and ρ′(s).
    func value(_ s: Double, scale a: Double) -> (ρ: Double, slope: Double) {
        switch self {
        case .huber: s <= a * a ? (s, 1) : (2 * a * s.squareRoot() - a * a, a / s.squareRoot())
        case .cauchy: (a * a * log1p(s / (a * a)), 1 / (1 + s / (a * a)))
        case .arctan: (a * atan(s / a), 1 / (1 + s * s / (a * a)))
        }
    }
}

/// A least-squares problem whose residuals rᵢ are replaced by r̃ᵢ = sign(rᵢ)√ρ(rᵢ²), so that ½‖r̃‖² = ½Σρ(rᵢ²): any method for least
/// squares then fits robustly.
///
/// J̃ = diag(r·ρ′(r²)/r̃)J, exactly. A value or a product costs what the base's costs.
/// Variant: Ceres keeps J and r and corrects both by Triggs' formula, whose Gauss–Newton matrix has the second derivative of ρ in it; this one
/// is always positive semi-definite. Functions ρ as in Ceres' `loss_function.h`.
public struct RobustProblem<Base: LeastSquaresProblem>: LeastSquaresProblem {
    public let base: Base
    public let robustLoss: RobustLoss
    /// a > 0.
    public let scale: Double

    public init(_ base: Base, loss: RobustLoss, scale: Double = 1) {
        precondition(scale > 0 && scale.isFinite, "a robust loss needs a positive scale, not \(scale)")
        (self.base, robustLoss, self.scale) = (base, loss, scale)
    }

    public var name: String { base.name }
    public var identity: Setting {
        base.identity.setting(["robustLoss"], to: .scalar(robustLoss.rawValue)).setting(["robustScale"], to: .number(scale))
    }
    public var layout: ParameterLayout { base.layout }
    public var version: Int { base.version }
    public var operatorMemory: Int { base.operatorMemory }
    public var residualCount: Int { base.residualCount }
    public func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
    public func locateFault(at θ: Vector) -> Fault? { base.locateFault(at: θ) }

    /// r̃ and the factors of J's rows.
    private func transformed(_ r: Vector) -> (residual: Vector, factors: Vector) {
        var (residual, factors) = (r, Vector(repeating: 1, count: r.count))
        for i in r.indices where r[i] != 0 {
            let (ρ, slope) = robustLoss.value(r[i] * r[i], scale: scale)
            let size = ρ.squareRoot()
            // Where r² underflows ρ is r².
            guard size > 0 else { continue }
            (residual[i], factors[i]) = (r[i] < 0 ? -size : size, abs(r[i]) * slope / size)
        }
        return (residual, factors)
    }

    public func residual(at θ: Vector) throws -> Vector { transformed(try base.residual(at: θ)).residual }

    public func loss(at θ: Vector) throws -> LossValue {
        let r = try residual(at: θ)
        return LossValue(0.5 * r.dot(r))
    }

    public func lossAndGradient(at θ: Vector) throws -> Evaluation {
        let model = try linearization(at: θ)
        return Evaluation(loss: LossValue(0.5 * model.residual.dot(model.residual)), gradient: model.transposedProduct(model.residual))
    }

    public func linearization(at θ: Vector) throws -> any Linearization {
        let model = try base.linearization(at: θ)
        let (residual, factors) = transformed(model.residual)
        return RowScaledLinearization(base: model, residual: residual, factors: factors)
    }
}

/// diag(w)·J for the J of another linearisation, and a residual of its own.
private struct RowScaledLinearization: Linearization {
    let base: any Linearization
    let residual: Vector
    let factors: Vector

    var residualCount: Int { base.residualCount }
    var parameterCount: Int { base.parameterCount }
    func product(_ v: Vector) -> Vector { Vector(zip(base.product(v), factors).map { $0 * $1 }) }
    func transposedProduct(_ w: Vector) -> Vector { base.transposedProduct(Vector(zip(w, factors).map { $0 * $1 })) }
    func jacobian(rows: Range<Int>) -> Matrix {
        var block = base.jacobian(rows: rows)
        for j in 0..<block.columns {
            for (i, row) in rows.enumerated() { block.elements[i + j * block.rows] *= factors[row] }
        }
        return block
    }
}
