import Globalization
import LinearAlgebra
import OptimizationCore

/// Newton–MINRES: Newton's direction by the minimum residual, which is at home where the Hessian is indefinite or singular.
///
///     p ≈ argmin ‖∇L + B·p‖ over a Krylov space, to ‖∇L + B·p‖ ≤ η·‖∇L‖,   θ⁺ = θ + αp,   B = ∇²L or JᵀJ
///
/// The first residual r with rᵀBr ≤ 0 shows that B is not positive definite there; r, itself a direction of descent, is followed as far as
/// its mirrored curvature proposes, |∇Lᵀr|/|rᵀBr| (`negativeCurvature: direction`), or the last iterate is taken. Where ∇L lies outside B's
/// range the least-squares solution is, which conjugate gradients do not have.
/// Cost: as ``NewtonCG``, with 12 vectors of P; the residual falls monotonically, so that a step cut short is worth more. A product that is
/// not finite breaks down; a failed search tries steepest descent. No constant has the loss's scale.
/// Variant: a line search on the loss with Eisenstat and Walker's η. Liu and Roosta accept a solution by ‖B·r‖ ≤ η‖B·p‖, and track
/// backwards and forwards along r alone, which a search that expands (`strong-wolfe`) does too.
/// Sources: Liu & Roosta, arXiv:2208.07095 (algorithm) and doi:10.1137/21M143666X; Paige & Saunders, doi:10.1137/0712047.
public struct NewtonMINRES: Optimizer, Configurable {
    public var model = CurvatureModel.hessian
    public var forcing = ForcingTerm()
    public var negativeCurvature = NegativeCurvature.direction
    public var lineSearch: any LineSearch = StrongWolfe()
    /// Inner iterations of one step at most; never more than 2P.
    public var maximumIterations = 250

    public init() {}

    public static let identifier = "newton-minres"
    public static let summary = "Newton's direction by MINRES, for indefinite and singular Hessians."
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
        let inner = MinimumResidual(
            g, target: η * g.norm, maximumIterations: Swift.min(maximumIterations, 2 * g.count), product: { B.product($0) })
        var found = NewtonDirection(p: inner.p, residual: -inner.r, iterations: inner.iterations)
        var isNegative = false
        switch inner.end {
        case .nonFinite: return .failure(.nonFiniteCurvature(at: here.parameters.values, on: problem))
        case .converged, .exhausted: break
        case .leastSquares where inner.iterations > 1: break
        case .leastSquares: found = NewtonDirection(p: here.mirrored(-g, curvature: 0), iterations: inner.iterations)  // B∇L = 0
        case .nonpositiveCurvature(let curvature):
            isNegative = true
            // The first residual is −∇L.
            if negativeCurvature == .direction || inner.iterations == 1 {
                (found.p, found.residual) = (here.mirrored(inner.r, curvature: curvature), nil)
            }
        }
        found.details = [
            .init("forcing", η), .init("innerIterations", Double(inner.iterations)), .init("negativeCurvature", isNegative ? 1 : 0),
        ]
        return .success(found)
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 13 * Double(parameters)) }

    /// With twenty inner iterations.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)] + model.cost(products: 20), flops: 360 * Double(parameters))
    }
}
