import Globalization
import LinearAlgebra
import OptimizationCore

/// Levenberg–Marquardt: Gauss–Newton steps damped until they lower the loss.
///
/// With r ∈ ℝᴺ, J ∈ ℝᴺˣᴾ, g = Jᵀr and L = ½‖r‖²,
///
///     (JᵀJ + λD)d = −g        ρ = (L(θ) − L(θ + d)) / ½dᵀ(λDd − g)
///
/// ρ > 0 takes the step; ρ moves λ by the damping rule (Nielsen's by default). D = I, or the running maximum of diag(JᵀJ).
/// A step tries up to `maximumTrials` dampings on one linearisation, and is rejected if none lowers the loss; λ then goes on from there.
/// Cost: one JᵀJ (NP² flops) or JJᵀ, then a Cholesky factorisation and a loss a trial, a gradient a step. Squared systems
/// stop near 1e-9 of relative accuracy; `solver` = jacobian does not, at several times the price. Breaks down where λ leaves its
/// bounds; stationary where the loss's rounding errors hide every decrease.
/// Variants: Marquardt's D is kept from shrinking, as in MINPACK; no geodesic acceleration.
/// Sources: Levenberg, Q. Appl. Math. 2 (1944); Marquardt, doi:10.1137/0111030; Nielsen, IMM-REP-1999-05; Moré, LNM 630 (1978), doi:10.1007/BFb0067700.
public struct LevenbergMarquardt: Optimizer, Configurable {
    /// What λ multiplies.
    public enum Scaling: String, CaseIterable, Sendable, Hashable {
        /// D = I.
        case identity
        /// D = the running maximum of diag(JᵀJ): free of the parameters' units.
        case marquardt
    }

    public var damping: any DampingRule = NielsenDamping()
    public var scaling = Scaling.identity
    public var solver = NormalEquations.automatic
    /// Dampings tried in one step.
    public var maximumTrials = 20

    public init() {}

    public init(
        damping: any DampingRule, scaling: Scaling = .identity, solver: NormalEquations = .automatic, maximumTrials: Int = 20
    ) {
        (self.damping, self.scaling, self.solver, self.maximumTrials) = (damping, scaling, solver, maximumTrials)
    }

    public static let identifier = "levenberg-marquardt"
    public static let summary = "Gauss–Newton with a damping that follows the gain ratio."
    public static var fields: [Field<Self>] {
        [
            .dampingRule("damping", \.damping, meaning: "how the damping follows the gain ratio"),
            .choice("scaling", \.scaling, meaning: "what the damping multiplies"),
            .choice("solver", \.solver, meaning: "which matrix is factorised; automatic takes the smaller square"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "dampings tried in one step"),
        ]
    }

    public func start(on problem: any LeastSquaresProblem, from parameters: Parameters) throws -> LevenbergMarquardtState {
        LevenbergMarquardtState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout LevenbergMarquardtState, on problem: any LeastSquaresProblem) throws -> StepReport {
        let (before, here) = (state, state.standpoint)
        var (trials, lastRatio) = (0, 0.0)
        func ended(_ verdict: StepVerdict, floor: Finding? = nil) -> StepReport {
            let damping = state.damping?.value ?? 0
            if case .brokeDown = verdict { state = before }  // a breakdown commits nothing, the dampings tried included
            return StepReport(
                loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict,
                details: [.init("damping", damping), .init("gainRatio", lastRatio), .init("trials", Double(trials))], floor: floor)
        }
        func broken(_ reason: Breakdown.Reason, _ detail: String, lookingAt point: Vector) -> StepReport {
            ended(.brokeDown(Breakdown(reason, detail, lookingAt: [point], on: problem)))
        }
        guard here.isFinite else { return ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        if here.hasVanishingGradient { return ended(.stationary, floor: .vanishingGradient(here.gradient.norm)) }

        let model = try problem.linearization(at: here.parameters.values)
        let system: any DampedSystem
        switch solver.resolved(parameters: here.parameters.count, residuals: problem.residualCount) {
        case .jacobian:
            do { system = try JacobianSystem(model) } catch {
                return broken(.linearSolver, "the Jacobian could not be factorised: \(error)", lookingAt: here.parameters.values)
            }
        case .kernel: system = scaling == .identity ? KernelSystem(model) : ScaledKernelSystem(model)
        case .gramian, .automatic: system = GramianSystem(model)
        }
        let largest = system.largestDiagonal
        guard largest.isFinite else { return broken(.nonFinite, "the Jacobian is not finite", lookingAt: here.parameters.values) }
        let D = scale(&state, system, count: here.parameters.count)
        // λ multiplies D: relative to the greatest curvature where D = I, to one where D carries the curvature.
        var λ = state.damping ?? damping.start(scale: scaling == .identity ? Swift.max(largest, Double.leastNormalMagnitude) : 1)
        var anyFinite = false
        var boldest: Vector?
        while trials < maximumTrials {
            trials += 1
            state.damping = λ
            let solution = system.step(damping: λ.value, scale: D)
            guard case .success(let d) = solution, d.isFinite else {
                if λ.value >= damping.maximum {
                    return broken(
                        .linearSolver, "the damped equations cannot be solved with the greatest damping", lookingAt: here.parameters.values)
                }
                (λ, lastRatio) = (damping.updated(λ, gainRatio: -.infinity), -.infinity)
                continue
            }
            let promised = 0.5 * (zip(d, D).reduce(0) { $0 + λ.value * $1.0 * $1.0 * $1.1 } - here.gradient.dot(d))
            let candidate = here.parameters.values + d
            let loss = try problem.loss(at: candidate)
            anyFinite = anyFinite || loss.isFinite
            let ρ = loss.isFinite ? (here.loss.total - loss.total) / promised : -.infinity
            lastRatio = ρ
            if ρ > damping.acceptance, loss.total < here.loss.total {
                let there = Standpoint(at: here.parameters.with(candidate), try problem.lossAndGradient(at: candidate))
                if there.isFinite {
                    let used = λ.value
                    state.damping = damping.updated(λ, gainRatio: ρ)
                    state.standpoint = there
                    return StepReport(
                        loss: there.loss, gradientNorm: there.gradient.norm, stepLength: d.norm,
                        details: [.init("damping", used), .init("gainRatio", ρ), .init("trials", Double(trials))])
                }
            }
            if boldest == nil {
                boldest = d
                // The boldest step promises less than the last bits of L.
                if promised <= here.lastBits { return ended(.stationary, floor: .hiddenDecrease(promised, hidden: here.lastBits)) }
            }
            if λ.value >= damping.maximum {
                if let boldest, case .stationary(let finding) = try here.deadEnd(along: boldest, on: problem) {
                    return ended(.stationary, floor: finding)
                }
                return broken(
                    .regularization, "the damping reached its bound, \(damping.maximum), without a decrease",
                    lookingAt: here.parameters.values + (boldest ?? d))
            }
            λ = damping.updated(λ, gainRatio: Swift.min(ρ, damping.acceptance))
        }
        state.damping = λ
        return ended(anyFinite ? .rejected : .invalid)
    }

    /// Loss and gradient are evaluated anew; the damping is kept, Marquardt's scale begins again.
    public func adapt(_ state: inout LevenbergMarquardtState, to problem: any LeastSquaresProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
        state.scale = nil
    }

    /// The diagonal of D.
    private func scale(_ state: inout LevenbergMarquardtState, _ system: any DampedSystem, count: Int) -> Vector {
        guard scaling == .marquardt, let norms = system.squaredColumnNorms else { return Vector(repeating: 1, count: count) }
        // MINPACK: the maximum so far; a column that has always been zero counts as one.
        let running = Vector(zip(state.scale ?? .zeros(count), norms).map { Swift.max($0, $1) })
        state.scale = running
        return Vector(running.map { $0 > 0 ? $0 : 1 })
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        guard let residuals else { return nil }
        let (p, n) = (Double(parameters), Double(residuals))
        let doubles =
            switch solver.resolved(parameters: parameters, residuals: residuals) {
            case .kernel: (scaling == .identity ? 0 : 2 * n * p) + 2 * n * n
            case .jacobian: n > p ? Swift.max(n * p + p * p, 3 * p * p) : 2 * n * p + p * p
            case .gramian, .automatic: 2 * p * p
            }
        return bytes(ofNumbers: doubles + 10 * (n + p))
    }

    /// With the first damping taken: each further trial costs a loss and a factorisation more.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        guard let residuals else { return nil }
        let (p, n) = (Double(parameters), Double(residuals))
        let flops =
            switch solver.resolved(parameters: parameters, residuals: residuals) {
            case .kernel: n * n * p + n * n * n / 3
            case .jacobian: 2 * n * p * p + 10 * p * p * p / 3
            case .gramian, .automatic: n * p * p + p * p * p / 3
            }
        return StepCost([.init(.linearization, 1), .init(.loss, 1), .init(.gradient, 1)], flops: flops)
    }
}

/// Where Levenberg–Marquardt stands, its damping and, for Marquardt's scaling, the running maximum of diag(JᵀJ).
public struct LevenbergMarquardtState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// λ and ν; nil before the first linearisation sets their scale.
    public var damping: Damping?
    public var scale: Vector?

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("damping", damping.map { [$0.value, $0.growth] } ?? [])
        archive.set("scale", scale?.elements ?? [])
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        let pair = try archive.doubles("damping")
        guard pair.isEmpty || pair.count == 2 else { throw ArchiveError(entry: "damping", reason: "should be λ and ν") }
        damping = pair.isEmpty ? nil : Damping(value: pair[0], growth: pair[1])
        let stored = try archive.vector("scale")
        guard stored.isEmpty || stored.count == standpoint.parameters.count else {
            throw ArchiveError(entry: "scale", reason: "\(stored.count) values for \(standpoint.parameters.count) parameters")
        }
        scale = stored.isEmpty ? nil : stored
    }
}
