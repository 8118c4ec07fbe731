import Globalization
import LinearAlgebra
import OptimizationCore

/// STORM: a trust region whose model and whose losses are of samples that grow as the region shrinks.
///
///     p ≈ argmin g_Sᵀp + ½pᵀB_Hp over ‖p‖ ≤ Δ,   ρ = (L_Q(θ) − L_Q(θ + p))/(m(0) − m(p))
///     ρ ≥ η₁ and ‖g_S‖ ≥ η₂·κΔ:  θ⁺ = θ + p, Δ ← min(γΔ, Δ_max);     else Δ ← Δ/γ
///
/// S, H and Q are drawn anew for every step, accepted or not, from the streams “stochastic-trust-region/gradient”, “…/curvature” and
/// “…/probe”. The theory wants models right to order Δ² and losses to o(Δ²), each with a probability above one half: with `growth` the
/// sizes of S and H are those of the settings times (Δ₀/Δ)², at least one, that of Q times (Δ₀/Δ)⁴, up to all samples. κ =
/// g_SᵀB_Hg_S/‖g_S‖², where that is positive, makes η₂ a number: a region much wider than the model's Cauchy step is not to be trusted to
/// have been judged. p by Steihaug and Toint's iteration (``SteihaugToint``). Δ₀ is `initialRadius`, or min(2L/‖∇L‖, 1) for 0.
/// Cost: a gradient of S, up to `maximumIterations` products of H and two losses of Q; 10 vectors of P. The report's loss is Q's. On the
/// whole problem a step that promises less than the loss's last bits is stationary, and a region below ε·max(1, ‖θ‖) breaks down; on
/// samples both are rejected steps. A value that is not finite in a trial shrinks the region, elsewhere it breaks down.
/// Variants: radius and acceptance as in the paper (γ = 2, η₁ = 0.1), κ in η₂ is ours; Δ_max is 1e3·Δ₀. Sample sizes by Δ are those that
/// Chebyshev's inequality asks for, up to their constant.
/// Source: Chen, Menickelly & Scheinberg, Math. Prog. 169 (2018) 447–487, doi:10.1007/s10107-017-1141-8.
public struct StochasticTrustRegion: Optimizer, Configurable {
    public var model = CurvatureModel.hessian
    /// The first S.
    public var batch = BatchSettings()
    /// The first H.
    public var curvatureBatch = BatchSettings(size: 64)
    /// The first Q.
    public var probeBatch = BatchSettings()
    /// Whether samples grow as the region shrinks.
    public var growth = true
    /// Δ₀ ≥ 0.
    public var initialRadius = 0.0
    /// γ > 1.
    public var factor = 2.0
    /// η₁ ∈ (0, 1).
    public var acceptance = 0.1
    /// η₂ ≥ 0.
    public var cauchyShare = 0.1
    /// The relative residual at which the inner iteration ends.
    public var tolerance = 0.1
    public var maximumIterations = 50

    public init() {}

    public init(
        batch: BatchSettings, curvatureBatch: BatchSettings, probeBatch: BatchSettings, model: CurvatureModel = .hessian,
        growth: Bool = true
    ) {
        (self.batch, self.curvatureBatch, self.probeBatch) = (batch, curvatureBatch, probeBatch)
        (self.model, self.growth) = (model, growth)
    }

    public static let identifier = "stochastic-trust-region"
    public static let summary = "A trust region whose model and losses are of samples that grow as it shrinks (STORM)."
    public static var fields: [Field<Self>] {
        [
            .choice("model", \.model, meaning: "the matrix of the quadratic model; gauss-newton for sums of squares only"),
            .part("batch", \.batch, meaning: "the samples of the gradient, at first"),
            .part("curvatureBatch", \.curvatureBatch, meaning: "the samples of curvature, at first"),
            .part("probeBatch", \.probeBatch, meaning: "the samples that steps are judged by, at first"),
            .flag("growth", \.growth, meaning: "whether samples grow as the region shrinks"),
            .number("initialRadius", \.initialRadius, in: .nonNegative, meaning: "Δ₀; 0 stands for min(2L/‖∇L‖, 1)"),
            .number("factor", \.factor, in: .atLeast(1.01), meaning: "γ, by which the region grows and shrinks"),
            .number("acceptance", \.acceptance, in: .openUnit, meaning: "η₁, the gain ratio from which a step is taken"),
            .number("cauchyShare", \.cauchyShare, in: .nonNegative, meaning: "η₂, the least model gradient in units of κΔ for a step"),
            .number("tolerance", \.tolerance, in: .openUnit, meaning: "the relative residual at which the inner iteration ends"),
            .integer("maximumIterations", \.maximumIterations, atLeast: 1, meaning: "inner iterations of one step at most"),
        ]
    }

    public func validate() throws {
        for (name, settings) in [("batch", batch), ("curvatureBatch", curvatureBatch), ("probeBatch", probeBatch)]
        where settings.holding != 1 {
            throw ConfigurationError(path: "\(name).holding", reason: "must be 1: every step of a stochastic trust region draws anew")
        }
    }

    private var gradients: Sampling { Sampling(batch, stream: "stochastic-trust-region/gradient") }

    public func check(_ problem: any TwiceDifferentiableProblem & SampledProblem) throws { try model.check(problem) }

    public func start(
        on problem: any TwiceDifferentiableProblem & SampledProblem, from parameters: Parameters
    ) throws -> StochasticTrustRegionState {
        try check(problem)
        let sets = problem.sampleSets
        return StochasticTrustRegionState(
            point: try gradients.start(on: problem, from: parameters),
            curvature: try SampleDraw(curvatureBatch, of: sets, stream: "stochastic-trust-region/curvature", path: "curvatureBatch"),
            probe: try SampleDraw(probeBatch, of: sets, stream: "stochastic-trust-region/probe", path: "probeBatch"))
    }

    public func step(
        _ state: inout StochasticTrustRegionState, on problem: any TwiceDifferentiableProblem & SampledProblem
    ) throws -> StepReport {
        let (point, here) = (state.point, state.point.standpoint)
        let (θ, g) = (here.parameters.values, here.gradient)
        let view = try point.sample.view(of: problem)
        func broken(_ breakdown: Breakdown) -> StepReport { point.ended(.brokeDown(breakdown)) }
        guard here.isFinite else { return broken(.nonFinite(at: θ, on: view)) }
        let isWhole = point.sample.isWhole && state.probe.isWhole && state.curvature.isWhole
        let first = state.firstRadius ?? (initialRadius > 0 ? initialRadius : g.norm * Descent.firstStep(from: here))
        let Δ = state.radius ?? first
        if here.hasVanishingGradient {
            if isWhole { return point.ended(.stationary, floor: .vanishingGradient(g.norm)) }
            return try turned(&state, at: here.parameters, Δ, first, on: problem) { next in
                next.point.ended(.rejected, details: next.point.sampleDetails)
            }
        }

        let curved = try state.curvature.view(of: problem)
        let B = try model.operator(at: θ, on: curved)
        var subproblem = SteihaugToint(
            g, forcing: tolerance, maximumIterations: maximumIterations, keepingPath: false, product: { B.product($0) })
        guard case .success(let found) = subproblem.step(within: Δ), found.p.isFinite else {
            return broken(Breakdown(.nonFinite, "a product with the curvature matrix is not finite", lookingAt: [θ], on: curved))
        }
        let products = subproblem.products
        if isWhole, found.decrease <= here.lastBits {
            return point.ended(.stationary, floor: .hiddenDecrease(found.decrease, hidden: here.lastBits), iterations: products)
        }
        let image = B.product(g)
        guard image.isFinite else {
            return broken(Breakdown(.nonFinite, "a product with the curvature matrix is not finite", lookingAt: [θ], on: curved))
        }
        let κ = Swift.max(0, g.dot(image) / g.dot(g))

        let judge = try state.probe.view(of: problem)
        let before = try judge.loss(at: θ)
        guard before.isFinite else { return broken(.nonFinite(at: θ, on: judge)) }
        let candidate = θ + found.p
        let after = try judge.loss(at: candidate)
        let ρ = after.isFinite && found.decrease > 0 ? (before.total - after.total) / found.decrease : -.infinity
        let isTaken = ρ >= acceptance && g.norm >= cauchyShare * κ * Δ
        let shrunk = Δ / factor
        guard isTaken || shrunk > .ulpOfOne * Swift.max(1, θ.norm) || !isWhole && after.isFinite else {
            let detail = "the radius shrank to \(shrunk) without a step"
            return broken(Breakdown(after.isFinite ? .regularization : .nonFinite, detail, lookingAt: [candidate], on: judge))
        }
        let there = isTaken ? here.parameters.with(candidate) : here.parameters
        let next = isTaken ? Swift.min(factor * Δ, 1e3 * first) : Swift.max(shrunk, .leastNormalMagnitude)
        let share = state.probe.fraction
        return try turned(&state, at: there, next, first, known: isTaken ? nil : here, on: problem) { next in
            StepReport(
                loss: isTaken ? after : before, stepLength: isTaken ? found.p.norm : nil,
                verdict: isTaken ? .accepted : after.isFinite ? .rejected : .invalid,
                details: [.init("radius", Δ), .init("gainRatio", ρ), .init("products", Double(products))] + next.point.sampleDetails,
                linearIterations: products, sampleFraction: share)
        }
    }

    /// Goes on to the next samples at `parameters` with another radius; a breakdown where the gradient there is not finite.
    private func turned(
        _ state: inout StochasticTrustRegionState, at parameters: Parameters, _ Δ: Double, _ first: Double, known: Standpoint? = nil,
        on problem: any TwiceDifferentiableProblem & SampledProblem, report: (StochasticTrustRegionState) -> StepReport
    ) throws -> StepReport {
        var next = state
        (next.radius, next.firstRadius) = (Δ, first)
        let ratio = growth ? Swift.max(1, first / Δ) : 1
        try next.point.sample.resize(batch, by: ratio * ratio, path: BatchSettings.identifier)
        try next.curvature.resize(curvatureBatch, by: ratio * ratio, path: "curvatureBatch")
        try next.probe.resize(probeBatch, by: ratio * ratio * ratio * ratio, path: "probeBatch")
        _ = next.curvature.step(holding: 1)
        _ = next.probe.step(holding: 1)
        next.point = try gradients.next(after: next.point, at: parameters, known: known, on: problem)
        guard next.point.standpoint.isFinite else {
            return state.point.ended(.brokeDown(.nonFinite(at: parameters.values, on: try next.point.sample.view(of: problem))))
        }
        state = next
        return report(next)
    }

    /// Loss and gradient are evaluated anew; samples of sets that changed are drawn anew. The radius is kept.
    public func adapt(_ state: inout StochasticTrustRegionState, to problem: any TwiceDifferentiableProblem & SampledProblem) throws {
        state.point = try gradients.adapted(state.point, to: problem)
        state.curvature = try state.curvature.revised(curvatureBatch, of: problem.sampleSets, path: "curvatureBatch")
        state.probe = try state.probe.revised(probeBatch, of: problem.sampleSets, path: "probeBatch")
    }

    /// Shrinks the region to a tenth, once there is one.
    public func shortenSteps(_ state: inout StochasticTrustRegionState) -> Bool {
        guard let Δ = state.radius else { return false }
        state.radius = 0.1 * Δ
        return true
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 10 * Double(parameters)) }

    /// With twenty inner iterations.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost(
            [.init(.gradient, 1), .init(.loss, 2)] + model.cost(products: 21), flops: 200 * Double(parameters), isOnBatch: true)
    }
}

/// Where the method stands, its radius, and the samples of its curvature and of its judgement.
public struct StochasticTrustRegionState: OptimizerState, Equatable {
    public internal(set) var point: SampledPoint
    public internal(set) var curvature: SampleDraw
    public internal(set) var probe: SampleDraw
    /// Δ and Δ₀; nil before the first step.
    public internal(set) var radius: Double?
    public internal(set) var firstRadius: Double?

    public var parameters: Parameters { point.parameters }

    init(point: SampledPoint, curvature: SampleDraw, probe: SampleDraw) {
        (self.point, self.curvature, self.probe) = (point, curvature, probe)
    }

    public func encode(into archive: inout Archive) {
        archive.set("point", point)
        archive.set("curvature", curvature)
        archive.set("probe", probe)
        archive.set("radius", radius.map { [$0] } ?? [])
        archive.set("firstRadius", firstRadius.map { [$0] } ?? [])
    }

    public init(from archive: Archive) throws {
        self.init(
            point: try archive.value("point"), curvature: try archive.value("curvature"), probe: try archive.value("probe"))
        (radius, firstRadius) = (try archive.doubles("radius").first, try archive.doubles("firstRadius").first)
    }
}
