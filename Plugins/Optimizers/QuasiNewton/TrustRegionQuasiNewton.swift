import Globalization
import LinearAlgebra
import OptimizationCore

/// How a quasi-Newton method that keeps an approximation of the Hessian itself, B, learns from a pair (s, y): with r = y − Bs,
public enum HessianUpdate: String, CaseIterable, Sendable, Hashable {
    /// B⁺ = B + rrᵀ/rᵀs, left out where |rᵀs| < 1e-8·‖r‖‖s‖: symmetric rank one, indefinite where the loss is.
    case symmetricRankOne = "sr1"
    /// B⁺ = B + (rsᵀ + srᵀ)/sᵀs − (rᵀs)·ssᵀ/(sᵀs)²: Powell's symmetric Broyden, the least change in the Frobenius norm.
    case powellSymmetricBroyden = "psb"
}

/// Quasi-Newton within a trust region: symmetric rank one, or Powell's symmetric Broyden.
///
///     p ≈ argmin gᵀp + ½pᵀBp over ‖p‖ ≤ Δ,   ρ = (L(θ) − L(θ + p))/(−gᵀp − ½pᵀBp),   θ⁺ = θ + p where ρ > acceptance
///
/// B ∈ ℝᴾˣᴾ approximates ∇²L and need not be positive definite: where the loss curves down, the model does too, which a line search along −B⁻¹g
/// could not use. B learns from rejected steps as from others. It begins with ‖g‖/Δ₀·I, Δ₀ the length of the first step of ``Descent``, and
/// is rescaled to (yᵀy/sᵀy)·I by the first pair that has curvature. The subproblem is solved by Steihaug and Toint's truncated conjugate
/// gradients to the relative residual `forcing`; at the boundary that is not the exact minimiser.
/// Cost: a gradient a step, 2P² flops an inner iteration (P at most twice), 5P² for Bs and the update of P²/2 doubles in one pass.
/// A trial that is not finite shrinks the radius and is tried again; where no radius gives one, the method breaks down. It is stationary
/// where the loss's rounding hides every decrease. A revision keeps B and Δ.
/// Source: Conn, Gould & Toint, Math. Prog. 50 (1991) 177–195, doi:10.1007/BF01594934; Nocedal & Wright, 2nd ed., alg. 6.2 and 7.2.
public struct TrustRegionQuasiNewton: Optimizer, Configurable {
    public var update = HessianUpdate.symmetricRankOne
    public var radius = TrustRadius()
    /// The inner iteration ends where ‖g + Bp‖ ≤ forcing·‖g‖.
    public var forcing = 1e-3

    public init() {}

    public init(_ update: HessianUpdate) { self.update = update }

    public static let identifier = "trust-region-quasi-newton"
    public static let summary = "Symmetric rank one or PSB in a trust region: dense, and at ease where the loss curves down."
    public static var fields: [Field<Self>] {
        [
            .choice("update", \.update, meaning: "how the Hessian's approximation learns"),
            .part("radius", \.radius, meaning: "how the radius follows the gain ratio"),
            .number("forcing", \.forcing, in: .openUnit, meaning: "the relative residual at which the inner iteration ends"),
        ]
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> TrustRegionQuasiNewtonState {
        TrustRegionQuasiNewtonState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout TrustRegionQuasiNewtonState, on problem: any DifferentiableProblem) throws -> StepReport {
        let here = state.standpoint
        func ended(_ verdict: StepVerdict, floor: Finding? = nil) -> StepReport {
            StepReport(loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, floor: floor)
        }
        guard here.isFinite else { return ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        if here.hasVanishingGradient { return ended(.stationary, floor: .vanishingGradient(here.gradient.norm)) }
        let first = here.gradient.norm * Descent.firstStep(from: here)
        let fresh = SymmetricMatrix.identity(here.parameters.count, scaledBy: here.gradient.norm / first)
        var Δ = state.radius ?? first
        var B = state.hessian ?? fresh
        var (isFresh, doubt) = (state.isFresh, state.doubt)
        var iterations = 0
        var nowhere: Vector?
        // Trials that are not finite (the loss has a wall, or the model no sense of scale), and a model that is begun anew.
        for _ in 0..<60 {
            let model = minimised(B, here.gradient, within: Δ)
            iterations += model.iterations
            let (p, predicted) = (model.step, model.decrease)
            let length = p.norm
            guard predicted > here.lastBits, length > 0 else {
                if nowhere != nil { break }
                if let doubt { return ended(.stationary, floor: .hiddenDecrease(doubt, hidden: here.lastBits)) }
                let wide = minimised(B, here.gradient, within: first)
                if wide.decrease <= here.lastBits {
                    // A model that promises nothing may be one that is wrong: only where a new one finds nothing either, there is nothing.
                    doubt = wide.decrease
                } else if let end = try unpromising(&state, wide.step, isFresh, on: problem, ended) {
                    return end
                }
                (B, Δ, isFresh) = (fresh, first, true)
                continue
            }
            let candidate = here.parameters.values + p
            let value = try problem.lossAndGradient(at: candidate)
            guard value.isFinite else {
                (Δ, nowhere) = (0.25 * length, candidate)
                guard candidate != here.parameters.values else { break }
                continue
            }
            let ρ = (here.loss.total - value.loss.total) / predicted
            state.hessian = nil  // so that B is changed where it lies
            learn(&B, p, value.gradient - here.gradient, isFresh: &isFresh)
            (state.hessian, state.isFresh) = (B, isFresh)
            state.radius = radius.updated(Δ, gainRatio: ρ, stepNorm: length)
            // A decrease that can be seen: there was more than the model promised.
            state.doubt = here.loss.total - value.loss.total > here.lastBits ? nil : doubt
            let details: [StepReport.Detail] = [
                .init("radius", Δ), .init("gainRatio", ρ), .init("innerIterations", Double(iterations)),
            ]
            guard ρ > radius.acceptance else {
                var report = ended(.rejected)
                (report.details, report.linearIterations) = (details, iterations)
                return report
            }
            state.standpoint = Standpoint(at: here.parameters.with(candidate), value)
            return StepReport(
                loss: value.loss, gradientNorm: value.gradient.norm, stepLength: length, details: details, linearIterations: iterations)
        }
        return ended(.brokeDown(.nonFinite(at: nowhere ?? here.parameters.values, on: problem)))
    }

    /// Within its radius the model promises no more than the loss's last bits, and more along p, farther out: the end where rounding hides
    /// that, or where a model that has learned nothing yet finds nothing; nil where what was learned may be to blame.
    private func unpromising(
        _ state: inout TrustRegionQuasiNewtonState, _ p: Vector, _ isFresh: Bool, on problem: any DifferentiableProblem,
        _ ended: (StepVerdict, Finding?) -> StepReport
    ) throws -> StepReport? {
        let here = state.standpoint
        switch try here.deadEnd(along: p, on: problem) {
        case .stationary(let finding): return ended(.stationary, finding)
        case .unexplained where !isFresh: return nil
        case .unexplained:
            let detail = "the radius shrank to \(state.radius ?? 0) without a decrease"
            return ended(.brokeDown(Breakdown(.regularization, detail, lookingAt: [here.parameters.values + p], on: problem)), nil)
        case .step(let sample):
            let there = try here.accepting(sample, on: problem)
            guard there.isFinite else { return ended(.brokeDown(.nonFinite(at: there.parameters.values, on: problem)), nil) }
            let length = (there.parameters.values - here.parameters.values).norm
            // What was learned led nowhere.
            state = TrustRegionQuasiNewtonState(standpoint: there)
            return StepReport(
                loss: there.loss, gradientNorm: there.gradient.norm, stepLength: length, details: [.init("radius", length)])
        }
    }

    /// B ← B⁺ from the pair (s, y).
    private func learn(_ B: inout SymmetricMatrix, _ s: Vector, _ y: Vector, isFresh: inout Bool) {
        if isFresh, hasCurvature(s, y, tolerance: 1e-12) {
            B = .identity(s.count, scaledBy: y.dot(y) / s.dot(y))
            isFresh = false
        }
        let r = y - B.times(s)
        let (square, mixed) = (s.dot(s), r.dot(s))
        switch update {
        case .symmetricRankOne:
            // A zero divisor is one that is small beside ‖r‖‖s‖.
            if abs(mixed) >= 1e-8 * r.norm * square.squareRoot(), mixed != 0 { B.update(scaling: 1, s, r, ss: 0, sq: 0, qq: 1 / mixed) }
        case .powellSymmetricBroyden:
            B.update(scaling: 1, s, r, ss: -mixed / (square * square), sq: 1 / square, qq: 0)
        }
    }

    /// Steihaug and Toint's truncated conjugate gradients on gᵀp + ½pᵀBp within ‖p‖ ≤ Δ.
    package func minimised(_ B: SymmetricMatrix, _ g: Vector, within Δ: Double) -> (step: Vector, decrease: Double, iterations: Int) {
        var (p, r) = (Vector.zeros(g.count), g)
        var d = -g
        var square = r.dot(r)
        let target = forcing * square.squareRoot()
        var decrease = 0.0
        for iteration in 1...(2 * g.count) {
            let Bd = B.times(d)
            let curvature = d.dot(Bd)
            let α = square / curvature
            if !(curvature > 0) || p.adding(d, scaledBy: α).norm >= Δ {
                // To the boundary along d, downhill of the model.
                let (dd, pd, pp) = (d.dot(d), p.dot(d), p.dot(p))
                let rest = Swift.max(0, Δ * Δ - pp)
                let root = (pd * pd + dd * rest).squareRoot()
                let τ = pd > 0 ? rest / (pd + root) : (root - pd) / dd
                decrease += τ * square - 0.5 * τ * τ * curvature
                return (p.adding(d, scaledBy: τ), decrease, iteration)
            }
            p.add(d, scaledBy: α)
            r.add(Bd, scaledBy: α)
            decrease += 0.5 * α * square
            let next = r.dot(r)
            if next.squareRoot() <= target { return (p, decrease, iteration) }
            d.scale(by: next / square)
            d.add(r, scaledBy: -1)
            square = next
        }
        return (p, decrease, 2 * g.count)
    }

    /// Loss and gradient are evaluated anew; B and the radius are kept.
    public func adapt(_ state: inout TrustRegionQuasiNewtonState, to problem: any DifferentiableProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
        state.doubt = nil
    }

    /// A tenth of the radius.
    public func shortenSteps(_ state: inout TrustRegionQuasiNewtonState) -> Bool {
        state.radius = 0.1 * (state.radius ?? state.standpoint.gradient.norm * Descent.firstStep(from: state.standpoint))
        return true
    }

    /// B and a few vectors.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let p = Double(parameters)
        return bytes(ofNumbers: p * (p + 1) / 2 + 10 * p)
    }

    /// With an inner iteration for every tenth parameter, as far from the solution.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let p = Double(parameters)
        return StepCost([.init(.gradient, 1)], flops: 2 * p * p * Swift.max(1, p / 10) + 5 * p * p)
    }
}

/// Where the method stands, its B and its radius.
public struct TrustRegionQuasiNewtonState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// B ∈ ℝᴾˣᴾ; nil before the first step.
    public internal(set) var hessian: SymmetricMatrix?
    /// Whether no pair has set B's scale yet.
    public internal(set) var isFresh = true
    /// Δ; nil before the first step.
    public internal(set) var radius: Double?
    /// What a model promised that promised less than the loss's last bits, until a step shows that there was more.
    public internal(set) var doubt: Double?

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("hessian", hessian?.packed ?? [])
        archive.set("isFresh", isFresh)
        archive.set("radius", radius.map { [$0] } ?? [])
        archive.set("doubt", doubt.map { [$0] } ?? [])
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        let (packed, order) = (try archive.doubles("hessian"), standpoint.parameters.count)
        hessian = packed.isEmpty ? nil : SymmetricMatrix(order: order, packed: packed)
        guard packed.isEmpty || hessian != nil else {
            throw ArchiveError(entry: "hessian", reason: "is not the packed triangle of a matrix of order \(order)")
        }
        isFresh = try archive.bool("isFresh")
        radius = try archive.doubles("radius").first
        doubt = try archive.doubles("doubt").first
    }
}
