import Globalization
import LinearAlgebra
import OptimizationCore

/// Newton–CG: Newton's direction by conjugate gradients, no more accurately than the model deserves (the truncated Newton method).
///
///     ‖∇L + B·p‖ ≤ η·‖∇L‖,   θ⁺ = θ + αp,   B = ∇²L or JᵀJ
///
/// η by Eisenstat and Walker (``ForcingTerm``), α by a line search from 1. Where conjugate gradients meet dᵀBd ≤ 0, d is followed as far as
/// its mirrored curvature proposes, |∇Lᵀd|/|dᵀBd| (`negativeCurvature: direction`), or the last iterate is taken, as in the textbook.
/// Cost: a gradient and some to some tens of products with B a step, one product as dear as two to three gradients; 10 vectors of P. The
/// products grow with √κ of B: on losses whose curvatures lie ten orders apart the iterations allowed run out, and steps become those of a
/// Krylov space. A product that is not finite breaks down; a failed search tries steepest descent, as with ``Descent``. No constant has the
/// loss's scale.
/// Variant: SciPy's Newton-CG has η = min(½, √‖g‖), which depends on the loss's scale, and the last iterate.
/// Sources: Nash, J. Comput. Appl. Math. 124 (2000) 45–59, doi:10.1016/S0377-0427(00)00426-X; Nocedal & Wright, 2nd ed., alg. 7.1;
/// Eisenstat & Walker, doi:10.1137/0917003.
public struct NewtonCG: Optimizer, Configurable {
    public var model = CurvatureModel.hessian
    public var forcing = ForcingTerm()
    public var negativeCurvature = NegativeCurvature.direction
    public var lineSearch: any LineSearch = StrongWolfe()
    /// Inner iterations of one step at most; never more than 2P.
    public var maximumIterations = 250

    public init() {}

    public init(model: CurvatureModel, lineSearch: any LineSearch = StrongWolfe()) { (self.model, self.lineSearch) = (model, lineSearch) }

    public static let identifier = "newton-cg"
    public static let summary = "Newton's direction by truncated conjugate gradients on Hessian products."
    public static var fields: [Field<Self>] {
        [
            .choice("model", \.model, meaning: "the matrix of the quadratic model; gauss-newton where there are residuals or a metric"),
            .part("forcing", \.forcing, meaning: "how accurately the direction is computed"),
            .choice("negativeCurvature", \.negativeCurvature, meaning: "what is followed where the model curves down"),
            .lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "how the step length is found"),
            .integer("maximumIterations", \.maximumIterations, atLeast: 1, meaning: "inner iterations of one step at most"),
        ]
    }

    public func check(_ problem: any TwiceDifferentiableProblem) throws { try model.check(problem) }

    public func start(on problem: any TwiceDifferentiableProblem, from parameters: Parameters) throws -> NewtonState {
        try check(problem)
        return NewtonState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout NewtonState, on problem: any TwiceDifferentiableProblem) throws -> StepReport {
        let here = state.standpoint
        let η = forcing.value(gradientNorm: here.gradient.norm, after: state.forcing)
        let outcome = try NewtonSearch(lineSearch: lineSearch, problem: problem).step(&state) { here in
            let B = try model.operator(at: here.parameters.values, on: problem)
            return direction(B, here, η, on: problem)
        }
        if outcome.moved != nil { state.forcing = outcome.memory(of: η, from: here) }
        return outcome.report
    }

    private func direction(
        _ B: any HessianOperator, _ here: Standpoint, _ η: Double, on problem: any TwiceDifferentiableProblem
    ) -> Result<NewtonDirection, Breakdown> {
        let g = here.gradient
        let inner = TruncatedConjugateGradients(
            g, target: η * g.norm, maximumIterations: Swift.min(maximumIterations, 2 * g.count), product: { B.product($0) })
        var found = NewtonDirection(p: inner.p, residual: inner.r, iterations: inner.iterations)
        var isNegative = false
        switch inner.end {
        case .nonFinite: return .failure(.nonFiniteCurvature(at: here.parameters.values, on: problem))
        case .converged, .exhausted: break
        case .negativeCurvature(let d, let curvature):
            isNegative = true
            // The first direction is −∇L.
            if negativeCurvature == .direction || inner.iterations == 1 {
                (found.p, found.residual) = (here.mirrored(d, curvature: curvature), nil)
            }
        }
        found.details = [
            .init("forcing", η), .init("innerIterations", Double(inner.iterations)), .init("negativeCurvature", isNegative ? 1 : 0),
        ]
        return .success(found)
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 10 * Double(parameters)) }

    /// With twenty inner iterations.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)] + model.cost(products: 20), flops: 200 * Double(parameters))
    }
}
