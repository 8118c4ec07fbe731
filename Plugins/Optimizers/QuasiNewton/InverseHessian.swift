import Globalization
import LinearAlgebra
import OptimizationCore

/// Where a dense quasi-Newton method stands and its H.
public struct InverseHessianState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// Of this version of the problem.
    public internal(set) var history = SearchHistory()
    /// H ∈ ℝᴾˣᴾ, an approximation of (∇²L)⁻¹.
    public internal(set) var inverseHessian: SymmetricMatrix
    /// Whether H is still the identity, to be rescaled by the first pair.
    public internal(set) var isFresh = true
    /// Whether a revision of the problem has cost H its definiteness, until a step reports that.
    public internal(set) var isResetByRevision = false

    public static var formatVersion: Int { 2 }

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) {
        (self.standpoint, inverseHessian) = (standpoint, .identity(standpoint.parameters.count))
    }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("history", history)
        archive.set("inverseHessian", inverseHessian.packed)
        archive.set("isFresh", isFresh)
        if isResetByRevision { archive.set("isResetByRevision", true) }
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        history = try archive.value("history")
        let order = standpoint.parameters.count
        guard let matrix = SymmetricMatrix(order: order, packed: try archive.doubles("inverseHessian")) else {
            throw ArchiveError(entry: "inverseHessian", reason: "is not the packed triangle of a matrix of order \(order)")
        }
        inverseHessian = matrix
        isFresh = try archive.bool("isFresh")
        isResetByRevision = archive["isResetByRevision"] == nil ? false : try archive.bool("isResetByRevision")
    }

    mutating func reset() {
        inverseHessian = .identity(standpoint.parameters.count)
        isFresh = true
    }
}

/// What the dense methods have in common: a line search along −H·∇L and an update of H within Broyden's family.
struct InverseHessianMethod {
    let variant: BroydenVariant
    let damped: Bool
    let lineSearch: any LineSearch
    let firstTrial: FirstTrial
    let curvatureTolerance: Double

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> InverseHessianState {
        InverseHessianState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    func step(_ state: inout InverseHessianState, on problem: any DifferentiableProblem) throws -> StepReport {
        var report = try unannouncedStep(&state, on: problem)
        if state.isResetByRevision, report.verdict == .accepted {
            report.recoveries.insert("H was not positive definite after a revision: begun anew", at: 0)
            state.isResetByRevision = false
        }
        return report
    }

    private func unannouncedStep(_ state: inout InverseHessianState, on problem: any DifferentiableProblem) throws -> StepReport {
        let (here, history) = (state.standpoint, state.history)
        let direction = state.isFresh || !here.isFinite ? nil : -state.inverseHessian.times(here.gradient)
        let end = try Descent(lineSearch, on: problem).advance(from: here, along: direction, history: history) { slope in
            firstTrial.step(slope: slope, loss: here.loss.total, history: history)
        }
        switch end {
        case .ended(let verdict, let floor):
            return StepReport(loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, floor: floor)
        case .moved(let step):
            if step.fellBack { state.reset() }
            let (there, s) = (step.standpoint, step.displacement)
            var y = there.gradient - here.gradient
            if damped, !state.isFresh { y = Globalization.damped(y, along: s, image: -step.stepLength * here.gradient) }
            var recoveries = step.recoveries("H begun anew")
            let update = self.update(&state, s, y, stepLength: step.stepLength, slope: s.dot(here.gradient), &recoveries)
            (state.history, state.standpoint) = (step.history, there)
            return StepReport(
                loss: there.loss, gradientNorm: there.gradient.norm, stepLength: step.stepLength,
                details: [
                    .init("trials", Double(step.trials)), .init("selfScaling", update?.τ ?? 1), .init("familyParameter", update?.θ ?? 0),
                    .init("updated", update == nil ? 0 : 1),
                ], recoveries: recoveries)
        }
    }

    /// Takes the pair (s, y) into H, or returns nil where it carries no curvature. `slope` = sᵀ∇L at the step's start.
    private func update(
        _ state: inout InverseHessianState, _ s: Vector, _ y: Vector, stepLength α: Double, slope: Double, _ recoveries: inout [String]
    ) -> BroydenUpdate? {
        guard hasCurvature(s, y, tolerance: curvatureTolerance) else { return nil }
        let ρ = 1 / s.dot(y)
        var b = -α * ρ * slope
        if state.isFresh {
            let scale = 1 / (ρ * y.dot(y))
            state.inverseHessian.scale(by: scale)
            b /= scale
        }
        let q = state.inverseHessian.times(y)
        let update = BroydenUpdate(variant, b: b, w: y.dot(q), ρ: ρ, order: s.count)
        guard update.isUsable else {
            state.reset()
            recoveries.append("the pair has no usable update of H: begun anew")
            return nil
        }
        update.apply(to: &state.inverseHessian, s: s, q: q)
        state.isFresh = false
        return update
    }

    /// Loss and gradient are evaluated anew; H is kept if it is still positive definite.
    func adapt(_ state: inout InverseHessianState, to problem: any DifferentiableProblem) throws {
        let parameters = state.parameters
        state.history = SearchHistory()
        state.standpoint = Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values))
        if case .failure = state.inverseHessian.choleskyFactorization() {
            state.reset()
            state.isResetByRevision = true
        }
    }

    /// H, a full copy for the Cholesky test and its factor, and a few vectors.
    static func workingMemory(parameters: Int) -> Int? {
        let p = Double(parameters)
        return bytes(ofNumbers: p * (p + 1) / 2 + 2 * p * p + 8 * p)
    }

    /// H·∇L and H·y at 2P² each, and the update of a triangle, 3P².
    static func stepCost(parameters: Int) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 7 * Double(parameters) * Double(parameters))
    }
}
