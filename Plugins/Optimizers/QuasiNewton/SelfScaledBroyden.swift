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
/// Variants: SSBroyden2 of Al-Baali, Spedicato and Maggioni by default, the others (BFGS and DFP without scaling too) by `variant`.
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
            .lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "how the step length is found"),
            .choice("firstTrial", \.firstTrial, meaning: "the first trial of each search"),
            .number("curvatureTolerance", \.curvatureTolerance, in: .fraction, meaning: "ε in yᵀs > ε‖y‖‖s‖, for an update"),
        ]
    }

    private var method: InverseHessianMethod {
        InverseHessianMethod(
            variant: variant, damped: false, lineSearch: lineSearch, firstTrial: firstTrial, curvatureTolerance: curvatureTolerance)
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> InverseHessianState {
        try method.start(on: problem, from: parameters)
    }

    public func step(_ state: inout InverseHessianState, on problem: any DifferentiableProblem) throws -> StepReport {
        try method.step(&state, on: problem)
    }

    public func adapt(_ state: inout InverseHessianState, to problem: any DifferentiableProblem) throws {
        try method.adapt(&state, to: problem)
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { InverseHessianMethod.workingMemory(parameters: parameters) }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? { InverseHessianMethod.stepCost(parameters: parameters) }
}
