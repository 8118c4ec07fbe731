import Globalization
import LinearAlgebra
import OptimizationCore

/// The heavy ball: steepest descent that keeps a part of the last direction.
///
///     p = −∇L(θ) + β·p₋,   θ⁺ = θ + α·p
///
/// β = `momentum`; α by a line search, so that no learning rate is to be chosen (Polyak's method has both fixed; with α found anew each time
/// this is Miele and Cantrell's memory gradient method). Where p does not descend, by the cosine between p and −∇L, it is replaced by −∇L.
/// Free of scale. θ, p ∈ ℝᴾ. Cost: usually one or two gradients a step, a few P of memory. It breaks down where no search finds a step.
/// A revision begins anew.
/// Sources: Polyak, USSR Comput. Math. Math. Phys. 4 (1964) 1–17, doi:10.1016/0041-5553(64)90137-5; Miele & Cantrell, J. Optim. Theory
/// Appl. 3 (1969) 459–470, doi:10.1007/BF00929359.
public struct HeavyBall: Optimizer, Configurable {
    /// β ∈ [0, 1).
    public var momentum = 0.9
    public var lineSearch: any LineSearch = StrongWolfe.almostExact
    /// The least cosine between p and −∇L.
    public var leastCosine = 0.01

    public init() {}

    public init(momentum: Double) { self.momentum = momentum }

    public static let identifier = "heavy-ball"
    public static let summary = "Steepest descent with momentum and a line search."
    public static var fields: [Field<Self>] {
        [
            .number("momentum", \.momentum, in: .fraction, meaning: "β, the part of the last direction that is kept"),
            .lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "how the step length is found"),
            .number("leastCosine", \.leastCosine, in: .openUnit, meaning: "the least cosine to steepest descent, below which it is taken"),
        ]
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> HeavyBallState {
        let here = Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values))
        return HeavyBallState(base: GradientDescentState(standpoint: here), direction: -here.gradient)
    }

    public func step(_ state: inout HeavyBallState, on problem: any DifferentiableProblem) throws -> StepReport {
        let p = state.direction
        var next = p
        let report = try state.base.advance(along: p, lineSearch, on: problem) { step in
            let g = step.standpoint.gradient
            next = -g
            if !step.fellBack { next.add(p, scaledBy: momentum) }
            if !(-g.dot(next) >= leastCosine * g.norm * next.norm) { next = -g }
        }
        state.direction = next
        return report
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 7 * Double(parameters)) }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 2)], flops: 14 * Double(parameters))
    }
}

/// Where the heavy ball stands and where it rolls.
public struct HeavyBallState: OptimizerState, Equatable {
    public var base: GradientDescentState
    /// p ∈ ℝᴾ, the next step's direction.
    public internal(set) var direction: Vector

    public var parameters: Parameters { base.parameters }

    public init(base: GradientDescentState, direction: Vector) { (self.base, self.direction) = (base, direction) }

    public func encode(into archive: inout Archive) {
        archive.set("base", base)
        archive.set("direction", direction)
    }

    public init(from archive: Archive) throws {
        self.init(base: try archive.value("base"), direction: try archive.vector("direction"))
        guard direction.count == parameters.count else {
            throw ArchiveError(entry: "direction", reason: "\(direction.count) values for \(parameters.count) parameters")
        }
    }
}
