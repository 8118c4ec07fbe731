import Globalization
import LinearAlgebra
import OptimizationCore

/// What one line search of a descent method led to.
enum DescentEnd {
    /// A new standpoint, `displacement` s = α·p away.
    case moved(to: Standpoint, displacement: Vector, stepLength: Double, trials: Int, restarted: Bool)
    case ended(StepVerdict)
}

/// One line search along a quasi-Newton direction and, if that finds nothing, one along steepest descent.
struct Descent {
    let lineSearch: any LineSearch
    let problem: any DifferentiableProblem

    /// Searches from `here` along `direction`, or along −∇L where there is none (a method without a memory yet).
    func advance(from here: Standpoint, along direction: Vector?) throws -> DescentEnd {
        guard here.isFinite else { return .ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        let norm = here.gradient.norm
        if norm == 0 { return .ended(.stationary) }
        var failure: LineSearchFailure?
        var expected = Double.infinity
        if let direction {
            let result = try lineSearch.search(along: here.ray(along: direction, on: problem), from: 1)
            if let sample = result.usable { return try moved(from: here, sample, trials: result.trials, restarted: false) }
            failure = result.failure
            expected = -0.5 * here.gradient.dot(direction)
        }
        // A first step without curvature: no longer than one in all parameters together.
        let steepest = try lineSearch.search(along: here.ray(along: -here.gradient, on: problem), from: Swift.min(1, 1 / norm))
        if let sample = steepest.usable {
            return try moved(from: here, sample, trials: steepest.trials, restarted: direction != nil)
        }
        if here.isStationary(promising: expected) { return .ended(.stationary) }
        if steepest.failure == .noFiniteTrial {
            return .ended(.brokeDown(.nonFinite(at: here.parameters.values - here.gradient, on: problem)))
        }
        let reasons = [failure, steepest.failure].compactMap { $0?.description }.joined(separator: "; along −∇L: ")
        return .ended(.brokeDown(Breakdown(.lineSearch, "the line search found no step: \(reasons)")))
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
