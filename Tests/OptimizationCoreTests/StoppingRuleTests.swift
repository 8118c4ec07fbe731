import LinearAlgebra
import OptimizationCore
import Testing

@Suite struct StoppingRuleTests {
    /// How a stage of ``Reader`` on a script ends by a rule, or by a hundred iterations.
    private func run(_ rule: StoppingRule, _ script: Script = Script()) throws -> (iterations: Int, outcome: Outcome) {
        let pipeline = Pipeline(minimizing: script) { Stage("only", Reader(), until: rule || .iterations(100)) }
        let result = try pipeline.start()
        return (result.iterations, result.outcome)
    }

    private func converged(_ quantity: String, _ measured: Double, below threshold: Double) -> Outcome {
        .converged(Finding(quantity, measured, "≤", threshold, meaning: .converged))
    }

    @Test func budgets() throws {
        let iterations = try run(.iterations(3))
        #expect(iterations.iterations == 3)
        #expect(iterations.outcome == .budgetSpent(Finding("iterations", 3, "≥", 3, meaning: .budgetSpent)))
        #expect(iterations.outcome.description == "budget spent: iterations = 3 ≥ 3")
        #expect(try run(.iterations(0)).iterations == 0)
        #expect(try run(.evaluations(4)).iterations == 4)
        #expect(try run(.evaluations(of: .gradient, 5)).iterations == 5)
        #expect(try run(.evaluations(of: .hessianProduct, 1)).iterations == 100)
        #expect(try run(.seconds(0)).iterations == 0)
        #expect(try run(.seconds(1e9)).iterations == 100)
    }

    @Test func thresholds() throws {
        let script = Script(losses: [5, 4, .nan, 3, 1, 0.5], gradients: [8, 8, 4, 2, 1])
        let loss = try run(.loss(below: 1), script)
        #expect(loss.iterations == 4 && loss.outcome == converged("L", 1, below: 1))
        #expect(loss.outcome.description == "converged: L = 1 ≤ 1 ✓")
        #expect(try run(.gradientNorm(below: 2), script).iterations == 3)
        let relative = try run(.relativeGradientNorm(below: 0.5), script)
        #expect(relative.iterations == 2 && relative.outcome == converged("‖∇L‖ / ‖∇L₀‖", 0.5, below: 0.5))
    }

    @Test func measuredValuesComeAtTheirCadence() throws {
        let script = Script(monitors: [9, 9, 1, 9, 1, 9, 1], errors: [1, 0.1])
        #expect(try run(.monitorLoss(below: 2, every: 1), script).iterations == 2)
        #expect(try run(.monitorLoss(below: 2, every: 4), script).iterations == 4)
        #expect(try run(.monitorLoss(below: 2, every: 5), script).iterations == 10)
        #expect(try run(.referenceError(below: 0.1, every: 1), script).iterations == 1)
        // A problem without held-out points never fires.
        #expect(try run(.monitorLoss(below: 2, every: 1)).iterations == 100)
    }

    @Test func aStallIsSeenOverItsWindow() throws {
        // Falls by a half each step until k = 5, then not at all: over 3 iterations first at k = 8.
        let script = Script(losses: (0...5).map { 1 / Double(1 << $0) })
        let stalled = try run(.stalled(over: 3, relativeDecrease: 0.1), script)
        #expect(stalled.iterations == 8)
        #expect(stalled.outcome == .stalled(Finding("relative decrease over 3 iterations", 0, "<", 0.1, meaning: .stalled)))
        #expect(try run(.stalled(over: 3, relativeDecrease: 0.6), script).iterations == 7)
        // A loss that rises has stalled too.
        #expect(try run(.stalled(over: 2), Script(losses: [1, 2, 3, 4])).iterations == 3)
    }

    @Test func aRisingMonitorStops() throws {
        let rule = StoppingRule.monitorRising(patience: 2, every: 1)
        let rising = try run(rule, Script(monitors: [9, 5, 4, 3, 4, 2, 3, 4]))
        #expect(rising.iterations == 7)
        #expect(rising.outcome.name == "stalled")
        #expect(try run(rule, Script(monitors: [9, 5, .nan, .nan])).iterations == 3)
        #expect(try run(rule, Script(monitors: [.nan])).iterations == 2)
        #expect(try run(rule, Script(monitors: (0..<200).map { 1 / Double($0 + 1) })).iterations == 100)
    }

    @Test func rulesCompose() throws {
        let script = Script(losses: [9, 8, 1, 8, 1], gradients: [9, 9, 9, 1, 1])
        // Both at once, not one after the other.
        #expect(try run(.loss(below: 2) && .gradientNorm(below: 2), script).iterations == 4)
        #expect(try run(.loss(below: 2) || .gradientNorm(below: 2), script).iterations == 2)
        // Of rules that hold at once, convergence is named first.
        #expect(try run(.iterations(2) || .loss(below: 2), script).outcome.name == "converged")
        // With `&&` the outcome is the weakest of them: a budget is part of the reason.
        #expect(try run(.iterations(2) && .loss(below: 2), script).outcome.name == "budget spent")
        let nested = StoppingRule.any([.all([.iterations(50), .loss(below: 2)]), .iterations(60)])
        #expect(nested.iterationLimit == 60)
        #expect((StoppingRule.iterations(5) && .loss(below: 1)).iterationLimit == nil)
        #expect((StoppingRule.iterations(5) && .iterations(7)).iterationLimit == 7)
        #expect("\(StoppingRule.iterations(5) || .loss(below: 1e-8))" == "(iterations ≥ 5 || L ≤ 1.00e-8)")
    }

    static let everyRule: [StoppingRule] =
        [
            .iterations(5), .seconds(2.5), .evaluations(7), .loss(below: 1e-8), .gradientNorm(below: 1e-6),
            .relativeGradientNorm(below: 1e-3), .monitorLoss(below: 0.1, every: 7), .referenceError(below: 1e-3),
            .stalled(over: 9, relativeDecrease: 0.01), .monitorRising(patience: 3, every: 11),
            .iterations(5) || (.loss(below: 1) && .seconds(3)),
        ] + Work.allCases.map { .evaluations(of: $0, 3) }

    @Test(arguments: everyRule.indices) func aRuleIsReadAsItIsWritten(index: Int) throws {
        let rule = Self.everyRule[index]
        #expect(try StoppingRule(rule.setting, path: "until").setting == rule.setting)
    }

    @Test func anUnknownRuleListsTheKnownOnes() {
        let error = #expect(throws: ConfigurationError.self) {
            try StoppingRule(.map([.init("iteration", Setting(.scalar("5"), line: 12))]), path: "stages.0.until")
        }
        #expect(error?.path == "stages.0.until.iteration" && error?.line == 12)
        #expect(error?.reason.contains("there are: iterations,") == true)
    }

    /// A rule's memory is cut and stored with the run: wherever it is interrupted, it ends at the same step with the same finding.
    @Test(arguments: [1, 4, 6, 7, 8, 9]) func memoryIsStoredWithTheRun(cut: Int) throws {
        let script = Script(losses: (0...5).map { 1 / Double(1 << $0) }, monitors: [5, 4, 3, 2, 3, 3, 3, 3, 3, 3])
        let rule = (StoppingRule.stalled(over: 3, relativeDecrease: 0.1) && .monitorRising(patience: 5, every: 1)) || .iterations(100)
        let pipeline = Pipeline(minimizing: script) { Stage("only", Reader(), until: rule) }
        let whole = try pipeline.start()
        #expect(whole.iterations == 8)
        let first = try pipeline.begin()
        for _ in 0..<cut { try first.advance() }
        let resumed = try pipeline.resume(from: first.snapshot())
        #expect(resumed.iterations == whole.iterations && resumed.outcome == whole.outcome)
    }

    @Test func aLongerBudgetGoesOnAsIfItHadBeenThereFromTheStart() throws {
        let script = Script(losses: (0...5).map { 1 / Double(1 << $0) })
        func pipeline(_ limit: Int) -> Pipeline<Script> {
            Pipeline(minimizing: script) { Stage("only", Reader(), until: .iterations(limit) || .stalled(over: 3, relativeDecrease: 0.1)) }
        }
        let short = try pipeline(6).begin()
        #expect(try short.finish().outcome.name == "budget spent")
        let extended = try pipeline(50).resume(from: short.snapshot())
        let whole = try pipeline(50).start()
        #expect(extended.iterations == whole.iterations && extended.outcome == whole.outcome)
    }
}
