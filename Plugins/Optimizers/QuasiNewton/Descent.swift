import Globalization
import LinearAlgebra
import OptimizationCore

/// The first trial along a quasi-Newton direction.
public enum FirstTrial: String, CaseIterable, Sendable, Hashable {
    /// α = 1, the step that the matrix proposes.
    case unit = "unit"
    /// α = min(1, 2.02·ΔL/|φ′(0)|) with ΔL the last step's decrease, as if this one's were the same (Nocedal & Wright, eq. 3.60).
    ///
    /// On a one-dimensional Poisson network (97 parameters, four seeds, 6 000 gradients each), self-scaled Broyden took 1.1 trials a
    /// step instead of 1.8 and ended at a relative error of 1.7e-10 … 1.2e-9 instead of 1.2e-9 … 1.1e-8.
    case lastDecrease = "last-decrease"
}

/// What one line search of a descent method led to.
enum DescentEnd {
    /// A new standpoint, `displacement` s = α·p away.
    case moved(to: Standpoint, displacement: Vector, stepLength: Double, trials: Int, restarted: Bool)
    /// `floor` says, where the verdict is stationary, what was found.
    case ended(StepVerdict, floor: Finding? = nil)
}

/// One line search along a quasi-Newton direction and, if that finds nothing, one along steepest descent.
struct Descent {
    let lineSearch: any LineSearch
    let firstTrial: FirstTrial
    let problem: any DifferentiableProblem

    /// Searches from `here` along `direction`, or along −∇L where there is none (a method without a memory yet). `previous` is the loss
    /// before the last step, if that was of the same version of the problem.
    func advance(from here: Standpoint, along direction: Vector?, previous: Double?) throws -> DescentEnd {
        guard here.isFinite else { return .ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        let norm = here.gradient.norm
        if here.hasVanishingGradient { return .ended(.stationary, floor: .vanishingGradient(norm)) }
        var failure: LineSearchFailure?
        if let direction {
            let ray = here.ray(along: direction, on: problem)
            let result = try lineSearch.search(
                along: ray, from: trialStep(slope: ray.slope, decrease: previous.map { $0 - here.loss.total }))
            if let sample = result.usable {
                // No decrease was had, and the quadratic model promises less than the last bits of L: this is the floor.
                let promised = -0.5 * ray.slope
                if sample.value >= here.loss.total, promised <= here.lastBits {
                    return .ended(.stationary, floor: .hiddenDecrease(promised, hidden: here.lastBits))
                }
                return try moved(from: here, sample, trials: result.trials, restarted: false)
            }
            failure = result.failure
        }
        // A first step without curvature: no longer than one in all parameters together.
        let first = Swift.min(1, 1 / norm)
        let steepest = try lineSearch.search(along: here.ray(along: -here.gradient, on: problem), from: first)
        if let sample = steepest.usable {
            return try moved(from: here, sample, trials: steepest.trials, restarted: direction != nil)
        }
        switch try here.deadEnd(along: direction ?? -first * here.gradient, on: problem) {
        case .stationary(let finding): return .ended(.stationary, floor: finding)
        case .step(let sample): return try moved(from: here, sample, trials: steepest.trials, restarted: false)
        case .unexplained: break
        }
        if steepest.failure == .noFiniteTrial {
            return .ended(.brokeDown(.nonFinite(at: here.parameters.values - first * here.gradient, on: problem)))
        }
        let reasons = [failure, steepest.failure].compactMap { $0?.description }.joined(separator: "; along −∇L: ")
        let θ = here.parameters.values
        let tried = [direction.map { θ + $0 }, θ - first * here.gradient].compactMap { $0 }
        return .ended(
            .brokeDown(Breakdown(.lineSearch, "the line search found no step: \(reasons)", lookingAt: tried, on: problem)))
    }

    private func trialStep(slope: Double, decrease: Double?) -> Double {
        guard firstTrial == .lastDecrease, let decrease else { return 1 }
        let α = -2.02 * decrease / slope
        // Decreases at rounding level say nothing about this step.
        return α > 1e-8 ? Swift.min(1, α) : 1
    }

    private func moved(from here: Standpoint, _ sample: RaySample<Trial>, trials: Int, restarted: Bool) throws -> DescentEnd {
        let there = try here.accepting(sample, on: problem)
        guard there.isFinite else { return .ended(.brokeDown(.nonFinite(at: there.parameters.values, on: problem))) }
        return .moved(
            to: there, displacement: there.parameters.values - here.parameters.values, stepLength: sample.stepLength, trials: trials,
            restarted: restarted)
    }
}

/// Whether (s, y) carries usable curvature: yᵀs > ε‖y‖‖s‖, a test free of scale.
func hasCurvature(_ s: Vector, _ y: Vector, tolerance ε: Double) -> Bool {
    let product = s.dot(y)
    return product.isFinite && product > ε * s.norm * y.norm
}
