import Globalization
import LinearAlgebra
import OptimizationCore

/// How the matrix of a limited memory is scaled.
public enum MemoryScaling: String, CaseIterable, Sendable, Hashable {
    /// H₀ = (sᵀy/yᵀy)·I of the newest pair, as usual.
    case newestPair = "newest-pair"
    /// H₀ of the oldest pair, and H divided by τ = min(1, sᵀy/sᵀBs) before each pair: Al-Baali's self-scaling.
    case selfScaled = "self-scaled"
}

/// L-BFGS: a quasi-Newton direction from the last m steps, by the two-loop recursion.
///
/// With s = θ⁺ − θ and y = ∇L(θ⁺) − ∇L(θ) of the last m accepted steps, p = −H·∇L, where H is the BFGS matrix built from
/// those pairs over H₀ = (sᵀy/yᵀy)·I of the newest one. s, y, p ∈ ℝᴾ; m = `memory`.
/// Cost: usually one gradient a step, 8mP flops, 2mP doubles. A pair enters only if yᵀs > `curvatureTolerance`·‖y‖‖s‖.
/// A failed search drops the pairs and tries steepest descent once; if that fails too, the method breaks down, or is stationary
/// where rounding errors of the loss hide every decrease. No threshold is absolute: a loss scaled by a power of two gives the same
/// iterates, bit by bit. On a revised problem loss and gradient are evaluated
/// anew and the pairs, which describe the old one, are dropped.
/// Variants: strong Wolfe steps from a first trial of 1 (Nocedal's code uses Moré–Thuente's search; PyTorch's has none by default);
/// `scaling` takes Al-Baali's self-scaling (Numer. Algorithms 22 (1999) 99–112, doi:10.1023/A:1019142304382) from the oldest pair on;
/// `damped` is Powell's, for searches that do not ensure sᵀy > 0 (backtracking) and losses that are not convex.
/// Source: Liu & Nocedal, Math. Prog. 45 (1989) 503–528, doi:10.1007/BF01589116; Nocedal & Wright, alg. 7.4 and 7.5.
public struct LBFGS: Optimizer, Configurable {
    /// m ≥ 1.
    public var memory = 50
    public var scaling = MemoryScaling.newestPair
    /// Whether a change of the gradient with too little curvature is mended rather than dropped.
    public var damped = false
    public var lineSearch: any LineSearch = StrongWolfe()
    public var firstTrial = FirstTrial.unit
    /// ε in yᵀs > ε‖y‖‖s‖. The cosine between s and y is at least 2/√κ on a quadratic of condition κ: 1e-12 spares κ up to 1e24.
    public var curvatureTolerance = 1e-12

    public init() {}

    public init(memory: Int, scaling: MemoryScaling = .newestPair, lineSearch: any LineSearch = StrongWolfe()) {
        precondition(memory >= 1, "a memory of \(memory) pairs")
        (self.memory, self.scaling, self.lineSearch) = (memory, scaling, lineSearch)
    }

    public static let identifier = "l-bfgs"
    public static let summary = "Quasi-Newton with the curvature of the last steps; memory linear in the parameters."
    public static var fields: [Field<Self>] {
        [
            .integer("memory", \.memory, atLeast: 1, meaning: "m, how many steps are remembered"),
            .choice("scaling", \.scaling, meaning: "how the matrix is scaled"),
            .flag("damped", \.damped, meaning: "whether pairs of too little curvature are mended by Powell's damping"),
            .lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "how the step length is found"),
            .choice("firstTrial", \.firstTrial, meaning: "the first trial of each search"),
            .number("curvatureTolerance", \.curvatureTolerance, in: .fraction, meaning: "ε in yᵀs > ε‖y‖‖s‖, for a pair to be kept"),
        ]
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> LBFGSState {
        LBFGSState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout LBFGSState, on problem: any DifferentiableProblem) throws -> StepReport {
        let here = state.standpoint
        let direction = state.pairs.isEmpty ? nil : state.direction(scaling)
        let end = try Descent(lineSearch, on: problem).advance(from: here, along: direction, history: state.history) { slope in
            firstTrial.step(slope: slope, loss: here.loss.total, history: state.history)
        }
        switch end {
        case .ended(let verdict, let floor):
            return StepReport(loss: here.loss, gradientNorm: here.gradient.norm, verdict: verdict, floor: floor)
        case .moved(let step):
            let followed = direction != nil && !step.fellBack
            if step.fellBack { state.pairs = [] }
            remember(step, from: here, followed: followed, in: &state)
            (state.history, state.standpoint) = (step.history, step.standpoint)
            return StepReport(
                loss: step.standpoint.loss, gradientNorm: step.standpoint.gradient.norm, stepLength: step.stepLength,
                details: [.init("trials", Double(step.trials)), .init("pairs", Double(state.pairs.count))],
                recoveries: step.recoveries("the pairs before it forgotten"))
        }
    }

    /// Takes in the pair of a step; `followed` says whether that went along −H·∇L, so that Bs = −α∇L.
    private func remember(_ step: DescentStep, from here: Standpoint, followed: Bool, in state: inout LBFGSState) {
        let s = step.displacement
        var y = step.standpoint.gradient - here.gradient
        if damped, followed { y = Globalization.damped(y, along: s, image: -step.stepLength * here.gradient) }
        guard hasCurvature(s, y, tolerance: curvatureTolerance) else { return }
        var τ = 1.0
        if scaling == .selfScaled, followed {
            // 1/b = sᵀy/sᵀBs.
            let inverse = -s.dot(y) / (step.stepLength * s.dot(here.gradient))
            if inverse > 0 { τ = Swift.min(1, inverse) }
        }
        if state.pairs.count >= memory { state.pairs.removeFirst(state.pairs.count - memory + 1) }
        state.pairs.append(SecantPair(step: s, change: y, scaling: τ))
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

/// Where L-BFGS stands and the pairs it remembers, the oldest first.
public struct LBFGSState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// Of this version of the problem.
    public internal(set) var history = SearchHistory()
    public var pairs: [SecantPair] = []

    public static var formatVersion: Int { 2 }

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint, pairs: [SecantPair] = []) { (self.standpoint, self.pairs) = (standpoint, pairs) }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("history", history)
        archive.set(pairs: pairs)
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        history = try archive.value("history")
        pairs = try archive.pairs(of: standpoint.parameters.count)
    }

    /// p = −H·∇L.
    package func direction(_ scaling: MemoryScaling = .newestPair) -> Vector {
        let scaled = scaling == .newestPair ? pairs.last : pairs.first
        return pairs.direction(for: standpoint.gradient, initialScale: scaled?.inverseCurvature ?? 1)
    }
}
