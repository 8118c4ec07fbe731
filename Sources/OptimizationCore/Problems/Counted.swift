import LinearAlgebra

/// A problem that counts what is asked of it and offers exactly its base's capabilities.
public struct Counted<Base: Problem>: Problem {
    public let base: Base
    public let counter: WorkCounter
    /// The share of the full problem's samples that the base holds: 1, or less for a batch.
    public let fraction: Double

    public init(_ base: Base, counter: WorkCounter = WorkCounter(), fraction: Double = 1) {
        (self.base, self.counter, self.fraction) = (base, counter, fraction)
    }

    public var name: String { base.name }
    public var identity: Setting { base.identity }
    public var layout: ParameterLayout { base.layout }
    public var version: Int { base.version }
    public var operatorMemory: Int { base.operatorMemory }
    public func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }

    private func count(_ work: Work, calls: Int = 1) { counter.add(work, calls: calls, fraction: fraction) }
}

extension Counted: DifferentiableProblem where Base: DifferentiableProblem {
    public var terms: [String] { base.terms }

    public func loss(at θ: Vector) throws -> LossValue {
        count(.loss)
        return try base.loss(at: θ)
    }

    public func lossAndGradient(at θ: Vector) throws -> Evaluation {
        count(.gradient)
        return try base.lossAndGradient(at: θ)
    }

    public func locateFault(at θ: Vector) -> Fault? { base.locateFault(at: θ) }
}

extension Counted: LeastSquaresProblem where Base: LeastSquaresProblem {
    public var residualCount: Int { base.residualCount }
    public var residualCounts: [Int]? { base.residualCounts }

    public func residual(at θ: Vector) throws -> Vector {
        count(.residual)
        return try base.residual(at: θ)
    }

    public func linearization(at θ: Vector) throws -> any Linearization {
        count(.linearization)
        return CountedLinearization(base: try base.linearization(at: θ), counter: counter, fraction: fraction)
    }
}

extension Counted: GeneralizedGaussNewtonProblem where Base: GeneralizedGaussNewtonProblem {
    public var factorRowCount: Int { base.factorRowCount }

    /// Counts as a linearisation.
    public func gaussNewtonFactor(at θ: Vector) throws -> any GaussNewtonFactor {
        count(.linearization)
        return CountedFactor(base: try base.gaussNewtonFactor(at: θ), counter: counter, fraction: fraction)
    }

    public func plan(of square: JacobianSquare) -> SquarePlan { base.plan(of: square) }
}

extension Counted: GaussNewtonOperatorProblem where Base: GaussNewtonOperatorProblem {
    /// Counts as a linearisation, and a product as one with J and one with Jᵀ.
    public func gaussNewtonOperator(at θ: Vector) throws -> any HessianOperator {
        count(.linearization)
        let counted: [Work] = [.jacobianProduct, .transposedProduct]
        return CountedHessian(base: try base.gaussNewtonOperator(at: θ), counter: counter, fraction: fraction, work: counted)
    }
}

extension Counted: LayeredCurvatureProblem where Base: LayeredCurvatureProblem {
    /// Counts as a linearisation.
    public func layerCurvatures(at θ: Vector) throws -> [LayerCurvature] {
        count(.linearization)
        return try base.layerCurvatures(at: θ)
    }
}

extension Counted: PartiallyLinearProblem where Base: PartiallyLinearProblem {
    public var linearParameters: [Int] { base.linearParameters }
}

extension Counted: TwiceDifferentiableProblem where Base: TwiceDifferentiableProblem {
    public func hessian(at θ: Vector) throws -> any HessianOperator {
        CountedHessian(base: try base.hessian(at: θ), counter: counter, fraction: fraction, work: [.hessianProduct])
    }
}

extension Counted: ResidualCurvatureProblem where Base: ResidualCurvatureProblem {
    public func curvature(at θ: Vector, slopes w: Vector, bends h: Vector) throws -> any HessianOperator {
        CountedHessian(base: try base.curvature(at: θ, slopes: w, bends: h), counter: counter, fraction: fraction, work: [.hessianProduct])
    }
}

extension Counted: SampledProblem where Base: SampledProblem {
    public var sampleSets: [SampleSet] { base.sampleSets }

    public func restricted(to batch: Batch) throws -> Counted<Base> {
        let total = base.sampleSets.reduce(0) { $0 + $1.count }
        let taken = batch.indices.reduce(0) { $0 + $1.count }
        let share = total == 0 ? 1 : Double(taken) / Double(total)
        return Counted(try base.restricted(to: batch), counter: counter, fraction: fraction * share)
    }
}

extension Counted: FactoredGradientProblem where Base: FactoredGradientProblem {
    public var factorCount: Int { base.factorCount }

    /// Counts as a gradient; what the factors are multiplied by then does not.
    public func lossAndFactors(at θ: Vector) throws -> FactoredEvaluation {
        count(.gradient)
        return try base.lossAndFactors(at: θ)
    }

    public func gradient(ofFactors factors: Matrix) -> Vector { base.gradient(ofFactors: factors) }
    public func gradient(ofFactors factors: Matrix, minus others: Matrix) -> Vector { base.gradient(ofFactors: factors, minus: others) }
}

extension Counted: TermwiseProblem where Base: TermwiseProblem {
    /// A term's evaluations count as those of the whole problem.
    public func restricted(toTerm index: Int) throws -> Counted<Base> {
        Counted(try base.restricted(toTerm: index), counter: counter, fraction: fraction)
    }
}

extension Counted: RevisableProblem where Base: RevisableProblem {
    public func revised(by revision: any Revision) throws -> Counted<Base> {
        Counted(try base.revised(by: revision), counter: counter, fraction: fraction)
    }

    public func encodeRevisions(into archive: inout Archive) { base.encodeRevisions(into: &archive) }

    public func restoringRevisions(from archive: Archive) throws -> Counted<Base> {
        Counted(try base.restoringRevisions(from: archive), counter: counter, fraction: fraction)
    }
}

extension Counted: MonitoredProblem where Base: MonitoredProblem {
    public func monitorLoss(at θ: Vector) throws -> Double? { try base.monitorLoss(at: θ) }
}

extension Counted: ReferencedProblem where Base: ReferencedProblem {
    public func referenceError(at θ: Vector) throws -> Double? { try base.referenceError(at: θ) }
}

// MARK: Counted operators

private struct CountedFactor: GaussNewtonFactor {
    let base: any GaussNewtonFactor
    let counter: WorkCounter
    let fraction: Double

    var rowCount: Int { base.rowCount }
    var parameterCount: Int { base.parameterCount }

    func product(_ v: Vector) -> Vector {
        counter.add(.jacobianProduct, fraction: fraction)
        return base.product(v)
    }

    func transposedProduct(_ w: Vector) -> Vector {
        counter.add(.transposedProduct, fraction: fraction)
        return base.transposedProduct(w)
    }

    func jacobian(rows: Range<Int>) -> Matrix {
        counter.add(.jacobianRow, calls: rows.count)
        return base.jacobian(rows: rows)
    }

    func gramian() -> Matrix {
        counter.add(.jacobianRow, calls: rowCount)
        return base.gramian()
    }

    func kernel() -> Matrix {
        counter.add(.jacobianRow, calls: rowCount)
        return base.kernel()
    }
}

private struct CountedLinearization: Linearization {
    private let base: any Linearization
    private let factor: CountedFactor

    init(base: any Linearization, counter: WorkCounter, fraction: Double) {
        (self.base, factor) = (base, CountedFactor(base: base, counter: counter, fraction: fraction))
    }

    var residualCount: Int { base.residualCount }
    var parameterCount: Int { base.parameterCount }
    var residual: Vector { base.residual }
    func product(_ v: Vector) -> Vector { factor.product(v) }
    func transposedProduct(_ w: Vector) -> Vector { factor.transposedProduct(w) }
    func jacobian(rows: Range<Int>) -> Matrix { factor.jacobian(rows: rows) }
    func gramian() -> Matrix { factor.gramian() }
    func kernel() -> Matrix { factor.kernel() }
}

private struct CountedHessian: HessianOperator {
    let base: any HessianOperator
    let counter: WorkCounter
    let fraction: Double
    /// What a product counts as.
    let work: [Work]

    var parameterCount: Int { base.parameterCount }

    func product(_ v: Vector) -> Vector {
        for work in work { counter.add(work, fraction: fraction) }
        return base.product(v)
    }
}
