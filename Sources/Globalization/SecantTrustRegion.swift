import LinearAlgebra
import OptimizationCore

/// The step of a quasi-Newton method within a trust region, whatever minimises its model.
///
///     p ≈ argmin gᵀp + ½pᵀBp over ‖p‖ ≤ Δ,   ρ = (L(θ) − L(θ + p))/(−gᵀp − ½pᵀBp),   θ⁺ = θ + p where ρ > acceptance
///
/// B is a ``SecantHessian`` and learns from rejected steps as from others. It begins with ‖g‖/Δ₀·I. A trial that is not finite shrinks the
/// radius and is tried again within the step; where no radius gives one, the method breaks down. A model that promises no more than the
/// loss's last bits may be one that is wrong: B is begun anew, and the point is stationary only where the new model finds nothing either.
/// Cost: a gradient a step, and what B's update and the subproblem take.
public struct SecantTrustRegion: Sendable {
    public var model: SecantModel
    public var radius: TrustRadius
    /// Δ₀; 0 stands for the length of the first step of ``Descent``.
    public var initialRadius: Double
    /// What minimises the model of g and B.
    public var subproblem: @Sendable (_ g: Vector, _ B: SecantMatrix) -> any TrustRegionSubproblem

    public init(
        _ model: SecantModel, radius: TrustRadius, initialRadius: Double = 0,
        subproblem: @escaping @Sendable (_ g: Vector, _ B: SecantMatrix) -> any TrustRegionSubproblem
    ) {
        (self.model, self.radius, self.initialRadius, self.subproblem) = (model, radius, initialRadius, subproblem)
    }

    /// Δ₀ at a standpoint.
    public func firstRadius(at here: Standpoint) -> Double {
        initialRadius > 0 ? initialRadius : here.gradient.norm * Descent.firstStep(from: here)
    }

    public func step(
        _ standpoint: inout Standpoint, _ memory: inout SecantMemory, on problem: any DifferentiableProblem
    ) throws -> StepReport {
        let here = standpoint
        var recoveries: [String] = []
        func ended(_ verdict: StepVerdict, floor: Finding? = nil) -> StepReport {
            StepReport(loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, floor: floor, recoveries: recoveries)
        }
        func failed(_ failure: FactorizationFailure) -> StepReport {
            let reason: Breakdown.Reason = failure == .nonFinite ? .nonFinite : .linearSolver
            let detail = "no minimiser of the quasi-Newton model: \(failure)"
            return ended(.brokeDown(Breakdown(reason, detail, lookingAt: [here.parameters.values], on: problem)))
        }
        guard here.isFinite else { return ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        if here.hasVanishingGradient { return ended(.stationary, floor: .vanishingGradient(here.gradient.norm)) }
        let first = firstRadius(at: here)
        let fresh = SecantHessian(order: here.parameters.count, scale: here.gradient.norm / first, model)
        var Δ = memory.radius ?? first
        var B = memory.hessian ?? fresh
        var doubt = memory.doubt
        var iterations = 0
        var nowhere: Vector?
        // The solver is gone when this returns, so that B is changed where it lies.
        func minimised(_ B: SecantHessian, within Δ: Double) -> Result<TrustRegionStep, FactorizationFailure> {
            var solver = subproblem(here.gradient, B.matrix(model))
            defer { iterations += solver.products }
            return solver.step(within: Δ)
        }
        // Trials that are not finite (the loss has a wall, or the model no sense of scale), and a model that is begun anew.
        for _ in 0..<60 {
            let found: TrustRegionStep
            switch minimised(B, within: Δ) {
            // A learnt matrix that has overflowed is a wrong model too.
            case .failure(let failure) where B != fresh:
                (B, Δ) = (fresh, first)
                recoveries.append("no minimiser of the learnt model (\(failure)): begun anew")
                continue
            case .failure(let failure): return failed(failure)
            case .success(let step): found = step
            }
            let (p, length) = (found.p, found.p.norm)
            guard found.decrease > here.lastBits, length > 0 else {
                if nowhere != nil { break }
                if let doubt { return ended(.stationary, floor: .hiddenDecrease(doubt, hidden: here.lastBits)) }
                switch minimised(B, within: first) {
                case .failure where B != fresh: break
                case .failure(let failure): return failed(failure)
                case .success(let wide) where wide.decrease <= here.lastBits:
                    // Only where a new model finds nothing either, there is nothing.
                    doubt = wide.decrease
                case .success(let wide):
                    let end = try unpromising(&standpoint, &memory, wide.p, isFresh: B.isFresh, on: problem, ended)
                    if let end { return end }
                }
                if B != fresh { recoveries.append("the learnt model promised nothing that could be seen: begun anew") }
                (B, Δ) = (fresh, first)
                continue
            }
            let candidate = here.parameters.values + p
            let value = try problem.lossAndGradient(at: candidate)
            guard value.isFinite else {
                (Δ, nowhere) = (0.25 * length, candidate)
                guard candidate != here.parameters.values else { break }
                continue
            }
            let ρ = (here.loss.total - value.loss.total) / found.decrease
            memory.hessian = nil  // so that B is changed where it lies
            if B.learn(p, value.gradient - here.gradient, model) {
                recoveries.append("the learnt matrix was not positive definite any more: begun anew")
            }
            memory.hessian = B
            memory.radius = radius.updated(
                Δ, gainRatio: ρ, stepNorm: length, slope: here.gradient.dot(p), change: value.loss.total - here.loss.total)
            // A decrease that can be seen: there was more than the model promised.
            memory.doubt = here.loss.total - value.loss.total > here.lastBits ? nil : doubt
            let details: [StepReport.Detail] = [
                .init("radius", Δ), .init("gainRatio", ρ), .init("innerIterations", Double(iterations)),
            ]
            guard ρ > radius.acceptance else {
                var report = ended(.rejected)
                (report.details, report.linearIterations) = (details, iterations)
                return report
            }
            standpoint = Standpoint(at: here.parameters.with(candidate), value)
            return StepReport(
                loss: value.loss, gradientNorm: value.gradient.norm, stepLength: length, details: details, linearIterations: iterations,
                recoveries: recoveries)
        }
        return ended(.brokeDown(.nonFinite(at: nowhere ?? here.parameters.values, on: problem)))
    }

    /// Within its radius the model promises no more than the loss's last bits, and more along p, farther out: the end where rounding hides
    /// that, or where a model that has learned nothing yet finds nothing; nil where what was learned may be to blame.
    private func unpromising(
        _ standpoint: inout Standpoint, _ memory: inout SecantMemory, _ p: Vector, isFresh: Bool, on problem: any DifferentiableProblem,
        _ ended: (StepVerdict, Finding?) -> StepReport
    ) throws -> StepReport? {
        let here = standpoint
        switch try here.deadEnd(along: p, on: problem) {
        case .stationary(let finding): return ended(.stationary, finding)
        case .unexplained where !isFresh: return nil
        case .unexplained:
            let detail = "the radius shrank to \(memory.radius ?? 0) without a decrease"
            return ended(.brokeDown(Breakdown(.regularization, detail, lookingAt: [here.parameters.values + p], on: problem)), nil)
        case .step(let sample):
            let there = try here.accepting(sample, on: problem)
            guard there.isFinite else { return ended(.brokeDown(.nonFinite(at: there.parameters.values, on: problem)), nil) }
            let length = (there.parameters.values - here.parameters.values).norm
            // What was learned led nowhere.
            let wasLearnt = memory.hessian != nil
            (standpoint, memory) = (there, SecantMemory())
            return StepReport(
                loss: there.loss, gradientNorm: there.gradient.norm, stepLength: length, details: [.init("radius", length)],
                recoveries: ended(.accepted, nil).recoveries
                    + (wasLearnt ? ["the learnt model led nowhere, and a decrease was found all the same: begun anew"] : []))
        }
    }

    /// A tenth of the radius.
    public func shorten(_ memory: inout SecantMemory, at here: Standpoint) -> Bool {
        let shorter = 0.1 * (memory.radius ?? firstRadius(at: here))
        guard shorter > 0, shorter.isFinite else { return false }
        memory.radius = shorter
        return true
    }
}

/// What a quasi-Newton method in a trust region has learnt.
public struct SecantMemory: Checkpointable, Equatable {
    /// nil before the first step.
    public internal(set) var hessian: SecantHessian?
    /// Δ; nil before the first step.
    public internal(set) var radius: Double?
    /// What a model promised that promised less than the loss's last bits, until a step shows that there was more.
    public internal(set) var doubt: Double?

    public init() {}

    /// On another version of the problem B and Δ are kept.
    public mutating func adapt() { doubt = nil }

    public func encode(into archive: inout Archive) {
        if let hessian { archive.set("hessian", hessian) }
        archive.set("radius", radius.map { [$0] } ?? [])
        archive.set("doubt", doubt.map { [$0] } ?? [])
    }

    public init(from archive: Archive) throws {
        hessian = try archive.groupIfPresent("hessian")?.decoded()
        radius = try archive.doubles("radius").first
        doubt = try archive.doubles("doubt").first
    }
}
