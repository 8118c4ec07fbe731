import Globalization
import LinearAlgebra
import OptimizationCore

/// A trust region on the singular values of J, which takes the largest radius that is acceptable instead of the one that lowers the loss most.
///
/// With J = UΣVᵀ and c = Uᵀr, for radii Δᵢ spread logarithmically over [Δ/w, wΔ],
///
///     p(λ) = −V·Σ(Σ² + λ)⁻¹c        ‖p(λᵢ)‖ = Δᵢ        ρᵢ = (L(θ) − L(θ + pᵢ)) / (L(θ) − ½‖r + J·pᵢ‖²)
///
/// and the step of the largest Δᵢ with ρᵢ ≥ ρ* is taken; Δ becomes its radius. A small ρ* (0.02) improves the conditioning first and the
/// loss later: taking the best decrease instead keeps λ large and crawls along the valley. Radii are tried from the largest, so that a step
/// costs few losses where the model holds. Where no radius will do, the smallest step is taken if it lowers the loss at all, else the step is
/// rejected and Δ shrinks. After `patience` steps without a new least λ, ρ* becomes `finalAcceptance`.
///
/// With `sketch` = s > 0 the singular values are those of C·J·S ∈ ℝ²ˢˣˢ: C hashes each row of J into `hashes` of 2s sums with random signs,
/// S takes s functions of a cosine transform of the randomly signed and permuted parameters; both are drawn anew each step. It works where J
/// is numerically of low rank, and J is never held whole.
/// Cost: a dense J and its singular values (4NP·min(N, P) flops; with a sketch 2·hashes·NP + 4s²P + 30s³), up to `radii` losses and a gradient.
/// Where Δ vanishes beside θ it is stationary if rounding hides what is left along the full step or −∇L; otherwise −∇L is followed for a step and
/// Δ begun anew, which a sketch needs that is too coarse to know the gradient (the authors' have 40 to 60 % of P columns); it breaks down where
/// −∇L does not lead down either.
/// Variants: the authors fit a monotone curve through the ratios and step to where it crosses ρ*, weigh terms anew and switch ρ* by a fit to
/// log λ; here the ratios tried decide. Their ratio is half of this one.
/// Source: Webb, Jerad & Cartis, arXiv:2607.02194 (DSGNAR).
public struct SingularValueTrustRegion: Optimizer, Configurable {
    /// Radii tried in one step, at most.
    public var radii = 24
    /// w: the radii lie within this factor of the last.
    public var spread = 4.0
    /// ρ*.
    public var acceptance = 0.02
    /// ρ* in the end.
    public var finalAcceptance = 0.02
    /// Steps without a new least λ after which ρ* changes.
    public var patience = 30
    /// The first Δ, as a multiple of ‖θ‖.
    public var initialRadius = 0.1
    /// Singular values at or below this times the largest are left out.
    public var relativeCutoff = 1e-14
    /// s, the columns of the sketch; 0 for none.
    public var sketch = 0
    /// The sums that each row of J enters.
    public var hashes = 4
    /// The seed of the sketches.
    public var seed = 0

    public init() {}

    public static let identifier = "singular-value-trust-region"
    public static let summary = "The largest acceptable step over the singular values of J or of a sketch of it."
    public static var fields: [Field<Self>] {
        [
            .integer("radii", \.radii, atLeast: 1, atMost: 1000, meaning: "radii tried in one step, at most"),
            .number("spread", \.spread, in: .atLeast(1), meaning: "the factor within which radii lie of the last"),
            .number("acceptance", \.acceptance, in: .fraction, meaning: "ρ*: the gain ratio from which a radius is acceptable"),
            .number("finalAcceptance", \.finalAcceptance, in: .fraction, meaning: "ρ* in the end"),
            .integer("patience", \.patience, atLeast: 1, meaning: "steps without a new least damping after which ρ* changes"),
            .number("initialRadius", \.initialRadius, in: .positive, meaning: "the first radius, relative to the parameters"),
            .number(
                "relativeCutoff", \.relativeCutoff, in: .fraction,
                meaning: "singular values at or below this times the largest are left out"),
            .integer("sketch", \.sketch, meaning: "columns of the sketch of J; 0 for J itself"),
            .integer("hashes", \.hashes, atLeast: 1, atMost: 64, meaning: "the sums that each row of J enters in a sketch"),
            .integer("seed", \.seed, meaning: "the seed of the sketches"),
        ]
    }

    public func start(on problem: any LeastSquaresProblem, from parameters: Parameters) throws -> SingularValueTrustRegionState {
        let standpoint = Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values))
        return SingularValueTrustRegionState(standpoint: standpoint, random: RandomStream(seed: UInt64(seed), name: "sketch"))
    }

    public func step(_ state: inout SingularValueTrustRegionState, on problem: any LeastSquaresProblem) throws -> StepReport {
        let here = state.standpoint
        let θ = here.parameters.values
        var (trials, ratio, rank) = (0, 0.0, 0)
        func report(
            _ standpoint: Standpoint, _ verdict: StepVerdict, radius: Double = 0, damping: Double = 0, floor: Finding? = nil
        ) -> StepReport {
            StepReport(
                loss: standpoint.loss, gradientNorm: standpoint.gradient.norm, stepLength: verdict == .accepted ? radius : nil,
                verdict: verdict,
                details: [
                    .init("radius", radius), .init("damping", damping), .init("gainRatio", ratio), .init("rank", Double(rank)),
                    .init("trials", Double(trials)),
                ], floor: floor)
        }
        guard here.isFinite else { return report(here, .brokeDown(.nonFinite(at: θ, on: problem))) }
        if here.hasVanishingGradient { return report(here, .stationary, floor: .vanishingGradient(here.gradient.norm)) }

        let model = try problem.linearization(at: θ)
        var random = state.random
        let region: SecularRegion
        switch self.region(model, &random) {
        case .success(let found): region = found
        case .failure(let failure):
            let reason = "the Jacobian could not be factorised: \(failure)"
            return report(here, .brokeDown(Breakdown(.linearSolver, reason, lookingAt: [θ], on: problem)))
        }
        rank = region.rank
        let longest = region.length(damping: 0)
        guard rank > 0, longest > 0 else { return report(here, .stationary, floor: .vanishingGradient(longest)) }
        if region.decrease(damping: 0) <= here.lastBits {
            return report(here, .stationary, floor: .hiddenDecrease(region.decrease(damping: 0), hidden: here.lastBits))
        }
        let center = state.radius ?? (θ.norm > 0 ? initialRadius * θ.norm : longest)
        let ρ = state.waited >= patience ? finalAcceptance : acceptance

        /// Takes the step; nil where the gradient there is not finite.
        func accept(_ candidate: Vector, radius: Double, damping λ: Double) throws -> StepReport? {
            let there = Standpoint(at: here.parameters.with(candidate), try problem.lossAndGradient(at: candidate))
            guard there.isFinite else { return nil }
            let isLeast = λ < state.leastDamping ?? .infinity
            (state.standpoint, state.radius, state.random) = (there, radius, random)
            state.waited = isLeast ? 0 : state.waited + 1
            state.leastDamping = isLeast ? λ : state.leastDamping
            return report(there, .accepted, radius: radius, damping: λ)
        }

        var (smallest, anyFinite): ((candidate: Vector, radius: Double, λ: Double, loss: Double)?, Bool) = (nil, false)
        for i in (0..<radii).reversed() {
            let share = radii == 1 ? 0.5 : Double(i) / Double(radii - 1)
            var radius = center / spread * power(spread * spread, share)
            // All radii beyond the full step are one.
            if radius >= longest {
                if smallest?.λ == 0 { continue }
                radius = longest
            }
            let λ = region.damping(length: radius)
            guard case .success(let p) = region.step(damping: λ), p.isFinite else { continue }
            trials += 1
            let candidate = θ + p
            let loss = try problem.loss(at: candidate)
            anyFinite = anyFinite || loss.isFinite
            ratio = loss.isFinite ? (here.loss.total - loss.total) / region.decrease(damping: λ) : -.infinity
            smallest = (candidate, radius, λ, loss.isFinite ? loss.total : .infinity)
            if ratio >= ρ, loss.total < here.loss.total, let taken = try accept(candidate, radius: radius, damping: λ) { return taken }
        }
        guard let smallest else {
            return report(here, .brokeDown(Breakdown(.linearSolver, "no step could be formed", lookingAt: [θ], on: problem)))
        }
        if smallest.loss < here.loss.total,
            let taken = try accept(smallest.candidate, radius: smallest.radius, damping: smallest.λ)
        {
            return taken
        }
        let next = smallest.radius / spread
        if next <= 1e-15 * θ.norm || next < Double.leastNormalMagnitude || spread == 1 {
            return try vanished(&state, region, random, smallest.candidate, on: problem) {
                report($0, $1, radius: $2, damping: $3, floor: $4)
            }
        }
        (state.radius, state.random) = (next, random)
        return report(here, anyFinite ? .rejected : .invalid, radius: next, damping: smallest.λ)
    }

    /// No radius that shows beside θ lowers the loss: the end, where rounding hides what the full step or steepest descent promises. Where it does
    /// not, as of a sketch that is too coarse to know the gradient, a short step along −∇L is taken and the radius begun anew.
    private func vanished(
        _ state: inout SingularValueTrustRegionState, _ region: SecularRegion, _ random: RandomStream, _ last: Vector,
        on problem: any LeastSquaresProblem, _ report: (Standpoint, StepVerdict, Double, Double, Finding?) -> StepReport
    ) throws -> StepReport {
        let here = state.standpoint
        if sketch == 0, case .success(let full) = region.step(damping: 0),
            case .stationary(let finding) = try here.deadEnd(along: full, on: problem)
        {
            return report(here, .stationary, 0, 0, finding)
        }
        switch try here.deadEnd(along: -Descent.firstStep(from: here) * here.gradient, on: problem, seeingCurvature: true) {
        case .stationary(let finding): return report(here, .stationary, 0, 0, finding)
        case .unexplained:
            let reason = "the radius vanished beside the parameters without a decrease"
            return report(here, .brokeDown(Breakdown(.regularization, reason, lookingAt: [last], on: problem)), 0, 0, nil)
        case .step(let sample):
            let there = try here.accepting(sample, on: problem)
            guard there.isFinite else {
                return report(here, .brokeDown(.nonFinite(at: there.parameters.values, on: problem)), 0, 0, nil)
            }
            (state.standpoint, state.radius, state.random) = (there, nil, random)
            let length = (there.parameters.values - here.parameters.values).norm
            var accepted = report(there, .accepted, length, 0, nil)
            accepted.recoveries = ["no radius lowered the loss: −∇L was followed, the radius begun anew"]
            return accepted
        }
    }

    /// Loss and gradient are evaluated anew; the radius is kept.
    public func adapt(_ state: inout SingularValueTrustRegionState, to problem: any LeastSquaresProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
        (state.leastDamping, state.waited) = (nil, 0)
    }

    /// A tenth of the radius around which radii are tried.
    public func shortenSteps(_ state: inout SingularValueTrustRegionState) -> Bool {
        let shorter = 0.1 * (state.radius ?? initialRadius * state.parameters.values.norm)
        guard shorter > 0, shorter.isFinite else { return false }
        state.radius = shorter
        return true
    }

    private func region(_ model: any Linearization, _ random: inout RandomStream) -> Result<SecularRegion, FactorizationFailure> {
        let (n, p) = (model.residualCount, model.parameterCount)
        guard sketch > 0, sketch < p, 2 * sketch < n else {
            return SVD.factorize(model.jacobian()).map {
                SecularRegion(SingularDirections($0, model.residual), nil, cutoff: relativeCutoff)
            }
        }
        let sketched = JacobianSketch(of: model, columns: sketch, hashes: Swift.min(hashes, 2 * sketch), &random)
        return SVD.factorize(sketched.matrix).map {
            SecularRegion(SingularDirections($0, sketched.residual), sketched.basis, cutoff: relativeCutoff)
        }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        guard let residuals else { return nil }
        let (p, n, s) = (Double(parameters), Double(residuals), Double(sketch))
        let isSketched = sketch > 0 && sketch < parameters && 2 * sketch < residuals
        let k = Swift.min(n, p)
        return bytes(ofNumbers: (isSketched ? 3 * s * p + 1024 * p + 8 * s * s : 2 * n * p + (n + p) * k) + 10 * (n + p))
    }

    /// With the largest radius taken: each further one costs a loss more.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        guard let residuals else { return nil }
        let (p, n, s) = (Double(parameters), Double(residuals), Double(sketch))
        let isSketched = sketch > 0 && sketch < parameters && 2 * sketch < residuals
        let flops = isSketched ? 2 * Double(hashes) * n * p + 4 * s * s * p + 30 * s * s * s : 4 * n * p * Swift.min(n, p)
        return StepCost([.init(.linearization, 1), .init(.loss, 1), .init(.gradient, 1)], flops: flops)
    }
}

/// Where the trust region stands, its radius, and what decides its ρ*.
public struct SingularValueTrustRegionState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// Δ; nil before the first step.
    public var radius: Double?
    /// The least λ of a step taken.
    public var leastDamping: Double?
    /// Steps taken since.
    public var waited = 0
    /// Where the sketches' random numbers have come to.
    public var random: RandomStream

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint, random: RandomStream) { (self.standpoint, self.random) = (standpoint, random) }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("radius", radius.map { [$0] } ?? [])
        archive.set("leastDamping", leastDamping.map { [$0] } ?? [])
        archive.set("waited", waited)
        archive.set("random", random)
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        (radius, leastDamping) = (try archive.doubles("radius").first, try archive.doubles("leastDamping").first)
        (waited, random) = (try archive.count("waited"), try archive.value("random"))
    }
}

/// The steps p(λ) = −V·Σ(Σ² + λ)⁻¹c of one factorisation, by their lengths.
struct SecularRegion {
    private let directions: SingularDirections
    /// S, where the parameters were sketched.
    private let basis: Matrix?
    let rank: Int
    /// σᵢ and cᵢ of the directions kept.
    private let terms: [(σ: Double, c: Double)]

    init(_ directions: SingularDirections, _ basis: Matrix?, cutoff: Double) {
        (self.directions, self.basis) = (directions, basis)
        rank = directions.rank(above: cutoff)
        terms = (0..<rank).map { (directions.magnitudes[$0], directions.coefficients[$0]) }
    }

    /// ‖p(λ)‖.
    func length(damping λ: Double) -> Double { Vector(terms.map { $0.c * $0.σ / ($0.σ * $0.σ + λ) }).norm }

    /// L(θ) − ½‖r + J·p(λ)‖² = ½Σcᵢ²(1 − (λ/(σᵢ² + λ))²).
    func decrease(damping λ: Double) -> Double {
        terms.reduce(0) { sum, term in
            let left = λ / (term.σ * term.σ + λ)
            return sum + 0.5 * term.c * term.c * (1 - left) * (1 + left)
        }
    }

    func step(damping λ: Double) -> Result<Vector, FactorizationFailure> {
        let lifted = directions.lifted { i, σ in i < rank ? -σ / (σ * σ + λ) : 0 }
        guard let basis else { return lifted }
        return lifted.map { basis.times($0) }
    }

    /// λ ≥ 0 with ‖p(λ)‖ = Δ, by Newton's method on 1/‖p(λ)‖, which is concave and nearly linear in λ, within a bracket (Moré &
    /// Sorensen, doi:10.1137/0904038). O(rank) an iteration.
    func damping(length Δ: Double) -> Double {
        if length(damping: 0) <= Δ { return 0 }
        // ‖p(λ)‖ ≤ ‖Σc‖/λ.
        var (low, high) = (0.0, Vector(terms.map { $0.c * $0.σ }).norm / Δ)
        var λ = 0.0
        for _ in 0..<80 {
            let length = length(damping: λ)
            if abs(length - Δ) <= 1e-10 * Δ { break }
            if length > Δ { low = λ } else { high = λ }
            // −½ d‖p‖²/dλ.
            let slope = terms.reduce(0) { sum, term in
                let size = term.σ * term.σ + λ
                return sum + term.c * term.σ / size * (term.c * term.σ / size) / size
            }
            let next = λ + (length - Δ) / Δ * length * length / slope
            λ = next > low && next < high ? next : 0.5 * (low + high)
            if high - low <= 1e-14 * high { break }
        }
        return λ
    }
}

/// C·J·S, C·r and S of one random sketch.
struct JacobianSketch {
    /// C·J·S ∈ ℝ²ˢˣˢ.
    let matrix: Matrix
    /// C·r.
    let residual: Vector
    /// S ∈ ℝᴾˣˢ, orthonormal columns.
    let basis: Matrix

    init(of model: any Linearization, columns s: Int, hashes K: Int, _ random: inout RandomStream) {
        let (n, p, rows) = (model.residualCount, model.parameterCount, 2 * s)
        // C: K signed entries ±1/√K in each column.
        let entries = (0..<n).map { _ in
            (0..<K).map { _ in (row: random.index(below: rows), sign: random.uniform() < 0.5 ? -1.0 : 1.0) }
        }
        let size = 1 / Double(K).squareRoot()
        let r = model.residual
        var (residual, summed) = (Vector.zeros(rows), Matrix.zeros(rows, p))
        for start in stride(from: 0, to: n, by: 1024) {
            let block = model.jacobian(rows: start..<Swift.min(n, start + 1024))
            summed.elements.withUnsafeMutableBufferPointer { sums in
                block.elements.withUnsafeBufferPointer { block_ in
                    for j in 0..<p {
                        for i in 0..<block.rows {
                            let value = size * block_[i + j * block.rows]
                            for entry in entries[start + i] { sums[entry.row + j * rows] += entry.sign * value }
                        }
                    }
                }
            }
        }
        for i in 0..<n { for entry in entries[i] { residual[entry.row] += size * entry.sign * r[i] } }
        // S: s of the P functions of the orthonormal DCT-II, of the signed and permuted parameters.
        let signs = (0..<p).map { _ in random.uniform() < 0.5 ? -1.0 : 1.0 }
        let places = random.permutation(of: p)
        let frequencies = random.permutation(of: p).prefix(s)
        var basis = Matrix.zeros(p, s)
        for (column, k) in frequencies.enumerated() {
            let norm = ((k == 0 ? 1 : 2) / Double(p)).squareRoot()
            for i in 0..<p {
                // The angle, reduced to a turn in whole numbers.
                let angle = Double(((2 * places[i] + 1) * k) % (4 * p)) * .pi / Double(2 * p)
                basis[i, column] = signs[i] * norm * cosine(angle)
            }
        }
        (self.residual, self.basis) = (residual, basis)
        matrix = Matrix.product(summed, basis)
    }
}
