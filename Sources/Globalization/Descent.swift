import LinearAlgebra
import OptimizationCore

/// The first trial along a direction that proposes a step length of its own, as quasi-Newton directions do.
public enum FirstTrial: String, CaseIterable, Sendable, Hashable {
    /// α = 1, the step that the matrix proposes. For BFGS and L-BFGS: 5 to 8 % fewer evaluations than `lastDecrease` on the functions of Moré, Garbow and
    /// Hillstrom.
    case unit = "unit"
    /// α = min(1, 2.02·ΔL/|φ′(0)|) with ΔL the last step's decrease, as if this one's were the same (Nocedal & Wright, eq. 3.60).
    ///
    /// On a one-dimensional Poisson network (97 parameters, four seeds, 6 000 gradients each), self-scaled Broyden took 1.1 trials a
    /// step instead of 1.8 and ended at a relative error of 1.7e-10 … 1.2e-9 instead of 1.2e-9 … 1.1e-8.
    case lastDecrease = "last-decrease"

    /// The trial along a ray of this slope from this loss.
    public func step(slope: Double, loss: Double, history: SearchHistory) -> Double {
        guard self == .lastDecrease, let previous = history.previousLoss else { return 1 }
        let α = -2.02 * (previous - loss) / slope
        // Decreases at rounding level say nothing about this step.
        return α > 1e-8 ? Swift.min(1, α) : 1
    }
}

/// A step that a descent found.
public struct DescentStep {
    public var standpoint: Standpoint
    /// s = α·p.
    public var displacement: Vector
    public var stepLength: Double
    public var trials: Int
    /// Whether the direction that was asked for led nowhere and −∇L was taken instead.
    public var fellBack: Bool
    public var history: SearchHistory

    /// What a step's report says where the direction led nowhere; `consequence` is what the method did about it.
    public func recoveries(_ consequence: String? = nil) -> [String] {
        fellBack ? ["no step along the direction: −∇L was followed" + (consequence.map { ", \($0)" } ?? "")] : []
    }
}

/// What one line search of a descent method led to.
public enum DescentEnd {
    case moved(DescentStep)
    /// `floor` says, where the verdict is stationary, what was found.
    case ended(StepVerdict, floor: Finding?)
}

/// One line search along a direction and, if that finds nothing, one along steepest descent.
///
/// All of it is free of scale: a loss multiplied by a power of two makes the same steps, bit by bit.
public struct Descent {
    public let lineSearch: any LineSearch
    public let problem: any DifferentiableProblem
    /// Whether a point is called stationary where the lowest one along the direction cannot be told from it: for methods of gradients, which
    /// know no better direction.
    public let seesCurvature: Bool

    public init(_ lineSearch: any LineSearch, on problem: any DifferentiableProblem, seesCurvature: Bool = false) {
        (self.lineSearch, self.problem, self.seesCurvature) = (lineSearch, problem, seesCurvature)
    }

    /// A step length along −∇L where nothing is known of the curvature: 2L/‖∇L‖², to the minimiser of a parabola whose minimum is zero, but no
    /// farther than one in all parameters together; that far where L is zero.
    public static func firstStep(from here: Standpoint) -> Double { firstStep(loss: here.loss.total, gradientNorm: here.gradient.norm) }

    public static func firstStep(loss: Double, gradientNorm norm: Double) -> Double {
        let farthest = 1 / norm
        let wish = 2 * abs(loss) / norm / norm
        return wish > 0 && wish < farthest ? wish : farthest
    }

    /// Searches from `here` along `direction`, or along −∇L where there is none (a method without a memory yet).
    ///
    /// `first` is the first trial, of the slope; `natural` the step length that the direction proposes, by which it is judged whether
    /// rounding hides all decreases. The history is that of the same version of the problem.
    public func advance(
        from here: Standpoint, along direction: Vector?, natural: Double = 1, history: SearchHistory, first: (_ slope: Double) -> Double
    ) throws -> DescentEnd {
        guard here.isFinite else { return .ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem)), floor: nil) }
        if here.hasVanishingGradient { return .ended(.stationary, floor: .vanishingGradient(here.gradient.norm)) }
        var history = history
        let reference = lineSearch.reference(for: here.loss.total, in: &history)
        history.previousLoss = here.loss.total
        var failure: LineSearchFailure?
        var floor: Finding?
        if let direction {
            let ray = here.ray(along: direction, on: problem, reference: reference)
            let wish = first(ray.slope)
            let result = try lineSearch.search(along: ray, from: wish > 0 && wish.isFinite ? wish : natural)
            if let sample = result.usable {
                // No decrease was had, and the quadratic model promises less than the last bits of L: the floor, if the model is right.
                let promised = -0.5 * natural * ray.slope
                guard sample.value >= here.loss.total, promised <= here.lastBits else {
                    return try moved(from: here, sample, result.trials, fellBack: false, history)
                }
                floor = .hiddenDecrease(promised, hidden: here.lastBits)
            }
            failure = result.failure
        }
        let length = Descent.firstStep(from: here)
        let steepest = try lineSearch.search(along: here.ray(along: -here.gradient, on: problem, reference: reference), from: length)
        if let sample = steepest.usable, floor == nil || sample.value < here.loss.total - here.lastBits {
            return try moved(from: here, sample, steepest.trials, fellBack: direction != nil, history)
        }
        if let floor { return .ended(.stationary, floor: floor) }
        // A slope of zero is one that underflows, or no direction at all.
        let isDirected = direction.map { here.gradient.dot($0) < 0 } ?? false
        let proposed = isDirected ? direction.map { natural * $0 } ?? [] : -length * here.gradient
        var deadEnd = try here.deadEnd(along: proposed, on: problem, seeingCurvature: seesCurvature)
        var unit = isDirected ? natural : length
        if isDirected, case .unexplained = deadEnd {
            // A direction that promises more than there is explains nothing.
            let steepest = -length * here.gradient
            (deadEnd, unit) = (try here.deadEnd(along: steepest, on: problem, seeingCurvature: seesCurvature), length)
        }
        switch deadEnd {
        case .stationary(let finding): return .ended(.stationary, floor: finding)
        case .step(let sample):
            let fellBack = direction != nil && unit == length
            return try moved(from: here, sample, steepest.trials, unit: unit, fellBack: fellBack, history)
        case .unexplained: break
        }
        let θ = here.parameters.values
        if steepest.failure == .noFiniteTrial {
            return .ended(.brokeDown(.nonFinite(at: θ - length * here.gradient, on: problem)), floor: nil)
        }
        let reasons = [failure, steepest.failure].compactMap { $0?.description }.joined(separator: "; along −∇L: ")
        let tried = [θ + proposed, θ - length * here.gradient]
        return .ended(
            .brokeDown(Breakdown(.lineSearch, "the line search found no step: \(reasons)", lookingAt: tried, on: problem)), floor: nil)
    }

    /// The step to a sample whose step length counts `unit`s of the direction, or of −∇L.
    private func moved(
        from here: Standpoint, _ sample: RaySample<Trial>, _ trials: Int, unit: Double = 1, fellBack: Bool, _ history: SearchHistory
    ) throws -> DescentEnd {
        let there = try here.accepting(sample, on: problem)
        guard there.isFinite else { return .ended(.brokeDown(.nonFinite(at: there.parameters.values, on: problem)), floor: nil) }
        let s = there.parameters.values - here.parameters.values
        return .moved(
            DescentStep(
                standpoint: there, displacement: s, stepLength: unit * sample.stepLength, trials: trials, fellBack: fellBack,
                history: history))
    }
}

/// Whether (s, y) carries usable curvature: yᵀs > ε‖y‖‖s‖, a test free of scale.
public func hasCurvature(_ s: Vector, _ y: Vector, tolerance ε: Double) -> Bool {
    let product = s.dot(y)
    return product.isFinite && product > ε * s.norm * y.norm
}
