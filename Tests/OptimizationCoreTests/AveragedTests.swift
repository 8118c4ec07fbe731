import LinearAlgebra
import OptimizationCore
import Testing

@Suite struct AveragedTests {
    /// The mean by its definition, and the exponential average by its weights, of iterates that were written down.
    @Test func theAverageIsThatOfTheRecordedIterates() throws {
        for averaging in [AveragingSettings.mean(after: 5), .exponential(decay: 0.8, after: 5)] {
            let method = Batched(Averaged(Steepest(rate: 0.2, momentum: 0.3), averaging), size: 2)
            var state = try method.start(on: Clouds(), from: Parameters([0]))
            var iterates: [Double] = []
            for step in 1...60 {
                _ = try method.step(&state, on: Clouds())
                let iterate = state.base.base.parameters.values[0]
                guard step > 5 else {
                    #expect(state.parameters.values == [iterate])
                    continue
                }
                iterates.append(iterate)
                var (sum, weights, weight) = (0.0, 0.0, 1.0)
                for θ in iterates.reversed() {
                    (sum, weights) = (sum + weight * θ, weights + weight)
                    weight *= averaging.kind == .mean ? 1 : 0.8
                }
                // Some roundings of numbers below 128 for each of 55 iterates.
                let average = state.parameters.values[0]
                #expect(abs(average - sum / weights) <= 4 * 55 * (64.0).ulp, "\(averaging.kind) after \(step) steps")
                if step > 10 { #expect(abs(average - iterate) > 1e-3) }
            }
            #expect(state.base.average?.count == 55)
        }
    }

    @Test func theBaseStepsAsIfNobodyAveraged() throws {
        let base = Steepest(rate: 0.2, momentum: 0.3)
        let (alone, averaged) = (Batched(base, size: 2), Batched(Averaged(base), size: 2))
        var (a, b) = (try alone.start(on: Clouds(), from: Parameters([0])), try averaged.start(on: Clouds(), from: Parameters([0])))
        for _ in 0..<30 {
            let (one, other) = (try alone.step(&a, on: Clouds()), try averaged.step(&b, on: Clouds()))
            #expect(Archive(of: a.base) == Archive(of: b.base.base) && a.schedule == b.schedule)
            if b.base.average?.count ?? 0 > 1 { #expect(other.details.contains(.init("iterate loss", one.loss.total))) }
        }
    }

    @Test func reportsAreOfTheAverageAtTheDocumentedCost() throws {
        let problem = Counted(Bowl())
        let method = Averaged(Steepest(rate: 1e-2), .mean(after: 3))
        var state = try method.start(on: problem, from: Parameters([4, -3]))
        for step in 1...20 {
            let report = try method.step(&state, on: problem)
            #expect(report.loss == Bowl().loss(at: state.parameters.values))
            #expect((report.gradientNorm == nil) == (step > 3))
        }
        #expect(problem.counter.counts.calls(.gradient) == 21)
        #expect(problem.counter.counts.calls(.loss) == 16)
        let batched = Batched(method, size: 1)
        var onBatches = try batched.start(on: Clouds(), from: Parameters([0]))
        for _ in 0..<9 {
            let problem = Clouds()
            let report = try batched.step(&onBatches, on: problem)
            let batch = try Clouds().restricted(to: try #require(problem.log.batches.last))
            #expect(report.loss == batch.loss(at: onBatches.parameters.values) && report.sampleFraction == 2.0 / 13)
        }
    }

    /// What the run hands on and keeps is the average, and it is the better point after steps that do not settle.
    @Test func theNextStageBeginsAtTheAverage() throws {
        let noisy = Steepest(rate: 0.5)
        let pipeline = Pipeline(minimizing: Clouds()) {
            Stage("stir", Batched(Averaged(noisy, .mean(after: 20)), size: 1), until: .iterations(400))
            Stage("stand", Steepest(rate: 1e-300), until: .iterations(1))
        }
        let run = try pipeline.begin()
        while run.result.iterations < 400 { try run.advance() }
        let average = run.parameters
        let iterate = try run.snapshot().group("optimizer").group("base").group("base").group("parameters").vector("values")
        #expect(iterate != average.values)
        let result = try run.finish()
        #expect(result.parameters == average)
        #expect(result.stages[0].loss == Clouds().loss(at: average.values).total)
        // The minimiser of the whole loss is ½(4.5 + 101).
        #expect(abs(average.values[0] - 52.75) < 0.5)
        let best = try #require(result.best)
        #expect(best.value <= Clouds().loss(at: average.values).total)
    }

    /// A report says nothing of the average's gradient: it is measured, now and then.
    @Test func rulesOnTheGradientMeasureItAtTheAverage() throws {
        var pipeline = Pipeline(minimizing: Bowl()) {
            Stage(
                "descend", Averaged(Steepest(rate: 1e-2), .exponential(decay: 0.5)), until: .gradientNorm(below: 0.1) || .iterations(2_000))
        }
        pipeline.monitorCadence = 7
        let result = try pipeline.start()
        guard case .converged(let finding) = result.outcome else {
            Issue.record("\(result.outcome)")
            return
        }
        #expect(finding.measured == Bowl().lossAndGradient(at: result.parameters.values).gradient.norm)
        #expect(result.stages[0].iterations % 7 == 0)
    }

    @Test func rejectedStepsAddNothingAndStationaryOnesBringTheAverageIn() throws {
        let script = Script(losses: [5, 4, 3, 2])
        let method = Averaged(Reader(stationaryAt: 3), .mean())
        var state = try method.start(on: script, from: Parameters([0]))
        var means: [Double] = []
        for _ in 0..<3 {
            let report = try method.step(&state, on: script)
            #expect(report.verdict == .accepted)
            means.append(state.parameters.values[0])
        }
        // Iterates 1, 2, 2.
        #expect(means[0] == 1 && means[1] == 1.5 && abs(means[2] - 5.0 / 3) <= 1e-15)
        let rejecting = Averaged(Rejecting())
        var still = try rejecting.start(on: Clouds(), from: Parameters([3]))
        for _ in 0..<4 { #expect(try rejecting.step(&still, on: Clouds()).verdict == .rejected) }
        #expect(still.average == nil && still.steps == 0)
    }

    /// Finite iterates on both sides of a hole in the domain: their mean is in it.
    @Test func anAverageWithoutALossIsABreakdownThatLeavesTheState() throws {
        let method = Averaged(Steepest(rate: 1.9))
        var state = try method.start(on: Hole(), from: Parameters([2]))
        #expect(try method.step(&state, on: Hole()).verdict == .accepted)
        let before = Archive(of: state)
        let report = try method.step(&state, on: Hole())
        guard case .brokeDown(let breakdown) = report.verdict else {
            Issue.record("\(report.verdict) at \(state.parameters.values)")
            return
        }
        #expect(breakdown.fault == Fault(term: "loss", sample: "the hole") && Archive(of: state) == before)
        #expect(report.loss == Hole().loss(at: state.parameters.values))
    }

    @Test func aNewVersionKeepsTheAverageAndMeasuresItAnew() throws {
        let method = Averaged(Steepest(rate: 0.1))
        let (old, new) = (Moving(), Moving(centre: [5, 5], version: 1))
        var state = try method.start(on: old, from: Parameters([0, 0]))
        for _ in 0..<4 { _ = try method.step(&state, on: old) }
        let before = state.parameters
        try method.adapt(&state, to: new)
        #expect(state.parameters == before && state.average?.loss == new.loss(at: before.values))
    }

    @Test func damagedAveragesAreRefused() throws {
        let method = Averaged(Steepest(rate: 0.1))
        var state = try method.start(on: Bowl(), from: Parameters([4, -3]))
        for _ in 0..<3 { _ = try method.step(&state, on: Bowl()) }
        var archive = Archive(of: state)
        archive.set("average", [1.0])
        #expect(throws: ArchiveError.self) { try archive.decoded(as: AveragedState<FirstOrderState<Steepest.Memory>>.self) }
    }
}

/// Rejects whatever it is given.
private struct Rejecting: Optimizer {
    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> Descent.State {
        Descent.State(parameters: parameters, gradient: [])
    }

    func step(_ state: inout Descent.State, on problem: any DifferentiableProblem) throws -> StepReport {
        StepReport(loss: try problem.loss(at: state.parameters.values), verdict: .rejected)
    }
}

/// ½θ², which is not a number for |θ| < 0.2.
private struct Hole: DifferentiableProblem {
    var name: String { "hole" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([2]) }
    func loss(at θ: Vector) -> LossValue { LossValue(abs(θ[0]) < 0.2 ? .nan : 0.5 * θ[0] * θ[0]) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: θ) }
    func locateFault(at θ: Vector) -> Fault? { loss(at: θ).isFinite ? nil : Fault(term: "loss", sample: "the hole") }
}
