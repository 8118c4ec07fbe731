import LinearAlgebra
import OptimizationCore
import Testing

private struct NamedDescent: Optimizer, Configurable {
    var rate = 0.01

    static let identifier = "descent"
    static let summary = "Gradient descent."
    static var fields: [Field<Self>] { [.number("rate", \.rate, in: .positive, meaning: "the step length")] }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> Descent.State {
        try Descent(rate: rate).start(on: problem, from: parameters)
    }
    func step(_ state: inout Descent.State, on problem: any DifferentiableProblem) throws -> StepReport {
        try Descent(rate: rate).step(&state, on: problem)
    }
}

private struct NamedNewton: Optimizer, Configurable {
    static let identifier = "newton"
    static let summary = "Gauss–Newton."
    static var fields: [Field<Self>] { [] }

    func start(on problem: any LeastSquaresProblem, from parameters: Parameters) throws -> Descent.State {
        try Newton().start(on: problem, from: parameters)
    }
    func step(_ state: inout Descent.State, on problem: any LeastSquaresProblem) throws -> StepReport {
        try Newton().step(&state, on: problem)
    }

    func workingMemory(parameters: Int, residuals: Int?) -> Int? { 8 * parameters * (residuals ?? 0) }
    func square(parameters: Int, residuals: Int?) -> JacobianSquare? { .kernel }
}

private struct BowlSettings: ProblemConfiguration {
    static let identifier = "bowl"
    static let summary = "A bowl."
    static var fields: [Field<Self>] { [] }
    func makeProblem(seed: UInt64) throws -> any Problem { Bowl() }
}

/// No sum of squares.
private struct CloudsSettings: ProblemConfiguration {
    static let identifier = "clouds"
    static let summary = "Clouds."
    static var fields: [Field<Self>] { [] }
    func makeProblem(seed: UInt64) throws -> any Problem { Clouds() }
}

private struct Silent: Callback, Configurable {
    static let identifier = "silent"
    static let summary = "Does nothing."
    static var fields: [Field<Self>] { [] }
    var name: String { Self.identifier }
    func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) -> [RunRequest] { [] }
}

private enum Everyday: Plugin {
    static let identifier = "everyday"
    static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: NamedDescent.self)
        try registry.register(optimizer: NamedNewton.self)
        try registry.register(problem: BowlSettings.self)
        try registry.register(problem: CloudsSettings.self)
        try registry.register(callback: Silent.self)
    }
}

/// Registers something new and something that is there.
private enum Clashing: Plugin {
    struct Other: ProblemConfiguration {
        static let identifier = "other"
        static let summary = "Another bowl."
        static var fields: [Field<Self>] { [] }
        func makeProblem(seed: UInt64) throws -> any Problem { Bowl() }
    }
    static let identifier = "clashing"
    static func register(in registry: inout Registry) throws {
        try registry.register(problem: Other.self)
        try registry.register(optimizer: NamedDescent.self)
    }
}

@Suite struct RegistryTests {
    private func registry() throws -> Registry {
        var registry = Registry()
        try registry.install(Everyday.self)
        return registry
    }

    @Test func whatIsRegisteredIsListedAndMade() throws {
        let registry = try registry()
        #expect(registry.plugins == ["everyday"])
        #expect(registry.optimizers.map(\.name) == ["descent", "newton"])
        #expect(registry.optimizers.map(\.need) == ["DifferentiableProblem", "LeastSquaresProblem"])
        let schema = registry.optimizers[0].schema
        #expect(schema.first?.description == "rate: > 0, 0.01, the step length")
        // What can be asked for beside every method's own settings.
        #expect(
            schema.dropFirst().map(\.name) == ["bounds", "average", "batch"] && schema.dropFirst().allSatisfy { $0.defaultValue == "none" })
        #expect(schema[3].parts.map(\.name) == ["batch"] && schema[3].parts[0].fields.map(\.name).contains("holding"))
        let made = try registry.optimizer(.map([.init("name", .scalar("descent")), .init("rate", .number(0.5))]))
        #expect((made as? NamedDescent)?.rate == 0.5)
        #expect(try registry.optimizer(.scalar("newton")) is NamedNewton)
        #expect(try registry.problem(.scalar("bowl")).makeProblem(seed: 0) is Bowl)
        #expect(try registry.callback(.scalar("silent")) is Silent)
    }

    /// Any problem's loss can be transformed by name; the transform is part of its identity.
    @Test func aLossIsTransformedByASettingBesideTheProblemsOwn() throws {
        let registry = try registry()
        #expect(registry.problems[0].schema.map(\.name) == ["robustLoss", "lossTransform"])
        #expect(registry.problems[0].schema.allSatisfy { $0.defaultValue == "none" })
        func problem(_ transform: String) throws -> any Problem {
            try registry.problem(.map([.init("name", .scalar("bowl")), .init("lossTransform", .scalar(transform))])).makeProblem(seed: 0)
        }
        let root = try #require(try problem("square-root") as? Transformed<Bowl, SquareRoot>)
        #expect(try problem("logarithm") is Transformed<Bowl, Logarithm>)
        let θ: Vector = [3, -2]
        #expect(try root.loss(at: θ).total == Bowl().loss(at: θ).total.squareRoot())
        #expect(root.identity != Bowl().identity && root.identity["transform"]?.text == "square-root")
        let error = #expect(throws: ConfigurationError.self) { try problem("cubic") }
        #expect(error?.path == "problem.lossTransform" && error?.reason.contains("square-root") == true)
    }

    /// Any sum of squares can be made robust by name, and its loss then transformed; both are part of its identity.
    @Test func residualsAreForgivenByASettingBesideTheProblemsOwn() throws {
        let registry = try registry()
        #expect(registry.problems[0].schema[0].parts.map(\.name) == ["huber", "cauchy", "arctan"])
        func problem(_ robust: Setting, _ more: [Setting.Pair] = [], of name: String = "bowl") throws -> any Problem {
            try registry.problem(.map([.init("name", .scalar(name)), .init("robustLoss", robust)] + more)).makeProblem(seed: 0)
        }
        func named(_ name: String, scale: String) -> Setting { .map([.init("name", .scalar(name)), .init("scale", .scalar(scale))]) }
        let made = try #require(try problem(named("cauchy", scale: "0.5")) as? RobustProblem<Bowl>)
        #expect(made.robustLoss == .cauchy && made.scale == 0.5)
        #expect(made.identity["robustLoss"]?["scale"]?.text == "0.5" && made.identity["problem"] == Bowl().identity)
        #expect(try (problem(.scalar("huber")) as? RobustProblem<Bowl>)?.scale == 1)
        let both = try problem(.scalar("huber"), [.init("lossTransform", .scalar("square-root"))])
        #expect(both is Transformed<RobustProblem<Bowl>, SquareRoot>)

        func refused(_ setting: @autoclosure () throws -> any Problem) -> ConfigurationError? {
            #expect(throws: ConfigurationError.self) { try setting() }
        }
        let unknown = refused(try problem(.scalar("hubert")))
        #expect(unknown?.path == "problem.robustLoss" && unknown?.reason.contains("huber") == true)
        let negative = refused(try problem(named("huber", scale: "-1")))
        #expect(negative?.path == "problem.robustLoss.scale" && negative?.reason.contains("> 0") == true)
        let noSquares = refused(try problem(.scalar("huber"), of: "clouds"))
        #expect(noSquares?.path == "problem.robustLoss" && noSquares?.reason.contains("LeastSquaresProblem") == true)
    }

    @Test func aNameIsTakenOnce() throws {
        var registry = try registry()
        let twice = #expect(throws: RegistrationError.self) { try registry.install(Everyday.self) }
        #expect(twice?.kind == "plugin" && twice?.name == "everyday")
        let clash = #expect(throws: RegistrationError.self) { try registry.install(Clashing.self) }
        #expect(clash?.kind == "optimizer" && clash?.name == "descent")
        // Nothing of a plugin that clashes stays behind.
        #expect(registry.problems.map(\.name) == ["bowl", "clouds"] && registry.plugins == ["everyday"])
    }

    @Test func anUnknownNameListsTheNearestFirst() throws {
        let registry = try registry()
        let error = #expect(throws: ConfigurationError.self) {
            try registry.optimizer(.map([.init("name", Setting(.scalar("newtown"), line: 3))]), path: "stages.0.optimizer")
        }
        #expect(error?.description == "line 3: stages.0.optimizer: there is no optimizer “newtown”; there are: newton, descent")
        let nameless = #expect(throws: ConfigurationError.self) { try registry.problem(.map([])) }
        #expect(nameless?.reason == "needs the name of a registered problem")
        let setting = #expect(throws: ConfigurationError.self) {
            try registry.optimizer(.map([.init("name", .scalar("descent")), .init("rat", Setting(.scalar("1"), line: 4))]))
        }
        #expect(setting?.description == "line 4: optimizer.rat: is not a setting of descent; it has: rate")
    }

    /// A problem that is no least-squares problem.
    @Test func aWrongPairingIsRefusedByName() throws {
        let registry = try registry()
        func stage<P: Problem>(_ optimizer: any Optimizer, on problem: P) -> Stage<P> {
            func open<O: Optimizer>(_ optimizer: O) -> Stage<P> { Stage(dynamic: "finish", optimizer, until: .iterations(1)) }
            return open(optimizer)
        }
        let newton = try registry.optimizer(.scalar("newton"))
        let pipeline = Pipeline(minimizing: Script(), stages: [stage(newton, on: Script())])
        let error = #expect(throws: PairingError.self) { try pipeline.preflight(suggestingFrom: registry) }
        #expect(error?.need == "LeastSquaresProblem")
        #expect(error?.offers == ["DifferentiableProblem"])
        #expect(error?.fitting == ["descent"])
        #expect(
            error?.description
                == "stage “finish”: newton needs a LeastSquaresProblem; the problem script offers DifferentiableProblem. "
                + "These optimizers fit: descent.")
        // Refused before the first step, and before any callback hears of a run.
        #expect(throws: PairingError.self) { try pipeline.begin() }
        #expect(registry.optimizers(fitting: Bowl()) == ["descent", "newton"])
    }

    @Test func thePreflightSaysWhatFitsInMemory() throws {
        let pipeline = Pipeline(minimizing: Bowl()) {
            Stage("descend", NamedDescent(), until: .iterations(5))
            Stage("finish", NamedNewton(), until: .loss(below: 1e-9))
        }
        let preflight = try pipeline.preflight(memory: 32)
        #expect(preflight.parameterCount == 2 && preflight.residualCount == 2 && preflight.memory == 32)
        #expect(preflight.stages.map(\.bytes) == [nil, 32])
        #expect(preflight.description.contains("P = 2 parameters, N = 2 residuals"))
        #expect(preflight.stages.map { $0.square?.taken.plan } == [nil, .fromJacobian(.kernel, residuals: 2, parameters: 2)])
        #expect(
            preflight.description.contains("of which JJᵀ from J: 8 flop, blind to singular values of J below 1.49e-8 of the largest, until")
        )
        let error = #expect(throws: MemoryError.self) { try pipeline.preflight(memory: 31) }
        #expect(error?.stage == "finish" && error?.bytes == 32 && error?.available == 31)
        #expect(error?.description.contains("newton would hold") == true)
    }

    /// What the problem works in to form the square counts beside what the method holds.
    @Test func thePreflightCountsTheSquaresOwnMemory() throws {
        let pipeline = Pipeline(minimizing: PaneledBowl()) { Stage("finish", NamedNewton(), until: .loss(below: 1e-9)) }
        #expect(try pipeline.preflight(memory: 132).stages[0].bytes == 132)
        #expect(throws: MemoryError.self) { try pipeline.preflight(memory: 131) }
    }

    @Test func aPipelineNeedsStages() {
        #expect(throws: ConfigurationError.self) { try Pipeline(minimizing: Bowl(), stages: []).preflight() }
    }
}

extension FieldDescription {
    fileprivate var description: String { "\(name): \(range), \(defaultValue), \(meaning)" }
}

/// A bowl whose JJᵀ takes 100 bytes to form.
private struct PaneledBowl: LeastSquaresProblem {
    private let base = Bowl()

    var name: String { base.name }
    var identity: Setting { base.identity }
    var layout: ParameterLayout { base.layout }
    var residualCount: Int { base.residualCount }

    func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
    func loss(at θ: Vector) -> LossValue { base.loss(at: θ) }
    func lossAndGradient(at θ: Vector) -> Evaluation { base.lossAndGradient(at: θ) }
    func residual(at θ: Vector) -> Vector { base.residual(at: θ) }
    func linearization(at θ: Vector) -> any Linearization { base.linearization(at: θ) }
    func plan(of square: JacobianSquare) -> SquarePlan { SquarePlan(square, form: "in panels", flops: 8, bytes: 100) }
}
