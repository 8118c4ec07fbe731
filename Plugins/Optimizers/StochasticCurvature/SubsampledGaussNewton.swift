import Globalization
import LinearAlgebra
import OptimizationCore

/// Subsampled Levenberg–Marquardt: a damped Gauss–Newton step of one sample, judged by the loss of another.
///
///     (JᵀJ + λI)·p = −Jᵀr on S,   ρ = (L_Q(θ) − L_Q(θ + p)) / (−gᵀp − ½‖Jp‖²),   θ⁺ = θ + p where ρ exceeds the rule's acceptance
///
/// S is a sample of `batch`, from the stream “subsampled-gauss-newton/gradient”; the probe Q one of `probeBatch`, from “…/probe”, or S
/// itself without `independentProbe`. On S every step that fits it looks good, its noise included; on Q λ rises until steps hold for other
/// samples too. Holding the probe for many steps makes its losses comparable from step to step. λ follows ρ by `dampingRule` from λ₀ =
/// initial·‖Jg‖²/‖g‖², the curvature along the gradient.
/// `solver`: conjugate gradients on products with J and Jᵀ, ended at `tolerance` or `maximumIterations`; or the kernel of S, p = −Jᵀ(JJᵀ +
/// λI)⁻¹r by Cholesky's factorisation, N² doubles and N³/3 flops for N residuals in S: exact, and for samples of some hundreds the quicker.
/// Cost: a linearisation and a gradient of S, two losses of Q; 8 vectors of P. The report's loss is Q's, with its share of the samples.
/// On the whole problem λ at its bound is a breakdown, and a step that promises less than the loss's last bits is stationary; on a sample
/// both are rejected steps. With both whole this is Levenberg and Marquardt's step with D = I.
/// Variants: Levenberg's identity, not Marquardt's diagonal, as in Hessian-free methods. Sources: Levenberg, Q. Appl. Math. 2 (1944)
/// 164–168, doi:10.1090/qam/10666; on samples Byrd et al., doi:10.1137/10079923X, and Bergou et al., SIAM/ASA JUQ 4 (2016) 924–951,
/// doi:10.1137/140974687 (a model right with some probability).
public struct SubsampledGaussNewton: Optimizer, Configurable {
    /// How (JᵀJ + λI)p = −g is solved.
    public enum Solver: String, CaseIterable, Sendable, Hashable {
        case conjugateGradients = "cg"
        case kernel
    }

    /// S.
    public var batch = BatchSettings()
    /// Whether steps are judged by samples of their own.
    public var independentProbe = true
    /// Q.
    public var probeBatch = BatchSettings()
    public var sampleSize: any SampleSizeRule = FixedSampleSize()
    public var dampingRule: any DampingRule = NielsenDamping()
    public var solver = Solver.conjugateGradients
    public var tolerance = 1e-3
    /// Inner iterations of one step at most; never more than 2P.
    public var maximumIterations = 100

    public init() {}

    public init(
        batch: BatchSettings, probeBatch: BatchSettings? = nil, solver: Solver = .conjugateGradients,
        sampleSize: any SampleSizeRule = FixedSampleSize()
    ) {
        (self.batch, independentProbe, self.solver, self.sampleSize) = (batch, probeBatch != nil, solver, sampleSize)
        if let probeBatch { self.probeBatch = probeBatch }
    }

    public static let identifier = "subsampled-gauss-newton"
    public static let summary = "Damped Gauss–Newton steps of one sample, judged by the loss of another."
    public static var fields: [Field<Self>] {
        [
            .part("batch", \.batch, meaning: "the samples of the step"),
            .flag("independentProbe", \.independentProbe, meaning: "whether steps are judged by samples of their own"),
            .part("probeBatch", \.probeBatch, meaning: "the samples that steps are judged by"),
            .sampleSize("sampleSize", \.sampleSize),
            .dampingRule("dampingRule", \.dampingRule, meaning: "how the damping follows the gain ratio"),
            .choice("solver", \.solver, meaning: "how the damped system is solved"),
            .number("tolerance", \.tolerance, in: .openUnit, meaning: "the relative residual at which conjugate gradients end"),
            .integer("maximumIterations", \.maximumIterations, atLeast: 1, meaning: "inner iterations of one step at most"),
        ]
    }

    private var gradients: Sampling { Sampling(batch, sampleSize, stream: "subsampled-gauss-newton/gradient") }

    public func start(
        on problem: any LeastSquaresProblem & SampledProblem, from parameters: Parameters
    ) throws -> SubsampledGaussNewtonState {
        let probe = try SampleDraw(probeBatch, of: problem.sampleSets, stream: "subsampled-gauss-newton/probe", path: "probeBatch")
        return SubsampledGaussNewtonState(point: try gradients.start(on: problem, from: parameters), probe: probe)
    }

    public func step(
        _ state: inout SubsampledGaussNewtonState, on problem: any LeastSquaresProblem & SampledProblem
    ) throws -> StepReport {
        let (point, here) = (state.point, state.point.standpoint)
        let (θ, g) = (here.parameters.values, here.gradient)
        let view = try point.sample.view(of: problem)
        func left(_ verdict: StepVerdict, floor: Finding? = nil, iterations: Int = 0) throws -> StepReport {
            try state.leave(verdict, floor: floor, iterations: iterations, by: gradients, on: problem)
        }
        guard here.isFinite else { return point.ended(.brokeDown(.nonFinite(at: θ, on: view))) }
        if here.hasVanishingGradient { return try left(.stationary, floor: .vanishingGradient(g.norm)) }

        guard let squares = view as? any LeastSquaresProblem else {
            preconditionFailure("a view of \(problem.name) has other capabilities than the whole")
        }
        let model = try squares.linearization(at: θ)
        let damping = state.damping ?? first(model, g)
        guard damping.value.isFinite else {
            return point.ended(.brokeDown(Breakdown(.nonFinite, "J·g is not finite", lookingAt: [θ], on: view)))
        }
        let λ = damping.value
        let found: (p: Vector, iterations: Int)
        switch solve(model, g, λ) {
        case .failure(let failure):
            let reason = failure == .nonFinite ? Breakdown.Reason.nonFinite : .linearSolver
            return try left(.brokeDown(Breakdown(reason, "the damped system was not solved: \(failure)", lookingAt: [θ], on: view)))
        case .success(let solution): found = solution
        }
        let image = model.product(found.p)
        let promised = -g.dot(found.p) - 0.5 * image.dot(image)
        guard promised > here.lastBits else {
            guard promised.isFinite else {
                return point.ended(.brokeDown(Breakdown(.nonFinite, "the model is not finite", lookingAt: [θ], on: view)))
            }
            return try left(.stationary, floor: .hiddenDecrease(promised, hidden: here.lastBits), iterations: found.iterations)
        }

        let isApart = independentProbe && !point.sample.isWhole
        let probe = isApart ? state.probe : point.sample
        let judge = isApart ? try probe.view(of: problem) : view
        let before = isApart ? try judge.loss(at: θ) : here.loss
        guard before.isFinite else { return point.ended(.brokeDown(.nonFinite(at: θ, on: judge))) }
        let candidate = θ + found.p
        let after = try judge.loss(at: candidate)
        let ρ = after.isFinite ? (before.total - after.total) / promised : -.infinity
        let updated = dampingRule.updated(damping, gainRatio: ρ)
        let isTaken = ρ > dampingRule.acceptance
        if !isTaken, dampingRule.isGreatest(damping), point.sample.isWhole || !after.isFinite {
            let detail = "the damping reached its bound, \(λ), without a step"
            let reason = after.isFinite ? Breakdown.Reason.regularization : .nonFinite
            return point.ended(.brokeDown(Breakdown(reason, detail, lookingAt: [candidate], on: judge)))
        }
        let there = isTaken ? here.parameters.with(candidate) : here.parameters
        let next = try gradients.next(after: point, at: there, known: isTaken ? nil : here, on: problem)
        guard next.standpoint.isFinite else {
            return point.ended(.brokeDown(.nonFinite(at: there.values, on: try next.sample.view(of: problem))))
        }
        (state.point, state.damping) = (next, updated)
        _ = state.probe.step(holding: probeBatch.holding)
        let isWhole = point.sample.isWhole
        return StepReport(
            loss: isWhole ? next.standpoint.loss : isTaken ? after : before,
            gradientNorm: isWhole ? next.standpoint.gradient.norm : nil, stepLength: isTaken ? found.p.norm : nil,
            verdict: isTaken ? .accepted : after.isFinite ? .rejected : .invalid,
            details: [.init("damping", λ), .init("gainRatio", ρ), .init("innerIterations", Double(found.iterations))] + next.sampleDetails,
            linearIterations: found.iterations, sampleFraction: probe.fraction)
    }

    /// λ₀ in units of the curvature along the gradient.
    private func first(_ model: any Linearization, _ g: Vector) -> Damping {
        let image = model.product(g)
        let curvature = image.dot(image) / g.dot(g)
        guard curvature.isFinite else { return Damping(value: .nan, growth: 1) }
        return dampingRule.start(scale: Swift.max(curvature, Double.leastNormalMagnitude))
    }

    private func solve(_ model: any Linearization, _ g: Vector, _ λ: Double) -> Result<(p: Vector, iterations: Int), FactorizationFailure> {
        switch solver {
        case .conjugateGradients:
            let inner = TruncatedConjugateGradients(
                g, target: tolerance * g.norm, maximumIterations: Swift.min(maximumIterations, 2 * g.count),
                product: { model.transposedProduct(model.product($0)).adding($0, scaledBy: λ) })
            if case .nonFinite = inner.end { return .failure(.nonFinite) }
            return .success((inner.p, inner.iterations))
        case .kernel:
            var kernel = model.kernel()
            kernel.addDiagonal(Vector(repeating: λ, count: kernel.rows))
            return Cholesky.factorize(consume kernel).flatMap { factors in
                let p = -model.transposedProduct(factors.solve(model.residual))
                return p.isFinite ? .success((p, 0)) : .failure(.nonFinite)
            }
        }
    }

    /// Loss and gradient are evaluated anew; samples of sets that changed are drawn anew. λ is kept.
    public func adapt(_ state: inout SubsampledGaussNewtonState, to problem: any LeastSquaresProblem & SampledProblem) throws {
        state.point = try gradients.adapted(state.point, to: problem)
        state.probe = try state.probe.revised(probeBatch, of: problem.sampleSets, path: "probeBatch")
    }

    /// Raises λ tenfold, once there is one.
    public func shortenSteps(_ state: inout SubsampledGaussNewtonState) -> Bool {
        guard let damping = state.damping else { return false }
        state.damping = dampingRule.moved(damping, to: 10 * damping.value, growth: damping.growth)
        return true
    }

    /// But for the kernel, whose order only the problem knows.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 12 * Double(parameters)) }

    /// With as many inner iterations as are allowed.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let k = solver == .kernel ? 1 : Double(maximumIterations)
        return StepCost(
            [
                .init(.linearization, 1), .init(.gradient, 1), .init(.loss, 2), .init(.jacobianProduct, k + 1),
                .init(.transposedProduct, k),
            ], flops: 10 * k * Double(parameters), isOnBatch: true)
    }
}

/// Where the method stands, its damping, and the sample that steps are judged by.
public struct SubsampledGaussNewtonState: OptimizerState, Equatable {
    public internal(set) var point: SampledPoint
    public internal(set) var probe: SampleDraw
    /// nil before the first step.
    public internal(set) var damping: Damping?

    public var parameters: Parameters { point.parameters }

    init(point: SampledPoint, probe: SampleDraw) { (self.point, self.probe) = (point, probe) }

    public func encode(into archive: inout Archive) {
        archive.set("point", point)
        archive.set("probe", probe)
        archive.set("damping", damping?.stored ?? [])
    }

    public init(from archive: Archive) throws {
        self.init(point: try archive.value("point"), probe: try archive.value("probe"))
        let stored = try archive.doubles("damping")
        if !stored.isEmpty { damping = try Damping(stored: stored) }
    }

    /// Ends a step that led nowhere (``SampledPoint/leaving(_:floor:iterations:by:on:)``).
    mutating func leave(
        _ verdict: StepVerdict, floor: Finding?, iterations: Int, by sampling: Sampling, on problem: any SampledObjective
    ) throws -> StepReport {
        let (report, next) = try point.leaving(verdict, floor: floor, iterations: iterations, by: sampling, on: problem)
        if let next {
            point = next
            probe.leave()
        }
        return report
    }
}
