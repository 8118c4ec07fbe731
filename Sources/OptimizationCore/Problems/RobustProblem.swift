import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
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

    /// ρ(s), ρ′(s) and ρ″(s).
    func value(_ s: Double, scale a: Double) -> (ρ: Double, slope: Double, bend: Double) {
        switch self {
        case .huber:
            guard s > a * a else { return (s, 1, 0) }
            let root = s.squareRoot()
            return (2 * a * root - a * a, a / root, -0.5 * a / (root * s))
        case .cauchy:
            let slope = 1 / (1 + s / (a * a))
            return (a * a * log1p(s / (a * a)), slope, -slope * slope / (a * a))
        case .arctan:
            let slope = 1 / (1 + s * s / (a * a))
            return (a * atan(s / a), slope, -2 * s / (a * a) * slope * slope)
        }
    }
}

/// A least-squares problem whose residuals rᵢ are replaced by r̃ᵢ = sign(rᵢ)√(ρ(nᵢrᵢ²)/nᵢ), so that ½‖r̃‖² = ½Σρ(nᵢrᵢ²)/nᵢ: any method for
/// least squares then fits robustly. In a run's file: `{name: regression, robustLoss: {name: huber, scale: 0.1}}`.
///
/// nᵢ is the number of samples in the set that rᵢ belongs to, by the mean over which a sum of squares is weighted, and 1 where the problem has
/// no samples. So the scale a is one of a sample's own residual, √weight·r at a point of a PDE, whatever the number of samples is: batches and
/// new points keep it, and a batch's loss is in the mean the whole one.
///
/// J̃ = diag(rᵢρ′/r̃ᵢ)J, exactly, and with w = r∘ρ′ and h = ρ′ + 2nr²∘ρ″ the Hessian is Jᵀ·diag(h)·J + Σwᵢ∇²rᵢ, where the base offers that
/// (``ResidualCurvatureProblem``). A value or a product costs what the base's costs, a gradient a residual and a Jᵀ·w; JᵀJ and JJᵀ are formed
/// from rows of J. Terms are the base's, each robust. Samples, revisions and predictions are the base's, monitor losses and reference errors
/// too, without ρ. No parameter enters linearly any more, and layers have no Kronecker factors.
/// Variant: Ceres keeps J and r and corrects both by Triggs' formula, whose Gauss–Newton matrix has the second derivative of ρ in it; this one
/// is always positive semi-definite. Functions ρ as in Ceres' `loss_function.h`.
public struct RobustProblem<Base: LeastSquaresProblem>: LeastSquaresProblem {
    public let base: Base
    public let robustLoss: RobustLoss
    /// a > 0.
    public let scale: Double
    /// The entries of r of each term, and their n.
    private let parts: [Part]

    private struct Part {
        var rows: Range<Int>
        var samples: Double
    }

    /// The base must say which residuals belong to which samples: see ``isRobustifiable(_:)``.
    public init(_ base: Base, loss: RobustLoss, scale: Double = 1) {
        precondition(scale > 0 && scale.isFinite, "a robust loss needs a positive scale, not \(scale)")
        guard let parts = Self.parts(of: base) else {
            preconditionFailure("\(base.name) does not say which of its residuals belong to which samples")
        }
        (self.base, robustLoss, self.scale, self.parts) = (base, loss, scale, parts)
    }

    /// Whether it is known which residuals belong to which samples: there are no samples, or one set, or one of each term.
    public static func isRobustifiable(_ base: Base) -> Bool { parts(of: base) != nil }

    private static func parts(of base: Base) -> [Part]? {
        let counts = base.residualCounts ?? [base.residualCount]
        var samples = [Double](repeating: 1, count: counts.count)
        if let sampled = base as? any SampledProblem {
            let sets = sampled.sampleSets.map { Double($0.count) }
            guard sets.count == 1 || sets.count == base.residualCounts?.count else { return nil }
            samples = counts.indices.map { sets.count == 1 ? sets[0] : sets[$0] }
        }
        var start = 0
        return zip(counts, samples).map { count, n in
            defer { start += count }
            return Part(rows: start..<(start + count), samples: n)
        }
    }

    public var name: String { "\(base.name), \(robustLoss.rawValue)" }
    public var identity: Setting {
        let loss: Setting = .map([.init("name", .scalar(robustLoss.rawValue)), .init("scale", .number(scale))])
        return .map([.init("robustLoss", loss), .init("problem", base.identity)])
    }
    public var layout: ParameterLayout { base.layout }
    public var version: Int { base.version }
    public var operatorMemory: Int { base.operatorMemory }
    public var terms: [String] { base.residualCounts == nil ? ["loss"] : base.terms }
    public var residualCount: Int { base.residualCount }
    public var residualCounts: [Int]? { parts.map(\.rows.count) }
    public func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
    public func locateFault(at θ: Vector) -> Fault? { base.locateFault(at: θ) }

    /// r̃ and the factors of J's rows.
    private func transformed(_ r: Vector) -> (residual: Vector, factors: Vector) {
        var (residual, factors) = (r, Vector(repeating: 1, count: r.count))
        for part in parts {
            // What is not finite stays so: a bounded ρ must not hide it.
            for i in part.rows where r[i] != 0 && r[i].isFinite {
                let (ρ, slope, _) = robustLoss.value(part.samples * r[i] * r[i], scale: scale)
                let size = (ρ / part.samples).squareRoot()
                // Where r² underflows ρ is r².
                guard size > 0 else { continue }
                (residual[i], factors[i]) = (r[i] < 0 ? -size : size, abs(r[i]) * slope / size)
            }
        }
        return (residual, factors)
    }

    private func loss(of residual: Vector) -> LossValue {
        let terms = parts.map { part in part.rows.reduce(0.0) { $0 + 0.5 * residual[$1] * residual[$1] } }
        return LossValue(total: terms.reduce(0, +), terms: terms)
    }

    public func residual(at θ: Vector) throws -> Vector { transformed(try base.residual(at: θ)).residual }

    public func loss(at θ: Vector) throws -> LossValue { loss(of: try residual(at: θ)) }

    public func lossAndGradient(at θ: Vector) throws -> Evaluation {
        let model = try linearization(at: θ)
        return Evaluation(loss: loss(of: model.residual), gradient: model.transposedProduct(model.residual))
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

extension RobustProblem: TwiceDifferentiableProblem where Base: ResidualCurvatureProblem {
    public func hessian(at θ: Vector) throws -> any HessianOperator {
        let r = try base.residual(at: θ)
        var (slopes, bends) = (r, Vector(repeating: 1, count: r.count))
        for part in parts {
            for i in part.rows {
                let s = part.samples * r[i] * r[i]
                let (_, slope, bend) = robustLoss.value(s, scale: scale)
                (slopes[i], bends[i]) = (r[i] * slope, slope + 2 * s * bend)
            }
        }
        return try base.curvature(at: θ, slopes: slopes, bends: bends)
    }
}

// MARK: The rest is the base's

extension RobustProblem: SampledProblem where Base: SampledProblem {
    public var sampleSets: [SampleSet] { base.sampleSets }
    public func restricted(to batch: Batch) throws -> RobustProblem<Base> {
        RobustProblem(try base.restricted(to: batch), loss: robustLoss, scale: scale)
    }
}

extension RobustProblem: TermwiseProblem where Base: TermwiseProblem {
    public func restricted(toTerm index: Int) throws -> RobustProblem<Base> {
        RobustProblem(try base.restricted(toTerm: index), loss: robustLoss, scale: scale)
    }
}

extension RobustProblem: RevisableProblem where Base: RevisableProblem {
    public func revised(by revision: any Revision) throws -> RobustProblem<Base> {
        RobustProblem(try base.revised(by: revision), loss: robustLoss, scale: scale)
    }

    public func encodeRevisions(into archive: inout Archive) { base.encodeRevisions(into: &archive) }

    public func restoringRevisions(from archive: Archive) throws -> RobustProblem<Base> {
        RobustProblem(try base.restoringRevisions(from: archive), loss: robustLoss, scale: scale)
    }
}

extension RobustProblem: MonitoredProblem where Base: MonitoredProblem {
    public func monitorLoss(at θ: Vector) throws -> Double? { try base.monitorLoss(at: θ) }
}

extension RobustProblem: ReferencedProblem where Base: ReferencedProblem {
    public func referenceError(at θ: Vector) throws -> Double? { try base.referenceError(at: θ) }
}

extension RobustProblem: FreshlyReferencedProblem where Base: FreshlyReferencedProblem {
    public func freshErrors(at θ: Vector, grid: [Int]?) throws -> ReferenceErrors? { try base.freshErrors(at: θ, grid: grid) }
}

extension RobustProblem: ResidualMonitoredProblem where Base: ResidualMonitoredProblem {
    public func monitorResiduals(at θ: Vector) throws -> [ResidualNorm]? { try base.monitorResiduals(at: θ) }
}

extension RobustProblem: PredictingProblem where Base: PredictingProblem {
    public var coordinateNames: [String] { base.coordinateNames }
    public func prediction(at points: Matrix, parameters θ: Vector, including extras: PredictionExtras) throws -> Prediction {
        try base.prediction(at: points, parameters: θ, including: extras)
    }
}

extension RobustProblem: PicturedProblem where Base: PicturedProblem {
    public func picture(at θ: Vector) throws -> SolutionPicture? { try base.picture(at: θ) }
}
