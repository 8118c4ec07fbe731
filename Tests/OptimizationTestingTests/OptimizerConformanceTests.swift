import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Synchronization
import Testing

/// Gradient descent with a backtracking step, right but for one fault.
struct Backtracking: Optimizer {
    enum Wrong: String, CaseIterable, CustomTestStringConvertible {
        case none, startsElsewhere, climbs, reportsOldLoss, reportsWrongNorm, movesWhenRejecting, nondeterministic, referenceState
        case forgetsTrial, loosesDigits, sharedMemory, acceptsNonFinite, breakdownChangesState, throwsOnNonFinite, callsNonFiniteStationary
        case storesNonFiniteGradient, reportsCandidatesLoss, adaptMoves, namesNoFault

        var testDescription: String { rawValue }
    }

    var wrong = Wrong.none
    /// What a wrong optimizer shares between its runs.
    private let shared = Shared()

    init(_ wrong: Wrong = .none) { self.wrong = wrong }

    final class Shared: Sendable {
        let calls = Mutex(0)
        func next() -> Int {
            calls.withLock {
                $0 += 1; return $0
            }
        }
    }

    /// A box that a state without value semantics hides behind.
    final class Box: Sendable {
        let extra = Mutex(0.0)
    }

    struct State: OptimizerState {
        var parameters: Parameters
        var gradient: Vector
        var loss: Double
        /// The step length of the next trial.
        var trial = 1.0
        var breakdowns = 0
        var wrong: Wrong
        var box = Box()

        init(parameters: Parameters, gradient: Vector, loss: Double, wrong: Wrong) {
            (self.parameters, self.gradient, self.loss, self.wrong) = (parameters, gradient, loss, wrong)
        }

        func encode(into archive: inout Archive) {
            archive.set("parameters", parameters)
            archive.set("gradient", wrong == .loosesDigits ? Vector(gradient.map { Double(Float($0)) }) : gradient)
            archive.set("loss", loss)
            if wrong != .forgetsTrial { archive.set("trial", trial) }
            archive.set("breakdowns", breakdowns)
            archive.set("wrong", wrong.rawValue)
            if wrong == .referenceState { archive.set("extra", box.extra.withLock { $0 }) }
        }

        init(from archive: Archive) throws {
            let wrong = Wrong(rawValue: try archive.string("wrong")) ?? .none
            self.init(
                parameters: try archive.value("parameters"), gradient: try archive.vector("gradient"), loss: try archive.double("loss"),
                wrong: wrong)
            if wrong != .forgetsTrial { trial = try archive.double("trial") }
            breakdowns = try archive.integer("breakdowns")
            if wrong == .referenceState {
                let extra = try archive.double("extra")
                box.extra.withLock { $0 = extra }
            }
        }
    }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> State {
        var parameters = parameters
        if wrong == .startsElsewhere { parameters.values[0] += 0.25 }
        let value = try problem.lossAndGradient(at: parameters.values)
        return State(parameters: parameters, gradient: value.gradient, loss: value.loss.total, wrong: wrong)
    }

    func adapt(_ state: inout State, to problem: any DifferentiableProblem) throws {
        var parameters = state.parameters
        if wrong == .adaptMoves { parameters.values[0] *= 1.01 }
        state = try start(on: problem, from: parameters)
    }

    func step(_ state: inout State, on problem: any DifferentiableProblem) throws -> StepReport {
        let old = state.loss
        var α = state.trial
        if wrong == .nondeterministic || wrong == .sharedMemory {
            // Hidden state: by the clock, so to say, or by whichever run came before.
            let calls = shared.next()
            if wrong == .nondeterministic || calls % 3 == 0 { α *= 1 - 1e-3 * Double(calls % 7) }
        }
        if wrong == .referenceState {
            let extra = state.box.extra.withLock {
                $0 += 1; return $0
            }
            α /= 1 + 0.01 * extra
        }
        if state.gradient.norm == 0 { return StepReport(loss: LossValue(old), gradientNorm: 0, verdict: .stationary) }
        var candidate = state.parameters.values.adding(state.gradient, scaledBy: wrong == .climbs ? 1e-6 : -α)
        var value = try problem.lossAndGradient(at: candidate)
        if wrong == .movesWhenRejecting, value.loss.total > old {
            state.parameters.values = candidate
            (state.gradient, state.loss, state.trial) = (value.gradient, value.loss.total, α / 2)
            return StepReport(loss: value.loss, verdict: .rejected)
        }
        while wrong != .climbs, wrong != .acceptsNonFinite, !value.isFinite || value.loss.total >= old {
            α /= 2
            if wrong == .storesNonFiniteGradient, !value.gradient.isFinite { state.gradient = value.gradient }
            if α < 1e-18 {
                if wrong == .throwsOnNonFinite { throw Breakdown(.nonFinite, "not finite") }
                if wrong == .breakdownChangesState { state.breakdowns += 1 }
                let stationary = value.isFinite || wrong == .callsNonFiniteStationary
                let breakdown =
                    wrong == .namesNoFault
                    ? Breakdown(.nonFinite, "something is not finite") : Breakdown.nonFinite(at: candidate, on: problem)
                return StepReport(
                    loss: wrong == .reportsCandidatesLoss ? value.loss : LossValue(old), gradientNorm: state.gradient.norm,
                    verdict: stationary ? .stationary : .brokeDown(breakdown))
            }
            candidate = state.parameters.values.adding(state.gradient, scaledBy: -α)
            value = try problem.lossAndGradient(at: candidate)
        }
        state.parameters.values = candidate
        (state.gradient, state.loss, state.trial) = (value.gradient, value.loss.total, 1.7 * α)
        return StepReport(
            loss: wrong == .reportsOldLoss ? LossValue(old) : value.loss,
            gradientNorm: value.gradient.norm * (wrong == .reportsWrongNorm ? 2 : 1), stepLength: α)
    }
}

/// An optimizer whose default setting is outside its own range.
struct Misconfigured: Optimizer, Configurable {
    var rate = -1.0
    private var right = Backtracking()

    init() {}
    static let identifier = "misconfigured"
    static let summary = "has a default that its own schema refuses"
    static var fields: [Field<Misconfigured>] { [.number("rate", \.rate, in: .positive, meaning: "is out of range")] }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> Backtracking.State {
        try right.start(on: problem, from: parameters)
    }
    func step(_ state: inout Backtracking.State, on problem: any DifferentiableProblem) throws -> StepReport {
        try right.step(&state, on: problem)
    }
}

/// Keeps its trial step in a table of the process, where only a state of this process finds it again.
struct Forgetful: Optimizer {
    private static let table = Mutex<[Int: Double]>([:])

    struct State: OptimizerState {
        var base: Backtracking.State
        /// Where the trial step is kept.
        var key: Int

        var parameters: Parameters { base.parameters }

        init(base: Backtracking.State, key: Int) { (self.base, self.key) = (base, key) }

        func encode(into archive: inout Archive) {
            var forgotten = base
            forgotten.trial = 1
            archive.set("base", forgotten)
            archive.set("key", key)
        }

        init(from archive: Archive) throws { self.init(base: try archive.value("base"), key: try archive.integer("key")) }
    }

    private let right = Backtracking()

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> State {
        State(base: try right.start(on: problem, from: parameters), key: 0)
    }

    func step(_ state: inout State, on problem: any DifferentiableProblem) throws -> StepReport {
        // By the loss: what the process has seen before has the same trial step again.
        state.base.trial = Self.table.withLock { $0[state.key] } ?? state.base.trial
        let report = try right.step(&state.base, on: problem)
        state.key = Int(truncatingIfNeeded: state.base.loss.bitPattern)
        Self.table.withLock { [state] in $0[state.key] = state.base.trial }
        return report
    }
}

/// Has settings that keep what the schema says, but for one.
struct Permissive: Optimizer, Configurable {
    enum Wrong: String, CaseIterable {
        case none, takesItsLowerEnd, takesItsUpperEnd, takesNaN, takesInfinity, takesWords, takesFractions, takesLargeNumbers, takesLists
        case takesOtherNames, blamesAnother, throwsBareErrors, takesZeroInAPart
    }

    /// The fault of the type: one test at a time asks for it.
    static let wrong = Mutex(Wrong.none)

    var rate = 0.5
    var count = 2
    var mode = "fast"
    var part = Part()
    private var right = Backtracking()

    init() {}
    static let identifier = "permissive"
    static let summary = "takes what it says it refuses"
    static var fields: [Field<Permissive>] {
        let wrong = Self.wrong.withLock { $0 }
        return [
            Field("rate", range: "in (0, 1]", meaning: "is a number", read: { .number($0.rate) }) { root, setting, path in
                if wrong == .takesWords, setting.text != nil, Double(setting.text ?? "") == nil { return }
                if wrong == .takesLists, case .list = setting.value { return }
                if wrong == .throwsBareErrors, setting.text == nil { throw Breakdown(.other, "is no text") }
                let place = wrong == .blamesAnother ? "permissive.count" : path
                guard let text = setting.text, let value = Double(text) else { throw ConfigurationError(path: place, reason: "no number") }
                let isTaken =
                    switch wrong {
                    case .takesItsLowerEnd: value >= 0 && value <= 1
                    case .takesItsUpperEnd: value > 0 && value.isFinite
                    case .takesNaN: value > 0 && value <= 1 || value.isNaN
                    case .takesInfinity: value > 0 && value <= 1 || value == .infinity
                    default: value > 0 && value <= 1
                    }
                guard isTaken else { throw ConfigurationError(path: place, reason: "\(value) must be in (0, 1]") }
                root.rate = value
            },
            Field("count", range: "≥ 1", meaning: "is a whole number", read: { .integer($0.count) }) { root, setting, path in
                let number = setting.text.flatMap(Double.init)
                guard let number, number >= 1, number < (wrong == .takesLargeNumbers ? 1e18 : 2147483647.5) else {
                    throw ConfigurationError(path: path, reason: "no count")
                }
                guard number == number.rounded() || wrong == .takesFractions else { throw ConfigurationError(path: path, reason: "½") }
                root.count = Int(number)
            },
            Field("mode", range: "fast | slow", meaning: "is a word", read: { .scalar($0.mode) }) { root, setting, path in
                guard let text = setting.text, ["fast", "slow"].contains(text) || wrong == .takesOtherNames else {
                    throw ConfigurationError(path: path, reason: "no mode")
                }
                root.mode = text
            },
            .part("part", \.part, meaning: "has settings of its own"),
        ]
    }

    struct Part: Configurable {
        var size = 1.0
        static let identifier = "part"
        static let summary = "a part"
        static var fields: [Field<Part>] {
            let bounds = Permissive.wrong.withLock { $0 } == .takesZeroInAPart ? Bounds("> 0") { $0 >= 0 && $0.isFinite } : .positive
            return [.number("size", \.size, in: bounds, meaning: "is positive")]
        }
    }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> Backtracking.State {
        try right.start(on: problem, from: parameters)
    }
    func step(_ state: inout Backtracking.State, on problem: any DifferentiableProblem) throws -> StepReport {
        try right.step(&state, on: problem)
    }
}

@Suite(.serialized) struct OptimizerConformanceTests {
    @Test(arguments: ZooProblem.smooth) func aRightOptimizerConforms(problem: ZooProblem) throws {
        let report = try OptimizerConformance.check(Backtracking(), on: problem, reaching: .descent())
        #expect(report.checks.count == 13)
    }

    /// Which check must fall for which fault.
    static let expected: [(Backtracking.Wrong, String)] = [
        (.startsElsewhere, "starts where it is told"), (.climbs, "comes as far as it declares"),
        (.reportsOldLoss, "reports the loss of its parameters"),
        (.reportsWrongNorm, "reports the loss of its parameters"), (.movesWhenRejecting, "moves only when it accepts"),
        (.nondeterministic, "is deterministic"), (.referenceState, "has a state with value semantics"),
        (.forgetsTrial, "goes on from a stored state bit for bit"), (.forgetsTrial, "interrupted = uninterrupted"),
        (.loosesDigits, "goes on from a stored state bit for bit"), (.sharedMemory, "keeps two runs apart"),
        (.acceptsNonFinite, "meets non-finite values with a verdict, its state untouched"),
        (.breakdownChangesState, "meets non-finite values with a verdict, its state untouched"),
        (.throwsOnNonFinite, "meets non-finite values with a verdict, its state untouched"),
        (.callsNonFiniteStationary, "meets non-finite values with a verdict, its state untouched"),
        (.storesNonFiniteGradient, "meets non-finite values with a verdict, its state untouched"),
        (.reportsCandidatesLoss, "meets non-finite values with a verdict, its state untouched"),
        (.namesNoFault, "meets non-finite values with a verdict, its state untouched"),
        (.adaptMoves, "adapts to a new version where it stands"),
    ]

    @Test(arguments: expected) func aFaultIsFound(wrong: Backtracking.Wrong, check: String) throws {
        let report = try OptimizerConformance.report(Backtracking(wrong), on: ZooProblem.wood, reaching: .descent())
        #expect(report.failures.contains { $0.name == check }, "\(report)")
        #expect(throws: ConformanceFailure.self) {
            try OptimizerConformance.check(Backtracking(wrong), on: ZooProblem.wood, reaching: .descent())
        }
    }

    @Test func everyFaultIsTried() { #expect(Set(Self.expected.map(\.0)).union([.none]) == Set(Backtracking.Wrong.allCases)) }

    @Test func aDefaultOutOfRangeIsFound() throws {
        let report = try OptimizerConformance.report(Misconfigured(), on: ZooProblem.wood, reaching: .descent())
        #expect(report.failures.map(\.name) == ["accepts its own settings"])
        #expect(report.description.contains("must be > 0"))
    }

    @Test(arguments: Permissive.Wrong.allCases) func aSettingThatTakesTooMuchIsFound(wrong: Permissive.Wrong) throws {
        Permissive.wrong.withLock { $0 = wrong }
        defer { Permissive.wrong.withLock { $0 = .none } }
        let report = try OptimizerConformance.report(Permissive(), on: ZooProblem.wood, reaching: .descent())
        #expect(report.failures.map(\.name) == (wrong == .none ? [] : ["refuses bad settings"]), "\(report)")
        let says: String =
            switch wrong {
            case .none: "conforms"
            case .takesItsLowerEnd: "“rate: 0.0” is accepted, where the schema says: in (0, 1]"
            case .takesItsUpperEnd: "“rate: 3.0” is accepted"
            case .takesNaN: "“rate: nan” is accepted"
            case .takesInfinity: "“rate: inf” is accepted"
            case .takesWords: "“rate: noSuchWord” is accepted"
            case .takesFractions: "“count: 1.5” is accepted"
            case .takesLargeNumbers: "“count: 2147483648” is accepted"
            case .takesLists: "“rate: [1]” is accepted"
            case .takesOtherNames: "“mode: noSuchWord” is accepted"
            case .blamesAnother: "is refused in the name of “permissive.count”"
            case .throwsBareErrors: "is refused without a ConfigurationError"
            case .takesZeroInAPart: "“part.size: 0.0” is accepted, where the schema says: > 0"
            }
        #expect(report.description.contains(says), "\(report)")
    }

    @Test func tooSmallADescentIsFound() throws {
        for accuracy in [DeclaredAccuracy(1e-12, within: 20), DeclaredAccuracy(0.9, within: 20, except: ["rosenbrock": 1e-12])] {
            let report = try OptimizerConformance.report(Backtracking(), on: ZooProblem.rosenbrock, reaching: accuracy)
            #expect(report.failures.map(\.name) == ["comes as far as it declares"])
            #expect(report.description.contains("where 1e-12 is declared"))
        }
        let misspelt = DeclaredAccuracy(0.9, within: 20, except: ["rosenbrok": 1])
        let report = try OptimizerConformance.report(Backtracking(), on: ZooProblem.rosenbrock, reaching: misspelt)
        #expect(report.description.contains("rosenbrok, which the zoo does not have"))
    }

    /// A gap is of the nearest known minimum: of a local one where the method ends there, and none is left of what the tables round.
    @Test func gaps() throws {
        let problem = ZooProblem.freudensteinRoth
        let (start, local) = (try #require(problem.lossAtStart), problem.localMinima[0])
        #expect(DeclaredAccuracy.gap(of: start, from: start, on: problem) > 0.99 * (start - local) / start)
        #expect(DeclaredAccuracy.gap(of: local * (1 + 1e-6), from: start, on: problem) == 0)
        #expect(abs(DeclaredAccuracy.gap(of: local * 1.1, from: start, on: problem) - 0.1 * local / start) < 1e-5)
        #expect(DeclaredAccuracy.gap(of: 1e-3, from: start, on: problem) == 1e-3 / start)
        #expect(DeclaredAccuracy.gap(of: .nan, from: start, on: problem).isNaN)
        // Where no minimum is known it is of the loss itself.
        #expect(DeclaredAccuracy.gap(of: 1, from: 4, on: Fitting()) == 0.25)
        #expect(DeclaredAccuracy.gap(of: -1, from: 4, on: Fitting()) == 0)
        #expect(DeclaredAccuracy.gap(of: -1, from: -2, on: Fitting()) == .infinity)
    }

    // MARK: In a fresh process

    @Test func goesOnInAFreshProcess() async throws {
        let cut = try OptimizerConformance.interrupted(Backtracking(), on: ZooProblem.wood)
        await #expect(processExitsWith: .success) { [cut = cut as InterruptedRun] in
            try cut.finish(Backtracking(), on: ZooProblem.wood)
        }
    }

    /// In the process that cut it the run goes on as if nothing was missing, which is why it is tried in another one.
    @Test func aStateThatIsKeptInTheProcessIsFound() async throws {
        let cut = try OptimizerConformance.interrupted(Forgetful(), on: ZooProblem.wood)
        try cut.finish(Forgetful(), on: ZooProblem.wood)
        await #expect(processExitsWith: .success) { [cut = cut as InterruptedRun] in
            let error = #expect(throws: ConformanceFailure.self) { try cut.finish(Forgetful(), on: ZooProblem.wood) }
            #expect(error?.description.contains("cut after step 10: ") == true, "\(String(describing: error))")
        }
    }

    @Test func anotherRunIsNotFinished() throws {
        let cut = try OptimizerConformance.interrupted(Backtracking(), on: ZooProblem.wood)
        #expect(throws: ConformanceFailure.self) { try cut.finish(Backtracking(), on: ZooProblem.rosenbrock) }
    }

    @Test func theInjectorOffersWhatItsBaseOffers() {
        let faulty = FaultInjecting(ZooProblem.beale)
        #expect(offers(of: faulty) == offers(of: ZooProblem.beale))
        faulty.injector.arm(.derivativesOnly, after: 1)
        #expect(throws: Never.self) {
            #expect(try faulty.lossAndGradient(at: [1, 1]).isFinite)
            let value = try faulty.lossAndGradient(at: [1, 1])
            #expect(value.loss.isFinite && !value.gradient.isFinite)
        }
        #expect(faulty.injector.disarm() == 1)
    }
}
