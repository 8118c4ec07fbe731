import LinearAlgebra
import OptimizationCore
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Residual-based adaptive distribution (RAD): every so many iterations, all points of a term are drawn anew with a density that
/// follows the residual.
///
/// From a pool of fresh points xᵢ, as many as the term has are drawn without replacement with probabilities
///
///     p(xᵢ) ∝ |r(xᵢ)|ᵏ / mean|r|ᵏ + c .
///
/// Symbols: k = ``sharpness``, c = ``floor``. Large k and small c gather the points where the residual is large; k = 0 or a large c
/// give uniform points. The draw without replacement takes the largest of log(uᵢ)/pᵢ, u uniform (Efraimidis and Spirakis 2006,
/// doi:10.1016/j.ipl.2005.11.003), and keeps the order of the pool. Each draw is a revision of the problem: its version rises, and
/// optimizers keep or reset what they have accumulated. Non-finite residuals of a pool count as its largest finite one.
///
/// Variants: this is RAD of C. Wu et al., Comput. Methods Appl. Mech. Eng. 403 (2023) 115671, doi:10.1016/j.cma.2022.115671,
/// where all points are replaced; RAR-D there adds points instead, and the weighting of DeepXDE's `PDEPointResampler` is uniform.
/// Cost: one residual evaluation on the pool a draw.
public struct ResidualAdaptiveResampling: Callback, Configurable {
    /// Iterations between two draws, counted over the whole run.
    public var every = 500
    /// Points in the pool. On Burgers' equation (4 × 20 network, 4 000 points) 40 000 took self-scaled Broyden from 2e-4 on fixed points
    /// to 6e-7.
    public var pool = 40_000
    /// k.
    public var sharpness = 1.0
    /// c.
    public var floor = 1.0
    /// The first iteration at which points may be drawn.
    public var from = 0
    /// The term whose points are drawn; the first one, which is the equation, if empty.
    public var term = ""
    /// How the pool is spread.
    public var sampling = PointSampling.uniform

    public init() {}

    public init(every: Int, pool: Int = 40_000, sharpness: Double = 1, floor: Double = 1, from: Int = 0, term: String = "") {
        (self.every, self.pool, self.sharpness, self.floor, self.from, self.term) = (every, pool, sharpness, floor, from, term)
    }

    public static let identifier = "residual-adaptive-resampling"
    public static let summary = "draws training points anew with a density that follows the residual (RAD)"
    public static var fields: [Field<Self>] {
        [
            .integer("every", \.every, atLeast: 1, meaning: "iterations between two draws"),
            .integer("pool", \.pool, atLeast: 1, meaning: "candidate points of a draw"),
            .number("sharpness", \.sharpness, in: .nonNegative, meaning: "the exponent k of |r|"),
            .number("floor", \.floor, in: .nonNegative, meaning: "the constant c that is added to the density"),
            .integer("from", \.from, meaning: "the first iteration at which points may be drawn"),
            .text("term", \.term, meaning: "the loss term whose points are drawn; the equation if empty"),
            .choice("sampling", \.sampling, meaning: "how the pool is spread"),
        ]
    }

    public var name: String { term.isEmpty ? Self.identifier : "\(Self.identifier)-\(term)" }
    public var identity: Setting? { settings }

    /// The stream of random numbers: what a resumed run needs to draw the same points.
    public struct State: Checkpointable, Equatable {
        var random: RandomStream

        public func encode(into archive: inout Archive) { archive.set("random", random) }

        init(random: RandomStream) { self.random = random }

        public init(from archive: Archive) throws { random = try archive.value("random") }
    }

    public func start(in observation: Observation) throws -> State {
        let (_, set) = try target(in: observation.problem)
        guard pool >= set.count else { throw tooFew(pool, for: set) }
        try requireMemory(
            forNumbers: 32 * Double(pool), as: "a pool of \(pool) points", path: "\(Self.identifier).pool", advice: "take a smaller pool")
        return State(random: RandomStream(seed: observation.seed, name: name))
    }

    public func handle(_ event: RunEvent, state: inout State, in observation: Observation) throws -> [RunRequest] {
        guard case .stepTaken = event, observation.totalIteration >= from, observation.totalIteration % every == 0 else { return [] }
        let (problem, set) = try target(in: observation.problem)
        let candidates = try problem.candidates(pool, for: set.name, sampling: sampling, random: &state.random)
        guard candidates.rows >= set.count else { throw tooFew(candidates.rows, for: set) }
        let magnitudes = try problem.residualMagnitudes(of: set.name, at: candidates, parameters: observation.parameters.values)
        let chosen = draw(set.count, weights: density(of: magnitudes), random: &state.random)
        let points = Matrix(
            rows: set.count, columns: candidates.columns,
            elements: (0..<candidates.columns).flatMap { j in chosen.map { candidates[$0, j] } })
        return [.revise(PointRevision(term: set.name, points: points, reason: "residual-adaptive resampling"))]
    }

    private func tooFew(_ candidates: Int, for set: SampleSet) -> PhysicsError {
        PhysicsError("a pool of \(candidates) points for \(set.count) points of “\(set.name)”: enlarge the pool")
    }

    private func target(in problem: any Problem) throws -> (problem: any ResampledProblem, set: SampleSet) {
        guard let resampled = problem as? any ResampledProblem else {
            throw PhysicsError("\(Self.identifier) needs a problem whose points can be drawn anew; \(problem.name) is none")
        }
        let sets = resampled.sampleSets
        guard let set = term.isEmpty ? sets.first : sets.first(where: { $0.name == term }) else {
            throw PhysicsError(
                "\(problem.name) has no term “\(term)” to draw points for; it has: \(sets.map(\.name).joined(separator: ", "))")
        }
        return (resampled, set)
    }

    /// |rᵢ|ᵏ / mean|r|ᵏ + c. Uniform where all residuals vanish.
    func density(of magnitudes: Vector) -> [Double] {
        let finite = magnitudes.filter(\.isFinite)
        let largest = finite.max() ?? 0
        guard largest > 0 else { return Array(repeating: 1, count: magnitudes.count) }
        // Scaled by the largest, so that no power overflows.
        let powers = magnitudes.map { pow(($0.isFinite ? $0 : largest) / largest, sharpness) }
        let mean = powers.reduce(0, +) / Double(powers.count)
        return powers.map { $0 / mean + floor }
    }

    /// `count` different indices, drawn in proportion to the weights, in ascending order.
    func draw(_ count: Int, weights: [Double], random: inout RandomStream) -> [Int] {
        let keys = weights.map { weight in
            let u = 1 - random.uniform()
            return weight > 0 ? log(u) / weight : -.infinity
        }
        // Ties by index: the order does not depend on the sorting algorithm.
        let order = keys.indices.sorted { keys[$0] != keys[$1] ? keys[$0] > keys[$1] : $0 < $1 }
        return order.prefix(count).sorted()
    }
}
