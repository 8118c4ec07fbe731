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
/// direction in function space. λ by a rule (``MetricDamping``); α by a grid line search or a capped rate; the left or the right form by
/// `space`, the smaller by default; by eigenvalues, a factorisation, a sketch, or conjugate gradients (``MetricSolver``).
///
/// Both forms square J's condition number: of the direction, ε·σ₁²/λ is lost, which each step reports as `resolution` (by the trace).
/// Gauss–Newton by singular values of J has no such floor; ANaGRAM's cut-off of singular values (arXiv:2412.10782) is that optimizer's
/// `relativeCutoff`.
///
/// Where a search finds no step along p, the memory is dropped and d itself tried, then d with λ raised a hundredfold, three times over, then
/// −∇L. It is stationary where rounding hides all decreases and breaks down where none of this leads on; with a capped rate only where something
/// is not finite. A revision or another batch keeps φ, k, λ's clock and the stream of the sketches.
/// Cost: JᵀJ (NP² flops) or JJᵀ (N²P, less layer by layer), n³/3 flops with n the smaller side, 31 losses by the grid, one gradient.
///
/// Variants. ENGD: Müller & Zeinhofer, ICML 2023, arXiv:2302.13163, who take the least-norm solution with JᵀJ; here it is damped. ENGD-W,
/// SPRING, Nyström: Guzmán-Cordero, Dangel, Goldshlager & Zeinhofer, arXiv:2505.12149. Dual natural gradients (`scaling: jacobi` in
/// `space: samples`): Jnini & Vella, TMLR 2025, arXiv:2505.21404, without their geodesic correction, which Levenberg–Marquardt has; they are
/// for P ≥ N, since with more residuals than parameters d weighs these anew and leads to another point. In the space of parameters the same
/// scaling is Marquardt's.
public struct NaturalGradient: Optimizer, Configurable {
    public var space = MetricSpace.automatic
    public var damping: any MetricDamping = ConstantDamping()
    public var scaling = MetricScaling.none
    public var solver = MetricSolver.truncated(TruncatedMetric())
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
        (self.space, self.damping, self.scaling, self.solver) = (space, damping, scaling, solver)
        (self.momentum, self.stepLength, self.seed) = (momentum, stepLength, seed)
    }

    public static let identifier = "natural-gradient"
    public static let summary = "Energy natural gradients in parameter or sample space, with momentum (ENGD, ENGD-W, SPRING)."
    public static var fields: [Field<Self>] {
        [
            .choice("space", \.space, meaning: "where the metric is inverted: P×P, N×N, or the smaller"),
            .metricDamping("damping", \.damping, meaning: "λ, which is added to the metric"),
            .choice(
                "scaling", \.scaling, meaning: "whether the metric is scaled to a unit diagonal before it is damped"),
            .metricSolver("solver", \.solver, meaning: "how the damped metric is inverted"),
            .naturalMomentum("momentum", \.momentum, meaning: "what is kept of the steps before"),
            .naturalStepLength("stepLength", \.stepLength, meaning: "how far a step goes"),
            .integer("seed", \.seed, atLeast: 0, atMost: .max, meaning: "seeds the sketches"),
        ]
    }

    public func validate() throws {
        if scaling == .jacobi, !solver.isDense {
            throw ConfigurationError(path: "scaling", reason: "jacobi needs the metric's diagonal: take the solver exact or truncated")
        }
    }

    public func start(on problem: any LeastSquaresProblem, from parameters: Parameters) throws -> NaturalGradientState {
        NaturalGradientState(
            standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)),
            random: RandomStream(seed: UInt64(seed), name: "natural-gradient/sketch"))
    }

    public func step(_ state: inout NaturalGradientState, on problem: any LeastSquaresProblem) throws -> StepReport {
        let here = state.standpoint
        var next = state
        var last: MetricSolution?
        var iterations = 0
        func report(_ at: Standpoint, _ verdict: StepVerdict, α: Double? = nil, trials: Int = 0, floor: Finding? = nil) -> StepReport {
            var details: [StepReport.Detail] = [.init("trials", Double(trials))]
            if let last {
                details.append(.init("damping", last.damping))
                if let resolution = last.resolution { details.append(.init("resolution", resolution)) }
            }
            return StepReport(
                loss: at.loss, gradientNorm: at.gradient.norm, stepLength: α, verdict: verdict, details: details, floor: floor,
                linearIterations: iterations)
        }
        func broken(_ failure: FactorizationFailure) -> StepReport {
            let breakdown = Breakdown(
                .linearSolver, "the damped metric could not be inverted: \(failure)", lookingAt: [here.parameters.values], on: problem)
            return report(here, .brokeDown(breakdown))
        }
        guard here.isFinite else { return report(here, .brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        if here.hasVanishingGradient { return report(here, .stationary, floor: .vanishingGradient(here.gradient.norm)) }

        let model = try problem.linearization(at: here.parameters.values)
        let metric: any DampedMetric
        let place = space.resolved(parameters: here.parameters.count, residuals: problem.residualCount)
        switch solver.metric(of: model, in: place, scaling: scaling, random: &next.random) {
        case .success(let found): metric = found
        case .failure(let failure): return broken(failure)
        }
        var λ = damping.value(loss: here.loss.total, steps: state.steps)

        /// The direction that follows from the memory, which is set to what comes after it.
        func direction(memory φ: Vector?, count: Int) -> Result<Vector, FactorizationFailure> {
            metric.solve(momentum.target(model, memory: φ), damping: λ).map { solved in
                (last, iterations) = (solved, iterations + solved.iterations)
                let combined = momentum.combine(solved.direction, memory: φ, count: count)
                (next.memory, next.count) = (combined.memory, combined.memory == nil ? 0 : count)
                return combined.direction
            }
        }
        func take(_ there: Standpoint, α: Double, trials: Int) -> StepReport {
            guard there.isFinite else { return report(here, .brokeDown(.nonFinite(at: there.parameters.values, on: problem))) }
            next.standpoint = there
            next.steps += 1
            state = next
            return report(there, .accepted, α: α, trials: trials)
        }

        switch stepLength {
        case .fixed(let rate):
            switch direction(memory: state.memory, count: state.count + 1) {
            case .failure(let failure): return broken(failure)
            case .success(let p):
                let norm = p.norm
                let α = state.stepScale * (norm > 0 ? rate.length(norm: norm) : rate.learningRate)
                let θ = here.parameters.values.adding(p, scaledBy: α)
                return take(Standpoint(at: here.parameters.with(θ), try problem.lossAndGradient(at: θ)), α: α, trials: 1)
            }
        case .search(let search):
            var trials = 0
            func attempt(_ p: Vector) throws -> LineSearchResult<Trial> {
                let result = try search.search(along: here.ray(along: p, on: problem), from: state.stepScale)
                trials += result.trials
                return result
            }
            if state.memory != nil {
                switch direction(memory: state.memory, count: state.count + 1) {
                case .failure(let failure): return broken(failure)
                case .success(let p):
                    if let sample = try attempt(p).usable {
                        return take(try here.accepting(sample, on: problem), α: sample.stepLength, trials: trials)
                    }
                }
            }
            var (reason, tried) = ("", [Vector]())
            for rescue in 0...3 {
                let p: Vector
                switch direction(memory: nil, count: 1) {
                case .failure(let failure): return broken(failure)
                case .success(let found): p = found
                }
                let result = try attempt(p)
                if let sample = result.usable {
                    return take(try here.accepting(sample, on: problem), α: sample.stepLength, trials: trials)
                }
                if rescue == 0 {
                    reason = result.failure?.description ?? "no step"
                    switch try here.deadEnd(along: p, on: problem) {
                    case .stationary(let finding): return report(here, .stationary, trials: trials, floor: finding)
                    case .step(let sample):
                        return take(try here.accepting(sample, on: problem), α: sample.stepLength, trials: trials)
                    case .unexplained: break
                    }
                }
                tried.append(here.parameters.values + p)
                λ = 100 * Swift.max(λ, last?.damping ?? λ)
            }
            let steepest = -Descent.firstStep(from: here) * here.gradient
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
            tried.append(here.parameters.values + steepest)
            let breakdown = Breakdown(.lineSearch, "no step along the natural gradient: \(reason)", lookingAt: tried, on: problem)
            return report(here, .brokeDown(breakdown), trials: trials)
        }
    }

    /// Loss and gradient are evaluated anew; memory, clock and stream are kept.
    public func adapt(_ state: inout NaturalGradientState, to problem: any LeastSquaresProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
    }

    /// Halves every step from now on.
    public func shortenSteps(_ state: inout NaturalGradientState) -> Bool {
        state.stepScale *= 0.5
        return true
    }

    public func square(parameters: Int, residuals: Int?) -> JacobianSquare? {
        guard let residuals, solver.isDense else { return nil }
        return space.resolved(parameters: parameters, residuals: residuals) == .samples ? .kernel : .gramian
    }

    /// The metric and its factor, or the sketch with its work space, and a dozen vectors.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        guard let residuals else { return nil }
        let n = order(parameters, residuals)
        let numbers =
            switch solver {
            case .exact: (scaling == .jacobi ? 3 : 2) * n * n
            case .truncated: (scaling == .jacobi ? 5 : 4) * n * n
            case .nystrom(let kind): 5 * kind.share * n * n + dense(parameters, residuals)
            case .pcg(let kind): 5 * kind.share * n * n + (kind.share > 0 ? dense(parameters, residuals) : 0)
            }
        return bytes(ofNumbers: numbers + 12 * (Double(parameters) + Double(residuals)))
    }

    /// With the first direction taken; the trials of a search other than a grid are not counted.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        guard let residuals else { return nil }
        let (p, n, m) = (Double(parameters), Double(residuals), order(parameters, residuals))
        var items: [StepCost.Item] = [.init(.linearization, 1)]
        if case .search(let search) = stepLength, let grid = search as? GridLineSearch { items.append(.init(.loss, Double(grid.count))) }
        items.append(.init(.gradient, 1))
        var (products, flops) = (1.0, 10 * (n + p))
        if case .spring = momentum { items.append(.init(.jacobianProduct, 1)) }
        func sketched(_ share: Double) -> Double {
            let l = share * m
            return 4 * n * p * l + 10 * m * l * l + 24 * l * l * l
        }
        switch solver {
        case .exact: flops += n * p * m + m * m * m / 3
        case .truncated: flops += n * p * m + 4 * m * m * m
        case .nystrom(let kind): flops += sketched(kind.share)
        case .pcg(let kind):
            products += Double(kind.maximumIterations)
            items.append(.init(.jacobianProduct, Double(kind.maximumIterations)))
            flops += sketched(kind.share) + Double(kind.maximumIterations) * (10 + 4 * kind.share * m) * m
        }
        return StepCost(items + [.init(.transposedProduct, products)], flops: flops)
    }

    /// The order of the metric that is inverted.
    private func order(_ parameters: Int, _ residuals: Int) -> Double {
        Double(space.resolved(parameters: parameters, residuals: residuals) == .samples ? residuals : parameters)
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
        archive.set("random", random)
    }

    public init(from archive: Archive) throws {
        self.init(standpoint: try archive.value("standpoint"), random: try archive.value("random"))
        let stored = try archive.vector("memory")
        guard stored.isEmpty || stored.count == parameters.count else {
            throw ArchiveError(entry: "memory", reason: "\(stored.count) values for \(parameters.count) parameters")
        }
        memory = stored.isEmpty ? nil : stored
        (count, steps) = (try archive.count("count"), try archive.count("steps"))
        stepScale = try archive.double("stepScale")
    }
}
