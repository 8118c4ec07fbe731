import LinearAlgebra
import OptimizationCore
import StochasticGradient
import Testing

/// Trajectories against the authors' method are in ``ReferenceTrajectoryTests``.
@Suite struct ScheduleFreeTests {
    /// Steps by hand, from the paper's formulas: gradients at y, the average x handed on.
    @Test func stepsFollowThePaper() throws {
        let method = ScheduleFreeSGD(learningRate: 5e-3, momentum: 0.75)
        var state = try method.start(on: Bowl(), from: Parameters([4, -3]))
        var (x, z): (Vector, Vector) = ([4, -3], [4, -3])
        for step in 1...20 {
            let y = (0.25 * z).adding(x, scaledBy: 0.75)
            #expect((state.gradient - Bowl().lossAndGradient(at: y).gradient).maximumNorm <= 1e-11)
            z = z.adding(Bowl().lossAndGradient(at: y).gradient, scaledBy: -5e-3)
            x = (1 - 1 / Double(step)) * x + (1 / Double(step)) * z
            let report = try method.step(&state, on: Bowl())
            #expect((state.parameters.values - x).maximumNorm <= 1e-13)
            #expect(report.loss == Bowl().loss(at: state.parameters.values) && report.gradientNorm == nil)
        }
    }

    @Test func aStepCostsAGradientAndALoss() throws {
        let problem = Counted(Bowl())
        var state = try ScheduleFreeAdamW().start(on: problem, from: Parameters([4, -3]))
        for _ in 0..<10 { _ = try ScheduleFreeAdamW().step(&state, on: problem) }
        #expect(problem.counter.counts.calls(.gradient) == 11 && problem.counter.counts.calls(.loss) == 10)
    }

    /// The rule on the gradient norm measures it at x.
    @Test func rulesOnTheGradientMeasureItAtTheAverage() throws {
        let pipeline = Pipeline(minimizing: Bowl()) {
            Stage("descend", ScheduleFreeSGD(learningRate: 1e-2), until: .gradientNorm(below: 1) || .iterations(5_000))
        }
        let result = try pipeline.start()
        guard case .converged(let finding) = result.outcome else {
            Issue.record("\(result.outcome)")
            return
        }
        #expect(finding.measured == Bowl().lossAndGradient(at: result.parameters.values).gradient.norm)
    }

    @Test func shorterStepsAreAShorterRate() throws {
        let (method, short) = (ScheduleFreeSGD(learningRate: 1e-2), ScheduleFreeSGD(learningRate: 5e-3))
        var (a, b) = (try method.start(on: Bowl(), from: Parameters([4, -3])), try short.start(on: Bowl(), from: Parameters([4, -3])))
        #expect(method.shortenSteps(&a) && a.stepScale == 1)
        for _ in 0..<20 {
            _ = try method.step(&a, on: Bowl())
            _ = try short.step(&b, on: Bowl())
        }
        #expect(a.parameters == b.parameters)
    }

    /// Gradients taken in are of one y, and schedule and corrections count updates: the steps are those of the base.
    @Test func itAccumulatesAndClips() throws {
        var adamw = ScheduleFreeAdamW()
        adamw.schedule = WarmUp(steps: 15)
        let base = Clipped(adamw, norm: 30)
        let method = Accumulated(base, over: 4)
        var (whole, state) = (
            try base.start(on: Bowl(), from: Parameters([4, -3])), try method.start(on: Bowl(), from: Parameters([4, -3]))
        )
        for _ in 0..<25 {
            for _ in 0..<4 { _ = try method.step(&state, on: Bowl()) }
            _ = try base.step(&whole, on: Bowl())
            #expect(state.parameters == whole.parameters && state.gradient == whole.gradient)
        }
        #expect(whole.memory.clippings > 0)
    }

    /// Where the loss at x is right and the gradient at y is not, the fault is the one at y.
    @Test func aFaultAtTheGradientsPointIsNamed() throws {
        let method = ScheduleFreeSGD(learningRate: 1, momentum: 0)
        var state = try method.start(on: Wall(), from: Parameters([0]))
        _ = try method.step(&state, on: Wall())
        let before = Archive(of: state)
        let report = try method.step(&state, on: Wall())
        guard case .brokeDown(let breakdown) = report.verdict else {
            Issue.record("\(report.verdict)")
            return
        }
        #expect(breakdown.fault == Fault(term: "wall", sample: "θ > 1.8") && Archive(of: state) == before)
        #expect(report.loss == Wall().loss(at: state.parameters.values) && report.gradientNorm == nil)
    }

    @Test func aNewVersionIsEvaluatedAtBothPoints() throws {
        let method = ScheduleFreeSGD(learningRate: 1e-2)
        var state = try method.start(on: Bowl(), from: Parameters([4, -3]))
        for _ in 0..<5 { _ = try method.step(&state, on: Bowl()) }
        let before = state
        state.gradient = [7, 7]
        try method.adapt(&state, to: Bowl())
        #expect(Archive(of: state) == Archive(of: before))
    }
}

/// −θ up to 1.8, not a number beyond.
private struct Wall: DifferentiableProblem {
    var name: String { "wall" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([0]) }
    func loss(at θ: Vector) -> LossValue { LossValue(θ[0] > 1.8 ? .nan : -θ[0]) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: [θ[0] > 1.8 ? .nan : -1]) }
    func locateFault(at θ: Vector) -> Fault? { θ[0] > 1.8 ? Fault(term: "wall", sample: "θ > 1.8") : nil }
}
