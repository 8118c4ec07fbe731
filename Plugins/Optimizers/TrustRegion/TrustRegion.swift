import Globalization
import LinearAlgebra
import OptimizationCore

/// Newton's or Gauss–Newton's model within a trust region, with a choice of solvers for its subproblem.
///
///     p ≈ argmin gᵀp + ½pᵀBp over ‖p‖ ≤ Δ,   ρ = (L(θ) − L(θ + p))/(−gᵀp − ½pᵀBp),   θ⁺ = θ + p where ρ > acceptance
///
/// B = ∇²L, which may be indefinite, or JᵀJ; Δ follows ρ by ``TrustRadius``. By product only: `steihaug-toint` (``SteihaugToint``) and
/// `gltr` (``GLTR``), to ‖residual‖ ≤ η·‖g‖ with η by Eisenstat and Walker (``ForcingTerm``). With a dense B from P products, for small
/// problems: `exact` (``ExactSubproblem``), `dogleg` and `double-dogleg` (``DoglegSubproblem``).
/// Cost: a gradient a trial, and the products; a refused trial is followed by another radius within the step, with what the subproblem's
/// solver has found so far. One radius serves all parameters: where they differ in scale by many orders, steps are short
/// (`levenberg-marquardt` scales). A trial that is not finite shrinks Δ to a quarter; where no radius gives one that is, or a product is
/// not finite, the method breaks down. Stationary where the loss's rounding hides every decrease. A revision keeps Δ. No constant has the
/// loss's scale; Δ₀ has that of the parameters.
/// Variants: SciPy's `trust-ncg`, `trust-krylov`, `trust-exact` and `dogleg` are these four, with Δ₀ = 1 and an η that depends on the
/// loss's scale.
/// Source: Conn, Gould & Toint, *Trust-Region Methods*, 2000, doi:10.1137/1.9780898719857, alg. 6.1.1; Nocedal & Wright, 2nd ed., ch. 4.
public struct TrustRegion: Optimizer, Configurable {
    public enum Subproblem: String, CaseIterable, Sendable, Hashable {
        case steihaugToint = "steihaug-toint"
        case gltr
        case dogleg
        case doubleDogleg = "double-dogleg"
        case exact

        /// Whether B is formed.
        public var isDense: Bool { self != .steihaugToint && self != .gltr }
    }

    public var subproblem = Subproblem.gltr
    public var model = CurvatureModel.hessian
    public var radius = TrustRadius()
    /// Δ₀; 0 stands for the length of the first step of ``Descent``, min(2L/‖g‖, 1).
    public var initialRadius = 0.0
    /// Of `steihaug-toint` and `gltr`.
    public var forcing = ForcingTerm()
    /// Inner iterations for one model at most, of `steihaug-toint` and `gltr`.
    public var maximumIterations = 250
    /// Radii tried in one step.
    public var maximumTrials = 30

    public init() {}

    public init(_ subproblem: Subproblem, model: CurvatureModel = .hessian) { (self.subproblem, self.model) = (subproblem, model) }

    public static let identifier = "trust-region"
    public static let summary = "Newton or Gauss–Newton in a trust region: Steihaug–Toint, GLTR, doglegs or exact."
    public static var fields: [Field<Self>] {
        [
            .choice("subproblem", \.subproblem, meaning: "how the model is minimised within the region"),
            .choice("model", \.model, meaning: "the matrix of the quadratic model; gauss-newton for sums of squares only"),
            .part("radius", \.radius, meaning: "how the radius follows the gain ratio"),
            .number("initialRadius", \.initialRadius, in: .nonNegative, meaning: "Δ₀; 0 stands for min(2L/‖∇L‖, 1)"),
            .part("forcing", \.forcing, meaning: "how accurately the model is minimised, by products"),
            .integer("maximumIterations", \.maximumIterations, atLeast: 1, meaning: "inner iterations for one model at most"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "radii tried in one step"),
        ]
    }

    public func start(on problem: any TwiceDifferentiableProblem, from parameters: Parameters) throws -> TrustRegionState {
        try model.check(problem)
        return TrustRegionState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout TrustRegionState, on problem: any TwiceDifferentiableProblem) throws -> StepReport {
        let here = state.standpoint
        let θ = here.parameters.values
        var (Δ, ratio, trials, products) = (state.radius ?? 0, 0.0, 0, 0)
        func report(_ standpoint: Standpoint, _ verdict: StepVerdict, stepLength: Double? = nil, floor: Finding? = nil) -> StepReport {
            StepReport(
                loss: standpoint.loss, gradientNorm: standpoint.gradient.norm, stepLength: stepLength, verdict: verdict,
                details: [
                    .init("radius", Δ), .init("gainRatio", ratio), .init("trials", Double(trials)), .init("products", Double(products)),
                ], floor: floor, linearIterations: products)
        }
        guard here.isFinite else { return report(here, .brokeDown(.nonFinite(at: θ, on: problem))) }
        if here.hasVanishingGradient { return report(here, .stationary, floor: .vanishingGradient(here.gradient.norm)) }
        let first = initialRadius > 0 ? initialRadius : here.gradient.norm * Descent.firstStep(from: here)
        if state.radius == nil { Δ = first }
        let η = forcing.value(gradientNorm: here.gradient.norm, after: state.forcing)
        var solver = try solver(of: here, η, on: problem)
        func failed(_ failure: FactorizationFailure) -> StepReport {
            let reason: Breakdown.Reason = failure == .nonFinite ? .nonFinite : .linearSolver
            let detail =
                failure == .nonFinite ? "a product with the curvature matrix is not finite" : "no minimiser of the model: \(failure)"
            return report(here, .brokeDown(Breakdown(reason, detail, lookingAt: [θ], on: problem)))
        }
        var nowhere: Vector?
        var anyFinite = false
        while trials < maximumTrials {
            let found: TrustRegionStep
            switch solver.step(within: Δ) {
            case .failure(let failure): return failed(failure)
            case .success(let step): found = step
            }
            products = solver.products
            let length = found.p.norm
            guard found.decrease > here.lastBits, length > 0 else {
                if let nowhere { return report(here, .brokeDown(.nonFinite(at: nowhere, on: problem))) }
                return try unpromising(&state, found.decrease, &solver, within: Swift.max(Δ, first), on: problem, report, failed)
            }
            trials += 1
            let candidate = θ + found.p
            let value = try problem.lossAndGradient(at: candidate)
            guard value.isFinite else {
                (Δ, nowhere) = (0.25 * length, candidate)
                guard candidate != θ else { break }
                continue
            }
            anyFinite = true
            ratio = (here.loss.total - value.loss.total) / found.decrease
            let used = Δ
            Δ = radius.updated(Δ, gainRatio: ratio, stepNorm: length)
            guard ratio > radius.acceptance else {
                // A step that a rule leaves where it is would be tried for ever.
                if Δ >= used { Δ = 0.5 * length }
                continue
            }
            (state.standpoint, state.radius) = (Standpoint(at: here.parameters.with(candidate), value), Δ)
            if !subproblem.isDense {
                state.forcing = ForcingMemory(forcing: η, gradientNorm: here.gradient.norm, residualNorm: found.residualNorm)
            }
            var accepted = report(state.standpoint, .accepted, stepLength: length)
            accepted.details[0] = .init("radius", used)
            return accepted
        }
        guard anyFinite else { return report(here, .brokeDown(.nonFinite(at: nowhere ?? θ, on: problem))) }
        state.radius = Δ
        return report(here, .rejected)
    }

    private func solver(
        of here: Standpoint, _ η: Double, on problem: any TwiceDifferentiableProblem
    ) throws -> any TrustRegionSubproblem {
        let (θ, g) = (here.parameters.values, here.gradient)
        switch subproblem {
        case .steihaugToint:
            let B = try model.operator(at: θ, on: problem)
            return SteihaugToint(g, forcing: η, maximumIterations: Swift.min(maximumIterations, 2 * g.count)) { B.product($0) }
        case .gltr:
            let B = try model.operator(at: θ, on: problem)
            return GLTR(g, forcing: η, maximumIterations: maximumIterations) { B.product($0) }
        case .dogleg, .doubleDogleg:
            return DoglegSubproblem(g, matrix: try model.matrix(at: θ, on: problem), double: subproblem == .doubleDogleg)
        case .exact: return ExactSubproblem(g, matrix: try model.matrix(at: θ, on: problem))
        }
    }

    /// Within its radius the model promises no more than the loss's last bits: the end where it does not promise more farther out either,
    /// or where rounding hides that.
    private func unpromising(
        _ state: inout TrustRegionState, _ promised: Double, _ solver: inout any TrustRegionSubproblem, within widest: Double,
        on problem: any TwiceDifferentiableProblem, _ report: (Standpoint, StepVerdict, Double?, Finding?) -> StepReport,
        _ failed: (FactorizationFailure) -> StepReport
    ) throws -> StepReport {
        let here = state.standpoint
        let wide: TrustRegionStep
        switch solver.step(within: widest) {
        case .failure(let failure): return failed(failure)
        case .success(let step): wide = step
        }
        guard wide.decrease > here.lastBits else {
            return report(here, .stationary, nil, .hiddenDecrease(Swift.max(promised, wide.decrease), hidden: here.lastBits))
        }
        var end = try here.deadEnd(along: wide.p, on: problem)
        if case .unexplained = end {
            // A step that is too long explains nothing, and refused ones, shorter and shorter, were more and more along −g.
            end = try here.deadEnd(along: -Descent.firstStep(from: here) * here.gradient, on: problem, seeingCurvature: true)
        }
        switch end {
        case .stationary(let finding): return report(here, .stationary, nil, finding)
        case .unexplained:
            let detail = "the radius shrank to \(state.radius ?? 0) without a decrease"
            let place = here.parameters.values + wide.p
            return report(here, .brokeDown(Breakdown(.regularization, detail, lookingAt: [place], on: problem)), nil, nil)
        case .step(let sample):
            let there = try here.accepting(sample, on: problem)
            guard there.isFinite else { return report(here, .brokeDown(.nonFinite(at: there.parameters.values, on: problem)), nil, nil) }
            let length = (there.parameters.values - here.parameters.values).norm
            (state.standpoint, state.radius, state.forcing) = (there, length, nil)
            return report(there, .accepted, length, nil)
        }
    }

    /// Loss and gradient are evaluated anew; the radius is kept.
    public func adapt(_ state: inout TrustRegionState, to problem: any TwiceDifferentiableProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
        state.forcing = nil
    }

    /// A tenth of the radius.
    public func shortenSteps(_ state: inout TrustRegionState) -> Bool {
        let here = state.standpoint
        let first = initialRadius > 0 ? initialRadius : here.gradient.norm * Descent.firstStep(from: here)
        let shorter = 0.1 * (state.radius ?? first)
        guard shorter > 0, shorter.isFinite else { return false }
        state.radius = shorter
        return true
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let p = Double(parameters)
        switch subproblem {
        case .steihaugToint: return bytes(ofNumbers: (2 * Double(Swift.min(maximumIterations, 2 * parameters)) + 10) * p)
        case .gltr: return bytes(ofNumbers: (Double(Swift.min(maximumIterations, parameters)) + 10) * p)
        case .dogleg, .doubleDogleg: return bytes(ofNumbers: 2 * p * p + 10 * p)
        case .exact: return bytes(ofNumbers: 4 * p * p + 10 * p)
        }
    }

    /// With one trial and, by products, twenty inner iterations.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let (p, k) = (Double(parameters), Double(Swift.min(20, parameters)))
        guard subproblem.isDense else {
            let flops = subproblem == .gltr ? 4 * p * k * k + 8 * k * k * k : 10 * p * k
            return StepCost([.init(.gradient, 1)] + model.cost(products: k), flops: flops)
        }
        return StepCost(
            [.init(.gradient, 1)] + (model == .hessian ? model.cost(products: p) : [.init(.linearization, 1)]),
            flops: (subproblem == .exact ? 4 : 1.0 / 3) * p * p * p)
    }

    public func square(parameters: Int, residuals: Int?) -> JacobianSquare? {
        subproblem.isDense && model == .gaussNewton ? .gramian : nil
    }
}

/// Where the method stands, its radius, and what its forcing term remembers.
public struct TrustRegionState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// Δ; nil before the first step.
    public internal(set) var radius: Double?
    public internal(set) var forcing: ForcingMemory?

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("radius", radius.map { [$0] } ?? [])
        if let forcing { archive.set("forcing", forcing) }
    }

    public init(from archive: Archive) throws {
        (standpoint, radius) = (try archive.value("standpoint"), try archive.doubles("radius").first)
        forcing = try archive.groupIfPresent("forcing")?.decoded()
    }
}
