import LinearAlgebra
import OptimizationCore
import Synchronization

/// Decides which evaluations of a ``FaultInjecting`` problem go wrong, and how.
public final class FaultInjector: Sendable {
    public enum Kind: Sendable, Hashable, CaseIterable {
        /// Every value of the evaluation is NaN.
        case notANumber
        /// Every value of the evaluation is infinite.
        case infinite
        /// Losses and residuals are right; gradients and products with J and ∇²L hold one NaN.
        case derivativesOnly
    }

    private struct Arming {
        var kind: Kind
        var healthyLeft: Int
        var injected = 0
    }

    private let arming = Mutex<Arming?>(nil)

    public init() {}

    /// From now on, `healthy` evaluations are right and all that follow go wrong.
    public func arm(_ kind: Kind, after healthy: Int) { arming.withLock { $0 = Arming(kind: kind, healthyLeft: healthy) } }

    /// Evaluations are right again. Returns how many went wrong.
    @discardableResult
    public func disarm() -> Int {
        arming.withLock { arming in
            defer { arming = nil }
            return arming?.injected ?? 0
        }
    }

    /// How many evaluations have gone wrong since the injector was armed.
    public var injected: Int { arming.withLock { $0?.injected ?? 0 } }

    /// What happens to the next evaluation.
    func next() -> Kind? {
        arming.withLock { arming in
            guard arming != nil else { return nil }
            if let left = arming?.healthyLeft, left > 0 {
                arming?.healthyLeft = left - 1
                return nil
            }
            arming?.injected += 1
            return arming?.kind
        }
    }
}

/// A problem whose evaluations can be made to go wrong; it offers its base's capabilities.
///
/// While evaluations go wrong it locates the fault in its first term, at a sample that says which of them it was: so it can be seen
/// whether a method asks where the fault lies. Monitor losses and reference errors stay right.
public struct FaultInjecting<Base: Problem>: Problem {
    public let base: Base
    public let injector: FaultInjector

    public init(_ base: Base, injector: FaultInjector = FaultInjector()) { (self.base, self.injector) = (base, injector) }

    public var name: String { base.name }
    public var identity: Setting { base.identity }
    public var layout: ParameterLayout { base.layout }
    public var version: Int { base.version }
    public var operatorMemory: Int { base.operatorMemory }
    public func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
}

extension FaultInjector.Kind {
    /// The value in place of a loss or residual; `nil` leaves it.
    fileprivate var value: Double? {
        switch self {
        case .notANumber: .nan
        case .infinite: .infinity
        case .derivativesOnly: nil
        }
    }

    fileprivate func spoil(_ loss: LossValue) -> LossValue {
        value.map { LossValue(total: $0, terms: Array(repeating: $0, count: loss.terms.count)) } ?? loss
    }

    fileprivate func spoil(residual r: Vector) -> Vector { value.map { Vector(repeating: $0, count: r.count) } ?? r }

    fileprivate func spoil(derivative g: Vector) -> Vector {
        if let value { return Vector(repeating: value, count: g.count) }
        var spoiled = g
        if !g.isEmpty { spoiled[g.count - 1] = .nan }
        return spoiled
    }

    fileprivate func spoil(_ matrix: Matrix) -> Matrix {
        Matrix(rows: matrix.rows, columns: matrix.columns, elements: spoil(derivative: Vector(matrix.elements)).elements)
    }
}

extension FaultInjecting: DifferentiableProblem where Base: DifferentiableProblem {
    public var terms: [String] { base.terms }

    public func loss(at θ: Vector) throws -> LossValue {
        let (fault, loss) = (injector.next(), try base.loss(at: θ))
        return fault?.spoil(loss) ?? loss
    }

    public func lossAndGradient(at θ: Vector) throws -> Evaluation {
        let (fault, value) = (injector.next(), try base.lossAndGradient(at: θ))
        guard let fault else { return value }
        return Evaluation(loss: fault.spoil(value.loss), gradient: fault.spoil(derivative: value.gradient))
    }

    public func locateFault(at θ: Vector) -> Fault? {
        if let fault = base.locateFault(at: θ) { return fault }
        let injected = injector.injected
        guard injected > 0, let term = base.terms.first else { return nil }
        return Fault(term: term, sample: "injected fault \(injected)")
    }
}

extension FaultInjecting: LeastSquaresProblem where Base: LeastSquaresProblem {
    public var residualCount: Int { base.residualCount }
    public var residualCounts: [Int]? { base.residualCounts }

    public func residual(at θ: Vector) throws -> Vector {
        let (fault, r) = (injector.next(), try base.residual(at: θ))
        return fault?.spoil(residual: r) ?? r
    }

    public func linearization(at θ: Vector) throws -> any Linearization {
        let (fault, linearization) = (injector.next(), try base.linearization(at: θ))
        return fault.map { FaultyLinearization(base: linearization, fault: $0) } ?? linearization
    }
}

extension FaultInjecting: GeneralizedGaussNewtonProblem where Base: GeneralizedGaussNewtonProblem {
    public var factorRowCount: Int { base.factorRowCount }

    public func gaussNewtonFactor(at θ: Vector) throws -> any GaussNewtonFactor {
        let (fault, factor) = (injector.next(), try base.gaussNewtonFactor(at: θ))
        return fault.map { FaultyFactor(base: factor, fault: $0) } ?? factor
    }

    public func plan(of square: JacobianSquare) -> SquarePlan { base.plan(of: square) }
}

extension FaultInjecting: LayeredCurvatureProblem where Base: LayeredCurvatureProblem {
    public func layerCurvatures(at θ: Vector) throws -> [LayerCurvature] {
        let (fault, curvatures) = (injector.next(), try base.layerCurvatures(at: θ))
        guard let fault else { return curvatures }
        return curvatures.map { curvature in
            var spoiled = curvature
            for t in spoiled.terms.indices {
                spoiled.terms[t].input = fault.spoil(spoiled.terms[t].input)
                spoiled.terms[t].output = fault.spoil(spoiled.terms[t].output)
            }
            return spoiled
        }
    }
}

extension FaultInjecting: PartiallyLinearProblem where Base: PartiallyLinearProblem {
    public var linearParameters: [Int] { base.linearParameters }
}

extension FaultInjecting: TwiceDifferentiableProblem where Base: TwiceDifferentiableProblem {
    public func hessian(at θ: Vector) throws -> any HessianOperator {
        let (fault, hessian) = (injector.next(), try base.hessian(at: θ))
        return fault.map { FaultyHessian(base: hessian, fault: $0) } ?? hessian
    }
}

extension FaultInjecting: ResidualCurvatureProblem where Base: ResidualCurvatureProblem {
    public func curvature(at θ: Vector, slopes w: Vector, bends h: Vector) throws -> any HessianOperator {
        let (fault, hessian) = (injector.next(), try base.curvature(at: θ, slopes: w, bends: h))
        return fault.map { FaultyHessian(base: hessian, fault: $0) } ?? hessian
    }
}

extension FaultInjecting: SampledProblem where Base: SampledProblem {
    public var sampleSets: [SampleSet] { base.sampleSets }
    public func restricted(to batch: Batch) throws -> FaultInjecting<Base> {
        FaultInjecting(try base.restricted(to: batch), injector: injector)
    }
}

extension FaultInjecting: FactoredGradientProblem where Base: FactoredGradientProblem {
    public var factorCount: Int { base.factorCount }

    public func lossAndFactors(at θ: Vector) throws -> FactoredEvaluation {
        let (fault, value) = (injector.next(), try base.lossAndFactors(at: θ))
        guard let fault else { return value }
        return FactoredEvaluation(
            loss: fault.spoil(value.loss), factors: fault.spoil(value.factors), remainder: fault.spoil(derivative: value.remainder))
    }

    public func gradient(ofFactors factors: Matrix) -> Vector { base.gradient(ofFactors: factors) }
    public func gradient(ofFactors factors: Matrix, minus others: Matrix) -> Vector { base.gradient(ofFactors: factors, minus: others) }
}

extension FaultInjecting: RevisableProblem where Base: RevisableProblem {
    public func revised(by revision: any Revision) throws -> FaultInjecting<Base> {
        FaultInjecting(try base.revised(by: revision), injector: injector)
    }

    public func encodeRevisions(into archive: inout Archive) { base.encodeRevisions(into: &archive) }

    public func restoringRevisions(from archive: Archive) throws -> FaultInjecting<Base> {
        FaultInjecting(try base.restoringRevisions(from: archive), injector: injector)
    }
}

extension FaultInjecting: MonitoredProblem where Base: MonitoredProblem {
    public func monitorLoss(at θ: Vector) throws -> Double? { try base.monitorLoss(at: θ) }
}

extension FaultInjecting: ReferencedProblem where Base: ReferencedProblem {
    public func referenceError(at θ: Vector) throws -> Double? { try base.referenceError(at: θ) }
}

private struct FaultyLinearization: Linearization {
    let base: any Linearization
    let fault: FaultInjector.Kind

    var residualCount: Int { base.residualCount }
    var parameterCount: Int { base.parameterCount }
    var residual: Vector { fault.spoil(residual: base.residual) }
    func product(_ v: Vector) -> Vector { fault.spoil(derivative: base.product(v)) }
    func transposedProduct(_ w: Vector) -> Vector { fault.spoil(derivative: base.transposedProduct(w)) }
    func jacobian(rows: Range<Int>) -> Matrix { fault.spoil(base.jacobian(rows: rows)) }
    func gramian() -> Matrix { fault.spoil(base.gramian()) }
    func kernel() -> Matrix { fault.spoil(base.kernel()) }
}

private struct FaultyFactor: GaussNewtonFactor {
    let base: any GaussNewtonFactor
    let fault: FaultInjector.Kind

    var rowCount: Int { base.rowCount }
    var parameterCount: Int { base.parameterCount }
    func product(_ v: Vector) -> Vector { fault.spoil(derivative: base.product(v)) }
    func transposedProduct(_ w: Vector) -> Vector { fault.spoil(derivative: base.transposedProduct(w)) }
    func jacobian(rows: Range<Int>) -> Matrix { fault.spoil(base.jacobian(rows: rows)) }
    func gramian() -> Matrix { fault.spoil(base.gramian()) }
    func kernel() -> Matrix { fault.spoil(base.kernel()) }
}

private struct FaultyHessian: HessianOperator {
    let base: any HessianOperator
    let fault: FaultInjector.Kind

    var parameterCount: Int { base.parameterCount }
    func product(_ v: Vector) -> Vector { fault.spoil(derivative: base.product(v)) }
}
