import LinearAlgebra
import OptimizationCore
import StochasticGradient
import Testing

/// ½ Σ dᵢ(xᵢ − cᵢ)² with curvatures 1 and 100; not a number where x₁ > wall.
struct Bowl: DifferentiableProblem {
    var wall = Double.infinity

    var name: String { "bowl" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 2) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([4, -3]) }
    func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        if θ[0] > wall { return Evaluation(loss: LossValue(.nan), gradient: [.nan, .nan]) }
        let (a, b) = (θ[0] - 1, θ[1] - 2)
        return Evaluation(loss: LossValue(0.5 * (a * a + 100 * b * b)), gradient: [a, 100 * b])
    }
}

@Suite struct AdamTests {
    /// A first step that overflows leaves the parameters, and the report's loss and gradient norm are theirs.
    @Test func aBreakdownReportsTheLossOfTheParameters() throws {
        for (rate, problem) in [(1e300, Bowl()), (10, Bowl(wall: 4.5))] {
            var state = try Adam().start(on: problem, from: Parameters([1, 2.5]))
            state.gradient = [-1, 50]
            let report = try Adam(learningRate: rate).step(&state, on: problem)
            guard case .brokeDown = report.verdict else {
                Issue.record("\(report)")
                continue
            }
            #expect(report.loss.total == 12.5 && state.parameters.values == [1, 2.5])
            #expect(report.gradientNorm == Vector([-1, 50]).norm)
        }
    }

    /// Two steps by hand: the first is −η·sign(g) up to ε; the second follows the paper's formulas.
    @Test func stepsFollowThePaper() throws {
        let adam = Adam(learningRate: 0.1, momentum: 0.8, squareMomentum: 0.9, epsilon: 1e-3)
        let problem = Bowl()
        var state = try adam.start(on: problem, from: Parameters([4, -3]))
        var (θ, m, v) = ([4.0, -3.0], [0.0, 0.0], [0.0, 0.0])
        var (power1, power2) = (1.0, 1.0)
        for step in 1...5 {
            let g = problem.lossAndGradient(at: Vector(θ)).gradient
            (power1, power2) = (power1 * 0.8, power2 * 0.9)
            for i in 0..<2 {
                m[i] = 0.8 * m[i] + 0.2 * g[i]
                v[i] = 0.9 * v[i] + 0.1 * g[i] * g[i]
                θ[i] -= 0.1 * (m[i] / (1 - power1)) / ((v[i] / (1 - power2)).squareRoot() + 1e-3)
            }
            let report = try adam.step(&state, on: problem)
            #expect(report.verdict == .accepted)
            #expect(state.step == step)
            #expect((state.parameters.values - Vector(θ)).maximumNorm <= 1e-14)
            #expect(report.loss == problem.loss(at: state.parameters.values))
        }
    }

    @Test func minimumIsReachedUnderADecayingRate() throws {
        let adam = Adam(learningRate: 0.3, schedule: ExponentialDecay(rate: 0.5, every: 100))
        var state = try adam.start(on: Bowl(), from: Parameters([4, -3]))
        for _ in 0..<4_000 { _ = try adam.step(&state, on: Bowl()) }
        #expect((state.parameters.values - [1, 2]).norm <= 1e-7)
    }

    @Test func storedAndContinuedIsUninterrupted() throws {
        let adam = Adam(learningRate: 0.1, schedule: WarmUp(steps: 5, then: CosineDecay(steps: 20)))
        var whole = try adam.start(on: Bowl(), from: Parameters([4, -3]))
        for _ in 0..<25 {
            let archive = Archive(of: whole)
            var resumed: FirstOrderState<AdamMemory> = try archive.decoded()
            _ = try adam.step(&whole, on: Bowl())
            _ = try adam.step(&resumed, on: Bowl())
            #expect(Archive(of: resumed) == Archive(of: whole))
        }
    }

    @Test func nonFiniteCandidateLeavesTheStateUntouched() throws {
        let adam = Adam(learningRate: 1)
        var state = try adam.start(on: Bowl(wall: 0.5), from: Parameters([0, 0]))
        let before = Archive(of: state)
        let report = try adam.step(&state, on: Bowl(wall: 0.5))
        guard case .brokeDown(let breakdown) = report.verdict else {
            Issue.record("a step over the wall gave \(report.verdict)")
            return
        }
        #expect(breakdown.reason == .nonFinite)
        #expect(Archive(of: state) == before)
    }

    @Test func settingsRoundTrip() throws {
        let adam = Adam(learningRate: 5e-3, schedule: WarmUp(steps: 5, then: Piecewise(boundaries: [3, 9], factors: [0.5, 0.1])))
        let read = try Adam(adam.settings, path: "optimizer")
        #expect(read.settings == adam.settings)
        for step in 1...20 { #expect(read.schedule.factor(at: step) == adam.schedule.factor(at: step)) }
        let negative = Setting.map([.init("learningRate", .number(-1))])
        #expect(throws: ConfigurationError.self) { try Adam(negative, path: "optimizer") }
        var registry = Registry()
        try registry.install(StochasticGradientPlugin.self)
        #expect(registry.optimizers.map(\.name).contains("adam"))
    }
}
