import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The fit of a model to a NIST data set from one of its two certified starts: L = ½Σ(f(b; xᵢ) − yᵢ)².
///
/// Derivatives are exact, over hyper-dual numbers. The answer is the certified b; how near θ comes is told by
/// ``logRelativeError(at:)``, the measure of the published comparisons.
public struct NISTProblem: PartiallyLinearProblem, ResidualCurvatureProblem, ReferencedProblem {
    public let dataSet: NISTDataSet
    /// 1 or 2.
    public let start: Int
    public let residualCount: Int

    public init(_ dataSet: NISTDataSet, start: Int = 1) {
        precondition(dataSet.starts.indices.contains(start - 1), "a NIST data set has the starts 1 and 2, not \(start)")
        (self.dataSet, self.start) = (dataSet, start)
        residualCount = dataSet.residual.value(at: Vector(dataSet.starts[start - 1])).count
    }

    /// The 27 data sets from both starts: 54 fits.
    public static let all: [NISTProblem] = NISTDataSet.all.flatMap { [NISTProblem($0, start: 1), NISTProblem($0, start: 2)] }

    public var name: String { "\(dataSet.name)-\(start)" }

    public var identity: Setting {
        .map([
            .init("name", .scalar("nist-regression")), .init("dataSet", .scalar(dataSet.name)), .init("start", .integer(start)),
        ])
    }

    public var layout: ParameterLayout { ParameterLayout([("b", [dataSet.certified.count])]) }

    public var linearParameters: [Int] { dataSet.linearParameters }

    public func initialParameters(from random: inout RandomStream) -> Parameters {
        Parameters(layout: layout, values: Vector(dataSet.starts[start - 1]))
    }

    // MARK: Values and derivatives

    public func residual(at b: Vector) -> Vector { dataSet.residual.value(at: b) }

    public func loss(at b: Vector) -> LossValue {
        let r = residual(at: b)
        return LossValue(0.5 * r.dot(r))
    }

    public func lossAndGradient(at b: Vector) -> Evaluation {
        let r = residual(at: b)
        return Evaluation(loss: LossValue(0.5 * r.dot(r)), gradient: dataSet.residual.jacobian(at: b).transposedTimes(r))
    }

    public func linearization(at b: Vector) -> any Linearization {
        DenseLinearization(residual: residual(at: b), jacobian: dataSet.residual.jacobian(at: b))
    }

    public func hessian(at b: Vector) -> any HessianOperator { ResidualHessian(function: dataSet.residual, point: b) }

    public func curvature(at b: Vector, slopes w: Vector, bends h: Vector) -> any HessianOperator {
        ResidualHessian(function: dataSet.residual, point: b, derivatives: SeparableDerivatives(slopes: w, bends: h))
    }

    public func locateFault(at b: Vector) -> Fault? {
        residual(at: b).firstIndex { !$0.isFinite }.map { Fault(term: terms[0], sample: "observation \($0 + 1)") }
    }

    // MARK: The answer

    /// The largest relative error of a parameter, maxₖ |θₖ − bₖ|/|bₖ|.
    public func referenceError(at θ: Vector) -> Double? { zip(θ, dataSet.certified).map { abs($0 - $1) / abs($1) }.max() }

    /// LRE = minₖ −log₁₀(|θₖ − bₖ|/|bₖ|), the digits that all parameters share with the certified ones, kept in [0, 11].
    ///
    /// From four on a fit counts as solved. Protocol: Mondragon & Borchers, *A comparison of nonlinear regression codes*, J. Modern Appl.
    /// Stat. Methods 4 (2005), as in Ceres' `examples/nist.cc`.
    public func logRelativeError(at θ: Vector) -> Double {
        guard let error = referenceError(at: θ), error.isFinite else { return 0 }
        return error == 0 ? 11 : min(11, max(0, -log10(error)))
    }
}

extension NISTProblem: CustomStringConvertible {
    public var description: String { name }
}
