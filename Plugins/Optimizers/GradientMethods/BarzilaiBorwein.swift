import Globalization
import LinearAlgebra
import OptimizationCore

/// How long a step of Barzilai and Borwein is.
public enum SpectralStep: String, CaseIterable, Sendable, Hashable {
    /// sᵀs/sᵀy.
    case long = "long"
    /// sᵀy/yᵀy.
    case short = "short"
    /// The short one where it is below 0.15 of the long one, else the long one (Zhou, Gao & Dai's adaptive rule).
    case adaptive = "adaptive"
}

/// Barzilai and Borwein's method: steepest descent whose step lengths carry the curvature of the last step.
///
///     θ⁺ = θ − α·∇L(θ),   α = sᵀs/sᵀy or sᵀy/yᵀy,   s = θ − θ₋, y = ∇L(θ) − ∇L(θ₋)
///
/// 1/α is a Rayleigh quotient of the mean Hessian over the last step: the steps run through its spectrum, the loss goes up and down on the
/// way, and a search that asks for decrease at every step would make it steepest descent again; so the search looks back
/// (``NonmonotoneArmijo``). Where sᵀy ≤ 0 the last step length is doubled. Free of scale. θ ∈ ℝᴾ.
/// Cost: usually one loss and one gradient a step, a few P of memory. It breaks down where no search finds a step. A revision begins anew.
/// Variant: adaptive choice of the two lengths by default.
/// Sources: Barzilai & Borwein, IMA J. Numer. Anal. 8 (1988) 141–148, doi:10.1093/imanum/8.1.141; Raydan, SIAM J. Optim. 7 (1997) 26–33,
/// doi:10.1137/S1052623494266365; Zhou, Gao & Dai, Comput. Optim. Appl. 35 (2006) 69–86, doi:10.1007/s10589-006-6446-0.
public struct BarzilaiBorwein: Optimizer, Configurable {
    public var length = SpectralStep.adaptive
    public var lineSearch: any LineSearch = NonmonotoneArmijo(.recentMaximum)

    public init() {}

    public init(_ length: SpectralStep) { self.length = length }

    public static let identifier = "barzilai-borwein"
    public static let summary = "Steepest descent by spectral step lengths, without decrease at every step."
    public static var fields: [Field<Self>] {
        [
            .choice("length", \.length, meaning: "which of the two step lengths"),
            .lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "what a step must pass"),
        ]
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> BarzilaiBorweinState {
        let here = Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values))
        return BarzilaiBorweinState(base: GradientDescentState(standpoint: here))
    }

    public func step(_ state: inout BarzilaiBorweinState, on problem: any DifferentiableProblem) throws -> StepReport {
        let here = state.base.standpoint
        var next = state.stepLength
        let report = try state.base.advance(along: -here.gradient, lineSearch, on: problem, natural: state.stepLength) { step in
            next = self.next(step.displacement, step.standpoint.gradient - here.gradient, last: step.stepLength)
        }
        state.stepLength = next
        return report
    }

    /// The step length that a pair proposes.
    private func next(_ s: Vector, _ y: Vector, last: Double) -> Double {
        guard hasCurvature(s, y, tolerance: 0) else { return 2 * last }
        let product = s.dot(y)
        let (long, short) = (s.dot(s) / product, product / y.dot(y))
        switch length {
        case .long: return long
        case .short: return short
        case .adaptive: return short < 0.15 * long ? short : long
        }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 6 * Double(parameters)) }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.loss, 1), .init(.gradient, 1)], flops: 12 * Double(parameters))
    }
}

/// Where Barzilai and Borwein's method stands, and its next step length.
public struct BarzilaiBorweinState: OptimizerState, Equatable {
    public var base: GradientDescentState
    /// α; nil before the first step.
    public internal(set) var stepLength: Double?

    public var parameters: Parameters { base.parameters }

    public init(base: GradientDescentState) { self.base = base }

    public func encode(into archive: inout Archive) {
        archive.set("base", base)
        archive.set("stepLength", stepLength.map { [$0] } ?? [])
    }

    public init(from archive: Archive) throws {
        base = try archive.value("base")
        stepLength = try archive.doubles("stepLength").first
    }
}
