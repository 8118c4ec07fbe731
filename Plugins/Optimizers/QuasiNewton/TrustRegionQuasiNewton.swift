import Globalization
import LinearAlgebra
import OptimizationCore

/// Quasi-Newton within a trust region on a dense matrix: symmetric rank one, Powell's symmetric Broyden, or damped BFGS.
///
///     p ≈ argmin gᵀp + ½pᵀBp over ‖p‖ ≤ Δ,   ρ = (L(θ) − L(θ + p))/(−gᵀp − ½pᵀBp),   θ⁺ = θ + p where ρ > acceptance
///
/// B ∈ ℝᴾˣᴾ approximates ∇²L and need not be positive definite: where the loss curves down, the model does too, which a line search along −B⁻¹g
/// could not use. B learns from rejected steps as from others. It begins with ‖g‖/Δ₀·I, Δ₀ the length of the first step of ``Descent``, and
/// is rescaled to (yᵀy/sᵀy)·I by the first pair that has curvature. The subproblem is solved by Steihaug and Toint's truncated conjugate
/// gradients (``SteihaugToint``) to the relative residual `forcing`; at the boundary that is not the exact minimiser.
/// Cost: a gradient a step, 2P² flops an inner iteration (P at most twice), 5P² for Bs and the update of P²/2 doubles in one pass.
/// A trial that is not finite shrinks the radius and is tried again; where no radius gives one, the method breaks down. It is stationary
/// where the loss's rounding hides every decrease. A revision keeps B and Δ.
/// Variants: `trust-region` with `model: quasi-newton` takes the same step (``SecantTrustRegion``) with other solvers of the subproblem, and
/// limited memories.
/// Source: Conn, Gould & Toint, Math. Prog. 50 (1991) 177–195, doi:10.1007/BF01594934; Nocedal & Wright, 2nd ed., alg. 6.2 and 7.2.
public struct TrustRegionQuasiNewton: Optimizer, Configurable {
    public var update = HessianUpdate.symmetricRankOne
    public var radius = TrustRadius()
    /// The inner iteration ends where ‖g + Bp‖ ≤ forcing·‖g‖.
    public var forcing = 1e-3

    public init() {}

    public init(_ update: HessianUpdate) { self.update = update }

    public static let identifier = "trust-region-quasi-newton"
    public static let summary = "Symmetric rank one, PSB or damped BFGS in a trust region: dense, and at ease where the loss curves down."
    public static var fields: [Field<Self>] {
        [
            .choice("update", \.update, meaning: "how the Hessian's approximation learns"),
            .part("radius", \.radius, meaning: "how the radius follows the gain ratio"),
            .number("forcing", \.forcing, in: .openUnit, meaning: "the relative residual at which the inner iteration ends"),
        ]
    }

    private var method: SecantTrustRegion {
        SecantTrustRegion(SecantModel(update), radius: radius) { [forcing] g, B in
            SteihaugToint(g, forcing: forcing, maximumIterations: 2 * g.count, keepingPath: false) { B.times($0) }
        }
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> TrustRegionQuasiNewtonState {
        TrustRegionQuasiNewtonState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout TrustRegionQuasiNewtonState, on problem: any DifferentiableProblem) throws -> StepReport {
        try method.step(&state.standpoint, &state.memory, on: problem)
    }

    /// Loss and gradient are evaluated anew; B and the radius are kept.
    public func adapt(_ state: inout TrustRegionQuasiNewtonState, to problem: any DifferentiableProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
        state.memory.adapt()
    }

    /// A tenth of the radius.
    public func shortenSteps(_ state: inout TrustRegionQuasiNewtonState) -> Bool { method.shorten(&state.memory, at: state.standpoint) }

    /// B and a few vectors.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let p = Double(parameters)
        return bytes(ofNumbers: p * (p + 1) / 2 + 10 * p)
    }

    /// With an inner iteration for every tenth parameter, as far from the solution.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let p = Double(parameters)
        return StepCost([.init(.gradient, 1)], flops: 2 * p * p * Swift.max(1, p / 10) + 5 * p * p)
    }
}

/// Where the method stands, and what it has learnt.
public struct TrustRegionQuasiNewtonState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    public internal(set) var memory = SecantMemory()

    public static var formatVersion: Int { 2 }

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("memory", memory)
    }

    public init(from archive: Archive) throws { (standpoint, memory) = (try archive.value("standpoint"), try archive.value("memory")) }
}
