import Globalization
import LinearAlgebra
import OptimizationCore

/// Gauss–Newton by the truncated singular value decomposition of the Jacobian itself.
///
/// With r = r(θ) ∈ ℝᴺ and J = ∂r/∂θ = UΣVᵀ ∈ ℝᴺˣᴾ,
///
///     d = −Σ_{σᵢ > rcond·σ₁} vᵢ (uᵢᵀr)/σᵢ        θ⁺ = θ + α·d
///
/// with α from a line search, by default the best of 1, ½, …, 2⁻³⁰. J is never squared: where methods on JᵀJ or JJᵀ floor near 1e-9,
/// this one goes on to rounding, and the accuracy follows `relativeCutoff` almost linearly.
/// Cost: one dense J (N·P doubles, and a copy), about 4·N·P·min(N, P) flops, 31 losses and a gradient a step. Far from a solution
/// full steps are refused; then it breaks down and a globally convergent method should go first. Where rounding
/// errors of the loss hide every decrease that is left it is stationary.
/// Variants: energy natural gradients solve with JᵀJ; ANaGRAM is this step with another cut-off (arXiv:2412.10782); the cut-off here is
/// relative to the largest singular value.
/// Sources: Björck, *Numerical Methods for Least Squares Problems*, ch. 2 and 9; Müller & Zeinhofer, arXiv:2302.13163 (line search).
public struct GaussNewton: Optimizer, Configurable {
    /// rcond: singular values at or below this multiple of the largest are cut off.
    public var relativeCutoff = 1e-10
    public var lineSearch: any LineSearch = GridLineSearch()

    public init() {}

    public init(relativeCutoff: Double, lineSearch: any LineSearch = GridLineSearch()) {
        (self.relativeCutoff, self.lineSearch) = (relativeCutoff, lineSearch)
    }

    public static let identifier = "gauss-newton"
    public static let summary = "Truncated singular value decomposition of the Jacobian: the accurate finish near a solution."
    public static var fields: [Field<Self>] {
        [
            .number(
                "relativeCutoff", \.relativeCutoff, in: .fraction, meaning: "singular values at or below this times the largest are cut off"
            ),
            .lineSearch("lineSearch", \.lineSearch, meaning: "how the step length is found"),
        ]
    }

    public func start(on problem: any LeastSquaresProblem, from parameters: Parameters) throws -> GaussNewtonState {
        GaussNewtonState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout GaussNewtonState, on problem: any LeastSquaresProblem) throws -> StepReport {
        let here = state.standpoint
        func ended(_ verdict: StepVerdict, _ details: [StepReport.Detail] = [], floor: Finding? = nil) -> StepReport {
            StepReport(loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, details: details, floor: floor)
        }
        guard here.isFinite else { return ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        if here.hasVanishingGradient { return ended(.stationary, floor: .vanishingGradient(here.gradient.norm)) }

        let model = try problem.linearization(at: here.parameters.values)
        let solved: TruncatedLeastSquares
        switch TruncatedLeastSquares.solve(model.jacobian(), -model.residual, relativeTolerance: relativeCutoff) {
        case .success(let solution): solved = solution
        case .failure(let failure):
            return ended(
                .brokeDown(
                    Breakdown(
                        .linearSolver, "the truncated solution with the Jacobian failed: \(failure)", lookingAt: [here.parameters.values],
                        on: problem)))
        }
        let σ = solved.singularValues
        let details: [StepReport.Detail] = [
            .init("rank", Double(solved.rank)), .init("largestSingularValue", σ.first ?? 0),
            .init("smallestSingularValue", σ.last ?? 0),
        ]
        let d = solved.solution
        let result = try lineSearch.search(along: here.ray(along: d, on: problem), from: 1)
        var found = result.usable
        if found == nil {
            switch try here.deadEnd(along: d, on: problem) {
            case .stationary(let finding): return ended(.stationary, details, floor: finding)
            case .step(let sample): found = sample
            case .unexplained: break
            }
        }
        guard let sample = found else {
            let reason = result.failure?.description ?? "no step"
            let breakdown = Breakdown(
                .lineSearch, "no step along the Gauss–Newton direction: \(reason)", lookingAt: [here.parameters.values + d], on: problem)
            return ended(.brokeDown(breakdown), details)
        }
        let there = try here.accepting(sample, on: problem)
        guard there.isFinite else { return ended(.brokeDown(.nonFinite(at: there.parameters.values, on: problem)), details) }
        state.standpoint = there
        return StepReport(
            loss: there.loss, gradientNorm: there.gradient.norm, stepLength: sample.stepLength,
            details: details + [.init("trials", Double(result.trials))])
    }

    /// J, the copy that is factorised, and the vectors of the solve.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let p = Double(parameters)
        return residuals.map { bytes(ofNumbers: 2 * Double($0) * p + 40 * (p + Double($0))) }
    }

    /// The trials of a grid of steps are known beforehand; those of another search are not counted.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        guard let residuals else { return nil }
        let (p, n) = (Double(parameters), Double(residuals))
        let trials = (lineSearch as? GridLineSearch).map { [StepCost.Item(.loss, Double($0.count))] } ?? []
        return StepCost([.init(.linearization, 1)] + trials + [.init(.gradient, 1)], flops: 4 * n * p * min(n, p))
    }
}

/// Where Gauss–Newton stands; it remembers nothing else.
public struct GaussNewtonState: OptimizerState, Equatable {
    public var standpoint: Standpoint

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) { archive.set("standpoint", standpoint) }

    public init(from archive: Archive) throws { standpoint = try archive.value("standpoint") }
}
