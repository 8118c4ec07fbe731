import Globalization
import LinearAlgebra
import OptimizationCore

/// Energy natural gradients: the loss's gradient, preconditioned by the metric that the residual induces.
///
/// With r = r(θ) ∈ ℝᴺ, J = ∂r/∂θ ∈ ℝᴺˣᴾ, L = ½‖r‖² and φ the memory of a momentum (see ``NaturalMomentum``),
///
///     d = −(JᵀJ + λI)⁻¹Jᵀr = −Jᵀ(JJᵀ + λI)⁻¹r        θ⁺ = θ + α·p(d, φ)
///
/// For the least-squares loss of a PDE, JᵀJ is the Gramian of the energy in the tangent space of the network, and d the image of Newton's
/// direction in function space. λ by a rule (``MetricDamping``), or by the gain ratio of the steps as Levenberg–Marquardt's; α by a grid line
/// search, a capped rate, or full steps; the left or the right form by `space`, the one of fewer operations by default; by eigenvalues, a
/// factorisation, a sketch, or conjugate gradients (``MetricSolver``).
///
/// A loss that is no sum of squares but has a metric AᵀA (``GeneralizedGaussNewtonProblem``: the energies of deep Ritz methods) gets
/// d = −(AᵀA + λI)⁻¹∇L, in the space of parameters. With `averaging` β > 0, Ḡ ← βḠ + (1 − β)JᵀJ stands in for JᵀJ, in that space too.
///
/// The gain ratio of a step s is ρ = (L(θ) − L(θ + s))/(−gᵀs − ½‖Js‖²): of the whole direction, with a capped rate of the step as taken, which is
/// taken whatever ρ is; of a bent full step the loss is that where it ends, the denominator that of s. With full steps a direction from the memory
/// that is refused is followed by d itself; then λ grows.
///
/// Both forms square J's condition number: of the direction, ε·σ₁²/λ is lost, which each step reports as `resolution` (by the trace).
/// Gauss–Newton by singular values of J has no such floor; ANaGRAM's cut-off of singular values (arXiv:2412.10782) is that optimizer's
/// `relativeCutoff`.
///
/// Where a search finds no step along p, the memory is dropped and d itself tried, then d with λ raised a hundredfold, three times over, then
/// −∇L. It is stationary where rounding hides all decreases and breaks down where none of this leads on; with a capped rate only where something
/// is not finite, with full steps where λ reaches its bound. A revision or another batch keeps φ, k, λ, its clock, Ḡ and the stream of the sketches.
/// Cost: JᵀJ (NP² flops) or JJᵀ (N²P, less layer by layer), n³/3 flops with n the order of either, 31 losses by the grid, one gradient; a J·v
/// more for the gain ratio. Ḡ: P² numbers more, in the checkpoints too.
///
/// Variants. ENGD: Müller & Zeinhofer, ICML 2023, arXiv:2302.13163, who take the least-norm solution with JᵀJ; here it is damped. The average is
/// that of Dangel, Müller & Zeinhofer (arXiv:2405.15603; f-dangel/kfac-pinns-experiments, runs with β = 0.3 … 0.9): from zero or I, with nothing
/// made up for; SPRING's correction −μJφ takes the present J. ENGD-W,
/// SPRING, Nyström: Guzmán-Cordero, Dangel, Goldshlager & Zeinhofer, arXiv:2505.12149. Dual natural gradients (`scaling: jacobi` in
/// `space: samples`): Jnini & Vella, TMLR 2025, arXiv:2505.21404, with a geodesic correction by full steps (``FullStep``); they are
/// for P ≥ N, since with more residuals than parameters d weighs these anew and leads to another point. In the space of parameters the same
/// scaling is Marquardt's.
public struct NaturalGradient: Optimizer, Configurable {
    public var space = MetricSpace.automatic
    public var damping = NaturalDamping.schedule(ConstantDamping())
    public var scaling = MetricScaling.none
    public var solver = MetricSolver.truncated(TruncatedMetric())
    /// β ∈ [0, 1).
    public var averaging = 0.0
    public var metricStart = MetricStart.zero
    public var momentum = NaturalMomentum.none
    public var stepLength = NaturalStepLength.search(GridLineSearch())
    /// Seeds the sketches.
    public var seed = 0

    public init() {}

    public init(
        space: MetricSpace = .automatic, damping: any MetricDamping = ConstantDamping(), scaling: MetricScaling = .none,
        solver: MetricSolver = .truncated(TruncatedMetric()), momentum: NaturalMomentum = .none,
        stepLength: NaturalStepLength = .search(GridLineSearch()),
        seed: Int = 0
    ) {
        precondition(seed >= 0, "the seed \(seed) is negative")
        (self.space, self.damping, self.scaling, self.solver) = (space, .schedule(damping), scaling, solver)
        (self.momentum, self.stepLength, self.seed) = (momentum, stepLength, seed)
    }

    /// With a λ that follows the gain ratio.
    public init(
        space: MetricSpace = .automatic, damping: any DampingRule, scaling: MetricScaling = .none,
        solver: MetricSolver = .truncated(TruncatedMetric()), momentum: NaturalMomentum = .none,
        stepLength: NaturalStepLength = .full(FullStep()), seed: Int = 0
    ) {
        self.init(space: space, scaling: scaling, solver: solver, momentum: momentum, stepLength: stepLength, seed: seed)
        self.damping = .gainRatio(damping)
    }

    public static let identifier = "natural-gradient"
    public static let summary = "Energy natural gradients in parameter or sample space, with momentum (ENGD, ENGD-W, SPRING)."
    public static var fields: [Field<Self>] {
        [
            .choice("space", \.space, meaning: "where the metric is inverted: P×P, N×N, or where it takes fewer operations"),
            .metricDamping("damping", \.damping, meaning: "λ, which is added to the metric"),
            .choice(
                "scaling", \.scaling, meaning: "whether the metric is scaled to a unit diagonal before it is damped"),
            .metricSolver("solver", \.solver, meaning: "how the damped metric is inverted"),
            .number(
                "averaging", \.averaging, in: .fraction, meaning: "β, the part of the metric that is kept from step to step; 0 for none"),
            .choice("metricStart", \.metricStart, meaning: "from what the metric's average begins"),
            .naturalMomentum("momentum", \.momentum, meaning: "what is kept of the steps before"),
            .naturalStepLength("stepLength", \.stepLength, meaning: "how far a step goes"),
            .integer("seed", \.seed, atLeast: 0, atMost: .max, meaning: "seeds the sketches"),
        ]
    }

    public func validate() throws {
        if scaling == .jacobi, !solver.isDense {
            throw ConfigurationError(path: "scaling", reason: "jacobi needs the metric's diagonal: take the solver exact or truncated")
        }
        if averaging > 0, space == .samples {
            throw ConfigurationError(
                path: "averaging",
                reason: "\(averaging) needs JᵀJ, which is of one shape whatever the samples; JJᵀ is not: take space: parameters, or 0")
        }
        if averaging > 0, !solver.isDense {
            throw ConfigurationError(path: "averaging", reason: "\(averaging) needs JᵀJ itself: take the solver exact or truncated, or 0")
        }
        if case .full = stepLength, case .schedule(let rule) = damping {
            throw ConfigurationError(
                path: "stepLength",
                reason:
                    "full steps are refused by a gain ratio, which does not move a \(type(of: rule).identifier) damping: take the damping "
                    + "nielsen or classical, or a line search")
        }
    }

    /// In the space of samples there must be residuals.
    public func check(_ problem: any GeneralizedGaussNewtonProblem) throws {
        try validate()
        guard space == .samples, !(problem is any LeastSquaresProblem) else { return }
        throw ConfigurationError(
            path: "space",
            reason:
                "samples inverts the JJᵀ of a residual, and the loss of \(problem.name) is no sum of squares: take parameters or automatic")
    }

    public func start(on problem: any GeneralizedGaussNewtonProblem, from parameters: Parameters) throws -> NaturalGradientState {
        try check(problem)
        return NaturalGradientState(
            standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)),
            random: RandomStream(seed: UInt64(seed), name: "natural-gradient/sketch"))
    }

    public func step(_ state: inout NaturalGradientState, on problem: any GeneralizedGaussNewtonProblem) throws -> StepReport {
        let here = state.standpoint
        let (θ, g) = (here.parameters.values, here.gradient)
        var next = state
        var last: MetricSolution?
        var (iterations, ratio): (Int, Double?) = (0, nil)
        func report(_ at: Standpoint, _ verdict: StepVerdict, α: Double? = nil, trials: Int = 0, floor: Finding? = nil) -> StepReport {
            var details: [StepReport.Detail] = [.init("trials", Double(trials))]
            if let last {
                details.append(.init("damping", last.damping))
                if let resolution = last.resolution { details.append(.init("resolution", resolution)) }
            }
            if let ratio { details.append(.init("gainRatio", ratio)) }
            return StepReport(
                loss: at.loss, gradientNorm: at.gradient.norm, stepLength: α, verdict: verdict, details: details, floor: floor,
                linearIterations: iterations)
        }
        func broken(_ failure: FactorizationFailure) -> StepReport {
            let breakdown = Breakdown(
                .linearSolver, "the damped metric could not be inverted: \(failure)", lookingAt: [θ], on: problem)
            return report(here, .brokeDown(breakdown))
        }
        guard here.isFinite else { return report(here, .brokeDown(.nonFinite(at: θ, on: problem))) }
        if here.hasVanishingGradient { return report(here, .stationary, floor: .vanishingGradient(g.norm)) }

        let linearization = try (problem as? any LeastSquaresProblem)?.linearization(at: θ)
        let model: any GaussNewtonFactor = try linearization ?? problem.gaussNewtonFactor(at: θ)
        if averaging > 0 { next.average(model.gramian(), keeping: averaging, from: metricStart) }
        var metric: any DampedMetric
        switch solver.metric(of: model, in: place(on: problem), scaling: scaling, average: next.metric, random: &next.random) {
        case .success(let found): metric = found
        case .failure(let failure): return broken(failure)
        }
        var λ: Damping
        switch damping {
        case .schedule(let rule): λ = Damping(value: rule.value(loss: here.loss.total, steps: state.steps), growth: 1)
        case .gainRatio(let rule):
            // λ is added to a metric whose diagonal is one, or to the metric itself.
            let unit = scaling == .jacobi ? 1 : Swift.max(metric.scale, Double.leastNormalMagnitude)
            λ = state.damping?.damping(scale: unit) ?? rule.start(scale: unit)
        }

        /// The direction that follows from the memory, which is set to what comes after it, and by how much it is longer than the momentum's own.
        func direction(memory φ: Vector?, count: Int) -> Result<(p: Vector, correction: Double), FactorizationFailure> {
            let target = momentum.target(model, residual: linearization?.residual, gradient: g, memory: φ)
            return metric.solve(target, damping: λ.value).map { solved in
                (last, iterations) = (solved, iterations + solved.iterations)
                let combined = momentum.combine(solved.direction, memory: φ, count: count)
                (next.memory, next.count) = (combined.memory, combined.memory == nil ? 0 : count)
                return (combined.direction, combined.correction)
            }
        }
        /// −gᵀs − ½‖Js‖², the decrease that the model promises.
        func promise(_ s: Vector) -> Double {
            let image = model.product(s)
            return -g.dot(s) - 0.5 * image.dot(image)
        }
        /// ρ of a step to a loss; −∞ where there is no decrease to be had.
        func gain(to loss: Double, promised: Double) -> Double {
            loss.isFinite && promised > 0 ? (here.loss.total - loss) / promised : -.infinity
        }
        func take(_ there: Standpoint, α: Double, trials: Int) -> StepReport {
            guard there.isFinite else { return report(here, .brokeDown(.nonFinite(at: there.parameters.values, on: problem))) }
            next.standpoint = there
            next.steps += 1
            if case .gainRatio(let rule) = damping { next.damping = ratio.map { rule.updated(λ, gainRatio: $0) } ?? λ }
            state = next
            return report(there, .accepted, α: α, trials: trials)
        }

        switch stepLength {
        case .fixed(let rate):
            switch direction(memory: state.memory, count: state.count + 1) {
            case .failure(let failure): return broken(failure)
            case .success(let (p, _)):
                let α = state.stepScale * rate.length(norm: p.norm, step: state.steps + 1)
                let candidate = θ.adding(p, scaledBy: α)
                let there = Standpoint(at: here.parameters.with(candidate), try problem.lossAndGradient(at: candidate))
                if case .gainRatio = damping { ratio = gain(to: there.loss.total, promised: promise(α * p)) }
                return take(there, α: α, trials: 1)
            }
        case .search(let search):
            var trials = 0
            func attempt(_ p: Vector) throws -> LineSearchResult<Trial> {
                let result = try search.search(along: here.ray(along: p, on: problem), from: state.stepScale)
                trials += result.trials
                return result
            }
            /// A step to a sample on the ray along p, after the gain ratio of p without its correction.
            func accept(_ sample: RaySample<Trial>, along p: Vector, correction: Double) throws -> StepReport {
                if case .gainRatio = damping {
                    let s = (1 / correction) * p
                    let value = correction == 1 && sample.stepLength == 1 ? sample.value : try problem.loss(at: θ + s).total
                    ratio = gain(to: value, promised: promise(s))
                }
                return take(try here.accepting(sample, on: problem), α: sample.stepLength, trials: trials)
            }
            if state.memory != nil {
                switch direction(memory: state.memory, count: state.count + 1) {
                case .failure(let failure): return broken(failure)
                case .success(let (p, correction)):
                    if let sample = try attempt(p).usable { return try accept(sample, along: p, correction: correction) }
                }
            }
            var (reason, tried) = ("", [Vector]())
            for rescue in 0...3 {
                let along: (p: Vector, correction: Double)
                switch direction(memory: nil, count: 1) {
                case .failure(let failure): return broken(failure)
                case .success(let found): along = found
                }
                let (p, correction) = along
                let result = try attempt(p)
                if let sample = result.usable { return try accept(sample, along: p, correction: correction) }
                if rescue == 0 {
                    reason = result.failure?.description ?? "no step"
                    switch try here.deadEnd(along: p, on: problem) {
                    case .stationary(let finding): return report(here, .stationary, trials: trials, floor: finding)
                    case .step(let sample): return try accept(sample, along: p, correction: correction)
                    case .unexplained: break
                    }
                }
                tried.append(θ + p)
                λ.value = 100 * Swift.max(λ.value, last?.damping ?? λ.value)
            }
            let steepest = -Descent.firstStep(from: here) * g
            (next.memory, next.count) = (nil, 0)
            var found = try attempt(steepest).usable
            if found == nil {
                switch try here.deadEnd(along: steepest, on: problem, seeingCurvature: true) {
                case .stationary(let finding): return report(here, .stationary, trials: trials, floor: finding)
                case .step(let sample): found = sample
                case .unexplained: break
                }
            }
            if let found { return take(try here.accepting(found, on: problem), α: found.stepLength, trials: trials) }
            tried.append(θ + steepest)
            let breakdown = Breakdown(.lineSearch, "no step along the natural gradient: \(reason)", lookingAt: tried, on: problem)
            return report(here, .brokeDown(breakdown), trials: trials)
        case .full(let limits):
            guard case .gainRatio(let rule) = damping else { preconditionFailure("full steps with a damping that follows no gain ratio") }
            let α = state.stepScale
            var (trials, anyFinite) = (0, false)
            let acceleration = GeodesicAcceleration(bound: limits.geodesicAcceleration)
            /// Where the whole direction of the metric leads, or its geodesic.
            func better(of s: Vector, promising promised: Double) throws -> (step: Vector, loss: Double) {
                guard let problem = problem as? any LeastSquaresProblem, let linearization, let used = last?.damping else {
                    return (s, try problem.loss(at: θ + s).total)
                }
                return try acceleration.better(
                    of: s, promising: promised, from: here, linearization, on: problem, norm: \.norm,
                    solution: { try? metric.solve(.samples(-$0), damping: used).get().direction })
            }
            /// Takes the step along p without its correction, where ρ allows it.
            func attempt(_ p: Vector, _ correction: Double, bends: Bool) throws -> (taken: StepReport?, promised: Double) {
                trials += 1
                let s = (α / correction) * p
                let promised = promise(s)
                let (step, value) = try bends && α == 1 ? better(of: s, promising: promised) : (s, problem.loss(at: θ + s).total)
                let candidate = θ + step
                anyFinite = anyFinite || value.isFinite
                let ρ = gain(to: value, promised: promised)
                ratio = ρ
                guard ρ > rule.acceptance, value < here.loss.total else { return (nil, promised) }
                let there = Standpoint(at: here.parameters.with(candidate), try problem.lossAndGradient(at: candidate))
                return (there.isFinite ? take(there, α: α, trials: trials) : nil, promised)
            }
            if state.memory != nil, case .success(let (p, correction)) = direction(memory: state.memory, count: state.count + 1),
                let report = try attempt(p, correction, bends: false).taken
            {
                return report
            }
            var boldest: Vector?
            for _ in 0..<limits.maximumTrials {
                switch direction(memory: nil, count: 1) {
                case .failure(let failure):
                    guard failure != .nonFinite, λ.value < rule.maximum else { return broken(failure) }
                    ratio = -.infinity
                case .success(let (p, correction)):
                    let (taken, promised) = try attempt(p, correction, bends: momentum == NaturalMomentum.none)
                    if let taken { return taken }
                    let isFirst = boldest == nil
                    boldest = boldest ?? p
                    // What is promised may hide in the loss's rounding, or λ can grow no further.
                    guard rule.isGreatest(λ) || (isFirst && promised <= 1e-8 * abs(here.loss.total)) else { break }
                    switch try here.deadEnd(along: boldest ?? p, on: problem) {
                    case .stationary(let finding): return report(here, .stationary, trials: trials, floor: finding)
                    case .step(let sample): return take(try here.accepting(sample, on: problem), α: sample.stepLength, trials: trials)
                    case .unexplained: break
                    }
                    guard !rule.isGreatest(λ) else {
                        let breakdown = Breakdown(
                            .regularization, "the damping reached its bound, \(λ.value), without a decrease", lookingAt: [θ + p],
                            on: problem)
                        return report(here, .brokeDown(breakdown), trials: trials)
                    }
                }
                λ = rule.updated(λ, gainRatio: Swift.min(ratio ?? -.infinity, rule.acceptance))
            }
            state.damping = λ
            return report(here, anyFinite ? .rejected : .invalid, trials: trials)
        }
    }

    /// The space in which the metric of a problem is inverted.
    func place(on problem: any GeneralizedGaussNewtonProblem) -> MetricSpace {
        guard space == .automatic else { return space }
        guard averaging == 0, let problem = problem as? any LeastSquaresProblem else { return .parameters }
        guard solver.isDense else { return space.resolved(parameters: problem.layout.count, residuals: problem.residualCount) }
        return squares(on: problem).taken.plan.square == .kernel ? .samples : .parameters
    }

    private func squares(on problem: any LeastSquaresProblem) -> SquareChoice {
        space.choice(on: problem, arithmetic: { solver.arithmetic(order: $0) }, precision: precision)
    }

    private var precision: SquarePrecision {
        SquarePrecision(damping: damping.first, cutoff: solver.cutoff, isScaled: scaling == .jacobi)
    }

    /// Loss and gradient are evaluated anew; memory, damping, average, clock and stream are kept.
    public func adapt(_ state: inout NaturalGradientState, to problem: any GeneralizedGaussNewtonProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
    }

    /// Halves every step from now on.
    public func shortenSteps(_ state: inout NaturalGradientState) -> Bool {
        state.stepScale *= 0.5
        return true
    }

    public func square(parameters: Int, residuals: Int?) -> JacobianSquare? {
        guard let residuals, solver.isDense else { return nil }
        return resolved(parameters, residuals) == .samples ? .kernel : .gramian
    }

    public func squareChoice(on problem: any GeneralizedGaussNewtonProblem) -> SquareChoice? {
        guard solver.isDense else { return nil }
        guard averaging == 0, let problem = problem as? any LeastSquaresProblem else {
            let arithmetic = solver.arithmetic(order: Double(problem.layout.count))
            return SquareChoice(.init(problem.plan(of: .gramian), arithmetic: arithmetic), over: nil, precision: precision)
        }
        return squares(on: problem)
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        residuals.flatMap { workingMemory(parameters, $0, in: resolved(parameters, $0)) }
    }

    public func workingMemory(on problem: any GeneralizedGaussNewtonProblem) -> Int? {
        workingMemory(problem.layout.count, problem.factorRowCount, in: place(on: problem))
    }

    /// The metric and its factor, or the sketch with its work space, an average where there is one, and a dozen vectors.
    private func workingMemory(_ parameters: Int, _ residuals: Int, in place: MetricSpace) -> Int? {
        let n = Double(place == .samples ? residuals : parameters)
        let numbers =
            switch solver {
            case .exact: n * n
            case .truncated: (scaling == .jacobi ? 5 : 4) * n * n
            case .nystrom(let kind): 5 * kind.share * n * n + dense(parameters, residuals)
            case .pcg(let kind): 5 * kind.share * n * n + (kind.share > 0 ? dense(parameters, residuals) : 0)
            }
        let average = averaging > 0 ? 2 * Double(parameters) * Double(parameters) : 0
        return bytes(ofNumbers: numbers + average + 12 * (Double(parameters) + Double(residuals)))
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        residuals.flatMap { stepCost(parameters, $0, in: resolved(parameters, $0)) }
    }

    public func stepCost(on problem: any GeneralizedGaussNewtonProblem) -> StepCost? {
        stepCost(problem.layout.count, problem.factorRowCount, in: place(on: problem))
    }

    /// With the first direction taken; the trials of a search other than a grid are not counted.
    private func stepCost(_ parameters: Int, _ residuals: Int, in place: MetricSpace) -> StepCost? {
        let (p, n, m) = (Double(parameters), Double(residuals), Double(place == .samples ? residuals : parameters))
        var items: [StepCost.Item] = [.init(.linearization, 1)]
        var losses = 0.0
        switch stepLength {
        case .search(let search): losses += (search as? GridLineSearch).map { Double($0.count) } ?? 0
        case .full(let limits) where limits.geodesicAcceleration > 0 && momentum == NaturalMomentum.none: items.append(.init(.residual, 1))
        case .full: losses += 1
        case .fixed: break
        }
        var (products, flops, images) = (1.0, 10 * (n + p), 0.0)
        if case .gainRatio = damping {
            images += 1
            if case .search = stepLength { losses += 1 }
        }
        if losses > 0 { items.append(.init(.loss, losses)) }
        items.append(.init(.gradient, 1))
        if case .spring = momentum { images += 1 }
        if averaging > 0 { flops += 2 * p * p }
        func sketched(_ share: Double) -> Double {
            let l = share * m
            return 4 * n * p * l + 10 * m * l * l + 24 * l * l * l
        }
        switch solver {
        case .exact, .truncated: flops += n * p * m + solver.arithmetic(order: m)
        case .nystrom(let kind): flops += sketched(kind.share)
        case .pcg(let kind):
            products += Double(kind.maximumIterations)
            images += Double(kind.maximumIterations)
            flops += sketched(kind.share) + Double(kind.maximumIterations) * (10 + 4 * kind.share * m) * m
        }
        if images > 0 { items.append(.init(.jacobianProduct, images)) }
        return StepCost(items + [.init(.transposedProduct, products)], flops: flops)
    }

    private func resolved(_ parameters: Int, _ residuals: Int) -> MetricSpace {
        averaging > 0 ? .parameters : space.resolved(parameters: parameters, residuals: residuals)
    }

    private func dense(_ parameters: Int, _ residuals: Int) -> Double {
        let entries = Double(parameters) * Double(residuals)
        return entries <= Double(1 << 26) ? entries : 0
    }
}

/// Where a natural-gradient method stands, the memory of its momentum, and its clocks.
public struct NaturalGradientState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// φ ∈ ℝᴾ, where a momentum has begun.
    public var memory: Vector?
    /// k, the steps that φ has taken in.
    public var count = 0
    /// All steps taken, the clock of a decaying damping.
    public var steps = 0
    /// The factor of every step: 1, or halved by each recovery from a breakdown that shortens steps.
    public var stepScale = 1.0
    /// λ and ν, where they follow the gain ratio and a step has set them.
    public var damping: Damping?
    /// Ḡ ∈ ℝᴾˣᴾ, where the metric is averaged.
    public var metric: Matrix?
    /// What sketches are drawn from.
    public var random: RandomStream

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint, random: RandomStream) { (self.standpoint, self.random) = (standpoint, random) }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("memory", memory?.elements ?? [])
        archive.set("count", count)
        archive.set("steps", steps)
        archive.set("stepScale", stepScale)
        archive.set("damping", damping?.stored ?? [])
        archive.set("metric", metric ?? .zeros(0, 0))
        archive.set("random", random)
    }

    public static var formatVersion: Int { 2 }

    public init(from archive: Archive) throws {
        self.init(standpoint: try archive.value("standpoint"), random: try archive.value("random"))
        let stored = try archive.vector("memory")
        guard stored.isEmpty || stored.count == parameters.count else {
            throw ArchiveError(entry: "memory", reason: "\(stored.count) values for \(parameters.count) parameters")
        }
        memory = stored.isEmpty ? nil : stored
        (count, steps) = (try archive.count("count"), try archive.count("steps"))
        stepScale = try archive.double("stepScale")
        let numbers = try archive.doubles("damping")
        damping = numbers.isEmpty ? nil : try Damping(stored: numbers)
        let average = try archive.matrix("metric")
        guard average.rows == average.columns, average.rows == 0 || average.rows == parameters.count else {
            throw ArchiveError(entry: "metric", reason: "\(average.rows) × \(average.columns) for \(parameters.count) parameters")
        }
        metric = average.rows == 0 ? nil : average
    }

    /// Ḡ ← βḠ + (1 − β)G.
    mutating func average(_ fresh: Matrix, keeping β: Double, from start: MetricStart) {
        var average = metric ?? (start == .identity ? .identity(fresh.rows) : .zeros(fresh.rows, fresh.rows))
        for i in average.elements.indices { average.elements[i] = β * average.elements[i] + (1 - β) * fresh.elements[i] }
        metric = average
    }
}
