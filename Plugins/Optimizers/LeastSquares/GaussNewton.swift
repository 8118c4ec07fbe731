import Globalization
import LinearAlgebra
import OptimizationCore

/// Gauss–Newton by a rank-revealing factorisation of the Jacobian itself.
///
/// With r = r(θ) ∈ ℝᴺ and J = ∂r/∂θ = UΣVᵀ ∈ ℝᴺˣᴾ,
///
///     d = −Σ_{σᵢ > rcond·σ₁} vᵢ (uᵢᵀr)/σᵢ        θ⁺ = θ + α·d
///
/// with α from a line search, by default the best of 1, ½, …, 2⁻³⁰. J is never squared: where methods on JᵀJ or JJᵀ floor near 1e-9,
/// this one goes on to rounding, and the accuracy follows `relativeCutoff` almost linearly.
///
/// With several `cutoffs` the cut-off adapts: of rcond, rcond·10, rcond·100, … the least is taken whose full step has a gain ratio
/// ρ ≥ `acceptance`, so that directions are held back only as far as the residual's curvature demands; all come from one factorisation, a
/// lifting V·c and a loss each. Where none will do, the line search follows that of the lowest loss, or the least where none lowers it.
/// Cost: one dense J (N·P doubles, and a copy), about 4·N·P·min(N, P) flops, 31 losses and a gradient a step. Far from a solution
/// full steps are refused; then it breaks down and a globally convergent method should go first. Where rounding
/// errors of the loss hide every decrease that is left it is stationary.
/// Variants: energy natural gradients solve with JᵀJ; ANaGRAM is this step with another cut-off (arXiv:2412.10782), which AMStraMGRAM
/// adapts by how far the directions kept reconstruct r (arXiv:2510.15998); here a cut-off is relative to σ₁ and adapts by the gain ratio.
/// Sources: Björck, *Numerical Methods for Least Squares Problems*, ch. 2 and 9; Müller & Zeinhofer, arXiv:2302.13163 (line search).
public struct GaussNewton: Optimizer, Configurable {
    /// rcond: singular values at or below this multiple of the largest are cut off.
    public var relativeCutoff = 1e-10
    public var lineSearch: any LineSearch = GridLineSearch()
    public var factorization = JacobianFactorization.svd
    /// How many cut-offs are tried, each ten times the last; 1 for the least alone.
    public var cutoffs = 1
    /// The gain ratio from which the full step of one of several cut-offs is taken.
    ///
    /// 0.02: a rule that asks for more, or for the greatest decrease, crawls along the valleys of a physics-informed loss.
    public var acceptance = 0.02

    public init() {}

    public init(
        relativeCutoff: Double, lineSearch: any LineSearch = GridLineSearch(), factorization: JacobianFactorization = .svd, cutoffs: Int = 1
    ) {
        (self.relativeCutoff, self.lineSearch) = (relativeCutoff, lineSearch)
        (self.factorization, self.cutoffs) = (factorization, cutoffs)
    }

    public static let identifier = "gauss-newton"
    public static let summary = "Truncated rank-revealing factorisation of the Jacobian: the accurate finish near a solution."
    public static var fields: [Field<Self>] {
        [
            .number(
                "relativeCutoff", \.relativeCutoff, in: .fraction, meaning: "singular values at or below this times the largest are cut off"
            ),
            .lineSearch("lineSearch", \.lineSearch, meaning: "how the step length is found"),
            .choice("factorization", \.factorization, meaning: "how the Jacobian is factorised"),
            .integer("cutoffs", \.cutoffs, atLeast: 1, atMost: 16, meaning: "cut-offs tried, each ten times the last"),
            .number("acceptance", \.acceptance, in: .fraction, meaning: "the gain ratio from which one of several cut-offs is taken"),
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
        func broken(_ failure: FactorizationFailure) -> StepReport {
            ended(
                .brokeDown(
                    Breakdown(
                        .linearSolver, "the truncated solution with the Jacobian failed: \(failure)", lookingAt: [here.parameters.values],
                        on: problem)))
        }

        let model = try problem.linearization(at: here.parameters.values)
        let factors: any RankRevealing
        switch factorize(model, gradient: here.gradient) {
        case .success(let found): factors = found
        case .failure(let failure): return broken(failure)
        }
        let choice: Choice
        switch try choose(factors, from: here, on: problem) {
        case .success(let found): choice = found
        case .failure(let failure): return broken(failure)
        }
        let (d, σ) = (choice.step, factors.magnitudes)
        let details: [StepReport.Detail] = [
            .init("rank", Double(choice.rank)), .init("largestSingularValue", σ.first ?? 0),
            .init("smallestSingularValue", σ.last ?? 0),
        ]
        func take(_ sample: RaySample<Trial>, trials: Int) throws -> StepReport {
            let there = try here.accepting(sample, on: problem)
            guard there.isFinite else { return ended(.brokeDown(.nonFinite(at: there.parameters.values, on: problem)), details) }
            state.standpoint = there
            return StepReport(
                loss: there.loss, gradientNorm: there.gradient.norm, stepLength: sample.stepLength,
                details: details + [.init("trials", Double(trials))])
        }
        if let sample = choice.accepted { return try take(sample, trials: choice.trials) }
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
        return try take(sample, trials: choice.trials + result.trials)
    }

    /// The direction that a step follows.
    private struct Choice {
        var step: Vector
        var rank: Int
        /// The full step, where one of several cut-offs was accepted; else the line search decides.
        var accepted: RaySample<Trial>?
        var trials = 0
    }

    private func factorize(_ model: any Linearization, gradient: Vector) -> Result<any RankRevealing, FactorizationFailure> {
        guard cutoffs == 1, factorization == .svd else { return factorization.factorize(model) }
        return TruncatedLeastSquares.solve(model.jacobian(), -model.residual, relativeTolerance: relativeCutoff)
            .map { SingleTruncation($0, model, gradient: gradient) }
    }

    /// The least cut-off whose full step gains enough; else that of the lowest loss, or the least where none is below L(θ).
    private func choose(
        _ factors: any RankRevealing, from here: Standpoint, on problem: any LeastSquaresProblem
    ) throws -> Result<Choice, FactorizationFailure> {
        var (best, lowest): (Choice?, Double) = (nil, here.loss.total)
        var trials = 0
        for k in 0..<cutoffs {
            let rank = factors.rank(above: (0..<k).reduce(relativeCutoff) { product, _ in 10 * product })
            if let best, rank == best.rank || rank == 0 { continue }
            let d: Vector
            switch factors.step(rank: rank) {
            case .success(let step): d = step
            case .failure(let failure): return .failure(failure)
            }
            guard cutoffs > 1 else { return .success(Choice(step: d, rank: rank)) }
            trials += 1
            let sample = try here.ray(along: d, on: problem).sample(at: 1, needsSlope: false)
            let gain = here.loss.total - sample.value
            if sample.value.isFinite, gain > 0, gain >= acceptance * factors.decrease(rank: rank) {
                return .success(Choice(step: d, rank: rank, accepted: sample, trials: trials))
            }
            if best == nil || sample.value < lowest {
                best = Choice(step: d, rank: rank)
                lowest = Swift.min(lowest, sample.value.isFinite ? sample.value : lowest)
            }
        }
        guard var choice = best else { return .failure(.singular(pivot: 0)) }
        choice.trials = trials
        return .success(choice)
    }

    /// J, the copy that is factorised, and the vectors of the solve.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let p = Double(parameters)
        return residuals.map { n in
            // Beside J and its copy the singular vectors, where more than one solution is taken from them.
            let vectors = cutoffs == 1 && factorization == .svd ? 0 : Double(n) * p + p * p
            return bytes(ofNumbers: 2 * Double(n) * p + vectors + 40 * (p + Double(n)))
        }
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
