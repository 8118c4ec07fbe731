import Globalization
import LinearAlgebra
import OptimizationCore

/// ARC: Newton's model with an adaptive cubic term in place of a trust region or a line search.
///
///     p ≈ argmin m(p) = gᵀp + ½pᵀBp + ⅓σ‖p‖³,   ρ = (L(θ) − L(θ + p))/(−m(p)),   θ⁺ = θ + p where ρ > acceptance
///
///     ρ ≥ `good`: σ ← σ/`decrease`        ρ < `poor`: σ ← σ·`increase`
///
/// The cubic term bounds what the Hessian's change can cost, and makes an indefinite B harmless: (B + σ‖p‖I)p = −g with a positive
/// semidefinite matrix. m is minimised globally over a Krylov space from g, grown until ‖∇m‖ ≤ accuracy·min(1, ‖p‖)·‖g‖ (``SpectralModel``,
/// ``LanczosBasis``); another σ takes no product more. σ₀ = ‖g‖/Δ₀² makes the first step as long as Δ₀, the first step of ``Descent``.
/// Cost: a gradient a trial, a product and 8nk flops for the k-th vector, one for a step near −g, up to P near an ill-conditioned minimum;
/// k vectors of P. A saddle whose ascent directions are orthogonal to g is not seen. A trial that is not finite raises σ sixteenfold; where
/// none is finite the method breaks down. Stationary where the loss's rounding hides every decrease. A revision keeps σ.
/// Variant: `decrease` instead of the original's σ ← min(σ, ‖g‖), which depends on the loss's scale.
/// Source: Cartis, Gould & Toint, Math. Prog. 127 (2011) 245–295, doi:10.1007/s10107-009-0286-5, algorithm 2.1, with poor 0.1, good 0.9
/// and increase 2.
public struct CubicRegularization: Optimizer, Configurable {
    public var model = CurvatureModel.hessian
    /// A step is taken when ρ exceeds this.
    public var acceptance = 1e-4
    public var poor = 0.1
    public var good = 0.9
    public var increase = 2.0
    public var decrease = 3.0
    /// κ in ‖∇m‖ ≤ κ·min(1, ‖p‖)·‖g‖.
    public var accuracy = 1e-2
    /// The Krylov space's dimension at most; never more than P.
    public var maximumSubspace = 250
    /// Values of σ tried in one step.
    public var maximumTrials = 30

    public init() {}

    public static let identifier = "cubic-regularization"
    public static let summary = "ARC: Newton's model with an adaptive cubic term, minimised in a Krylov space."
    public static var fields: [Field<Self>] {
        [
            .choice("model", \.model, meaning: "the matrix of the quadratic model; gauss-newton where there are residuals or a metric"),
            .number("acceptance", \.acceptance, in: .fraction, meaning: "a step is taken when its gain ratio exceeds this"),
            .number("poor", \.poor, in: .openUnit, meaning: "the gain ratio below which σ grows"),
            .number("good", \.good, in: .openUnit, meaning: "the gain ratio from which on σ falls"),
            .number("increase", \.increase, in: .atLeast(1), meaning: "the factor of σ after a poor step"),
            .number("decrease", \.decrease, in: .atLeast(1), meaning: "the divisor of σ after a good one"),
            .number("accuracy", \.accuracy, in: .openUnit, meaning: "κ in ‖∇m‖ ≤ κ·min(1, ‖p‖)·‖∇L‖"),
            .integer("maximumSubspace", \.maximumSubspace, atLeast: 1, meaning: "the Krylov space's dimension at most"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "values of σ tried in one step"),
        ]
    }

    public func validate() throws {
        if poor < acceptance { throw ConfigurationError(path: "poor", reason: "\(poor) must not be below acceptance, \(acceptance)") }
        if good < poor { throw ConfigurationError(path: "good", reason: "\(good) must not be below poor, \(poor)") }
        // A refusal that leaves σ where it is would be tried for ever.
        if increase == 1 { throw ConfigurationError(path: "increase", reason: "must exceed 1") }
    }

    public func check(_ problem: any TwiceDifferentiableProblem) throws { try model.check(problem) }

    public func start(on problem: any TwiceDifferentiableProblem, from parameters: Parameters) throws -> CubicRegularizationState {
        try check(problem)
        return CubicRegularizationState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout CubicRegularizationState, on problem: any TwiceDifferentiableProblem) throws -> StepReport {
        let here = state.standpoint
        let θ = here.parameters.values
        var (σ, ratio, trials, dimension) = (state.weight ?? 0, 0.0, 0, 0)
        func report(_ standpoint: Standpoint, _ verdict: StepVerdict, stepLength: Double? = nil, floor: Finding? = nil) -> StepReport {
            StepReport(
                loss: standpoint.loss, gradientNorm: standpoint.gradient.norm, stepLength: stepLength, verdict: verdict,
                details: [
                    .init("weight", σ), .init("gainRatio", ratio), .init("trials", Double(trials)),
                    .init("subspace", Double(dimension)),
                ], floor: floor, linearIterations: dimension)
        }
        guard here.isFinite else { return report(here, .brokeDown(.nonFinite(at: θ, on: problem))) }
        if here.hasVanishingGradient { return report(here, .stationary, floor: .vanishingGradient(here.gradient.norm)) }
        let length = here.gradient.norm * Descent.firstStep(from: here)
        let first = here.gradient.norm / (length * length)
        if state.weight == nil { σ = first }
        let B = try model.operator(at: θ, on: problem)
        var space = KrylovCubic(here.gradient, product: { B.product($0) })
        var nowhere: Vector?
        var anyFinite = false
        while trials < maximumTrials {
            let minimum: KrylovCubic.Minimum
            let result = space.minimum(σ, accuracy: accuracy, maximum: maximumSubspace)
            dimension = space.basis.count
            switch result {
            case .success(let found): minimum = found
            case .failure(.nonFinite): return report(here, .brokeDown(.nonFiniteCurvature(at: θ, on: problem)))
            case .failure(let failure):
                return report(
                    here, .brokeDown(Breakdown(.linearSolver, "no minimiser of the model: \(failure)", lookingAt: [θ], on: problem)))
            }
            guard minimum.decrease > here.lastBits, minimum.p.norm > 0 else {
                if let nowhere { return report(here, .brokeDown(.nonFinite(at: nowhere, on: problem))) }
                // What a smaller σ would promise.
                let widest = space.minimum(Swift.min(σ, first), accuracy: accuracy, maximum: maximumSubspace)
                guard case .success(let wide) = widest, wide.decrease > here.lastBits else {
                    return report(here, .stationary, floor: .hiddenDecrease(minimum.decrease, hidden: here.lastBits))
                }
                var end = try here.deadEnd(along: wide.p, on: problem)
                if case .unexplained = end {
                    // A step that is too long explains nothing, and refused ones, shorter and shorter, were more and more along −g.
                    end = try here.deadEnd(along: -Descent.firstStep(from: here) * here.gradient, on: problem, seeingCurvature: true)
                }
                switch end {
                case .stationary(let finding): return report(here, .stationary, floor: finding)
                case .unexplained:
                    let detail = "the cubic term's weight grew to \(σ) without a decrease"
                    return report(here, .brokeDown(Breakdown(.regularization, detail, lookingAt: [θ + wide.p], on: problem)))
                case .step(let sample):
                    let there = try here.accepting(sample, on: problem)
                    guard there.isFinite else { return report(here, .brokeDown(.nonFinite(at: there.parameters.values, on: problem))) }
                    (state.standpoint, state.weight) = (there, nil)
                    var accepted = report(there, .accepted, stepLength: (there.parameters.values - θ).norm)
                    accepted.recoveries = ["the cubic model promised nothing that could be seen: its weight begun anew"]
                    return accepted
                }
            }
            trials += 1
            let candidate = θ + minimum.p
            let value = try problem.lossAndGradient(at: candidate)
            guard value.isFinite else {
                (σ, nowhere) = (16 * σ, candidate)
                guard candidate != θ, σ.isFinite else { break }
                continue
            }
            anyFinite = true
            ratio = (here.loss.total - value.loss.total) / minimum.decrease
            let used = σ
            if ratio >= good {
                // Below the rounding of B a cubic term does nothing.
                σ = Swift.max(σ / decrease, Double.ulpOfOne * minimum.size / minimum.p.norm)
            } else if !(ratio >= poor) {
                σ *= increase
            }
            guard ratio > acceptance else { continue }
            (state.standpoint, state.weight) = (Standpoint(at: here.parameters.with(candidate), value), σ)
            var accepted = report(state.standpoint, .accepted, stepLength: minimum.p.norm)
            accepted.details[0] = .init("weight", used)
            return accepted
        }
        guard anyFinite else { return report(here, .brokeDown(.nonFinite(at: nowhere ?? θ, on: problem))) }
        state.weight = σ
        return report(here, .rejected)
    }

    /// Loss and gradient are evaluated anew; σ is kept.
    public func adapt(_ state: inout CubicRegularizationState, to problem: any TwiceDifferentiableProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
    }

    /// A hundred times the weight: a tenth of the length.
    public func shortenSteps(_ state: inout CubicRegularizationState) -> Bool {
        guard let weight = state.weight else {
            let here = state.standpoint
            let length = 0.1 * here.gradient.norm * Descent.firstStep(from: here)
            let shorter = here.gradient.norm / (length * length)
            guard shorter > 0, shorter.isFinite else { return false }
            state.weight = shorter
            return true
        }
        state.weight = 100 * weight
        return weight < 1e300
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let (p, k) = (Double(parameters), Double(Swift.min(maximumSubspace, parameters)))
        return bytes(ofNumbers: (k + 8) * p + 3 * k * k)
    }

    /// With twenty vectors.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let (p, k) = (Double(parameters), Double(Swift.min(20, parameters)))
        return StepCost([.init(.gradient, 1)] + model.cost(products: k), flops: 4 * p * k * k + 8 * k * k * k)
    }
}

/// Where ARC stands, and its σ.
public struct CubicRegularizationState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// σ; nil before the first step.
    public internal(set) var weight: Double?

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("weight", weight.map { [$0] } ?? [])
    }

    public init(from archive: Archive) throws {
        (standpoint, weight) = (try archive.value("standpoint"), try archive.doubles("weight").first)
    }
}

/// The cubic model in a Krylov space that grows as far as a minimiser needs it.
package struct KrylovCubic {
    package struct Minimum {
        package var p: Vector
        /// −m(p).
        package var decrease: Double
        /// ‖B‖ as seen in the space.
        package var size: Double
    }

    package private(set) var basis: LanczosBasis
    private let product: (Vector) -> Vector

    package init(_ g: Vector, product: @escaping (Vector) -> Vector) { (basis, self.product) = (LanczosBasis(from: g), product) }

    /// The global minimiser over a space in which ‖∇m‖ ≤ accuracy·min(1, ‖p‖)·‖g‖, or of at most `maximum` vectors.
    package mutating func minimum(_ σ: Double, accuracy κ: Double, maximum: Int) -> Result<Minimum, FactorizationFailure> {
        let limit = Swift.min(maximum, basis.dimension)
        while true {
            let k = basis.count
            let isLast = basis.isInvariant || k >= limit
            // Decompositions of small matrices, at every vector first, then at every eighth part more.
            if k > 0, isLast || k <= 8 || k % ((k + 7) / 8) == 0 {
                switch SymmetricEigen.factorize(basis.tridiagonal) {
                case .failure(let failure): return .failure(failure)
                case .success(let eigen):
                    let slopes = Vector((0..<k).map { basis.startNorm * eigen.vectors[0, $0] })
                    let end = SpectralModel(eigenvalues: eigen.values, slopes: slopes).minimizer(cubic: σ)
                    let u = eigen.vectors.times(end.coefficients)
                    let residual = (basis.offDiagonal.last ?? 0) * abs(u[k - 1])
                    if isLast || residual <= κ * Swift.min(1, u.norm) * basis.startNorm {
                        let size = Swift.max(abs(eigen.values[0]), abs(eigen.values[k - 1]))
                        return .success(Minimum(p: basis.combining(u), decrease: end.decrease, size: size))
                    }
                }
            }
            guard basis.extend(by: product) else { return .failure(.nonFinite) }
        }
    }
}
