import Globalization
import LinearAlgebra
import OptimizationCore

/// L-BFGS: a quasi-Newton direction from the last m steps, by the two-loop recursion.
///
/// With s = θ⁺ − θ and y = ∇L(θ⁺) − ∇L(θ) of the last m accepted steps, p = −H·∇L, where H is the BFGS matrix built from
/// those pairs over H₀ = (sᵀy/yᵀy)·I of the newest one. s, y, p ∈ ℝᴾ; m = `memory`.
/// Cost: usually one gradient a step, 8mP flops, 2mP doubles. A pair enters only if yᵀs > `curvatureTolerance`·‖y‖‖s‖.
/// A failed search drops the pairs and tries steepest descent once; if that fails too, the method breaks down, or is stationary
/// where rounding errors of the loss hide every decrease. On a revised problem loss and gradient are evaluated
/// anew and the pairs, which describe the old one, are dropped.
/// Variant: strong Wolfe steps from a first trial of 1 (Nocedal's code uses Moré–Thuente's search; PyTorch's has none by default).
/// Source: Liu & Nocedal, Math. Prog. 45 (1989) 503–528, doi:10.1007/BF01589116; Nocedal & Wright, alg. 7.4 and 7.5.
public struct LBFGS: Optimizer, Configurable {
    /// m ≥ 1.
    public var memory = 50
    public var lineSearch: any LineSearch = StrongWolfe()
    public var firstTrial = FirstTrial.lastDecrease
    /// ε in yᵀs > ε‖y‖‖s‖. The cosine between s and y is at least 2/√κ on a quadratic of condition κ: 1e-12 spares κ up to 1e24.
    public var curvatureTolerance = 1e-12

    public init() {}

    public init(memory: Int, lineSearch: any LineSearch = StrongWolfe()) {
        precondition(memory >= 1, "a memory of \(memory) pairs")
        (self.memory, self.lineSearch) = (memory, lineSearch)
    }

    public static let identifier = "l-bfgs"
    public static let summary = "Quasi-Newton with the curvature of the last steps; memory linear in the parameters."
    public static var fields: [Field<Self>] {
        [
            .integer("memory", \.memory, atLeast: 1, meaning: "m, how many steps are remembered"),
            .lineSearch("lineSearch", \.lineSearch, meaning: "how the step length is found"),
            .choice("firstTrial", \.firstTrial, meaning: "the first trial of each search"),
            .number("curvatureTolerance", \.curvatureTolerance, in: .fraction, meaning: "ε in yᵀs > ε‖y‖‖s‖, for a pair to be kept"),
        ]
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> LBFGSState {
        LBFGSState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout LBFGSState, on problem: any DifferentiableProblem) throws -> StepReport {
        let here = state.standpoint
        let direction = state.pairs.isEmpty ? nil : state.direction()
        let descent = Descent(lineSearch: lineSearch, firstTrial: firstTrial, problem: problem)
        switch try descent.advance(from: here, along: direction, previous: state.previousLoss) {
        case .ended(let verdict, let floor):
            return StepReport(loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, floor: floor)
        case .moved(let there, let s, let α, let trials, let restarted):
            let y = there.gradient - here.gradient
            if restarted { state.pairs = [] }
            if hasCurvature(s, y, tolerance: curvatureTolerance) {
                if state.pairs.count == memory { state.pairs.removeFirst() }
                state.pairs.append(SecantPair(step: s, change: y))
            }
            (state.previousLoss, state.standpoint) = (here.loss.total, there)
            return StepReport(
                loss: there.loss, gradientNorm: there.gradient.norm, stepLength: α,
                details: [.init("trials", Double(trials)), .init("pairs", Double(state.pairs.count))])
        }
    }

    public func adapt(_ state: inout LBFGSState, to problem: any DifferentiableProblem) throws {
        state = try start(on: problem, from: state.parameters)
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        bytes(ofNumbers: (2 * Double(memory) + 6) * Double(parameters))
    }

    /// A full memory's two-loop recursion.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 8 * Double(memory) * Double(parameters))
    }
}

/// One accepted step and the change of the gradient over it.
public struct SecantPair: Sendable, Equatable {
    /// s ∈ ℝᴾ.
    public let step: Vector
    /// y ∈ ℝᴾ.
    public let change: Vector

    public init(step: Vector, change: Vector) { (self.step, self.change) = (step, change) }
}

/// Where L-BFGS stands and the pairs it remembers, the oldest first.
public struct LBFGSState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// The loss before the last step; nil before the first and after a revision.
    public internal(set) var previousLoss: Double?
    public var pairs: [SecantPair] = []

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint, pairs: [SecantPair] = []) { (self.standpoint, self.pairs) = (standpoint, pairs) }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("previousLoss", previousLoss.map { [$0] } ?? [])
        archive.set("steps", pairs.map(\.step))
        archive.set("changes", pairs.map(\.change))
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        previousLoss = try archive.doubles("previousLoss").first
        let (steps, changes) = (try archive.vectors("steps"), try archive.vectors("changes"))
        guard steps.count == changes.count, (steps + changes).allSatisfy({ $0.count == standpoint.parameters.count }) else {
            throw ArchiveError(entry: "steps", reason: "does not hold a pair of \(standpoint.parameters.count) values for each change")
        }
        pairs = zip(steps, changes).map { SecantPair(step: $0, change: $1) }
    }

    /// p = −H·∇L by the two-loop recursion, newest pair first and then oldest first.
    package func direction() -> Vector {
        var q = standpoint.gradient
        var a = [Double](repeating: 0, count: pairs.count)
        for i in pairs.indices.reversed() {
            let (s, y) = (pairs[i].step, pairs[i].change)
            a[i] = s.dot(q) / y.dot(s)
            q.add(y, scaledBy: -a[i])
        }
        if let newest = pairs.last { q.scale(by: newest.step.dot(newest.change) / newest.change.dot(newest.change)) }
        for i in pairs.indices {
            let (s, y) = (pairs[i].step, pairs[i].change)
            q.add(s, scaledBy: a[i] - y.dot(q) / y.dot(s))
        }
        return -q
    }
}
