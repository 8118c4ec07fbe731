import Globalization
import LinearAlgebra
import OptimizationCore

/// Variable projection: the parameters that enter the residual linearly are always the best ones for the others, and Levenberg–Marquardt
/// moves the others alone.
///
/// With θ = (α, c), r = r₀(α) + Φ(α)c, Φ = ∂r/∂c ∈ ℝᴺˣᵐ and P⊥ = I − ΦΦ⁺,
///
///     c(α) = c − Φ⁺r        (J̃ᵀJ̃ + λD)δ = −J̃ᵀr,  J̃ = P⊥·∂r/∂α (Kaufman)        α⁺ = α + δ,  c⁺ = c(α⁺)
///
/// ρ compares ½‖r‖² at (α, c) and (α⁺, c⁺) with what the damped model promises, and moves λ by the damping rule. A step that finds c off
/// its optimum sets it right and does nothing else. Valleys that stretch along c, and starts of c, are gone; what is left has the
/// conditioning of the reduced problem.
/// Which parameters are linear the problem says (`PartiallyLinearProblem`: a network's last layer, where the equation is linear), or a
/// setting in its place, by the names of blocks or by number. Where one of them is not, or none is known, steps still lower the loss, but the projection is one of Gauss–Newton's.
/// Cost: a dense J at each trial, 2Nm² + 2N(P − m)² flops a step, 2(P − m)³/3 a trial. Φ's singular values at or below 1e-12 of the largest
/// count as zero. Breaks down where λ leaves its bounds; stationary where the promised decrease hides in the loss's rounding.
/// Variants: Kaufman's J̃ leaves out the term of Golub and Pereyra that vanishes with the residual.
/// Sources: Golub & Pereyra, doi:10.1137/0710036; Kaufman, BIT 15:49–57 (1975), doi:10.1007/BF01932995.
public struct VariableProjection: Optimizer, Configurable {
    public var damping: any DampingRule = NielsenDamping()
    /// The names of the parameter blocks that enter linearly, with commas between. Where blocks and numbers are empty, the problem says.
    public var linearBlocks = ""
    /// The numbers, from 0, of single parameters that enter linearly.
    public var linearParameters: [Double] = []
    /// Dampings tried in one step.
    public var maximumTrials = 20

    public init() {}

    public init(linearBlocks: [String] = [], linearParameters: [Int] = []) {
        self.linearBlocks = linearBlocks.joined(separator: ",")
        self.linearParameters = linearParameters.map(Double.init)
    }

    public static let identifier = "variable-projection"
    public static let summary = "Levenberg–Marquardt on the parameters that do not enter linearly, the others being solved for."
    public static var fields: [Field<Self>] {
        [
            .residualDamping("damping", \.damping, meaning: "how the damping follows the gain ratio"),
            .text(
                "linearBlocks", \.linearBlocks,
                meaning: "the blocks that enter linearly, with commas between, where not what the problem says"),
            .numbers(
                "linearParameters", \.linearParameters, in: .nonNegative, meaning: "single parameters that enter linearly, by number from 0"
            ),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "dampings tried in one step"),
        ]
    }

    /// The linear parameters of a problem with this layout; throws where a name or number is none of its own.
    private func linear(of problem: any LeastSquaresProblem, _ layout: ParameterLayout) throws -> [Int] {
        if linearParameters.isEmpty, linearBlocks.allSatisfy({ $0 == " " || $0 == "," }) {
            return (problem as? any PartiallyLinearProblem)?.linearParameters ?? []
        }
        var chosen = [Bool](repeating: false, count: layout.count)
        for name in linearBlocks.split(separator: ",").map({ String($0.drop { $0 == " " }) }) where !name.isEmpty {
            guard let block = layout[name] else {
                let known = nearest(to: name, among: layout.blocks.map(\.name)).joined(separator: ", ")
                throw ConfigurationError(path: "linearBlocks", reason: "there is no block “\(name)”; there are: \(known)")
            }
            for i in block.range { chosen[i] = true }
        }
        for number in linearParameters {
            guard let i = Int(exactly: number), chosen.indices.contains(i) else {
                throw ConfigurationError(path: "linearParameters", reason: "\(number) is no whole number from 0 to \(chosen.count - 1)")
            }
            chosen[i] = true
        }
        return chosen.indices.filter { chosen[$0] }
    }

    public func check(_ problem: any LeastSquaresProblem) throws { _ = try linear(of: problem, problem.layout) }

    public func start(on problem: any LeastSquaresProblem, from parameters: Parameters) throws -> VariableProjectionState {
        try check(problem)
        return VariableProjectionState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout VariableProjectionState, on problem: any LeastSquaresProblem) throws -> StepReport {
        let (before, here) = (state, state.standpoint)
        let θ = here.parameters.values
        let linear = try linear(of: problem, here.parameters.layout)
        let isLinear = Set(linear)
        let others = θ.indices.filter { !isLinear.contains($0) }
        var (trials, ratio) = (0, 0.0)
        func report(_ standpoint: Standpoint, _ verdict: StepVerdict, stepLength: Double? = nil, floor: Finding? = nil) -> StepReport {
            if case .brokeDown = verdict { state = before }
            return StepReport(
                loss: standpoint.loss, gradientNorm: standpoint.gradient.norm, stepLength: stepLength, verdict: verdict,
                details: [.init("damping", state.damping?.value ?? 0), .init("gainRatio", ratio), .init("trials", Double(trials))],
                floor: floor)
        }
        func broken(_ reason: Breakdown.Reason, _ detail: String, _ point: Vector) -> StepReport {
            report(here, .brokeDown(Breakdown(reason, detail, lookingAt: [point], on: problem)))
        }
        guard here.isFinite else { return report(here, .brokeDown(.nonFinite(at: θ, on: problem))) }
        if here.hasVanishingGradient { return report(here, .stationary, floor: .vanishingGradient(here.gradient.norm)) }

        /// θ with the linear parameters at their best for the others, and the decrease of L that it promises.
        func projected(_ θ: Vector, _ model: any Linearization, _ Φ: SVD) -> (θ: Vector, decrease: Double) {
            let rank = Φ.rank(relativeTolerance: 1e-12)
            let change = Φ.solveTruncated(-model.residual, relativeTolerance: 1e-12)
            var moved = θ
            for (k, i) in linear.enumerated() { moved[i] += change[k] }
            return (moved, Φ.u.transposedTimes(model.residual).prefix(rank).reduce(0) { $0 + 0.5 * $1 * $1 })
        }
        /// Takes a candidate; nil where the gradient there is not finite.
        func accept(_ candidate: Vector, next: Damping?) throws -> StepReport? {
            let there = Standpoint(at: here.parameters.with(candidate), try problem.lossAndGradient(at: candidate))
            guard there.isFinite else { return nil }
            (state.standpoint, state.damping) = (there, next)
            return report(there, .accepted, stepLength: (candidate - θ).norm)
        }

        let model = try problem.linearization(at: θ)
        let J = model.jacobian()
        guard case .success(let Φ) = SVD.factorize(J.columns(linear)) else {
            return broken(.linearSolver, "the linear parameters' Jacobian could not be factorised", θ)
        }
        let best = projected(θ, model, Φ)
        if best.decrease > 1e-12 * abs(here.loss.total), try problem.loss(at: best.θ).total < here.loss.total {
            trials = 1
            if let taken = try accept(best.θ, next: state.damping) { return taken }
        }

        // J̃ = (I − UUᵀ)∂r/∂α, projected twice for orthogonality to rounding.
        var reduced = J.columns(others)
        let U = Φ.u.columns(Array(0..<Φ.rank(relativeTolerance: 1e-12)))
        for _ in 0..<2 where U.columns > 0 && reduced.columns > 0 {
            let shadow = Matrix.product(U, Matrix.product(U, reduced, transposingFirst: true))
            for i in reduced.elements.indices { reduced.elements[i] -= shadow.elements[i] }
        }
        let norms = columnNorms(reduced)
        guard norms.isFinite else { return broken(.nonFinite, "the reduced Jacobian is not finite", θ) }
        let g = reduced.transposedTimes(model.residual)
        let P = reduced.columns
        let unit = Swift.max(norms.maximumNorm, Double.leastNormalMagnitude)
        var λ = state.damping?.damping(scale: unit) ?? damping.start(scale: unit)
        var (anyFinite, boldest): (Bool, Vector?) = (false, nil)
        while trials < maximumTrials {
            trials += 1
            state.damping = λ
            let solved = QR.factorize(reduced, overDiagonal: Vector(repeating: λ.value.squareRoot(), count: P))
                .flatMap { $0.solveLeastSquares(Vector((-model.residual).elements + Array(repeating: 0, count: P))) }
            guard case .success(let δ) = solved, δ.isFinite else {
                if damping.isGreatest(λ) { return broken(.linearSolver, "the damped equations cannot be solved", θ) }
                λ = damping.updated(λ, gainRatio: -.infinity)
                continue
            }
            let promised = 0.5 * (λ.value * δ.dot(δ) - g.dot(δ))
            if boldest == nil {
                boldest = δ
                if promised <= here.lastBits {
                    return report(here, .stationary, floor: .hiddenDecrease(Swift.max(0, promised), hidden: here.lastBits))
                }
            }
            var moved = θ
            for (k, i) in others.enumerated() { moved[i] += δ[k] }
            var candidate = moved
            var loss = try problem.loss(at: moved)
            if loss.isFinite, !linear.isEmpty {
                let ahead = try problem.linearization(at: moved)
                if case .success(let Φ) = SVD.factorize(ahead.jacobian().columns(linear)) {
                    candidate = projected(moved, ahead, Φ).θ
                    loss = try problem.loss(at: candidate)
                }
            }
            anyFinite = anyFinite || loss.isFinite
            ratio = loss.isFinite ? (here.loss.total - loss.total) / promised : -.infinity
            if ratio > damping.acceptance, loss.total < here.loss.total,
                let taken = try accept(candidate, next: damping.updated(λ, gainRatio: ratio))
            {
                return taken
            }
            if damping.isGreatest(λ) {
                var direction = Vector.zeros(θ.count)
                for (k, i) in others.enumerated() { direction[i] = boldest?[k] ?? 0 }
                if case .stationary(let finding) = try here.deadEnd(along: direction, on: problem) {
                    return report(here, .stationary, floor: finding)
                }
                return broken(.regularization, "the damping reached its bound, \(λ.value), without a decrease", candidate)
            }
            λ = damping.updated(λ, gainRatio: Swift.min(ratio, damping.acceptance))
        }
        state.damping = λ
        return report(here, anyFinite ? .rejected : .invalid)
    }

    /// Loss and gradient are evaluated anew; the damping is kept.
    public func adapt(_ state: inout VariableProjectionState, to problem: any LeastSquaresProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
    }

    /// Ten times λ, where a step has set it.
    public func shortenSteps(_ state: inout VariableProjectionState) -> Bool {
        guard let raised = state.damping.flatMap({ damping.raised($0) }) else { return false }
        state.damping = raised
        return true
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let p = Double(parameters)
        return residuals.map { bytes(ofNumbers: 4 * Double($0) * p + 2 * p * p + 10 * (p + Double($0))) }
    }

    /// With the first damping taken; a projection of the linear parameters included.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        guard let residuals else { return nil }
        let (p, n) = (Double(parameters), Double(residuals))
        return StepCost([.init(.linearization, 2), .init(.loss, 2), .init(.gradient, 1)], flops: 4 * n * p * p)
    }
}

/// Where variable projection stands, and its damping.
public struct VariableProjectionState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// λ and ν; nil before the first linearisation sets their scale.
    public var damping: Damping?

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("damping", damping?.stored ?? [])
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        let numbers = try archive.doubles("damping")
        damping = numbers.isEmpty ? nil : try Damping(stored: numbers)
    }
}

extension Matrix {
    /// The chosen columns, in order.
    fileprivate func columns(_ chosen: [Int]) -> Matrix {
        var entries: [Double] = []
        entries.reserveCapacity(rows * chosen.count)
        for j in chosen { entries += elements[(j * rows)..<((j + 1) * rows)] }
        return Matrix(rows: rows, columns: chosen.count, elements: entries)
    }
}
