import Globalization
import LinearAlgebra
import OptimizationCore

/// Self-scaled Broyden: a dense quasi-Newton method that rescales its matrix before every update.
///
/// p = −H·∇L, θ⁺ = θ + αp by strong Wolfe, and H ∈ ℝᴾˣᴾ updated by ``BroydenUpdate`` with b = −α·sᵀ∇L/sᵀy (α the *accepted* step
/// length: B·s = −α∇L). Before its first update H = I is rescaled to (sᵀy/yᵀy)·I, and b with it.
/// Cost: usually one gradient a step and three passes over P²/2 doubles. A failed search tries steepest descent once with H = I;
/// if that fails too, the method breaks down, or is stationary where rounding errors of the loss hide every decrease.
/// On a revised problem loss and gradient are evaluated anew, no pair crosses versions, and H is kept if a Cholesky
/// factorisation still finds it positive definite (it is symmetric by construction), else reset.
/// Variants: SSBroyden2 of Al-Baali, Spedicato and Maggioni by default, the others (and BFGS) by `variant`.
/// Sources: Urbán, Stefanou & Pons, J. Comput. Phys. 523 (2025) 113656, arXiv:2405.04230; Al-Baali & Spedicato,
/// doi:10.1080/10556780008805760 and the papers cited there.
public struct SelfScaledBroyden: Optimizer, Configurable {
    public var variant = BroydenVariant.selfScaledBroyden2
    public var lineSearch: any LineSearch = StrongWolfe()
    public var firstTrial = FirstTrial.lastDecrease
    /// ε in yᵀs > ε‖y‖‖s‖ for an update. The cosine between s and y is at least 2/√κ on a quadratic of condition κ.
    public var curvatureTolerance = 1e-12

    public init() {}

    public init(_ variant: BroydenVariant, lineSearch: any LineSearch = StrongWolfe()) {
        (self.variant, self.lineSearch) = (variant, lineSearch)
    }

    public static let identifier = "self-scaled-broyden"
    public static let summary = "Dense quasi-Newton that rescales its matrix at every update; memory quadratic in the parameters."
    public static var fields: [Field<Self>] {
        [
            .choice("variant", \.variant, meaning: "the member of the family"),
            .lineSearch("lineSearch", \.lineSearch, meaning: "how the step length is found"),
            .choice("firstTrial", \.firstTrial, meaning: "the first trial of each search"),
            .number("curvatureTolerance", \.curvatureTolerance, in: .fraction, meaning: "ε in yᵀs > ε‖y‖‖s‖, for an update"),
        ]
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> SelfScaledBroydenState {
        SelfScaledBroydenState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout SelfScaledBroydenState, on problem: any DifferentiableProblem) throws -> StepReport {
        let here = state.standpoint
        let direction = state.isFresh || !here.isFinite ? nil : -state.inverseHessian.times(here.gradient)
        let descent = Descent(lineSearch: lineSearch, firstTrial: firstTrial, problem: problem)
        switch try descent.advance(from: here, along: direction, previous: state.previousLoss) {
        case .ended(let verdict, let floor):
            return StepReport(loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, floor: floor)
        case .moved(let there, let s, let α, let trials, let restarted):
            if restarted { state.reset() }
            let update = state.update(s, there.gradient - here.gradient, stepLength: α, slope: s.dot(here.gradient), settings: self)
            (state.previousLoss, state.standpoint) = (here.loss.total, there)
            return StepReport(
                loss: there.loss, gradientNorm: there.gradient.norm, stepLength: α,
                details: [
                    .init("trials", Double(trials)), .init("selfScaling", update?.τ ?? 1), .init("familyParameter", update?.θ ?? 0),
                    .init("updated", update == nil ? 0 : 1),
                ])
        }
    }

    public func adapt(_ state: inout SelfScaledBroydenState, to problem: any DifferentiableProblem) throws {
        let parameters = state.parameters
        state.previousLoss = nil
        state.standpoint = Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values))
        if case .failure = state.inverseHessian.choleskyFactorization() { state.reset() }
    }

    /// H, a full copy for the Cholesky test and its factor, and a few vectors.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let p = Double(parameters)
        return bytes(ofNumbers: p * (p + 1) / 2 + 2 * p * p + 8 * p)
    }

    /// H·∇L and H·y at 2P² each, and the update of a triangle, 3P².
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 7 * Double(parameters) * Double(parameters))
    }
}

/// Where the method stands and its H.
public struct SelfScaledBroydenState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// The loss before the last step; nil before the first and after a revision.
    public internal(set) var previousLoss: Double?
    /// H ∈ ℝᴾˣᴾ, an approximation of (∇²L)⁻¹.
    public internal(set) var inverseHessian: SymmetricMatrix
    /// Whether H is still the identity, to be rescaled by the first pair.
    public internal(set) var isFresh = true

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) {
        (self.standpoint, inverseHessian) = (standpoint, .identity(standpoint.parameters.count))
    }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("previousLoss", previousLoss.map { [$0] } ?? [])
        archive.set("inverseHessian", inverseHessian.packed)
        archive.set("isFresh", isFresh)
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        previousLoss = try archive.doubles("previousLoss").first
        let order = standpoint.parameters.count
        guard let matrix = SymmetricMatrix(order: order, packed: try archive.doubles("inverseHessian")) else {
            throw ArchiveError(entry: "inverseHessian", reason: "is not the packed triangle of a matrix of order \(order)")
        }
        inverseHessian = matrix
        isFresh = try archive.bool("isFresh")
    }

    mutating func reset() {
        inverseHessian = .identity(standpoint.parameters.count)
        isFresh = true
    }

    /// Takes the pair (s, y) into H, or returns nil where it carries no curvature. `slope` = sᵀ∇L at the step's start.
    mutating func update(
        _ s: Vector, _ y: Vector, stepLength α: Double, slope: Double, settings: SelfScaledBroyden
    ) -> BroydenUpdate? {
        guard hasCurvature(s, y, tolerance: settings.curvatureTolerance) else { return nil }
        let ρ = 1 / s.dot(y)
        var b = -α * ρ * slope
        if isFresh {
            let scale = 1 / (ρ * y.dot(y))
            inverseHessian.scale(by: scale)
            b /= scale
        }
        let q = inverseHessian.times(y)
        let update = BroydenUpdate(settings.variant, b: b, w: y.dot(q), ρ: ρ, order: s.count)
        guard update.isUsable else {
            reset()
            return nil
        }
        update.apply(to: &inverseHessian, s: s, q: q)
        isFresh = false
        return update
    }
}
