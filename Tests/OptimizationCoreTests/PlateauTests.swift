import Foundation
import LinearAlgebra
import OptimizationCore
import Testing

@Suite struct PlateauTests {
    /// `Tests/Reference/schedules.py`.
    private struct Reference: Decodable {
        var losses, relative, absolute, impatient: [Double]

        enum CodingKeys: String, CodingKey {
            case losses
            case relative = "plateau, relative"
            case absolute = "plateau, absolute"
            case impatient = "plateau, impatient"
        }
    }

    private static let cases: [(settings: PlateauSettings, factors: KeyPath<Reference, [Double]> & Sendable)] = {
        var (relative, absolute) = (PlateauSettings(factor: 0.5, patience: 2), PlateauSettings(factor: 0.25, patience: 1))
        var impatient = PlateauSettings(factor: 0.7, patience: 0)
        relative.threshold = 0.03125
        (absolute.threshold, absolute.thresholdKind, absolute.cooldown, absolute.minimum) = (0.25, .absolute, 3, 0.01)
        (impatient.threshold, impatient.cooldown) = (0, 1)
        return [(relative, \.relative), (absolute, \.absolute), (impatient, \.impatient)]
    }()

    private func reference() throws -> Reference {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Reference/schedules.json")
        return try JSONDecoder().decode(Reference.self, from: Data(contentsOf: file))
    }

    @Test func factorsArePyTorchs() throws {
        let reference = try reference()
        for (settings, path) in Self.cases {
            var memory = PlateauMemory()
            for (k, loss) in reference.losses.enumerated() {
                let before = memory.factor
                let falls = memory.take(loss, by: settings)
                #expect(memory.factor == reference[keyPath: path][k], "reading \(k + 1) of \(settings.settings)")
                #expect(falls == (memory.factor < before))
                let restored: PlateauMemory = try Archive(of: memory).decoded()
                #expect(restored == memory)
            }
        }
    }

    /// Through whole steps, on a problem whose losses are the recorded ones: the parameter moves by the factor at each step, for its
    /// gradient is −1.
    @Test func theFactorActsOnTheNextStep() throws {
        let reference = try reference()
        for (settings, path) in Self.cases {
            let method = Plateau(Steepest(rate: 1), settings)
            var state = try method.start(on: Recorded(losses: [9] + reference.losses), from: Parameters([0]))
            var factor = 1.0
            for (k, loss) in reference.losses.enumerated() {
                let before = state.parameters.values[0]
                // The next loss, wherever the step leads.
                let report = try method.step(&state, on: Recorded(losses: [loss]))
                #expect(report.loss.total == loss && report.stepLength.map { abs($0 - factor) <= 1e-14 * factor } == true)
                #expect(abs(state.parameters.values[0] - before - factor) <= 1e-14 * state.parameters.values[0])
                factor = reference[keyPath: path][k]
                #expect(report.details == [.init("rate factor", factor)])
            }
            #expect(factor < 0.02)
        }
    }

    @Test func aReadingIsTheMeanOfItsSteps() {
        let settings = PlateauSettings(factor: 0.5, patience: 0, every: 3)
        var memory = PlateauMemory()
        // Means 4, 3, 3.
        let falls = [5.0, 4, 3, 1, 7, 1, 0, 0, 9].map { memory.take($0, by: settings) }
        #expect(falls == [false, false, false, false, false, false, false, false, true])
        #expect(memory.best == 3 && memory.factor == 0.5)
    }

    @Test func negativeLossesAreBetterWhereTheyAreLower() {
        var memory = PlateauMemory()
        let settings = PlateauSettings(factor: 0.5, patience: 0)
        #expect(!memory.take(-8, by: settings) && !memory.take(-9, by: settings) && memory.best == -9)
        #expect(memory.take(-8.9999, by: settings) && memory.best == -9)
    }

    @Test func theMonitorLossIsReadWhereAsked() throws {
        var settings = PlateauSettings(factor: 0.5, patience: 0, every: 2)
        settings.metric = .monitorLoss
        let method = Plateau(Steepest(rate: 1), settings)
        // θ counts the steps; the loss falls all the time, the monitor loss rises from the third on.
        let problem = Script(losses: [9, 8, 7, 6, 5, 4, 3, 2, 1], gradients: [-1], monitors: [9, 8, 3, 4, 5, 6, 7])
        var state = try method.start(on: problem, from: Parameters([0]))
        let factors = try (1...4).map { _ in
            _ = try method.step(&state, on: problem)
            return state.plateau.factor
        }
        #expect(factors == [1, 1, 1, 0.5])
        #expect(state.plateau.best == 3)
        let silent = #expect(throws: ConfigurationError.self) { try method.start(on: Script(), from: Parameters([0])) }
        #expect(silent?.path == "plateau.metric" && silent?.reason.contains("metric: loss") == true)
        let pipeline = Pipeline(minimizing: Bowl(), stages: [Stage(dynamic: "s", method, until: .iterations(1))])
        let lacking = #expect(throws: ConfigurationError.self) { try pipeline.preflight() }
        #expect(lacking?.path == "stage “s”: plateau.metric" && lacking?.reason.contains("bowl") == true)
        // Within bounds too.
        let bounded = Bounded(method, ParameterBounds(["x": 0...100]))
        _ = try bounded.start(on: problem, from: Parameters([1]))
    }

    @Test func aNewVersionKeepsTheFactorAndBeginsWithANewBest() throws {
        let method = Plateau(Steepest(rate: 1e-3), PlateauSettings(factor: 0.5, patience: 0))
        var state = try method.start(on: Recorded(losses: [1]), from: Parameters([0]))
        for _ in 0..<2 { _ = try method.step(&state, on: Recorded(losses: [1])) }
        #expect(state.plateau.factor == 0.5)
        try method.adapt(&state, to: Recorded(losses: [100]))
        _ = try method.step(&state, on: Recorded(losses: [100]))
        #expect(state.plateau.factor == 0.5 && state.plateau.best == 100)
    }

    /// A constant rate that is too long for the curvature of 100 stalls; on plateaus it falls until the bowl's bottom is reached.
    @Test func itSettlesWhereAConstantRateDoesNot() throws {
        let free = Clipped(Steepest(rate: 0.019, momentum: 0.9), norm: 1)
        let method = Plateau(free, PlateauSettings(factor: 0.5, patience: 10))
        var (a, b) = (try free.start(on: Rough(), from: Parameters([4])), try method.start(on: Rough(), from: Parameters([4])))
        for _ in 0..<2000 {
            _ = try free.step(&a, on: Rough())
            _ = try method.step(&b, on: Rough())
        }
        #expect(abs(b.parameters.values[0]) < 1e-6 && abs(a.parameters.values[0]) > 1e-3)
    }
}

/// Gives the first of its losses everywhere, and the gradient −1.
private struct Recorded: DifferentiableProblem {
    var losses: [Double]

    var name: String { "recorded" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([0]) }
    func loss(at θ: Vector) -> LossValue { LossValue(losses[0]) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: [-1]) }
}

/// |θ|, whose gradient does not fall.
private struct Rough: DifferentiableProblem {
    var name: String { "rough" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([4]) }
    func loss(at θ: Vector) -> LossValue { LossValue(abs(θ[0])) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: [θ[0] < 0 ? -1 : 1]) }
}
