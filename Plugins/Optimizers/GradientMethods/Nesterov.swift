import Globalization
import LinearAlgebra
import OptimizationCore

/// When the momentum of Nesterov's method begins anew.
public enum MomentumRestart: String, CaseIterable, Sendable, Hashable {
    /// Where the loss has risen; the extrapolation is then undone, so that no step raises the loss.
    case loss = "loss"
    /// Where the step turns back against the last one: ∇L(y)ᵀ(x⁺ − x) > 0.
    case gradient = "gradient"
    case never = "never"
}

/// Nesterov's accelerated gradient method with restarts.
///
///     x⁺ = y − t·∇L(y),   a⁺ = (1 + √(1 + 4a²))/2,   y⁺ = x⁺ + (a − 1)/a⁺·(x⁺ − x)
///
/// t, the inverse of a Lipschitz constant, is found by backtracking to L(x⁺) ≤ L(y) − ½·t‖∇L(y)‖² (an Armijo search with c₁ = ½), from
/// `growth` times the last one, so that it follows the curvature both ways. Where the momentum overshoots it begins anew, a = 1, which makes the
/// method linear in √κ without knowing κ. The parameters are y, where loss and gradient are known; x goes with the state. Free of scale.
/// Cost: one gradient at y and usually one loss at x⁺ a step; a gradient more where an extrapolation is undone. Memory of a few P. It breaks down
/// where backtracking finds no step, and is stationary where rounding hides every decrease. A revision begins anew.
/// Variants: restarts by the loss with undoing, so that no step raises it, by default (O'Donoghue & Candès keep the point).
/// Sources: Nesterov, Soviet Math. Dokl. 27 (1983) 372–376; Beck & Teboulle, SIAM J. Imaging Sci. 2 (2009) 183–202,
/// doi:10.1137/080716542; O'Donoghue & Candès, Found. Comput. Math. 15 (2015) 715–732, doi:10.1007/s10208-013-9150-3.
public struct Nesterov: Optimizer, Configurable {
    public var restart = MomentumRestart.loss
    /// The factor of the last t at the first trial.
    public var growth = 1.5
    public var maximumTrials = 40

    public init() {}

    public init(restart: MomentumRestart) { self.restart = restart }

    public static let identifier = "nesterov"
    public static let summary = "Accelerated gradient steps with restarts; step lengths by backtracking."
    public static var fields: [Field<Self>] {
        [
            .choice("restart", \.restart, meaning: "when the momentum begins anew"),
            .number("growth", \.growth, in: .atLeast(1), meaning: "the first trial, in last step lengths"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "trials of the step length"),
        ]
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> NesterovState {
        NesterovState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout NesterovState, on problem: any DifferentiableProblem) throws -> StepReport {
        let here = state.standpoint
        func ended(_ verdict: StepVerdict, floor: Finding? = nil) -> StepReport {
            StepReport(loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, floor: floor)
        }
        guard here.isFinite else { return ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        if here.hasVanishingGradient { return ended(.stationary, floor: .vanishingGradient(here.gradient.norm)) }
        var search = BacktrackingArmijo()
        (search.sufficientDecrease, search.maximumTrials) = (0.5, maximumTrials)
        let g = here.gradient
        let first = state.stepLength.map { growth * $0 } ?? Descent.firstStep(from: here)
        let result = try search.search(along: here.ray(along: -g, on: problem), from: first)
        guard let sample = result.found else {
            let natural = state.stepLength ?? Descent.firstStep(from: here)
            switch try here.deadEnd(along: -natural * g, on: problem, seeingCurvature: true) {
            case .stationary(let finding): return ended(.stationary, floor: finding)
            case .step(let found):
                let there = try here.accepting(found, on: problem)
                guard there.isFinite else { return ended(.brokeDown(.nonFinite(at: there.parameters.values, on: problem))) }
                return moved(&state, to: there, from: there.parameters.values, found.stepLength * natural, momentum: 1, result.trials)
            case .unexplained: break
            }
            let θ = here.parameters.values - first * g
            if result.failure == .noFiniteTrial { return ended(.brokeDown(.nonFinite(at: θ, on: problem))) }
            let detail = "backtracking found no step: \(result.failure?.description ?? "")"
            return ended(.brokeDown(Breakdown(.lineSearch, detail, lookingAt: [θ], on: problem)))
        }
        let x = sample.point.parameters
        let turn = x - state.previous
        let a = restart == .gradient && g.dot(turn) > 0 ? 1 : state.momentum
        let next = 0.5 * (1 + (1 + 4 * a * a).squareRoot())
        let β = (a - 1) / next
        if β > 0 {
            let y = x.adding(turn, scaledBy: β)
            let value = try problem.lossAndGradient(at: y)
            if value.isFinite, restart != .loss || value.loss.total <= here.loss.total {
                let there = Standpoint(at: here.parameters.with(y), value)
                return moved(&state, to: there, from: x, sample.stepLength, momentum: next, result.trials)
            }
        }
        // Without extrapolation: y⁺ = x⁺.
        let there = try here.accepting(sample, on: problem)
        guard there.isFinite else { return ended(.brokeDown(.nonFinite(at: there.parameters.values, on: problem))) }
        return moved(&state, to: there, from: x, sample.stepLength, momentum: β > 0 ? 1 : next, result.trials)
    }

    private func moved(
        _ state: inout NesterovState, to there: Standpoint, from x: Vector, _ t: Double, momentum a: Double, _ trials: Int
    ) -> StepReport {
        (state.standpoint, state.previous, state.stepLength, state.momentum) = (there, x, t, a)
        return StepReport(
            loss: there.loss, gradientNorm: there.gradient.norm, stepLength: t,
            details: [.init("trials", Double(trials)), .init("momentum", a)])
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 7 * Double(parameters)) }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.loss, 1), .init(.gradient, 1)], flops: 10 * Double(parameters))
    }
}

/// Where Nesterov's method stands: at y, with the point x before the extrapolation.
public struct NesterovState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// x ∈ ℝᴾ.
    public internal(set) var previous: Vector
    /// t of the last step; nil before the first.
    public internal(set) var stepLength: Double?
    /// a ≥ 1.
    public internal(set) var momentum = 1.0

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { (self.standpoint, previous) = (standpoint, standpoint.parameters.values) }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("previous", previous)
        archive.set("stepLength", stepLength.map { [$0] } ?? [])
        archive.set("momentum", momentum)
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        previous = try archive.vector("previous")
        stepLength = try archive.doubles("stepLength").first
        momentum = try archive.double("momentum")
        guard previous.count == parameters.count else {
            throw ArchiveError(entry: "previous", reason: "\(previous.count) values for \(parameters.count) parameters")
        }
    }
}
