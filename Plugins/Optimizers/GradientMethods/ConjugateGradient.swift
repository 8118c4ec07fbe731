import Globalization
import LinearAlgebra
import OptimizationCore

/// How the next direction of a nonlinear conjugate gradient method bends: β, with g the new gradient, g₋ the last one, y = g − g₋, p the last
/// direction and z = Pg, P the preconditioner.
public enum ConjugacyFormula: String, CaseIterable, Sendable, Hashable {
    /// gᵀz/g₋ᵀz₋.
    case fletcherReeves = "fletcher-reeves"
    /// max(0, yᵀz/g₋ᵀz₋): Polak and Ribière's, which begins anew by itself where it would turn back.
    case polakRibière = "polak-ribiere"
    /// max(0, yᵀz/yᵀp).
    case hestenesStiefel = "hestenes-stiefel"
    /// gᵀz/yᵀp.
    case daiYuan = "dai-yuan"
    /// max((yᵀz − 2·yᵀPy·gᵀp/yᵀp)/yᵀp, 0.4·g₋ᵀp/pᵀP⁻¹p): descends whatever the search.
    case hagerZhang = "hager-zhang"
}

/// What gradients of a conjugate gradient method are multiplied by.
public enum GradientPreconditioner: String, CaseIterable, Sendable, Hashable {
    case none = "none"
    /// The inverse of the diagonal of BFGS matrices: Dᵢ ← Dᵢ + yᵢ²/yᵀs − (Dᵢsᵢ)²/sᵀDs from (yᵀy/sᵀy)·I on. Taken over at restarts, so that
    /// directions are conjugate in one metric in between (Gilbert & Lemaréchal, Math. Prog. 45 (1989) 407–435, doi:10.1007/BF01589113).
    case diagonal = "diagonal"
}

/// Nonlinear conjugate gradients.
///
///     p⁺ = −P∇L(θ⁺) + β·p,   θ⁺ = θ + α·p
///
/// with β by `formula` and P by `preconditioner`. It begins anew with p = −P∇L after `restart` steps, where successive gradients are far from
/// orthogonal (|gᵀPg₋| ≥ `orthogonality`·gᵀPg; Powell's test), and where p would not descend. On a quadratic of condition κ the error
/// falls by (√κ − 1)/(√κ + 1) a step, with a memory of a few P. Free of scale. θ, p ∈ ℝᴾ.
/// Cost: usually one or two gradients a step. It breaks down where no search finds a step, and is stationary where rounding hides every
/// decrease. A revision begins anew.
/// Variant: Hager and Zhang's formula with the bound of their later code (doi:10.1137/120898097), which knows no absolute length.
/// Sources: Nocedal & Wright, 2nd ed., §5.2; Hager & Zhang, *A survey of nonlinear conjugate gradient methods*, Pac. J. Optim. 2 (2006)
/// 35–58; SIAM J. Optim. 16 (2005) 170–192, doi:10.1137/030601880; Dai & Yuan, SIAM J. Optim. 10 (1999) 177–182,
/// doi:10.1137/S1052623497318992; Powell, Math. Prog. 12 (1977) 241–254, doi:10.1007/BF01593790.
public struct ConjugateGradient: Optimizer, Configurable {
    public var formula = ConjugacyFormula.hagerZhang
    public var preconditioner = GradientPreconditioner.none
    public var lineSearch: any LineSearch = StrongWolfe.almostExact
    /// Steps after which it begins anew; 0 stands for P, and no fewer than 10.
    public var restart = 0
    /// ν > 0 in |gᵀPg₋| ≥ ν·gᵀPg.
    public var orthogonality = 1.0

    public init() {}

    public init(_ formula: ConjugacyFormula, preconditioner: GradientPreconditioner = .none) {
        (self.formula, self.preconditioner) = (formula, preconditioner)
    }

    public static let identifier = "nonlinear-cg"
    public static let summary = "Nonlinear conjugate gradients: five formulas, restarts, a diagonal preconditioner."
    public static var fields: [Field<Self>] {
        [
            .choice("formula", \.formula, meaning: "β, how the next direction bends"),
            .choice("preconditioner", \.preconditioner, meaning: "what gradients are multiplied by"),
            .lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "how the step length is found"),
            .integer("restart", \.restart, meaning: "steps after which it begins anew; 0 for as many as there are parameters"),
            .number("orthogonality", \.orthogonality, in: .positive, meaning: "ν in |gᵀPg₋| ≥ ν·gᵀPg, where it begins anew"),
        ]
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> ConjugateGradientState {
        let here = Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values))
        return ConjugateGradientState(base: GradientDescentState(standpoint: here), direction: -here.gradient)
    }

    public func step(_ state: inout ConjugateGradientState, on problem: any DifferentiableProblem) throws -> StepReport {
        let (here, before) = (state.base.standpoint, state)
        var next: Continuation?
        let report = try state.base.advance(
            along: before.direction, lineSearch, on: problem, details: [.init("sinceRestart", Double(before.sinceRestart))]
        ) { step in next = continuation(of: before, from: here, by: step) }
        guard let next else { return report }
        (state.direction, state.sinceRestart) = (next.direction, next.sinceRestart)
        (state.diagonal, state.metric) = (next.diagonal, next.metric)
        return report
    }

    /// What a step leaves to the next one.
    private struct Continuation {
        var direction: Vector
        var sinceRestart: Int
        var diagonal: Vector?
        var metric: Vector?
    }

    private func continuation(of state: ConjugateGradientState, from here: Standpoint, by step: DescentStep) -> Continuation {
        let (g, old, p) = (step.standpoint.gradient, here.gradient, state.direction)
        let y = g - old
        let diagonal = preconditioner == .none ? nil : learned(state.diagonal, step.displacement, y)
        /// P·v in the metric in use.
        func P(_ v: Vector) -> Vector { state.metric.map { quotient(v, $0) } ?? v }
        func anew() -> Continuation {
            let direction = diagonal.map { -quotient(g, $0) } ?? -g
            return Continuation(direction: direction, sinceRestart: 0, diagonal: diagonal, metric: diagonal)
        }
        let limit = restart > 0 ? restart : Swift.max(10, g.count)
        let z = P(g)
        let square = g.dot(z)
        if step.fellBack || state.sinceRestart + 1 >= limit || abs(old.dot(z)) >= orthogonality * square { return anew() }
        let yp = y.dot(p)
        let β: Double
        switch formula {
        case .fletcherReeves: β = square / old.dot(P(old))
        case .polakRibière: β = Swift.max(0, y.dot(z) / old.dot(P(old)))
        case .hestenesStiefel: β = Swift.max(0, y.dot(z) / yp)
        case .daiYuan: β = square / yp
        case .hagerZhang:
            let wish = (y.dot(z) - 2 * y.dot(P(y)) * g.dot(p) / yp) / yp
            β = Swift.max(wish, 0.4 * old.dot(p) / (state.metric.map { weightedSquare(p, $0) } ?? p.dot(p)))
        }
        var direction = -z
        direction.add(p, scaledBy: β)
        // As good as orthogonal to the gradient, or no number.
        guard β.isFinite, -g.dot(direction) >= 1e-10 * g.norm * direction.norm else { return anew() }
        return Continuation(direction: direction, sinceRestart: state.sinceRestart + 1, diagonal: diagonal, metric: state.metric)
    }

    /// The diagonal of BFGS's update of diag(D), which is positive.
    private func learned(_ D: Vector?, _ s: Vector, _ y: Vector) -> Vector? {
        guard hasCurvature(s, y, tolerance: 1e-12) else { return D }
        let product = s.dot(y)
        var next = D ?? Vector(repeating: y.dot(y) / product, count: s.count)
        let square = weightedSquare(s, next)
        for i in next.indices {
            let image = next[i] * s[i]
            let wish = next[i] + y[i] * y[i] / product - image * image / square
            // Positive but for rounding.
            if wish > 1e-12 * next[i], wish.isFinite { next[i] = wish }
        }
        return next
    }

    private func quotient(_ v: Vector, _ D: Vector) -> Vector { Vector(zip(v, D).map { $0 / $1 }) }

    private func weightedSquare(_ v: Vector, _ D: Vector) -> Double { zip(v, D).reduce(0) { $0 + $1.1 * $1.0 * $1.0 } }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        bytes(ofNumbers: (preconditioner == .none ? 8 : 10) * Double(parameters))
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 2)], flops: (preconditioner == .none ? 20 : 32) * Double(parameters))
    }
}

/// Where a conjugate gradient method stands, its direction and its preconditioner.
public struct ConjugateGradientState: OptimizerState, Equatable {
    public var base: GradientDescentState
    /// p ∈ ℝᴾ, the next step's direction.
    public internal(set) var direction: Vector
    /// Steps since the method began anew.
    public internal(set) var sinceRestart = 0
    /// D as learnt so far, and as in use since the last restart.
    public internal(set) var diagonal: Vector?
    public internal(set) var metric: Vector?

    public var parameters: Parameters { base.parameters }

    public init(base: GradientDescentState, direction: Vector) { (self.base, self.direction) = (base, direction) }

    public func encode(into archive: inout Archive) {
        archive.set("base", base)
        archive.set("direction", direction)
        archive.set("sinceRestart", sinceRestart)
        archive.set("diagonal", diagonal ?? [])
        archive.set("metric", metric ?? [])
    }

    public init(from archive: Archive) throws {
        self.init(base: try archive.value("base"), direction: try archive.vector("direction"))
        sinceRestart = try archive.count("sinceRestart")
        let (learned, used) = (try archive.vector("diagonal"), try archive.vector("metric"))
        for (name, values) in [("direction", direction), ("diagonal", learned), ("metric", used)]
        where values.count != parameters.count && !(values.isEmpty && name != "direction") {
            throw ArchiveError(entry: name, reason: "\(values.count) values for \(parameters.count) parameters")
        }
        (diagonal, metric) = (learned.isEmpty ? nil : learned, used.isEmpty ? nil : used)
    }
}
