import Globalization
import LinearAlgebra
import OptimizationCore

/// Hessian-free optimization: conjugate gradients on damped Gauss–Newton products, stopped early.
///
/// With B = JᵀJ + λI and q(x) = gᵀx + ½xᵀJᵀJx, conjugate gradients go on B·x = −g from ξ·x₋, the last solution shrunk, until
///
///     φ(xᵢ) < 0  and  φ(xᵢ) − φ(xᵢ₋ₖ) > kε·φ(xᵢ),   φ(x) = ½xᵀBx + gᵀx,  k = max(10, ⌈i/10⌉),  ε = 5e-4
///
/// Of the iterates i = ⌈1.3ʲ⌉ and the last one that is taken from which the loss rises towards earlier ones (backtracking), then a step
/// 0.8ʲ along it with L ≤ L(θ) + 0.01·α·gᵀx. With ρ = (L(θ + x) − L(θ))/q(x), λ ← ⅔λ where ρ > ¾ and 3λ/2 where ρ < ¼; a step without a
/// decrease is rejected with λ tenfold and x₋ forgotten.
///
/// For a loss that is no sum of squares, B has the factor of its generalised Gauss–Newton matrix in place of J.
/// θ, x ∈ ℝᴾ. No matrix is formed: a J·v and a Jᵀ·w an iteration, some 10 + log₁.₃(iterations) vectors of P. Breaks down where λ leaves
/// its bound; stationary where rounding hides all decreases. A revision keeps λ and x₋.
/// Variant: Martens, ICML 2010, §4 (λ's rule, the stopping of CG, backtracking, warm start), without his preconditioner, whose diagonal
/// needs gradients of single samples; q leaves λ out, as Martens & Sutskever (2012, doi:10.1007/978-3-642-35289-8_27) advise; ξ = 0.95 as
/// theirs.
public struct HessianFree: Optimizer, Configurable {
    /// λ at the start.
    public var initialDamping = 1.0
    /// The least and greatest λ.
    public var minimumDamping = 1e-16
    public var maximumDamping = 1e16
    /// ξ.
    public var warmStart = 0.95
    /// The most iterations of conjugate gradients in a step: 350 in the studies of physics-informed networks (arXiv:2405.15603).
    public var maximumIterations = 350
    /// ε.
    public var progress = 5e-4

    public init() {}

    public init(initialDamping: Double, warmStart: Double = 0.95, maximumIterations: Int = 350) {
        (self.initialDamping, self.warmStart, self.maximumIterations) = (initialDamping, warmStart, maximumIterations)
    }

    public static let identifier = "hessian-free"
    public static let summary = "Conjugate gradients on damped Gauss–Newton products, stopped early and started warm; no matrix is formed."
    public static var fields: [Field<Self>] {
        [
            .number("initialDamping", \.initialDamping, in: .positive, meaning: "λ at the start"),
            .number("minimumDamping", \.minimumDamping, in: .positive, meaning: "the least λ"),
            .number("maximumDamping", \.maximumDamping, in: .positive, meaning: "the greatest λ; reaching it is a breakdown"),
            .number("warmStart", \.warmStart, in: .fraction, meaning: "ξ, the part of the last solution from which the next begins"),
            .integer("maximumIterations", \.maximumIterations, atLeast: 1, meaning: "the most CG iterations in a step"),
            .number("progress", \.progress, in: .openUnit, meaning: "ε, the relative progress an iteration below which CG ends"),
        ]
    }

    public func validate() throws {
        guard minimumDamping <= initialDamping, initialDamping <= maximumDamping else {
            throw ConfigurationError(path: "initialDamping", reason: "\(initialDamping) must lie between minimumDamping and maximumDamping")
        }
    }

    public func start(on problem: any GeneralizedGaussNewtonProblem, from parameters: Parameters) throws -> HessianFreeState {
        HessianFreeState(
            standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)), damping: initialDamping)
    }

    public func step(_ state: inout HessianFreeState, on problem: any GeneralizedGaussNewtonProblem) throws -> StepReport {
        let here = state.standpoint
        let λ = state.damping
        var (iterations, ratio) = (0, Double.nan)
        func report(_ at: Standpoint, _ verdict: StepVerdict, α: Double? = nil, floor: Finding? = nil) -> StepReport {
            StepReport(
                loss: at.loss, gradientNorm: at.gradient.norm, stepLength: α, verdict: verdict,
                details: [.init("damping", λ), .init("gainRatio", ratio)], floor: floor, linearIterations: iterations)
        }
        func broken(_ reason: Breakdown.Reason, _ detail: String, lookingAt points: [Vector]) -> StepReport {
            report(here, .brokeDown(Breakdown(reason, detail, lookingAt: points, on: problem)))
        }
        let (θ, g) = (here.parameters.values, here.gradient)
        guard here.isFinite else { return report(here, .brokeDown(.nonFinite(at: θ, on: problem))) }
        if here.hasVanishingGradient { return report(here, .stationary, floor: .vanishingGradient(g.norm)) }

        let model = try problem.gaussNewtonFactor(at: θ)
        let path = solve(model, g, damping: λ, from: state.solution.map { warmStart * $0 })
        iterations = path.iterations
        guard let solution = path.iterates.last, solution.isFinite, solution.norm > 0, path.residualNorm.isFinite else {
            return broken(.linearSolver, "conjugate gradients found no step", lookingAt: [θ])
        }

        // Backtracking over the iterates, from the last one to where the loss rises.
        var anyFinite = false
        func loss(_ x: Vector) throws -> Double {
            let value = try problem.loss(at: θ + x).total
            anyFinite = anyFinite || value.isFinite
            return value.isFinite ? value : .infinity
        }
        var (x, lowest) = (solution, try loss(solution))
        for earlier in path.iterates.dropLast().reversed() {
            let value = try loss(earlier)
            // Beyond an infinite loss there may be a finite one.
            guard value < lowest || !lowest.isFinite else { break }
            (x, lowest) = (earlier, value)
        }
        let image = model.product(x)
        let promised = g.dot(x) + 0.5 * image.dot(image)
        ratio = lowest.isFinite ? (lowest - here.loss.total) / promised : -.infinity
        if !(promised < 0) { ratio = -.infinity }

        var α = 1.0
        let slope = g.dot(x)
        for _ in 0..<60 where !(lowest <= here.loss.total + 0.01 * α * slope && lowest < here.loss.total) {
            α *= 0.8
            lowest = try loss(α * x)
        }
        guard lowest < here.loss.total, slope < 0 else {
            if case .stationary(let finding) = try here.deadEnd(along: solution, on: problem) {
                return report(here, .stationary, floor: finding)
            }
            guard anyFinite || 10 * λ <= maximumDamping else { return broken(.nonFinite, "no trial was finite", lookingAt: [θ + solution]) }
            guard 10 * λ <= maximumDamping else {
                return broken(
                    .regularization, "the damping would leave its bound, \(maximumDamping), without a decrease", lookingAt: [θ + solution])
            }
            (state.damping, state.solution) = (10 * λ, nil)
            return report(here, anyFinite ? .rejected : .invalid)
        }
        let candidate = θ.adding(x, scaledBy: α)
        let there = Standpoint(at: here.parameters.with(candidate), try problem.lossAndGradient(at: candidate))
        guard there.isFinite else { return report(here, .brokeDown(.nonFinite(at: candidate, on: problem))) }
        (state.standpoint, state.solution) = (there, solution)
        if ratio < 0.25 { state.damping = Swift.min(1.5 * λ, maximumDamping) }
        if ratio > 0.75 { state.damping = Swift.max(λ / 1.5, minimumDamping) }
        return report(there, .accepted, α: α)
    }

    /// The kept iterates of conjugate gradients, the last one at the end.
    private func solve(
        _ model: any GaussNewtonFactor, _ g: Vector, damping λ: Double, from start: Vector?
    ) -> (iterates: [Vector], iterations: Int, residualNorm: Double) {
        var values: [Double] = []
        var (kept, mark) = ([Vector](), 1.0)
        let found = ConjugateGradients.solve(-g, from: start, tolerance: 0, limit: maximumIterations) { p in
            model.transposedProduct(model.product(p)).adding(p, scaledBy: λ)
        } stops: { i, x, residual in
            // φ = ½xᵀBx + gᵀx = −½xᵀ(−g + residual)
            values.append(-0.5 * (x.dot(residual) - x.dot(g)))
            if Double(i) >= mark {
                kept.append(x)
                while mark.rounded(.up) <= Double(i) { mark *= 1.3 }
            }
            let k = Swift.max(10, (i + 9) / 10)
            guard i > k, let value = values.last, value < 0 else { return false }
            return value - values[i - 1 - k] > Double(k) * progress * value
        }
        if kept.last != found.x { kept.append(found.x) }
        return (kept, found.iterations, found.residualNorm)
    }

    /// Loss and gradient are evaluated anew; the damping and the last solution are kept.
    public func adapt(_ state: inout HessianFreeState, to problem: any GeneralizedGaussNewtonProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
    }

    /// Raises λ tenfold.
    public func shortenSteps(_ state: inout HessianFreeState) -> Bool {
        (state.damping, state.solution) = (Swift.min(10 * state.damping, maximumDamping), nil)
        return true
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        residuals.map { bytes(ofNumbers: (12 + keptIterates) * Double(parameters) + 4 * Double($0)) }
    }

    /// With as many iterations as are allowed, and one of the kept iterates.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        guard let residuals else { return nil }
        let (p, n, k) = (Double(parameters), Double(residuals), Double(maximumIterations))
        return StepCost(
            [
                .init(.linearization, 1), .init(.loss, 2), .init(.gradient, 1), .init(.jacobianProduct, k + 1),
                .init(.transposedProduct, k),
            ], flops: k * (14 * p + 2 * n))
    }

    /// log₁.₃ of the iterations.
    private var keptIterates: Double {
        var (count, mark) = (1.0, 1.0)
        while mark < Double(maximumIterations) { (count, mark) = (count + 1, 1.3 * mark) }
        return count
    }
}

/// Where a Hessian-free method stands, its damping, and the solution from which the next one begins.
public struct HessianFreeState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// λ.
    public var damping: Double
    /// x₋ ∈ ℝᴾ, as conjugate gradients left it.
    public var solution: Vector?

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint, damping: Double) { (self.standpoint, self.damping) = (standpoint, damping) }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("damping", damping)
        archive.set("solution", solution?.elements ?? [])
    }

    public init(from archive: Archive) throws {
        self.init(standpoint: try archive.value("standpoint"), damping: try archive.double("damping"))
        let stored = try archive.vector("solution")
        guard stored.isEmpty || stored.count == parameters.count else {
            throw ArchiveError(entry: "solution", reason: "\(stored.count) values for \(parameters.count) parameters")
        }
        solution = stored.isEmpty ? nil : stored
    }
}
