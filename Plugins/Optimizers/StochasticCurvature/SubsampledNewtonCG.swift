import Globalization
import LinearAlgebra
import OptimizationCore

/// Subsampled Newton–CG: the gradient of one sample, products with the curvature of another, and Armijo's rule on the first.
///
///     ‖g_S + (B_H + μI)·p‖ ≤ η·‖g_S‖,   θ⁺ = θ + αp,   L_S(θ⁺) ≤ L_S(θ) + c₁α·g_Sᵀp,   B = ∇²L or JᵀJ
///
/// S is a sample of `batch`, drawn from the stream “subsampled-newton-cg/gradient”, H one of `curvatureBatch`, from
/// “…/curvature”: curvature needs fewer samples than a gradient. `sampleSize` lets S grow (``SampleSizeRule``). With both samples whole the
/// steps are those of `newton-cg` with a constant forcing term and this search, to the last bit.
/// Where conjugate gradients meet dᵀBd ≤ 0 the iterate before is taken, or −g_S where there is none. A search that fails on a sample is a
/// rejected step and the next sample follows; on the whole problem it ends as in ``Descent``. A product or a gradient that is not finite
/// breaks down. No constant has the loss's scale, but for μ.
/// Cost: a gradient of S after the search and one of the next S, which the next step begins with, one to two losses of S, up to
/// `maximumIterations` products of H; 10 vectors of P.
/// Variants: Byrd et al. take H from S and have no μ; Roosta-Khorasani & Mahoney draw them apart, as here. The report's loss is of the next
/// sample, which the step has not seen.
/// Sources: Byrd, Chin, Neveitt & Nocedal, SIAM J. Optim. 21 (2011) 977–995, doi:10.1137/10079923X; Roosta-Khorasani & Mahoney, Math. Prog.
/// 174 (2019) 293–326, doi:10.1007/s10107-018-1346-5.
public struct SubsampledNewtonCG: Optimizer, Configurable {
    public var model = CurvatureModel.hessian
    /// S.
    public var batch = BatchSettings()
    /// H.
    public var curvatureBatch = BatchSettings(size: 64)
    public var sampleSize: any SampleSizeRule = FixedSampleSize()
    /// η.
    public var tolerance = 0.1
    /// Inner iterations of one step at most; never more than 2P.
    public var maximumIterations = 20
    /// μ ≥ 0, in the loss's own unit.
    public var damping = 0.0
    public var lineSearch: any LineSearch = BacktrackingArmijo()

    public init() {}

    public init(
        batch: BatchSettings, curvatureBatch: BatchSettings, model: CurvatureModel = .hessian,
        sampleSize: any SampleSizeRule = FixedSampleSize()
    ) {
        (self.batch, self.curvatureBatch, self.model, self.sampleSize) = (batch, curvatureBatch, model, sampleSize)
    }

    public static let identifier = "subsampled-newton-cg"
    public static let summary = "Newton–CG with the gradient of one sample and the curvature of another."
    public static var fields: [Field<Self>] {
        [
            .choice("model", \.model, meaning: "the matrix of the quadratic model; gauss-newton for sums of squares only"),
            .part("batch", \.batch, meaning: "the samples of gradients and of the line search"),
            .part("curvatureBatch", \.curvatureBatch, meaning: "the samples of curvature"),
            .sampleSize("sampleSize", \.sampleSize),
            .number("tolerance", \.tolerance, in: .openUnit, meaning: "η, the relative residual at which the inner iteration ends"),
            .integer("maximumIterations", \.maximumIterations, atLeast: 1, meaning: "inner iterations of one step at most"),
            .number("damping", \.damping, in: .nonNegative, meaning: "μ, added to the curvature's diagonal"),
            .lineSearch("lineSearch", \.lineSearch, meaning: "how the step length is found"),
        ]
    }

    private var gradients: Sampling { Sampling(batch, sampleSize, stream: "subsampled-newton-cg/gradient") }

    public func check(_ problem: any TwiceDifferentiableProblem & SampledProblem) throws { try model.check(problem) }

    public func start(
        on problem: any TwiceDifferentiableProblem & SampledProblem, from parameters: Parameters
    ) throws -> SubsampledNewtonState {
        try check(problem)
        return SubsampledNewtonState(
            point: try gradients.start(on: problem, from: parameters),
            curvature: try SampleDraw(
                curvatureBatch, of: problem.sampleSets, stream: "subsampled-newton-cg/curvature", path: "curvatureBatch"))
    }

    public func step(
        _ state: inout SubsampledNewtonState, on problem: any TwiceDifferentiableProblem & SampledProblem
    ) throws -> StepReport {
        let (point, here) = (state.point, state.point.standpoint)
        let (θ, g) = (here.parameters.values, here.gradient)
        let view = try point.sample.view(of: problem)
        guard here.isFinite else { return point.ended(.brokeDown(.nonFinite(at: θ, on: view))) }
        if here.hasVanishingGradient {
            return try state.leave(.stationary, floor: .vanishingGradient(g.norm), by: gradients, on: problem)
        }
        let curved = try state.curvature.view(of: problem)
        let B = try model.operator(at: θ, on: curved)
        let inner = TruncatedConjugateGradients(
            g, target: tolerance * g.norm, maximumIterations: Swift.min(maximumIterations, 2 * g.count),
            product: { damping > 0 ? B.product($0).adding($0, scaledBy: damping) : B.product($0) })
        var (direction, isNegative) = (Optional(inner.p), false)
        switch inner.end {
        case .nonFinite:
            return point.ended(
                .brokeDown(Breakdown(.nonFinite, "a product with the curvature matrix is not finite", lookingAt: [θ], on: curved)))
        case .converged, .exhausted: break
        case .negativeCurvature:
            isNegative = true
            if inner.iterations == 1 { direction = nil }
        }
        let end = try Descent(lineSearch, on: view).advance(from: here, along: direction, history: SearchHistory(), first: { _ in 1 })
        switch end {
        case .ended(let verdict, let floor):
            return try state.leave(verdict, floor: floor, iterations: inner.iterations, by: gradients, on: problem)
        case .moved(let step):
            let next = try gradients.next(after: point, at: step.standpoint.parameters, known: step.standpoint, on: problem)
            guard next.standpoint.isFinite else {
                let there = step.standpoint.parameters.values
                return point.ended(.brokeDown(.nonFinite(at: there, on: try next.sample.view(of: problem))))
            }
            state.point = next
            _ = state.curvature.step(holding: curvatureBatch.holding)
            return StepReport(
                loss: next.standpoint.loss, gradientNorm: next.standpoint.gradient.norm, stepLength: step.stepLength,
                details: [
                    .init("trials", Double(step.trials)), .init("innerIterations", Double(inner.iterations)),
                    .init("negativeCurvature", isNegative ? 1 : 0),
                ] + next.sampleDetails, linearIterations: inner.iterations, sampleFraction: next.sample.fraction,
                recoveries: step.recoveries())
        }
    }

    /// Loss and gradient are evaluated anew; samples of sets that changed are drawn anew.
    public func adapt(_ state: inout SubsampledNewtonState, to problem: any TwiceDifferentiableProblem & SampledProblem) throws {
        state.point = try gradients.adapted(state.point, to: problem)
        state.curvature = try state.curvature.revised(curvatureBatch, of: problem.sampleSets, path: "curvatureBatch")
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 10 * Double(parameters)) }

    /// With as many inner iterations as are allowed; gradients and losses of S, products of H.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let k = Double(maximumIterations)
        return StepCost(
            [.init(.gradient, 2), .init(.loss, 1)] + model.cost(products: k), flops: 10 * k * Double(parameters), isOnBatch: true)
    }
}

/// Where the method stands and the sample of its curvature.
public struct SubsampledNewtonState: OptimizerState, Equatable {
    public internal(set) var point: SampledPoint
    public internal(set) var curvature: SampleDraw

    public var parameters: Parameters { point.parameters }

    init(point: SampledPoint, curvature: SampleDraw) { (self.point, self.curvature) = (point, curvature) }

    public func encode(into archive: inout Archive) {
        archive.set("point", point)
        archive.set("curvature", curvature)
    }

    public init(from archive: Archive) throws {
        self.init(point: try archive.value("point"), curvature: try archive.value("curvature"))
    }

    /// Ends a step that led nowhere. What is final on the whole problem is a rejected step on a sample, after which the next one follows;
    /// what is not finite breaks down on either.
    mutating func leave(
        _ verdict: StepVerdict, floor: Finding?, iterations: Int = 0, by sampling: Sampling, on problem: any SampledObjective
    ) throws -> StepReport {
        let (report, next) = try point.leaving(verdict, floor: floor, iterations: iterations, by: sampling, on: problem)
        if let next {
            point = next
            curvature.leave()
        }
        return report
    }
}
