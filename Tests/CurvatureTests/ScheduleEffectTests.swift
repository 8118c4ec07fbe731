import Curvature
import OptimizationTesting
import Testing

/// A schedule acts on the step of every method that has one, by its factor: two runs whose schedules part at the fifth step.
@Suite struct ScheduleEffectTests {
    static let settingsOfSchedules: [(String, Setting)] = [
        ("constant", .scalar("constant")),
        (
            "a quarter",
            .map([
                .init("name", .scalar("piecewise")), .init("boundaries", .list([.number(4)])), .init("factors", .list([.number(0.25)])),
            ])
        ),
    ]

    private func scheduled() throws -> [(name: String, optimizers: [any Optimizer])] {
        let registry = try Registry.withBuiltIns()
        return try registry.optimizers.filter { $0.schema.contains { $0.name == "schedule" } }.map { entry in
            var setting = Setting.map([.init("name", .scalar(entry.name))])
            // Methods that draw samples of their own: three batches of the 24 samples.
            if let plain = try registry.optimizer(.scalar(entry.name)) as? any Configurable, plain.settings.has("batch") {
                setting = setting.setting(["batch", "size"], to: .integer(8))
            }
            return (entry.name, try Self.settingsOfSchedules.map { try registry.optimizer(setting.setting(["schedule"], to: $0.1)) })
        }
    }

    /// What the rate moves: θ, or the iterate behind a schedule-free method's average, whose weights depend on the rate too.
    private func moved(_ state: some OptimizerState) -> Vector {
        if let state = state as? FirstOrderState<ScheduleFreeMemory> { return state.memory.iterate }
        if let state = state as? FirstOrderState<ScheduleFreeAdamW.Memory> { return state.memory.iterate.iterate }
        return state.parameters.values
    }

    /// The fifth step that moves: SOAP's first makes its bases alone.
    private func fifthStep<O: Optimizer>(_ optimizer: O, on problem: NetworkRegression) throws -> (before: Vector, step: Vector) {
        let objective = try #require(problem as? O.Objective, "\(O.self) takes no such problem")
        var random = RandomStream(seed: 2, name: "initialization")
        var state = try optimizer.start(on: objective, from: problem.initialParameters(from: &random))
        for _ in 0..<(optimizer is SOAP ? 5 : 4) { #expect(try optimizer.step(&state, on: objective).verdict == .accepted) }
        let before = moved(state)
        #expect(try optimizer.step(&state, on: objective).verdict == .accepted)
        return (before, moved(state) - before)
    }

    @Test func everyMethodsStepHasTheSchedulesFactor() throws {
        var setup = MultiFrequencyRegression()
        (setup.fit.frequencies, setup.fit.amplitudes, setup.fit.samples) = ([1, 2], [1, 0.5], 24)
        setup.fit.network = PerceptronSettings(width: 6, depth: 2)
        let problem = try setup.problem(seed: 1)
        let methods = try scheduled()
        let names = Set(methods.map(\.name))
        #expect(
            names.isSuperset(of: [
                "adam", "sgd", "lion", "adan", "schedule-free-adamw", "soap", "shampoo", "muon", "psgd-kron", "svrg", "l-svrg", "sarah",
                "saga",
                "online-l-bfgs", "sketchy-sgd", "adahessian", "sophia",
            ]), "\(names)")
        for (name, optimizers) in methods {
            let (whole, quarter) = (try fifthStep(optimizers[0], on: problem), try fifthStep(optimizers[1], on: problem))
            #expect(whole.before == quarter.before, "\(name): the schedules differ before the fifth step")
            #expect(whole.step.norm > 0, "\(name) does not move")
            let distance = (quarter.step - 0.25 * whole.step).norm
            // What is left is the rounding of θ.
            #expect(distance <= 1e-14 * whole.before.norm, "\(name): \(distance / whole.step.norm)")
        }
    }
}

extension Setting {
    /// Whether a section of that name stands in it.
    fileprivate func has(_ name: String) -> Bool {
        guard case .map(let pairs) = value else { return false }
        return pairs.contains { $0.key == name }
    }
}
