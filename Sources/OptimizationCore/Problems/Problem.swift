import LinearAlgebra

/// An objective over parameters θ ∈ ℝᴾ, with its samples, weights and reference answer. It holds no algorithm.
///
/// What an optimizer may ask of a problem is said by the capability protocols that refine this one. A problem is an
/// immutable value: what changes its samples or weights makes a new value with a higher ``version``.
public protocol Problem: Sendable {
    /// What the problem is called in reports and run files.
    var name: String { get }

    /// Everything that decides the objective besides θ and the revisions, as settings: part of a run's identity.
    var identity: Setting { get }

    var layout: ParameterLayout { get }

    /// Rises with every revision. Values of the objective at different versions must not be compared.
    var version: Int { get }

    /// Bytes that an operator of derivatives at one θ (J or H) keeps from its second product on, beside θ: told by the preflight.
    var operatorMemory: Int { get }

    /// Where a run starts, drawn from `random` (or fixed, if the problem prescribes its start).
    func initialParameters(from random: inout RandomStream) -> Parameters
}

extension Problem {
    public var version: Int { 0 }
    public var operatorMemory: Int { 0 }
}

/// A parameterised function u_θ: its parameter layout and its initialisation. It has no loss and no data.
public protocol Model: Sendable {
    var layout: ParameterLayout { get }
    func initialParameters(from random: inout RandomStream) -> Parameters
}

// MARK: Values

/// The loss L(θ) and its terms: `total` = Σ `terms`, in the order of ``DifferentiableProblem/terms``.
public struct LossValue: Sendable, Hashable {
    public var total: Double
    public var terms: [Double]

    public init(total: Double, terms: [Double]) { (self.total, self.terms) = (total, terms) }

    /// A loss of one term.
    public init(_ value: Double) { self.init(total: value, terms: [value]) }

    public var isFinite: Bool { total.isFinite }
}

/// The loss and its gradient ∇L ∈ ℝᴾ at one θ.
public struct Evaluation: Sendable, Hashable {
    public var loss: LossValue
    public var gradient: Vector

    public init(loss: LossValue, gradient: Vector) { (self.loss, self.gradient) = (loss, gradient) }

    public var isFinite: Bool { loss.isFinite && gradient.isFinite }
}

/// Where a value of the objective is not finite.
public struct Fault: Sendable, Hashable, CustomStringConvertible {
    public var term: String
    /// The sample, as its problem names it: a point's coordinates, a function's index.
    public var sample: String

    public init(term: String, sample: String) { (self.term, self.sample) = (term, sample) }

    public var description: String { "term “\(term)” at \(sample)" }
}

// MARK: Capabilities

/// Offers the loss, per term, and its gradient in one pass.
public protocol DifferentiableProblem: Problem {
    /// The names of the loss's terms.
    var terms: [String] { get }

    func loss(at θ: Vector) throws -> LossValue

    func lossAndGradient(at θ: Vector) throws -> Evaluation

    /// The first term and sample whose value at θ is not finite, if there is one. Asked only after a breakdown.
    func locateFault(at θ: Vector) -> Fault?
}

extension DifferentiableProblem {
    public var terms: [String] { ["loss"] }
    public func locateFault(at θ: Vector) -> Fault? { nil }
}

/// Offers the generalised Gauss–Newton matrix G(θ) = AᵀA ∈ ℝᴾˣᴾ of its loss, which is positive semidefinite where the Hessian need not be.
///
/// For L = Σ_q w_q e(F_q(θ)) with an e that is convex in its fields F, G = Σ_q w_q (∂F_q/∂θ)ᵀ ∂²e (∂F_q/∂θ): the Hessian without the curvature
/// of the fields. For a variational energy it is the metric of the energy in the tangent space of the model; for L = ½‖r‖² it is JᵀJ.
/// Sources: Schraudolph, Neural Computation 14 (2002) 1723, doi:10.1162/08997660260028683; Müller & Zeinhofer, arXiv:2302.13163.
public protocol GeneralizedGaussNewtonProblem: DifferentiableProblem {
    /// M, the rows of A.
    var factorRowCount: Int { get }

    /// The products with A ∈ ℝᴹˣᴾ at θ.
    func gaussNewtonFactor(at θ: Vector) throws -> any GaussNewtonFactor

    /// How ``GaussNewtonFactor/gramian()`` or ``GaussNewtonFactor/kernel()`` is formed, and what it takes.
    func plan(of square: JacobianSquare) -> SquarePlan
}

extension GeneralizedGaussNewtonProblem {
    public func plan(of square: JacobianSquare) -> SquarePlan {
        .fromJacobian(square, residuals: factorRowCount, parameters: layout.count)
    }
}

/// Offers the weighted residual r(θ) ∈ ℝᴺ with L = ½‖r‖².
///
/// Its generalised Gauss–Newton matrix is JᵀJ. A conditional conformance has to name ``GeneralizedGaussNewtonProblem`` too.
public protocol LeastSquaresProblem: GeneralizedGaussNewtonProblem {
    /// N, the number of residuals.
    var residualCount: Int { get }

    func residual(at θ: Vector) throws -> Vector

    /// The products with J = ∂r/∂θ ∈ ℝᴺˣᴾ at θ.
    func linearization(at θ: Vector) throws -> any Linearization

    /// How many entries of r each of the ``DifferentiableProblem/terms`` has, where they follow each other in r; `nil` where the problem does not
    /// say, as by default one of several terms.
    var residualCounts: [Int]? { get }
}

extension LeastSquaresProblem {
    public var factorRowCount: Int { residualCount }

    public func gaussNewtonFactor(at θ: Vector) throws -> any GaussNewtonFactor { try linearization(at: θ) }

    public var residualCounts: [Int]? { terms.count == 1 ? [residualCount] : nil }
}

/// Says which parameters enter its residual linearly: with θ = (α, c), r = r₀(α) + Φ(α)c.
///
/// A network's last layer, where the equation is linear; the amplitudes of a sum of exponentials. Methods may then solve for c
/// (variable projection) and move α alone.
public protocol PartiallyLinearProblem: LeastSquaresProblem {
    /// The numbers in θ of the parameters c, ascending: ∂r/∂c depends on α alone. Empty where none enters linearly.
    var linearParameters: [Int] { get }
}

/// A factor J ∈ ℝᴹˣᴾ of the (generalised) Gauss–Newton matrix G = JᵀJ at one θ.
public protocol GaussNewtonFactor: Sendable {
    /// M, the rows of J.
    var rowCount: Int { get }
    /// P, the columns of J.
    var parameterCount: Int { get }

    /// J·v ∈ ℝᴹ.
    func product(_ v: Vector) -> Vector
    /// Jᵀ·w ∈ ℝᴾ.
    func transposedProduct(_ w: Vector) -> Vector
    /// Rows of J as a dense matrix of `rows.count` × P.
    func jacobian(rows: Range<Int>) -> Matrix
    /// G = JᵀJ ∈ ℝᴾˣᴾ, both triangles filled.
    func gramian() -> Matrix
    /// K = JJᵀ ∈ ℝᴹˣᴹ, both triangles filled.
    func kernel() -> Matrix
}

/// The residual's first-order model at one θ: r + J·s.
public protocol Linearization: GaussNewtonFactor {
    /// N, the rows of J.
    var residualCount: Int { get }
    /// r(θ).
    var residual: Vector { get }
}

extension Linearization {
    public var rowCount: Int { residualCount }
}

extension GaussNewtonFactor {
    /// The whole of J.
    public func jacobian() -> Matrix { jacobian(rows: 0..<rowCount) }

    public func gramian() -> Matrix { jacobian().gram }

    public func kernel() -> Matrix { jacobian().outerGram }
}

/// Offers products with the exact Hessian of the loss.
public protocol TwiceDifferentiableProblem: DifferentiableProblem {
    func hessian(at θ: Vector) throws -> any HessianOperator
}

/// Offers products with a Gauss–Newton matrix that is no square AᵀA and may be indefinite, as that of a transformed sum of squares
/// (``Transformed``).
public protocol GaussNewtonOperatorProblem: DifferentiableProblem {
    func gaussNewtonOperator(at θ: Vector) throws -> any HessianOperator
}

/// Offers products with the exact Hessian of any separable function Σφᵢ(rᵢ) of its residuals, of which L = ½Σrᵢ² is one.
public protocol ResidualCurvatureProblem: LeastSquaresProblem, TwiceDifferentiableProblem {
    /// Jᵀ·diag(h)·J + Σᵢ wᵢ∇²rᵢ at θ, with wᵢ = φᵢ′(rᵢ) and hᵢ = φᵢ″(rᵢ).
    func curvature(at θ: Vector, slopes w: Vector, bends h: Vector) throws -> any HessianOperator
}

/// The Hessian ∇²L(θ) ∈ ℝᴾˣᴾ at one θ, as a linear map.
public protocol HessianOperator: Sendable {
    var parameterCount: Int { get }
    /// ∇²L·v.
    func product(_ v: Vector) -> Vector
}

/// Offers views of itself on parts of its samples, with the same capabilities.
public protocol SampledProblem: Problem {
    /// The sample sets and their sizes: the points of each loss term, the functions of a data set.
    var sampleSets: [SampleSet] { get }

    /// The objective on the samples of `batch`, each term's weight divided by the batch's size instead of the set's.
    /// Throws where the batch does not fit.
    func restricted(to batch: Batch) throws -> Self
}

public struct SampleSet: Sendable, Hashable {
    public var name: String
    public var count: Int

    public init(name: String, count: Int) { (self.name, self.count) = (name, count) }
}

/// Offers each term of its loss as a problem of its own.
public protocol TermwiseProblem: DifferentiableProblem {
    /// The objective Lₖ of the term `terms[index]` alone, at its weight and of the same parameters, with the capabilities of the whole.
    func restricted(toTerm index: Int) throws -> Self
}

/// The indices of the samples taken from each sample set.
public struct Batch: Sendable, Hashable {
    public var indices: [[Int]]

    public init(_ indices: [[Int]]) { self.indices = indices }
}

/// Offers new values of itself with other samples, weights or multipliers.
public protocol RevisableProblem: Problem {
    /// The problem after a revision, its ``Problem/version`` one higher. Throws where the revision does not fit.
    func revised(by revision: any Revision) throws -> Self

    /// Stores what all revisions so far have made of the problem, version included.
    func encodeRevisions(into archive: inout Archive)

    /// The unrevised problem `self` brought to a stored state of revision.
    func restoringRevisions(from archive: Archive) throws -> Self
}

/// A change of a problem's samples, weights or multipliers, made by a callback.
public protocol Revision: Sendable {
    /// What is changed and why, for the trajectory.
    var summary: String { get }
}

/// Offers a loss on samples that training does not see; `nil` where such samples were not set aside.
public protocol MonitoredProblem: Problem {
    func monitorLoss(at θ: Vector) throws -> Double?
}

/// Offers the distance to a known answer: for a PDE, the relative error ‖u_θ − u‖₂ / ‖u‖₂ on a test grid.
/// `nil` where the answer is not known.
public protocol ReferencedProblem: Problem {
    func referenceError(at θ: Vector) throws -> Double?
}
