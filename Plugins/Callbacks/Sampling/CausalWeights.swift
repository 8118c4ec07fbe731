import LinearAlgebra
import OptimizationCore
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Causal weights: residuals at later times count once those at earlier times are small.
///
/// The axis of time is cut into n equal slabs, and every point of slab i = 1 … n is weighted by
///
///     wᵢ = exp(−ε Σ_{k<i} L_k),   L_k = mean over the points of slab k of ‖r‖²,
///
/// so that the term's loss is ½ (weight / points) Σ wᵢ ‖r‖². w₁ = 1, and all weights tend to 1 as the residuals vanish. Weights are
/// constants of a step: no gradient passes through them. Once min w > δ, the next ε of an ascending list is taken.
///
/// Symbols: ε = ``causality``, n = ``slabs``, δ = ``threshold``; r is the unweighted residual, its norm over the equations of a system.
/// Small ε lets all slabs train at once, large ε holds late ones back until early residuals are below 1/ε. The first ε decides: where
/// the weights begin near 1, training finds a trivial solution before the list has risen. On `reaction` with ρ = 8 (2 × 20 network, 600
/// points, self-scaled Broyden) the list 1, 10, 100, 1000 took errors from 1.0 without weights to 4e-3 … 9e-3 in 1 000 steps, seeds 1 to
/// 3; the default list, the paper's, left them at 0.92 … 1.0 in 2 000. Too large a first ε holds everything but the first slab back.
///
/// Each new set of weights is a revision of the problem: its version rises, and optimizers keep or reset what they have accumulated.
/// They are set after the first step from ``from`` on and then every ``every`` iterations; they belong to places, so that points drawn
/// anew take their slab's. The least weight and ε are recorded.
///
/// Breaks down where slabs have few points, whose means are noise; a slab without any counts as solved. A residual that is not
/// finite gives later slabs the weight 0.
///
/// Variants: S. Wang, S. Sankaran, P. Perdikaris, Comput. Methods Appl. Mech. Eng. 421 (2024) 116813, doi:10.1016/j.cma.2024.116813
/// (arXiv:2203.07404), compute the weights anew in each step, on a grid in time, and let the loss of the initial condition stand as L₀
/// before the first slab in some examples; jaxpi leaves L₀ out, as here, and keeps one ε. Cost: the residuals of the term's points, once
/// each time.
public struct CausalWeights: Callback, Configurable {
    /// Iterations between two sets of weights, counted over the whole run. Few suit methods that keep no curvature; those that learn one
    /// from step to step want many, for they adapt or begin anew at each.
    public var every = 100
    /// n.
    public var slabs = 32
    /// ε, in ascending order; the paper's list.
    public var causality = [1e-2, 1e-1, 1, 10, 100]
    /// δ.
    public var threshold = 0.99
    /// The first iteration at which weights may be set.
    public var from = 0
    /// The term whose points are weighted; the first one, which is the equation, if empty.
    public var term = ""
    /// The axis along which slabs follow one another; that of time, if empty.
    public var axis = ""

    public init() {}

    public init(every: Int, slabs: Int = 32, causality: [Double] = [1e-2, 1e-1, 1, 10, 100], threshold: Double = 0.99, term: String = "") {
        (self.every, self.slabs, self.causality, self.threshold, self.term) = (every, slabs, causality, threshold, term)
    }

    public static let identifier = "causal-weights"
    public static let summary = "weights a term's points by slabs of time: later ones count once earlier residuals are small"
    public static var fields: [Field<Self>] {
        [
            .integer("every", \.every, atLeast: 1, meaning: "iterations between two sets of weights"),
            .integer("slabs", \.slabs, atLeast: 2, meaning: "n, the equal slabs of the axis"),
            .numbers("causality", \.causality, in: .positive, meaning: "ε, ascending: the next one is taken once all weights exceed δ"),
            .number("threshold", \.threshold, in: .openUnit, meaning: "δ, which the least weight must exceed for the next ε"),
            .integer("from", \.from, meaning: "the first iteration at which weights may be set"),
            .text("term", \.term, meaning: "the loss term whose points are weighted; the equation if empty"),
            .text("axis", \.axis, meaning: "the axis of the slabs; time if empty"),
        ]
    }

    public func validate() throws {
        guard !causality.isEmpty, zip(causality, causality.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw ConfigurationError(
                path: "causality", reason: "\(causality) must hold at least one number, and each must exceed the one before")
        }
    }

    public var name: String { term.isEmpty ? Self.identifier : "\(Self.identifier)-\(term)" }
    public var identity: Setting? { settings }

    /// How far the list of ε has been gone through.
    public struct State: Checkpointable, Equatable {
        /// The position of the present ε.
        var position = 0
        /// Whether weights were set.
        var hasStarted = false

        init() {}

        public func encode(into archive: inout Archive) {
            archive.set("position", position)
            archive.set("hasStarted", hasStarted)
        }

        public init(from archive: Archive) throws {
            (position, hasStarted) = (try archive.count("position"), try archive.bool("hasStarted"))
        }
    }

    public func start(in observation: Observation) throws -> State {
        let place = try place(in: observation.problem)
        guard place.set.count >= slabs else {
            throw PhysicsError(
                "\(Self.identifier): “\(place.set.name)” has \(place.set.count) points for \(slabs) slabs: take fewer slabs or more points")
        }
        return State()
    }

    public func handle(_ event: RunEvent, state: inout State, in observation: Observation) throws -> [RunRequest] {
        guard case .stepTaken = event, observation.totalIteration >= from else { return [] }
        guard !state.hasStarted || observation.totalIteration % every == 0 else { return [] }
        let place = try place(in: observation.problem)
        let points = try place.problem.points(of: place.set.name)
        let means = means(
            of: try place.problem.residualMagnitudes(of: place.set.name, at: points, parameters: observation.parameters.values),
            at: points.column(place.axis).elements, in: place.problem.domain.ranges[place.axis])
        state.position = min(state.position, causality.count - 1)
        var weights = Self.weights(for: means, causality: causality[state.position])
        while state.position + 1 < causality.count, weights.allSatisfy({ $0 > threshold }) {
            state.position += 1
            weights = Self.weights(for: means, causality: causality[state.position])
        }
        state.hasStarted = true
        let revision = PointWeightRevision(
            term: place.set.name, weights: .slabs(axis: place.axis, weights), reason: "causal weights, ε = \(causality[state.position])")
        return [
            .record(.init("\(name): least weight", weights.min() ?? 1)), .record(.init("\(name): causality", causality[state.position])),
            .revise(revision),
        ]
    }

    /// wᵢ = exp(−ε Σ_{k<i} L_k). A mean that is not a number is as one that is infinite.
    public static func weights(for means: [Double], causality ε: Double) -> [Double] {
        var before = 0.0
        return means.map { mean in
            defer { before += mean.isNaN ? .infinity : mean }
            return exp(-ε * before)
        }
    }

    /// L_k of each slab; 0 of one without points.
    func means(of magnitudes: Vector, at times: [Double], in range: ClosedRange<Double>) -> [Double] {
        var (sums, counts) = (Array(repeating: 0.0, count: slabs), Array(repeating: 0, count: slabs))
        for (i, time) in times.enumerated() {
            let slab = PointWeights.slab(of: time, among: slabs, of: range)
            sums[slab] += magnitudes[i] * magnitudes[i]
            counts[slab] += 1
        }
        return zip(sums, counts).map { $1 > 0 ? $0 / Double($1) : 0 }
    }

    private func place(in problem: any Problem) throws -> (problem: any PointWeightedProblem, set: SampleSet, axis: Int) {
        guard let weighted = problem as? any PointWeightedProblem else {
            throw PhysicsError("\(Self.identifier) needs a problem whose points can be weighted; \(problem.name) is none")
        }
        let sets = weighted.sampleSets
        guard let set = term.isEmpty ? sets.first : sets.first(where: { $0.name == term }) else {
            throw PhysicsError(
                "\(problem.name) has no term “\(term)” to weight the points of; it has: \(sets.map(\.name).joined(separator: ", "))")
        }
        let axes = weighted.domain.axes
        guard let axis = axis.isEmpty ? axes.time : axes.names.firstIndex(of: axis) else {
            throw PhysicsError(
                axis.isEmpty
                    ? "\(Self.identifier) follows time, but no axis of \(problem.name) is time: name one of its axes as “axis”: "
                        + axes.names.joined(separator: ", ")
                    : "\(problem.name) has no axis “\(axis)” for \(Self.identifier); it has: \(axes.names.joined(separator: ", "))")
        }
        return (weighted, set, axis)
    }
}
