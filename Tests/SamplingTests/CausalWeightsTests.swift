import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import QuasiNewton
import Sampling
import StochasticGradient
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// u′ = ρ u(1 − u) on t ∈ [0, 1] with u(0) = h held exactly, u = h + t·N: u = 0 and u = 1 solve the equation too.
private struct Logistic: PDEProblem {
    var rate = 10.0
    var start = 0.01
    var name: String { "logistic" }
    var domain: Domain { Domain([("t", 0...1)], time: "t") }
    var conditions: [Condition] { [] }
    func fields(of network: Fields, at p: Point) -> [Expression] { [start + p.t * network[0]] }
    func residuals(_ u: Fields, at p: Point) -> [Residual] { [Residual("logistic", u[0].t - rate * u[0] * (1 - u[0]))] }
    var reference: Reference? { .closedForm(grid: [501]) { 1 / (1 + (1 / start - 1) * exp(-rate * $0[0])) } }
}

/// Two equations on (t, x), with an initial condition.
private struct Coupled: PDEProblem {
    var name: String { "coupled" }
    var domain: Domain { .timeSpace(t: -1...3, x: 0...1) }
    var fieldCount: Int { 2 }
    var conditions: [Condition] { [.initial { sin($0) }] }
    func residuals(_ u: Fields, at p: Point) -> [Residual] {
        [Residual("first", u[0].t - u[1].x * u[0]), Residual("second", u[1].t - u[0].x + p.x)]
    }
}

private func problem(
    _ pde: any PDEProblem, _ plan: PointPlan, seed: UInt64 = 1, width: Int = 8, depth: Int = 2
) throws -> PhysicsInformedProblem {
    let network = PerceptronSettings(width: width, depth: depth)
    return try PhysicsInformedProblem(
        pde, model: try network.model(over: pde.domain.ranges, outputs: pde.outputCount), points: plan, seed: seed,
        identity: .scalar(pde.name))
}

private func begin<O: Optimizer>(
    _ problem: PhysicsInformedProblem, _ optimizer: O, steps: Int, seed: UInt64 = 1, _ callbacks: [any Callback]
) throws -> Run<PhysicsInformedProblem> {
    try Pipeline(minimizing: problem, stages: [Stage(dynamic: "train", optimizer, until: .iterations(steps))])
        .begin(seed: seed, callbacks: callbacks)
}

private func slabWeights(_ problem: PhysicsInformedProblem, of term: String? = nil) throws -> [Double] {
    guard case .slabs(_, let weights)? = try problem.pointWeights(of: term ?? problem.terms[0]) else { return [] }
    return weights
}

/// The details that were recorded, by name.
private final class Recorded: Callback, @unchecked Sendable {
    let name = "recorded"
    private(set) var values: [String: [Double]] = [:]
    func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) -> [RunRequest] {
        if case .recorded(let details) = event { for detail in details { values[detail.name, default: []].append(detail.value) } }
        return []
    }
}

@Suite struct CausalWeightsTests {
    private let plan = PointPlan(interior: 90, initial: 12)

    @Test func contract() throws {
        try CallbackConformance.check(on: try problem(Coupled(), plan)) { CausalWeights(every: 3, slabs: 6, causality: [0.1, 10]) }
    }

    /// Each factor by itself, not by a running sum.
    @Test func theFormula() {
        let (means, ε) = ([0.3, 1.2, 0, 0.05], 0.7)
        let weights = CausalWeights.weights(for: means, causality: ε)
        #expect(weights.count == 4 && weights[0] == 1)
        #expect(abs(weights[1] - exp(-0.21)) <= 1e-15)
        #expect(abs(weights[2] - exp(-0.21) * exp(-0.84)) <= 1e-15)
        #expect(abs(weights[3] - exp(-1.05)) <= 1e-15)
        #expect(CausalWeights.weights(for: [1, .nan, 1], causality: 0.1) == [1, exp(-0.1), 0])
        #expect(CausalWeights.weights(for: [.infinity, 0], causality: 0.1) == [1, 0])
        #expect(CausalWeights.weights(for: [0, 0, 0], causality: 100) == [1, 1, 1])
    }

    /// Weights and loss of a run's problem, by hand from the residuals at its points: a system's residual is measured by its norm.
    @Test(arguments: [3, 20]) func weightsOfARun(slabs: Int) throws {
        let callback = CausalWeights(every: 4, slabs: slabs, causality: [0.4])
        let run = try begin(try problem(Coupled(), plan), Adam(learningRate: 1e-2), steps: 4, [callback])
        _ = try run.finish()
        let p = run.currentProblem
        let (θ, points) = (run.result.parameters.values, try p.points(of: "interior"))
        let magnitudes = try p.residualMagnitudes(of: "interior", at: points, parameters: θ)
        var (weights, loss, before) = ([Double](), 0.0, 0.0)
        for slab in 0..<slabs {
            // t runs from −1 to 3.
            let (low, high) = (-1 + 4 * Double(slab) / Double(slabs), -1 + 4 * Double(slab + 1) / Double(slabs))
            let squares = (0..<90).filter { points[$0, 0] >= low && points[$0, 0] < high }.map { magnitudes[$0] * magnitudes[$0] }
            weights.append(exp(-0.4 * before))
            loss += weights[slab] * squares.reduce(0, +) / 180
            before += squares.isEmpty ? 0 : squares.reduce(0, +) / Double(squares.count)
        }
        let found = try slabWeights(p)
        #expect(found.count == slabs && zip(found, weights).allSatisfy { abs($0 - $1) <= 1e-12 })
        #expect(weights[slabs - 1] < 0.99)
        #expect(abs(try p.loss(at: θ).terms[0] - loss) <= 1e-12 * loss)
        #expect(try p.pointWeights(of: "initial") == nil)
        // After the first step, and after the fourth.
        #expect(p.version == 2)
    }

    /// ε moves on once all weights exceed δ, over all of the list that the residuals allow, and what was measured is recorded.
    @Test func causalityRises() throws {
        let recorded = Recorded()
        let callback = CausalWeights(every: 5, slabs: 4, causality: [1e-6, 1e-5, 1e9], threshold: 0.9)
        let run = try begin(try problem(Coupled(), plan), Adam(learningRate: 1e-3), steps: 10, [callback, recorded])
        _ = try run.finish()
        #expect(recorded.values["causal-weights: causality"] == [1e9, 1e9, 1e9])
        #expect(try slabWeights(run.currentProblem) == [1, 0, 0, 0])
        #expect(recorded.values["causal-weights: least weight"] == [0, 0, 0])
        let held = Recorded()
        let patient = CausalWeights(every: 5, slabs: 4, causality: [1, 2, 1e9], threshold: 0.999999)
        _ = try begin(try problem(Coupled(), plan), Adam(learningRate: 1e-3), steps: 10, [patient, held]).finish()
        #expect(held.values["causal-weights: causality"] == [1, 1, 1])
        #expect(held.values["causal-weights: least weight"]?.allSatisfy { $0 > 0 && $0 < 0.9 } == true)
    }

    @Test func theCadenceIsKept() throws {
        func version(_ callback: CausalWeights, steps: Int) throws -> Int {
            let run = try begin(try problem(Coupled(), plan), Adam(), steps: steps, [callback])
            _ = try run.finish()
            return run.currentProblem.version
        }
        var callback = CausalWeights(every: 10, slabs: 5)
        #expect(try version(callback, steps: 35) == 4)
        callback.from = 20
        #expect(try version(callback, steps: 35) == 2)
        callback.from = 25
        #expect(try version(callback, steps: 35) == 2)
        callback.from = 36
        #expect(try version(callback, steps: 35) == 0)
    }

    /// Any term and axis that are named; the first term and time are the rule.
    @Test func termAndAxis() throws {
        var callback = CausalWeights(every: 3, slabs: 3, causality: [5], term: "initial")
        callback.axis = "x"
        #expect(callback.name == "causal-weights-initial")
        let run = try begin(try problem(Coupled(), plan), Adam(), steps: 3, [callback, CausalWeights(every: 3, slabs: 4)])
        _ = try run.finish()
        #expect(try slabWeights(run.currentProblem, of: "initial").count == 3)
        guard case .slabs(let axis, _)? = try run.currentProblem.pointWeights(of: "initial") else {
            Issue.record("no weights")
            return
        }
        #expect(axis == 1)
        #expect(try slabWeights(run.currentProblem, of: "interior").count == 4)
    }

    /// Interrupted at any step and resumed, a run ends with the same bits, weights and state; points are drawn anew beside.
    @Test(arguments: [2, 7, 10, 13]) func aResumedRunEndsTheSame(at step: Int) throws {
        func check<O: Optimizer>(_ optimizer: O) throws {
            let pipeline = Pipeline(
                minimizing: try problem(Coupled(), plan), stages: [Stage(dynamic: "train", optimizer, until: .iterations(20))])
            let callbacks: [any Callback] = [
                CausalWeights(every: 5, slabs: 6, causality: [1e-3, 1e-2, 1]), ResidualAdaptiveResampling(every: 6, pool: 200),
            ]
            let whole = try pipeline.begin(seed: 3, callbacks: callbacks)
            for _ in 0..<step { try whole.advance() }
            let snapshot = whole.snapshot()
            let weights = try slabWeights(whole.currentProblem)
            _ = try whole.finish()
            let resumed = try pipeline.restore(from: snapshot, callbacks: callbacks)
            #expect(try slabWeights(resumed.currentProblem) == weights && weights.count == 6)
            _ = try resumed.finish()
            #expect(resumed.result.parameters == whole.result.parameters)
            #expect(resumed.currentProblem.version == whole.currentProblem.version)
            #expect(try slabWeights(resumed.currentProblem) == slabWeights(whole.currentProblem))
            #expect(resumed.snapshot()["callbacks"] != nil)
            let (a, b) = (try resumed.snapshot().group("callbacks"), try whole.snapshot().group("callbacks"))
            #expect(a.differences(from: b).isEmpty)
        }
        try check(Adam(learningRate: 1e-2))
        try check(LBFGS())
        try check(SelfScaledBroyden())
    }

    /// Points drawn anew take the weights of their slabs.
    @Test func resamplingKeepsTheWeights() throws {
        let run = try begin(
            try problem(Coupled(), plan), Adam(), steps: 6,
            [CausalWeights(every: 5, slabs: 4, causality: [1]), ResidualAdaptiveResampling(every: 6, pool: 200)])
        for _ in 0..<5 { try run.advance() }
        let (before, points) = (try slabWeights(run.currentProblem), try run.currentProblem.points(of: "interior"))
        _ = try run.finish()
        #expect(try slabWeights(run.currentProblem) == before && before.count == 4)
        #expect(try run.currentProblem.points(of: "interior") != points)
    }

    @Test func whatDoesNotFitIsRefused() throws {
        func message(_ pde: any PDEProblem = Coupled(), _ change: (inout CausalWeights) -> Void) -> String {
            var callback = CausalWeights(every: 1, slabs: 4)
            change(&callback)
            do {
                _ = try begin(try problem(pde, plan), Adam(), steps: 1, [callback]).finish()
                return "nothing was thrown"
            } catch {
                return "\(error)"
            }
        }
        #expect(message { $0.term = "nowhere" }.contains("has no term “nowhere” to weight the points of; it has: interior, initial"))
        #expect(message { $0.axis = "y" }.contains("has no axis “y”"))
        #expect(message { $0.slabs = 91 }.contains("“interior” has 90 points for 91 slabs: take fewer slabs or more points"))
        struct Still: PDEProblem {
            var name: String { "still" }
            var domain: Domain { .box(x: 0...1) }
            var conditions: [Condition] { [] }
            func residuals(_ u: Fields, at p: Point) -> [Residual] { [Residual("r", u[0].x)] }
        }
        #expect(message(Still()) { _ in }.contains("no axis of still is time: name one of its axes as “axis”: x"))
        #expect(message(Still()) { $0.axis = "x" } == "nothing was thrown")
        func setting(_ change: (inout CausalWeights) -> Void) throws -> CausalWeights {
            var callback = CausalWeights()
            change(&callback)
            return try callback.validated()
        }
        #expect(throws: Never.self) { try setting { $0.causality = [0.5] } }
        #expect(throws: ConfigurationError.self) { try setting { $0.causality = [] } }
        #expect(throws: ConfigurationError.self) { try setting { $0.causality = [1, 1] } }
        #expect(throws: ConfigurationError.self) { try setting { $0.causality = [1, 0.1] } }
        #expect(throws: ConfigurationError.self) { try setting { $0.causality = [0, 1] } }
        #expect(throws: ConfigurationError.self) { try setting { $0.slabs = 1 } }
        #expect(throws: ConfigurationError.self) { try setting { $0.every = 0 } }
        #expect(throws: ConfigurationError.self) { try setting { $0.threshold = 1 } }
    }
}

/// What the weights are for.
@Suite struct CausalTrainingTests {
    private func error(seed: UInt64, _ callbacks: [any Callback]) throws -> Double {
        let p = try problem(Logistic(), PointPlan(interior: 256), seed: seed, width: 20)
        let run = try begin(p, SelfScaledBroyden(), steps: 600, seed: seed, callbacks)
        return try #require(try p.referenceError(at: run.finish().parameters.values))
    }

    /// At u = 0 the residual is as small as u(0) = 0.01 is: of plain runs two of three end there, with errors of 1.1 and 1.0 (3e-5 with the
    /// second seed). ε must be large enough for residuals of 0.1 in 16 slabs: 3e-8, 8e-10 and 3e-8.
    @Test func aTrivialSolutionIsLeft() throws {
        let plain = try [1, 2, 3].map { try error(seed: $0, []) }
        #expect(plain.filter { $0 > 0.5 }.count == 2, "\(plain)")
        for seed in 1...3 as ClosedRange<UInt64> {
            let causal = try error(seed: seed, [CausalWeights(every: 50, slabs: 16, causality: [1e2, 1e3, 1e4, 1e5])])
            #expect(causal < 1e-6, "seed \(seed): \(causal)")
        }
    }
}
