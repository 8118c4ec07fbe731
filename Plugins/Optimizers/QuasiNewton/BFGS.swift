import Globalization
import LinearAlgebra
import OptimizationCore

/// BFGS: dense quasi-Newton by the update of Broyden, Fletcher, Goldfarb and Shanno.
///
///     p = −H·∇L,   θ⁺ = θ + αp,   H⁺ = (I − ρsyᵀ)·H·(I − ρysᵀ) + ρssᵀ,   ρ = 1/sᵀy
///
/// s = θ⁺ − θ, y = ∇L(θ⁺) − ∇L(θ), H ∈ ℝᴾˣᴾ from (sᵀy/yᵀy)·I on, set at the first step. The update is one pass over the triangle of H in
/// the span of s and Hy (``BroydenUpdate`` with θ = 0, τ = 1), without P² temporaries.
/// Cost: usually one gradient a step and three passes over P²/2 doubles. A pair enters only if yᵀs > `curvatureTolerance`·‖y‖‖s‖. A failed
/// search tries steepest descent once with H = I; if that fails too, the method breaks down, or is stationary where rounding errors of
/// the loss hide every decrease. A revision keeps H if a Cholesky factorisation still finds it positive definite.
/// Variant: with `damped`, Powell's y in place of y, for searches that do not ensure sᵀy > 0. SciPy's BFGS begins with H = I unscaled.
/// Source: Nocedal & Wright, *Numerical Optimization*, 2nd ed., alg. 6.1 and eq. 6.20.
public struct BFGS: Optimizer, Configurable {
    public var lineSearch: any LineSearch = StrongWolfe()
    public var firstTrial = FirstTrial.unit
    /// Whether a change of the gradient with too little curvature is mended rather than dropped.
    public var damped = false
    /// ε in yᵀs > ε‖y‖‖s‖ for an update.
    public var curvatureTolerance = 1e-12

    public init() {}

    public init(lineSearch: any LineSearch, damped: Bool = false) { (self.lineSearch, self.damped) = (lineSearch, damped) }

    public static let identifier = "bfgs"
    public static let summary = "Dense quasi-Newton, the textbook's; memory quadratic in the parameters."
    public static var fields: [Field<Self>] {
        [
            .lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "how the step length is found"),
            .choice("firstTrial", \.firstTrial, meaning: "the first trial of each search"),
            .flag("damped", \.damped, meaning: "whether pairs of too little curvature are mended by Powell's damping"),
            .number("curvatureTolerance", \.curvatureTolerance, in: .fraction, meaning: "ε in yᵀs > ε‖y‖‖s‖, for an update"),
        ]
    }

    private var method: InverseHessianMethod {
        InverseHessianMethod(
            variant: .bfgs, damped: damped, lineSearch: lineSearch, firstTrial: firstTrial, curvatureTolerance: curvatureTolerance)
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
