import LinearAlgebra
import OptimizationCore
import Testing

@Suite struct BatchScheduleTests {
    private let sets = [SampleSet(name: "a", count: 10), SampleSet(name: "b", count: 3)]

    @Test(arguments: [1, 3, 4, 7, 9, 10, 50])
    func anEpochCoversEverySampleExactlyOnce(size: Int) throws {
        var schedule = try BatchSchedule(BatchSettings(size: size), of: sets)
        let batches = (10 + size - 1) / size
        var orders: [[Int]] = []
        for _ in 0..<3 {
            var (seen, sizes): ([Int], [Int]) = ([], [])
            for _ in 0..<batches {
                seen += schedule.batch.indices[0]
                sizes.append(schedule.batch.indices[0].count)
                schedule.advance()
            }
            #expect(seen.sorted() == Array(0..<10))
            #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1 && (sizes.max() ?? 0) <= size)
            orders.append(seen)
        }
        // 10! orders: that two of three epochs agree by chance has a probability below 1e-6.
        if batches > 1 { #expect(Set(orders).count == 3) }
        #expect(schedule.isWhole == (size >= 10))
    }

    @Test func setsGoThroughTheirEpochsApart() throws {
        var schedule = try BatchSchedule(BatchSettings(size: 5, sizes: [SampleSet(name: "b", count: 1)]), of: sets)
        var (a, b): ([Int], [Int]) = ([], [])
        for _ in 0..<6 {
            a += schedule.batch.indices[0]
            b += schedule.batch.indices[1]
            schedule.advance()
        }
        #expect((0..<10).allSatisfy { sample in a.count { $0 == sample } == 3 })
        #expect((0..<3).allSatisfy { sample in b.count { $0 == sample } == 2 })
        #expect(schedule.places.map(\.epoch) == [3, 2])
    }

    @Test func storedInTheMiddleOfAnEpochItGoesOnAlike() throws {
        var schedule = try BatchSchedule(BatchSettings(size: 3, seed: 5), of: sets)
        for _ in 0..<6 { schedule.advance() }
        var restored: BatchSchedule = try Archive(of: schedule).decoded()
        #expect(restored == schedule)
        for _ in 0..<9 {
            schedule.advance()
            restored.advance()
            #expect(restored.batch == schedule.batch)
        }
    }

    @Test func otherSeedsGiveOtherOrders() throws {
        let orders = try (0..<5).map { try BatchSchedule(BatchSettings(size: 9, seed: $0), of: sets).batch }
        #expect(Set(orders).count == 5)
    }

    @Test func aSizeForASetThatIsNotThereIsRefused() {
        let error = #expect(throws: ConfigurationError.self) {
            try BatchSchedule(BatchSettings(size: 2, sizes: [SampleSet(name: "c", count: 2)]), of: sets)
        }
        #expect(error?.description.contains("batch.sizes.c") == true && error?.reason.contains("a, b") == true)
    }

    @Test func damagedEntriesAreRefused() throws {
        var archive = Archive(of: try BatchSchedule(BatchSettings(size: 3), of: sets))
        archive.set("batch", [4, 0])
        #expect(throws: ArchiveError.self) { try archive.decoded(as: BatchSchedule.self) }
    }
}

@Suite struct BatchedTests {
    /// The batch that drives a step of a first-order method is the one that was evaluated before it, at the start or at the end of the step before.
    @Test(arguments: [1, 3]) func stepsGoThroughTheBatchesOfAnEpoch(holding: Int) throws {
        let problem = Clouds()
        let method = Batched(Steepest(rate: 0.1), size: 2, holding: holding)
        var state = try method.start(on: problem, from: Parameters([0]))
        var driving: [Batch] = []
        for _ in 0..<(10 * holding) {
            let before = state.parameters
            driving.append(try #require(problem.log.batches.last))
            let report = try method.step(&state, on: problem)
            let batch = try #require(problem.log.batches.last)
            #expect(state.parameters != before)
            #expect(report.sampleFraction == Double(batch.indices[0].count + batch.indices[1].count) / 13)
            #expect(report.loss == (try Clouds().restricted(to: batch)).loss(at: state.parameters.values))
        }
        // Two epochs of five batches: each drives as many steps as it is held, and each epoch covers the samples exactly once.
        let batches = (0..<10).map { driving[$0 * holding] }
        #expect(driving == batches.flatMap { Array(repeating: $0, count: holding) })
        for epoch in [batches.prefix(5), batches.suffix(5)] {
            #expect(epoch.flatMap { $0.indices[0] }.sorted() == Array(0..<10))
            #expect(Set(epoch).count == 5)
        }
    }

    @Test func aFirstOrderMethodIsTheTextbooksStochasticGradient() throws {
        let problem = Clouds()
        let method = Batched(Steepest(rate: 0.1), size: 1)
        var state = try method.start(on: problem, from: Parameters([0]))
        for _ in 0..<7 { _ = try method.step(&state, on: problem) }
        // θ ← θ − η∇L_b(θ), b = 0, 1, …, 6; the eighth batch has been evaluated for the next step.
        let views = try problem.log.batches.dropLast().map { try Clouds().restricted(to: $0) }
        var θ: Vector = [0]
        for view in views { θ = θ.adding(view.lossAndGradient(at: θ).gradient, scaledBy: -0.1) }
        #expect(views.count == 7 && Set(problem.log.batches).count == 8)
        #expect(state.parameters.values == θ)
    }

    @Test(arguments: [(1, 12), (2, 12), (5, 12)])
    func costsAreAsDocumented(holding: Int, steps: Int) throws {
        func gradients<Base: Optimizer>(_ base: Base) throws -> Int where Base.Objective == any DifferentiableProblem {
            let problem = Counted(Clouds())
            let method = Batched(base, size: 2, holding: holding)
            var state = try method.start(on: problem, from: Parameters([0]))
            for _ in 0..<steps { _ = try method.step(&state, on: problem) }
            return problem.counter.counts.calls(.gradient)
        }
        #expect(try gradients(Steepest(rate: 0.1)) == 1 + steps)
        #expect(try gradients(Descent(rate: 0.1)) == 1 + steps + (steps - 1) / holding)
    }

    @Test func aBatchIsHeldForAsManyStepsAsAsked() throws {
        let problem = Clouds()
        let method = Batched(Descent(rate: 0.1), size: 2, holding: 3)
        var state = try method.start(on: problem, from: Parameters([0]))
        for _ in 0..<9 { _ = try method.step(&state, on: problem) }
        let used = problem.log.batches.dropFirst()
        #expect(used.count == 9)
        #expect(Array(used).indices.allSatisfy { Array(used)[$0] == Array(used)[$0 / 3 * 3] })
        #expect(Set(used).count == 3)
    }

    @Test func aBatchOfEverySampleIsTheBaseBitForBit() throws {
        let (problem, base) = (Clouds(), Steepest(rate: 0.1, momentum: 0.5))
        let method = Batched(base, size: 10)
        var (whole, batched) = (try base.start(on: problem, from: Parameters([0])), try method.start(on: problem, from: Parameters([0])))
        for _ in 0..<20 {
            let (one, other) = (try base.step(&whole, on: problem), try method.step(&batched, on: problem))
            #expect(one.loss == other.loss && other.coversAllSamples)
        }
        #expect(Archive(of: whole) == Archive(of: batched.base))
        #expect(problem.log.batches.isEmpty)
    }

    @Test func aBreakdownLeavesTheStateAsItWas() throws {
        var problem = Clouds()
        problem.a[7] = .nan
        let method = Batched(Steepest(rate: 0.1), size: 1, seed: 1)
        var state = try method.start(on: problem, from: Parameters([0]))
        for _ in 0..<10 {
            let before = Archive(of: state)
            let report = try method.step(&state, on: problem)
            guard case .brokeDown = report.verdict else { continue }
            #expect(Archive(of: state) == before)
            #expect(problem.log.batches.last?.indices[0] == [7])
            return
        }
        Issue.record("no step met the sample that is not a number")
    }

    @Test func aStationaryBatchIsLeftForTheNext() throws {
        let problem = Clouds()
        let method = Batched(StationaryAtOnce(), size: 2, holding: 10)
        var state = try method.start(on: problem, from: Parameters([0]))
        for _ in 0..<4 { #expect(try method.step(&state, on: problem).verdict == .rejected) }
        #expect(Set(problem.log.batches).count == 4)
    }

    @Test func aRevisionOfTheSamplesBeginsANewEpochOfTheirSetAlone() throws {
        let problem = Clouds()
        let method = Batched(Steepest(rate: 0.1), BatchSettings(size: 2, sizes: [SampleSet(name: "b", count: 1)]))
        var state = try method.start(on: problem, from: Parameters([0]))
        for _ in 0..<2 { _ = try method.step(&state, on: problem) }
        var grown = problem
        grown.a.append(10)
        let before = state
        try method.adapt(&state, to: grown)
        #expect(state.parameters == before.parameters)
        #expect(state.schedule.places[0].epoch == before.schedule.places[0].epoch + 1)
        #expect(state.schedule.places[0].set.count == 11)
        #expect(state.schedule.places[1] == before.schedule.places[1])
        let view = try grown.restricted(to: state.schedule.batch)
        #expect(state.base.gradient == view.lossAndGradient(at: state.parameters.values).gradient)
    }
}

/// A method that is content with whatever it is given.
private struct StationaryAtOnce: Optimizer {
    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> Descent.State {
        Descent.State(parameters: parameters, gradient: [])
    }

    func step(_ state: inout Descent.State, on problem: any DifferentiableProblem) throws -> StepReport {
        StepReport(loss: try problem.loss(at: state.parameters.values), verdict: .stationary)
    }
}
