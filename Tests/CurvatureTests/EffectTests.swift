import Curvature
import OptimizationTesting
import Testing

/// What a configuration says, acts: settings that a network or a run could ignore without anybody seeing it.
@Suite struct EffectTests {
    // MARK: Schedules

    /// θ after a few steps of Adam, named in a configuration with that schedule.
    private func run(_ schedule: Setting?, steps: Int = 8) throws -> Vector {
        let registry = try Registry.withBuiltIns()
        var setting = Setting.map([.init("name", .scalar("adam")), .init("learningRate", .number(0.01))])
        if let schedule { setting = setting.setting(["schedule"], to: schedule) }
        func stage<O: Optimizer>(_ optimizer: O) -> Stage<ZooProblem> { Stage(dynamic: "run", optimizer, until: .iterations(steps)) }
        return try Pipeline(minimizing: ZooProblem.rosenbrock, stages: [stage(try registry.optimizer(setting))]).start(seed: 1).parameters
            .values
    }

    private static let schedules: [(name: String, settings: [Setting.Pair])] = [
        ("exponential", [.init("rate", .number(0.5)), .init("every", .integer(2))]),
        ("cosine", [.init("steps", .integer(6)), .init("floor", .number(0.1))]),
        ("warm-up", [.init("steps", .integer(5))]),
        ("piecewise", [.init("boundaries", .list([.number(3)])), .init("factors", .list([.number(0.1)]))]),
        ("polynomial", [.init("steps", .integer(7)), .init("power", .number(2))]),
        ("one-cycle", [.init("steps", .integer(8))]),
        ("join", [.init("steps", .integer(2)), .init("then", halving)]),
        ("product", [.init("first", .map([.init("name", .scalar("warm-up")), .init("steps", .integer(3))])), .init("second", halving)]),
    ]
    private static let halving = Setting.map([
        .init("name", .scalar("exponential")), .init("rate", .number(0.5)), .init("every", .integer(1)),
    ])

    @Test func everyScheduleChangesARun() throws {
        let constant = try run(nil)
        #expect(try run(.scalar("constant")) == constant)
        var ends = [constant]
        for (name, settings) in Self.schedules {
            let end = try run(.map([.init("name", .scalar(name))] + settings))
            #expect(!ends.contains(end), "\(name) ends where another schedule does")
            ends.append(end)
        }
    }

    /// Adam's first step has the length of its rate in each parameter: with η·f(1) instead of η, exactly that part of it.
    @Test func aScheduleScalesTheStep() throws {
        let start = ZooProblem.rosenbrock.start
        let warm = Setting.map([.init("name", .scalar("warm-up")), .init("steps", .integer(4))])
        let (whole, quarter) = (try run(nil, steps: 1) - start, try run(warm, steps: 1) - start)
        #expect((whole - 4 * quarter).norm < 1e-14)
        #expect(quarter.norm > 1e-3)
    }

    @Test func everyScheduleIsTried() throws {
        let range = try #require(
            Registry.withBuiltIns().optimizers.first { $0.name == "adam" }?.schema.first { $0.name == "schedule" }?.range)
        #expect(Set(range.split(separator: " | ").map(String.init)) == Set(Self.schedules.map(\.name) + ["constant"]))
    }

    // MARK: Networks and points

    private func problem(_ name: String, _ changes: [(path: [String], value: Setting)]) throws -> PhysicsInformedProblem {
        var setting = Setting.map([.init("name", .scalar(name))])
        for (path, value) in Self.small + changes { setting = setting.setting(path, to: value) }
        return try #require(try Registry.withBuiltIns().problem(setting).makeProblem(seed: 1) as? PhysicsInformedProblem)
    }

    private static let small: [(path: [String], value: Setting)] = [
        (["network", "width"], .integer(5)), (["network", "depth"], .integer(2)), (["points", "interior"], .integer(64)),
        (["points", "boundary"], .integer(8)), (["points", "monitor"], .integer(16)),
    ]
    private static let names = ["burgers", "poisson-1d", "poisson-2d"]

    @Test(arguments: names) func samplingChangesThePoints(name: String) throws {
        var seen: [(sampling: String, points: Matrix)] = []
        for sampling in PointSampling.allCases {
            let problem = try problem(name, [(["points", "sampling"], .scalar(sampling.rawValue))])
            let points = try problem.points(of: problem.terms[0])
            #expect(points.rows == 64)
            #expect(!seen.contains { $0.points == points }, "\(sampling) draws the points of another way")
            seen.append((sampling.rawValue, points))
            #expect(problem.identity["points"]?["sampling"]?.text == sampling.rawValue)
        }
        #expect(seen.count == 6)
    }

    /// At the same θ the network that scales its inputs to [−1, 1] is another function, unless the domain is that box already.
    @Test(arguments: names) func scaledInputsChangeTheNetwork(name: String) throws {
        let (plain, scaled) = (
            try problem(name, [(["network", "scalesInputs"], .flag(false))]),
            try problem(name, [(["network", "scalesInputs"], .flag(true))])
        )
        var random = RandomStream(seed: 1, name: "θ")
        let θ = plain.initialParameters(from: &random).values
        #expect(plain.layout == scaled.layout)
        #expect(try plain.points(of: plain.terms[0]) == scaled.points(of: scaled.terms[0]))
        #expect(try plain.loss(at: θ).total != scaled.loss(at: θ).total)
        #expect(plain.identity["network"]?["scalesInputs"]?.text == "false" && scaled.identity["network"]?["scalesInputs"]?.text == "true")
    }

    /// The other settings of network and points, one at a time: each changes the problem's value at its start.
    @Test(arguments: names) func everySettingActs(name: String) throws {
        func start(_ changes: [(path: [String], value: Setting)]) throws -> [Double] {
            let problem = try problem(name, changes)
            var random = RandomStream(seed: 1, name: "initialization")
            let θ = problem.initialParameters(from: &random).values
            return [try problem.loss(at: θ).total, try problem.monitorLoss(at: θ) ?? .nan] + θ.elements.prefix(5)
        }
        let changes: [(path: [String], value: Setting)] = [
            (["network", "width"], .integer(6)), (["network", "depth"], .integer(3)), (["network", "activation"], .scalar("sin")),
            (["network", "initialization"], .scalar("he-normal")), (["network", "firstLayerSlope"], .number(2.5)),
            (["points", "interior"], .integer(81)), (["points", "monitor"], .integer(25)), (["points", "interiorWeight"], .number(2)),
            (["points", "boundaryWeight"], .number(7)),
        ]
        let plain = try start([])
        for change in changes {
            let changed = try start([change])
            #expect(
                !zip(plain, changed).allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN },
                "\(change.path.joined(separator: ".")) changes nothing")
        }
    }
}
