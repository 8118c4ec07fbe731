import LinearAlgebra
import OptimizationCore

/// The derivative ladder: whether what a problem says of its derivatives agrees with its values and with itself.
///
///     let check = try DerivativeCheck(of: problem, at: θ)
///     #expect(check.passed, "\(check)")
///
/// What is checked follows from the problem's capabilities:
/// - ``DifferentiableProblem``: the loss and its terms agree; |L(θ + hv) − L(θ) − h⟨∇L, v⟩| vanishes at order 2;
/// - ``LeastSquaresProblem``: L = ½‖r‖², ∇L = Jᵀr, ⟨Jv, w⟩ = ⟨v, Jᵀw⟩, dense rows, JᵀJ and JJᵀ agree with J·v, and
///   ‖r(θ + hv) − r(θ) − hJv‖ vanishes at order 2;
/// - ``TwiceDifferentiableProblem``: ⟨u, Hv⟩ = ⟨Hu, v⟩, ‖∇L(θ + hv) − ∇L(θ) − hHv‖ vanishes at order 2 and the loss's
///   second-order remainder at order 3.
///
/// Cost: about 60 gradients, residuals and losses a direction, and the whole of J where N·P is at most ``denseLimit``.
public struct DerivativeCheck: Sendable {
    /// One rung of the ladder.
    public struct Rung: Sendable, Hashable {
        public let name: String
        public let passed: Bool
        /// What was measured: a slope, or a deviation in units of its rounding bound.
        public let measured: Double
        /// What `measured` must satisfy.
        public let demand: String
        public let detail: String
    }

    public let problem: String
    public private(set) var rungs: [Rung] = []

    public var passed: Bool { rungs.allSatisfy(\.passed) }
    public var failures: [Rung] { rungs.filter { !$0.passed } }

    /// The largest N·P for which J is formed.
    public static let denseLimit = 4_000_000

    /// Checks `problem` at θ, by default at its initial parameters, in `directions` random directions whose entries are of the
    /// size of θ's.
    public init<P: Problem>(of problem: P, at θ: Vector? = nil, directions: Int = 2, seed: UInt64 = 0) throws {
        precondition(directions > 0, "a derivative is checked in at least one direction")
        self.problem = problem.name
        var random = RandomStream(seed: seed, name: "derivative check")
        var initialization = RandomStream(seed: seed, name: "initialization")
        let θ = θ ?? problem.initialParameters(from: &initialization).values
        precondition(θ.count == problem.layout.count, "\(θ.count) values for \(problem.layout.count) parameters")
        var ladder = Ladder(point: θ)
        defer { rungs = ladder.rungs }
        if let problem = problem as? any DifferentiableProblem { try ladder.shapes(problem) }
        if let problem = problem as? any LeastSquaresProblem { try ladder.shapes(leastSquares: problem) }
        guard ladder.rungs.allSatisfy(\.passed) else { return }  // vectors of wrong lengths cannot be compared
        if let problem = problem as? any DifferentiableProblem { try ladder.agreement(problem) }
        if let problem = problem as? any LeastSquaresProblem { try ladder.agreement(leastSquares: problem) }
        for k in 1...directions {
            let suffix = directions == 1 ? "" : " (direction \(k))"
            let direction = { (stream: inout RandomStream) in Vector(θ.map { stream.normal() * ($0 == 0 ? 1 : abs($0)) }) }
            let (v, u) = (direction(&random), direction(&random))
            if let problem = problem as? any DifferentiableProblem { try ladder.climb(problem, along: v, suffix) }
            if let problem = problem as? any LeastSquaresProblem {
                try ladder.climb(leastSquares: problem, along: v, random.normalVector(problem.residualCount), suffix)
            }
            if let problem = problem as? any TwiceDifferentiableProblem { try ladder.climb(second: problem, along: v, u, suffix) }
        }
    }
}

extension DerivativeCheck: CustomStringConvertible {
    public var description: String {
        rungs.reduce("derivatives of \(problem): \(passed ? "passed" : "FAILED")") { text, rung in
            let detail = rung.detail.isEmpty ? "" : " (\(rung.detail))"
            return text + "\n  \(rung.passed ? "✓" : "✗") \(rung.name): \(rung.measured), demanded \(rung.demand)\(detail)"
        }
    }
}

/// The rungs gathered so far, at one point.
struct Ladder {
    let point: Vector
    var rungs: [DerivativeCheck.Rung] = []

    /// Below the order by less than this: the fit's error from rounding (0.02) and from the next order's term.
    static let slack = 0.1

    mutating func add(_ name: String, order: Int, _ fit: TaylorSlope) {
        let exact = fit.slope == nil
        let range = fit.steps.map { "h in \($0.lowerBound)…\($0.upperBound)" } ?? "exact to rounding, which is \(fit.floor)"
        rungs.append(
            DerivativeCheck.Rung(
                name: name, passed: fit.slope.map { $0 >= Double(order) - Ladder.slack } ?? true, measured: fit.slope ?? Double(order),
                demand: exact ? "order \(order)" : "≥ \(Double(order) - Ladder.slack)", detail: range))
    }

    /// A deviation that must not exceed the rounding bound `allowed`.
    mutating func add(_ name: String, deviation: Double, allowed: Double, detail: String = "") {
        let ratio = deviation == 0 ? 0 : deviation / allowed
        rungs.append(DerivativeCheck.Rung(name: name, passed: ratio <= 1, measured: ratio, demand: "≤ 1 rounding bound", detail: detail))
    }

    mutating func add(_ name: String, _ holds: Bool, detail: String) {
        rungs.append(DerivativeCheck.Rung(name: name, passed: holds, measured: holds ? 0 : 1, demand: "to hold", detail: detail))
    }

    /// The relative rounding bound of a sum of `count` products, each with a few roundings of its own: (count + 64)·ε.
    static func rounding(_ count: Int) -> Double { Double(count + 64) * .ulpOfOne }
}
