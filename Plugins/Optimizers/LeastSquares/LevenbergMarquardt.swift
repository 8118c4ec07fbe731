import Globalization
import LinearAlgebra
import OptimizationCore

/// Levenberg–Marquardt: Gauss–Newton steps damped until they lower the loss.
///
/// With r ∈ ℝᴺ, J ∈ ℝᴺˣᴾ, g = Jᵀr and L = ½‖r‖²,
///
///     (JᵀJ + λD)d = −g        ρ = (L(θ) − L(θ + d)) / ½dᵀ(λDd − g)
///
/// ρ > 0 takes the step; ρ moves λ by the damping rule (Nielsen's by default), which begins where a step that is all but undamped is refused or
/// longer than θ: see `beginsUndamped`. D = I, or carries diag(JᵀJ): see ``Scaling``.
/// With geodesic acceleration, (JᵀJ + λD)a = −Jᵀr″ with r″ = ∂²r(θ + td)/∂t² ≈ 2(r(θ + d) − r − Jd), d + ½a is tried too, which follows a
/// curved valley further, and the better of both is the step; but d alone where it leaves less than ¾ of the loss or 2‖a‖ >
/// `geodesicAcceleration`·‖d‖ in the norm of D. A step tries up to `maximumTrials` dampings on one linearisation, and is rejected if none lowers the loss; λ then goes on from there.
///
/// Where the decrease that is promised hides in the loss's rounding, steps are taken as long as each promises less than the last one did
/// and the loss stays within its rounding: θ converges until the gradient's rounding stops it, at 2⁻⁵² of its scale instead of 2⁻²⁶.
/// Cost: one QR of J (2NP² flops), JᵀJ (NP²) or JJᵀ, then a factorisation and a loss a trial, a gradient a step. Squared systems
/// stop near 1e-9 of relative accuracy. Breaks down where λ leaves its bounds; stationary where rounding leaves nothing to do.
/// Variants: the running maximum of diag(JᵀJ) is MINPACK's and keeps D from shrinking; Ceres and Marquardt himself take diag(JᵀJ) as it is.
/// MINPACK begins in a trust region of 100·‖Dθ‖, of which the undamped beginning is the counterpart here; Nielsen and Ceres begin with a damping.
/// Transtrum and Sethna refuse a step whose acceleration is too large, here it is taken without; they accelerate every step and take r″ by
/// a difference over a tenth of d, a residual more a trial.
/// Sources: Levenberg, Q. Appl. Math. 2 (1944); Marquardt, doi:10.1137/0111030; Nielsen, IMM-REP-1999-05; Moré, LNM 630 (1978),
/// doi:10.1007/BFb0067700; Transtrum & Sethna, arXiv:1201.5885.
public struct LevenbergMarquardt: Optimizer, Configurable {
    /// What λ multiplies.
    public enum Scaling: String, CaseIterable, Sendable, Hashable {
        /// D = I.
        case identity
        /// D = the running maximum of diag(JᵀJ): free of the parameters' units.
        case marquardt
        /// D = diag(JᵀJ) here, no entry below 2⁻¹⁰⁴ of the greatest: forgets a steep past.
        case local
    }

    public var damping: any DampingRule = NielsenDamping()
    public var scaling = Scaling.identity
    public var solver = DampedSolver.automatic
    /// Dampings tried in one step.
    public var maximumTrials = 20
    /// The greatest 2‖a‖/‖d‖ of a step with geodesic acceleration; 0 for steps without.
    ///
    /// On NIST's 54 fits: with 0.75 all are solved, with a mean log relative error of 10.7 and 12 424 evaluations, 5 152 of them MGH10's
    /// from its far start, which is not solved without.
    public var geodesicAcceleration = 0.75
    /// Whether a run's first steps are all but undamped, with λ = 1e-12 in the scale of D, until one is refused or longer than θ ≠ 0; the damping rule
    /// begins there. Where r is near to linear no damping has to come down first.
    public var beginsUndamped = true
    /// When the solvers lsmr and cgls stop.
    public var krylov = KrylovSettings()

    public init() {}

    public init(
        damping: any DampingRule, scaling: Scaling = .identity, solver: DampedSolver = .automatic, maximumTrials: Int = 20,
        geodesicAcceleration: Double = 0.75, beginsUndamped: Bool = true
    ) {
        (self.damping, self.scaling, self.solver, self.maximumTrials) = (damping, scaling, solver, maximumTrials)
        (self.geodesicAcceleration, self.beginsUndamped) = (geodesicAcceleration, beginsUndamped)
    }

    public static let identifier = "levenberg-marquardt"
    public static let summary = "Gauss–Newton with a damping that follows the gain ratio."
    public static var fields: [Field<Self>] {
        [
            .residualDamping("damping", \.damping, meaning: "how the damping follows the gain ratio"),
            .choice("scaling", \.scaling, meaning: "what the damping multiplies"),
            .choice("solver", \.solver, meaning: "how the damped equations are solved"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "dampings tried in one step"),
            .number(
                "geodesicAcceleration", \.geodesicAcceleration, in: .nonNegative,
                meaning: "the greatest ratio of acceleration to step; 0 for none"),
            .flag(
                "beginsUndamped", \.beginsUndamped,
                meaning: "whether the first steps are all but undamped, until one is refused or longer than θ"),
            .part("krylov", \.krylov, meaning: "when lsmr and cgls stop"),
        ]
    }

    public func start(on problem: any LeastSquaresProblem, from parameters: Parameters) throws -> LevenbergMarquardtState {
        LevenbergMarquardtState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout LevenbergMarquardtState, on problem: any LeastSquaresProblem) throws -> StepReport {
        let (before, here) = (state, state.standpoint)
        var (trials, lastRatio, iterations) = (0, 0.0, 0)
        func report(
            _ standpoint: Standpoint, _ verdict: StepVerdict, damping: Double, stepLength: Double? = nil, floor: Finding? = nil
        ) -> StepReport {
            StepReport(
                loss: standpoint.loss, gradientNorm: standpoint.gradient.norm, stepLength: stepLength, verdict: verdict,
                details: [.init("damping", damping), .init("gainRatio", lastRatio), .init("trials", Double(trials))], floor: floor,
                linearIterations: iterations)
        }
        func ended(_ verdict: StepVerdict, floor: Finding? = nil) -> StepReport {
            let damping = state.damping?.value ?? 0
            if case .brokeDown = verdict { state = before }  // a breakdown commits nothing, the dampings tried included
            return report(here, verdict, damping: damping, floor: floor)
        }
        func broken(_ reason: Breakdown.Reason, _ detail: String, lookingAt point: Vector) -> StepReport {
            ended(.brokeDown(Breakdown(reason, detail, lookingAt: [point], on: problem)))
        }
        guard here.isFinite else { return ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        if here.hasVanishingGradient { return ended(.stationary, floor: .vanishingGradient(here.gradient.norm)) }

        let model = try problem.linearization(at: here.parameters.values)
        var system: any DampedSystem
        let (largest, D): (Double, Vector)
        do {
            system = try self.system(model, gradient: here.gradient, residuals: problem.residualCount)
            largest = system.largestDiagonal
            guard largest.isFinite else { return broken(.nonFinite, "the Jacobian is not finite", lookingAt: here.parameters.values) }
            D = scale(&state, system, count: here.parameters.count)
            try system.scale(by: D)
        } catch {
            return broken(.linearSolver, "the Jacobian could not be factorised: \(error)", lookingAt: here.parameters.values)
        }
        // λ multiplies D: relative to the greatest curvature where D = I, to one where D carries the curvature.
        let carriesCurvature = scaling != .identity && system.squaredColumnNorms != nil
        let unit = carriesCurvature ? 1 : Swift.max(largest, Double.leastNormalMagnitude)
        // Until a trial is refused or longer than θ, steps are all but undamped; the rule begins there.
        var isUndamped = beginsUndamped && !state.hasRefused
        var λ = state.damping?.damping(scale: unit) ?? (isUndamped ? leastDamping(scale: unit) : damping.start(scale: unit))
        var (anyFinite, isLoosened) = (false, false)
        var (boldest, noise): (Vector?, Double?)

        /// Takes a step to θ + p, whose gain ratio moves the damping; nil where the gradient there is not finite.
        func accept(_ p: Vector, _ candidate: Vector, gainRatio ρ: Double) throws -> StepReport? {
            let there = Standpoint(at: here.parameters.with(candidate), try problem.lossAndGradient(at: candidate))
            guard there.isFinite else { return nil }
            let used = λ.value
            (state.damping, state.hasRefused, state.standpoint) = (damping.updated(λ, gainRatio: ρ), !isUndamped, there)
            return report(there, .accepted, damping: used, stepLength: p.norm)
        }

        /// The damping after a refusal.
        func refused(_ ρ: Double) -> Damping {
            defer { isUndamped = false }
            return isUndamped ? damping.start(scale: unit) : damping.updated(λ, gainRatio: ρ)
        }

        while trials < maximumTrials {
            trials += 1
            state.damping = λ
            let solved = system.factorized(damping: λ.value).flatMap { factors in factors.step().map { (factors, $0.d, $0.iterations) } }
            guard case .success((let factors, let d, let taken)) = solved, d.isFinite else {
                if damping.isGreatest(λ) {
                    return broken(
                        .linearSolver, "the damped equations cannot be solved with the greatest damping", lookingAt: here.parameters.values)
                }
                (λ, lastRatio) = (refused(-.infinity), -.infinity)
                continue
            }
            iterations += taken
            // A start at zero has no length.
            let length = here.parameters.values.norm
            if isUndamped, length > 0, d.norm > length {
                λ = refused(-.infinity)
                continue
            }
            let promised = 0.5 * (zip(d, D).reduce(0) { $0 + λ.value * $1.0 * $1.0 * $1.1 } - here.gradient.dot(d))
            if boldest == nil {
                // The boldest step promises no more than rounding hides: the gradient alone can tell whether it helps.
                let hidden = promised <= 1e-8 * abs(here.loss.total) ? try noise ?? here.hiddenChange(on: problem) : 0
                noise = hidden
                if promised <= hidden, !isLoosened {
                    // What the damping held back may be seen yet: a dozen thirds less of it.
                    (λ, isLoosened) = (damping.moved(λ, to: λ.value / 531_441, growth: damping.updated(λ, gainRatio: 1).growth), true)
                    continue
                }
                boldest = d
                if promised <= hidden {
                    let candidate = here.parameters.values + d
                    // A promise of rounding alone may have either sign.
                    if promised > 0, promised < 0.9 * (before.hiddenPromise ?? .infinity),
                        try problem.loss(at: candidate).total <= here.loss.total + 4 * hidden,
                        let report = try accept(d, candidate, gainRatio: 1)
                    {
                        state.hiddenPromise = promised
                        return report
                    }
                    return ended(.stationary, floor: .hiddenDecrease(promised, hidden: hidden))
                }
            }
            state.hiddenPromise = nil
            let (p, loss) = try GeodesicAcceleration(bound: geodesicAcceleration).better(
                of: d, promising: promised, from: here, model, on: problem,
                norm: { v in zip(v, D).reduce(0) { $0 + $1.0 * $1.0 * $1.1 }.squareRoot() },
                solution: { try? factors.solution(for: $0).get() })
            let candidate = here.parameters.values + p
            anyFinite = anyFinite || loss.isFinite
            let ρ = loss.isFinite ? (here.loss.total - loss) / promised : -.infinity
            lastRatio = ρ
            if ρ > damping.acceptance, loss < here.loss.total,
                let report = try accept(p, candidate, gainRatio: ρ)
            {
                return report
            }
            if damping.isGreatest(λ) {
                if let boldest, case .stationary(let finding) = try here.deadEnd(along: boldest, on: problem) {
                    return ended(.stationary, floor: finding)
                }
                // Where λ was next to nothing the boldest step may be rounding alone; steepest descent tells.
                let (steepest, hidden) = (cauchyDecrease(model, here.gradient), try noise ?? here.hiddenChange(on: problem))
                if steepest <= hidden { return ended(.stationary, floor: .hiddenDecrease(steepest, hidden: hidden)) }
                return broken(
                    .regularization, "the damping reached its bound, \(λ.value), without a decrease",
                    lookingAt: here.parameters.values + (boldest ?? d))
            }
            λ = refused(Swift.min(ρ, damping.acceptance))
        }
        (state.damping, state.hasRefused) = (λ, !isUndamped)
        return ended(anyFinite ? .rejected : .invalid)
    }

    /// λ of steps that are all but undamped.
    private func leastDamping(scale: Double) -> Damping {
        let start = damping.start(scale: scale)
        return damping.moved(start, to: Swift.min(start.value, 1e-12 * scale), growth: start.growth)
    }

    /// ½‖g‖⁴/‖Jg‖²: what the model's minimum along −g promises.
    private func cauchyDecrease(_ model: any Linearization, _ g: Vector) -> Double {
        let slope = g.dot(g)
        let bend = model.product(g)
        return 0.5 * slope * slope / bend.dot(bend)
    }

    /// Loss and gradient are evaluated anew; the damping is kept, Marquardt's scale begins again.
    public func adapt(_ state: inout LevenbergMarquardtState, to problem: any LeastSquaresProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
        (state.scale, state.hiddenPromise) = (nil, nil)
    }

    /// Ten times λ, or the rule's first λ where steps have been undamped so far.
    public func shortenSteps(_ state: inout LevenbergMarquardtState) -> Bool {
        if beginsUndamped && !state.hasRefused {
            state.hasRefused = true
            state.damping = state.damping.map { damping.start(scale: $0.scales.upperBound) }
            return true
        }
        guard let raised = state.damping.flatMap({ damping.raised($0) }) else { return false }
        state.damping = raised
        return true
    }

    private func system(
        _ model: any Linearization, gradient: Vector, residuals: Int
    ) throws(FactorizationFailure) -> any DampedSystem {
        switch solver.resolved(parameters: gradient.count, residuals: residuals) {
        case .jacobian: return try JacobianSystem(model)
        case .svd: return SingularValueSystem(model)
        case .kernel: return KernelSystem(model, scaled: scaling != .identity)
        case .lsmr, .cgls: return IterativeSystem(model, solver, krylov, gradient: gradient, scaled: scaling != .identity)
        case .gramian, .automatic: return GramianSystem(model)
        }
    }

    /// The diagonal of D.
    private func scale(_ state: inout LevenbergMarquardtState, _ system: any DampedSystem, count: Int) -> Vector {
        guard scaling != .identity, let norms = system.squaredColumnNorms else { return Vector(repeating: 1, count: count) }
        if scaling == .local { return localScale(norms) }
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
            case .kernel: (scaling == .identity ? 0 : 2 * n * p) + n * n
            case .jacobian: n > p ? n * p + 3 * p * p : 2 * n * p + p * p
            case .svd: 3 * n * p + 2 * Swift.min(n, p) * Swift.min(n, p)
            case .lsmr, .cgls:
                scaling == .identity ? 0.0 : p * Double(IterativeSystem.panelRows(parameters: parameters, residuals: residuals))
            case .gramian, .automatic: p * p
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
            case .svd: 4 * n * p * Swift.min(n, p)
            case .lsmr, .cgls: 10 * (n + p) * Double(krylovIterations(parameters, residuals))
            case .gramian, .automatic: n * p * p + p * p * p / 3
            }
        var items: [StepCost.Item] = [.init(.linearization, 1), .init(.loss, 1), .init(.gradient, 1)]
        if geodesicAcceleration > 0 { items.append(.init(.residual, 1)) }
        if !solver.isDirect {
            if scaling != .identity { items.append(.init(.jacobianRow, n)) }
            let products = Double(krylovIterations(parameters, residuals))
            items += [.init(.jacobianProduct, products), .init(.transposedProduct, products)]
        }
        return StepCost(items, flops: flops)
    }

    /// The most that one solution may take.
    private func krylovIterations(_ parameters: Int, _ residuals: Int) -> Int {
        krylov.maximumIterations > 0 ? krylov.maximumIterations : 4 * Swift.min(parameters, residuals)
    }
}

/// The squared column norms, but those of columns that are rounding beside the greatest one: a column without slope must not run away. Ceres
/// has bounds of its own there, 1e-6 and 1e32, which have the loss's scale.
func localScale(_ norms: Vector) -> Vector {
    let least = norms.maximumNorm * 0x1p-104
    return Vector(norms.map { $0 > least ? $0 : least > 0 ? least : 1 })
}

/// Where Levenberg–Marquardt stands, its damping and, for Marquardt's scaling, the running maximum of diag(JᵀJ).
public struct LevenbergMarquardtState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// λ and ν; nil before the first linearisation sets their scale.
    public var damping: Damping?
    public var scale: Vector?
    /// Whether the damping rule has begun: a trial was refused or longer than θ, or steps do not begin undamped.
    public var hasRefused = false
    /// What the last step promised, where that hid in the loss's rounding.
    public var hiddenPromise: Double?

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("damping", damping?.stored ?? [])
        archive.set("scale", scale?.elements ?? [])
        archive.set("hasRefused", hasRefused)
        archive.set("hiddenPromise", hiddenPromise.map { [$0] } ?? [])
    }

    public static var formatVersion: Int { 3 }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        let numbers = try archive.doubles("damping")
        damping = numbers.isEmpty ? nil : try Damping(stored: numbers)
        let stored = try archive.vector("scale")
        guard stored.isEmpty || stored.count == standpoint.parameters.count else {
            throw ArchiveError(entry: "scale", reason: "\(stored.count) values for \(standpoint.parameters.count) parameters")
        }
        scale = stored.isEmpty ? nil : stored
        hasRefused = try archive.bool("hasRefused")
        let promise = try archive.doubles("hiddenPromise")
        guard promise.count <= 1 else { throw ArchiveError(entry: "hiddenPromise", reason: "should be one number or none") }
        hiddenPromise = promise.first
    }
}
