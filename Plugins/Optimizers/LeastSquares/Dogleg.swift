import Globalization
import LinearAlgebra
import OptimizationCore

/// Powell's dogleg: a trust-region step along the path from the steepest descent's minimiser to the Gauss–Newton point.
///
/// In variables scaled by D^½, with g = Jᵀr, the Cauchy point d_C = −(‖g‖²/‖J·g‖²)g and the Gauss–Newton step d_N (the least-norm solution
/// by the rank-revealing factorisation of J),
///
///     d = d_N                        if ‖d_N‖ ≤ Δ
///     d = −Δ·g/‖g‖                   if ‖d_C‖ ≥ Δ
///     d = d_C + β(d_N − d_C)         else, with ‖d‖ = Δ
///
/// ρ = (L(θ) − L(θ + d))/(L(θ) − ½‖r + J·d‖²) takes the step if it exceeds `acceptance`; ρ < ¼ halves Δ, ρ > ¾ lets it grow to 3‖d‖.
/// Cost: a dense J and one factorisation a step, however many radii are tried; a loss a trial, a gradient a step. Cheaper
/// than Levenberg–Marquardt where refusals are many, and less accurate in between, since it bends only in one plane. Breaks down where Δ
/// vanishes; stationary where the promised decrease hides in the loss's rounding.
/// Variants: with J's truncated singular values for the Gauss–Newton point it stands rank-deficient Jacobians; Ceres' *traditional* dogleg is
/// this one with its own radius rules.
/// Sources: Powell, *A hybrid method for nonlinear equations* (1970); Nocedal & Wright, *Numerical Optimization*, §4.1, 10.3.
public struct Dogleg: Optimizer, Configurable {
    /// D: what the radius is measured with.
    public var scaling = LevenbergMarquardt.Scaling.marquardt
    public var factorization = JacobianFactorization.qrThenSVD
    /// Singular values of J·D^(−½) at or below this times the largest are cut off from the Gauss–Newton point.
    public var relativeCutoff = 1e-12
    /// The first Δ, as a multiple of ‖D^½θ‖.
    public var initialRadius = 1.0
    /// A step is taken when ρ exceeds this.
    public var acceptance = 1e-4
    /// Radii tried in one step.
    public var maximumTrials = 20

    public init() {}

    public static let identifier = "dogleg"
    public static let summary = "Gauss–Newton within a trust region, along Powell's dogleg path."
    public static var fields: [Field<Self>] {
        [
            .choice("scaling", \.scaling, meaning: "what the radius is measured with"),
            .choice("factorization", \.factorization, meaning: "how the Jacobian is factorised"),
            .number(
                "relativeCutoff", \.relativeCutoff, in: .fraction, meaning: "singular values at or below this times the largest are cut off"
            ),
            .number("initialRadius", \.initialRadius, in: .positive, meaning: "the first radius, relative to the scaled parameters"),
            .number("acceptance", \.acceptance, in: .fraction, meaning: "a step is taken when its gain ratio exceeds this"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "radii tried in one step"),
        ]
    }

    public func start(on problem: any LeastSquaresProblem, from parameters: Parameters) throws -> DoglegState {
        DoglegState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout DoglegState, on problem: any LeastSquaresProblem) throws -> StepReport {
        let (before, here) = (state, state.standpoint)
        let θ = here.parameters.values
        var (trials, ratio, rank) = (0, 0.0, 0)
        func report(_ standpoint: Standpoint, _ verdict: StepVerdict, stepLength: Double? = nil, floor: Finding? = nil) -> StepReport {
            if case .brokeDown = verdict { state = before }
            return StepReport(
                loss: standpoint.loss, gradientNorm: standpoint.gradient.norm, stepLength: stepLength, verdict: verdict,
                details: [
                    .init("radius", state.radius ?? 0), .init("gainRatio", ratio), .init("rank", Double(rank)),
                    .init("trials", Double(trials)),
                ], floor: floor)
        }
        guard here.isFinite else { return report(here, .brokeDown(.nonFinite(at: θ, on: problem))) }
        if here.hasVanishingGradient { return report(here, .stationary, floor: .vanishingGradient(here.gradient.norm)) }

        let model = try problem.linearization(at: θ)
        let J = model.jacobian()
        guard J.isFinite else {
            return report(here, .brokeDown(Breakdown(.nonFinite, "the Jacobian is not finite", lookingAt: [θ], on: problem)))
        }
        let root = Vector(scale(&state, columnNorms(J)).map { $0.squareRoot() })
        let scaled = DenseModel(residual: model.residual, matrix: J.scalingColumns(by: Vector(root.map { 1 / $0 })))
        let factors: any RankRevealing
        switch factorization.factorize(scaled) {
        case .success(let found): factors = found
        case .failure(let failure):
            let reason = "the Jacobian could not be factorised: \(failure)"
            return report(here, .brokeDown(Breakdown(.linearSolver, reason, lookingAt: [θ], on: problem)))
        }
        rank = factors.rank(above: relativeCutoff)
        // Everything below is in the scaled variables, but θ.
        let g = Vector(zip(here.gradient, root).map { $0 / $1 })
        let image = scaled.product(g)
        let cauchy = -(g.dot(g) / Swift.max(image.dot(image), Double.leastNormalMagnitude)) * g
        let newton: Vector
        switch factors.step(rank: rank) {
        case .success(let step): newton = step
        case .failure(let failure):
            return report(here, .brokeDown(Breakdown(.linearSolver, "no Gauss–Newton step: \(failure)", lookingAt: [θ], on: problem)))
        }
        let reach = Vector(zip(θ, root).map { $0 * $1 }).norm
        var Δ = state.radius ?? initialRadius * (reach > 0 ? reach : Swift.max(newton.norm, cauchy.norm))
        var anyFinite = false
        var boldest: Vector?
        while trials < maximumTrials {
            trials += 1
            let d = path(Δ, cauchy: cauchy, newton: newton)
            let p = Vector(zip(d, root).map { $0 / $1 })
            let image = scaled.product(d)
            let promised = -(g.dot(d) + 0.5 * image.dot(image))
            if boldest == nil {
                boldest = p
                if promised <= here.lastBits {
                    state.radius = Δ
                    return report(here, .stationary, floor: .hiddenDecrease(promised, hidden: here.lastBits))
                }
            }
            let candidate = θ + p
            let loss = try problem.loss(at: candidate)
            anyFinite = anyFinite || loss.isFinite
            ratio = loss.isFinite ? (here.loss.total - loss.total) / promised : -.infinity
            let length = d.norm
            if ratio > acceptance, loss.total < here.loss.total {
                let there = Standpoint(at: here.parameters.with(candidate), try problem.lossAndGradient(at: candidate))
                if there.isFinite {
                    state.radius = ratio > 0.75 ? Swift.max(Δ, 3 * length) : ratio < 0.25 ? 0.5 * length : Δ
                    state.standpoint = there
                    return report(there, .accepted, stepLength: p.norm)
                }
            }
            Δ = 0.5 * Swift.min(Δ, length)
            if Δ <= 1e-16 * Swift.max(reach, Double.leastNormalMagnitude) || promised <= here.lastBits {
                if let boldest, case .stationary(let finding) = try here.deadEnd(along: boldest, on: problem) {
                    return report(here, .stationary, floor: finding)
                }
                let reason = "the radius vanished without a decrease"
                return report(here, .brokeDown(Breakdown(.regularization, reason, lookingAt: [candidate], on: problem)))
            }
        }
        state.radius = Δ
        return report(here, anyFinite ? .rejected : .invalid)
    }

    /// The point of the path at distance Δ, or its end.
    private func path(_ Δ: Double, cauchy: Vector, newton: Vector) -> Vector {
        if newton.isFinite, newton.norm <= Δ { return newton }
        let length = cauchy.norm
        if length >= Δ || !newton.isFinite { return Swift.min(1, Δ / length) * cauchy }
        // ‖d_C + β(d_N − d_C)‖² = Δ²: the positive root, without cancellation.
        let leg = newton - cauchy
        let (a, b, c) = (leg.dot(leg), cauchy.dot(leg), Δ * Δ - length * length)
        let root = (b * b + a * c).squareRoot()
        let β = b > 0 ? c / (b + root) : (root - b) / a
        return cauchy.adding(leg, scaledBy: Swift.min(1, β))
    }

    /// The diagonal of D.
    private func scale(_ state: inout DoglegState, _ norms: Vector) -> Vector {
        switch scaling {
        case .identity: return Vector(repeating: 1, count: norms.count)
        case .local: return localScale(norms)
        case .marquardt:
            let running = Vector(zip(state.scale ?? .zeros(norms.count), norms).map { Swift.max($0, $1) })
            state.scale = running
            return Vector(running.map { $0 > 0 ? $0 : 1 })
        }
    }

    /// Loss and gradient are evaluated anew; the radius is kept, the scale begins again.
    public func adapt(_ state: inout DoglegState, to problem: any LeastSquaresProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
        if state.scale != nil { (state.scale, state.radius) = (nil, nil) }
    }

    /// A tenth of the radius, where a step has set it.
    public func shortenSteps(_ state: inout DoglegState) -> Bool {
        guard let radius = state.radius, radius > 0 else { return false }
        state.radius = 0.1 * radius
        return true
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let p = Double(parameters)
        return residuals.map { bytes(ofNumbers: 4 * Double($0) * p + 3 * p * p + 40 * (p + Double($0))) }
    }

    /// With the first radius taken: each further one costs a loss more.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        guard let residuals else { return nil }
        let (p, n) = (Double(parameters), Double(residuals))
        return StepCost([.init(.linearization, 1), .init(.loss, 1), .init(.gradient, 1)], flops: 4 * n * p * Swift.min(n, p))
    }
}

/// Where the dogleg stands, its radius and, for Marquardt's scaling, the running maximum of diag(JᵀJ).
public struct DoglegState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// Δ; nil before the first step.
    public var radius: Double?
    public var scale: Vector?

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("radius", radius.map { [$0] } ?? [])
        archive.set("scale", scale?.elements ?? [])
    }

    public init(from archive: Archive) throws {
        (standpoint, radius) = (try archive.value("standpoint"), try archive.doubles("radius").first)
        let stored = try archive.vector("scale")
        guard stored.isEmpty || stored.count == standpoint.parameters.count else {
            throw ArchiveError(entry: "scale", reason: "\(stored.count) values for \(standpoint.parameters.count) parameters")
        }
        scale = stored.isEmpty ? nil : stored
    }
}

/// r and a dense J at hand.
struct DenseModel: Linearization {
    let residual: Vector
    let matrix: Matrix

    var residualCount: Int { matrix.rows }
    var parameterCount: Int { matrix.columns }
    func product(_ v: Vector) -> Vector { matrix.times(v) }
    func transposedProduct(_ w: Vector) -> Vector { matrix.transposedTimes(w) }
    func jacobian(rows: Range<Int>) -> Matrix {
        if rows == 0..<matrix.rows { return matrix }
        var block: [Double] = []
        for j in 0..<matrix.columns { block += matrix.elements[(j * matrix.rows + rows.lowerBound)..<(j * matrix.rows + rows.upperBound)] }
        return Matrix(rows: rows.count, columns: matrix.columns, elements: block)
    }
}
