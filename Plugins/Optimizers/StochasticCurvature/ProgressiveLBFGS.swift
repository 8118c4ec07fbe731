import Globalization
import LinearAlgebra
import OptimizationCore

/// Progressive-batching L-BFGS: a line search on samples that grow as the directions of their parts begin to differ.
///
///     p = −H·g_S,   θ⁺ = θ + αp by backtracking on L_S from α̂ = 1/(1 + V/‖g_S‖²),   y = ∇L_S(θ⁺) − ∇L_S(θ)
///
/// V estimates the variance of g_S. S is drawn from the stream “progressive-l-bfgs/gradient”. `sampleSize` is tried on H·gⱼ of its parts in
/// place of gⱼ: the inner-product quasi-Newton test, (1 − f)·Σⱼ((Hgⱼ)ᵀHg − ‖Hg‖²)²/(b(b − 1)) ≤ θ²‖Hg‖⁴ (or its debiased form), says
/// whether −Hg is likely to descend on the whole loss. A sample that has become the whole problem stays it, and the method is then L-BFGS
/// with this search, to the last bit. H by the two-loop recursion over H₀ = (sᵀy/yᵀy)·I of the newest pair. A pair enters where yᵀs >
/// `curvatureTolerance`·‖y‖‖s‖. A search that fails tries −g_S; if that fails too, the step is rejected and the next sample follows, or on
/// the whole problem it ends as in ``Descent``.
/// Cost: two gradients of a sample and its losses a step, b·8mP flops more for the test; (2m + 2b + 6)P doubles.
/// Variants: V and the test have the finite population's correction, so that a whole sample begins its search at 1; the orthogonality test
/// of `inner-product-test` is added to the authors'; their pair test is absolute, yᵀs > ε‖s‖².
/// Source: Bollapragada, Mudigere, Nocedal, Shi & Tang, ICML 2018, arXiv:1802.05374: θ = 0.9, m = 10 … 20, pairs over all of S or the part
/// that two samples share.
public struct ProgressiveLBFGS: Optimizer, Configurable {
    /// The first S.
    public var batch = BatchSettings()
    public var sampleSize: any SampleSizeRule = InnerProductTest()
    /// m ≥ 1.
    public var memory = 10
    public var lineSearch: any LineSearch = ProgressiveLBFGS.halving
    public var curvatureTolerance = 1e-4

    public init() {}

    public init(batch: BatchSettings, memory: Int = 10, sampleSize: any SampleSizeRule = InnerProductTest()) {
        precondition(memory >= 1, "a memory of \(memory) pairs")
        (self.batch, self.memory, self.sampleSize) = (batch, memory, sampleSize)
    }

    /// Armijo's rule with c₁ = 1e-4 and halvings.
    static var halving: BacktrackingArmijo {
        var search = BacktrackingArmijo()
        (search.smallestShrink, search.largestShrink) = (0.5, 0.5)
        return search
    }

    public static let identifier = "progressive-l-bfgs"
    public static let summary = "L-BFGS with a line search on samples that grow as their directions begin to differ."
    public static var fields: [Field<Self>] {
        [
            .part("batch", \.batch, meaning: "the first samples"),
            .sampleSize("sampleSize", \.sampleSize),
            .integer("memory", \.memory, atLeast: 1, meaning: "m, how many steps are remembered"),
            .lineSearch("lineSearch", \.lineSearch, meaning: "how the step length is found"),
            .number("curvatureTolerance", \.curvatureTolerance, in: .fraction, meaning: "ε in yᵀs > ε‖y‖‖s‖, for a pair to be kept"),
        ]
    }

    private var gradients: Sampling { Sampling(batch, sampleSize, stream: "progressive-l-bfgs/gradient") }

    public func start(
        on problem: any DifferentiableProblem & SampledProblem, from parameters: Parameters
    ) throws -> ProgressiveLBFGSState {
        ProgressiveLBFGSState(point: try gradients.start(on: problem, from: parameters))
    }

    public func step(_ state: inout ProgressiveLBFGSState, on problem: any DifferentiableProblem & SampledProblem) throws -> StepReport {
        let (point, here) = (state.point, state.point.standpoint)
        let view = try point.sample.view(of: problem)
        let g = here.gradient
        let first = 1 / (1 + point.variance / g.dot(g))
        let direction = state.pairs.isEmpty ? nil : state.pairs.direction(for: g)
        let end = try Descent(lineSearch, on: view).advance(
            from: here, along: direction, history: SearchHistory(), first: { _ in first })
        switch end {
        case .ended(let verdict, let floor):
            let (report, next) = try point.leaving(verdict, floor: floor, by: gradients, on: problem)
            if let next { state = ProgressiveLBFGSState(point: next, pairs: state.pairs) }
            return report
        case .moved(let step):
            var pairs = step.fellBack ? [] : state.pairs
            let y = step.standpoint.gradient - g
            if hasCurvature(step.displacement, y, tolerance: curvatureTolerance) {
                if pairs.count >= memory { pairs.removeFirst(pairs.count - memory + 1) }
                pairs.append(SecantPair(step: step.displacement, change: y))
            }
            let kept = pairs
            let next = try gradients.next(
                after: point, at: step.standpoint.parameters, known: step.standpoint, on: problem,
                transform: kept.isEmpty ? nil : { kept.direction(for: $0) })
            guard next.standpoint.isFinite else {
                let there = step.standpoint.parameters.values
                return point.ended(.brokeDown(.nonFinite(at: there, on: try next.sample.view(of: problem))))
            }
            state = ProgressiveLBFGSState(point: next, pairs: kept)
            return StepReport(
                loss: next.standpoint.loss, gradientNorm: next.standpoint.gradient.norm, stepLength: step.stepLength,
                details: [.init("trials", Double(step.trials)), .init("pairs", Double(kept.count))] + next.sampleDetails,
                sampleFraction: next.sample.fraction, recoveries: step.recoveries("the pairs before it forgotten"))
        }
    }

    /// Loss and gradient are evaluated anew, at the size reached; the pairs are dropped.
    public func adapt(_ state: inout ProgressiveLBFGSState, to problem: any DifferentiableProblem & SampledProblem) throws {
        state = ProgressiveLBFGSState(point: try gradients.adapted(state.point, to: problem))
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        bytes(ofNumbers: (2 * Double(memory + sampleSize.groups) + 6) * Double(parameters))
    }

    /// A full memory's two-loop recursion, for the step and for each part.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost(
            [.init(.gradient, 2), .init(.loss, 1)],
            flops: 8 * Double(memory) * Double(parameters) * Double(1 + (sampleSize.groups > 1 ? sampleSize.groups : 0)), isOnBatch: true)
    }
}

/// Where the method stands and the pairs it remembers, the oldest first.
public struct ProgressiveLBFGSState: OptimizerState, Equatable {
    public internal(set) var point: SampledPoint
    public internal(set) var pairs: [SecantPair]

    public var parameters: Parameters { point.parameters }

    init(point: SampledPoint, pairs: [SecantPair] = []) { (self.point, self.pairs) = (point, pairs) }

    public func encode(into archive: inout Archive) {
        archive.set("point", point)
        archive.set(pairs: pairs)
    }

    public init(from archive: Archive) throws {
        point = try archive.value("point")
        pairs = try archive.pairs(of: point.parameters.count)
    }
}

extension [SecantPair] {
    /// −H·g over H₀ of the newest pair.
    fileprivate func direction(for g: Vector) -> Vector { direction(for: g, initialScale: last?.inverseCurvature ?? 1) }
}
