import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Synchronization
import Testing

/// Records a running sum of losses, and revises every few steps if asked to; right but for one fault.
struct Summing: Callback {
    enum Wrong: String, CaseIterable, CustomTestStringConvertible {
        case none, noName, asksAtTheEnd, usesHiddenNumbers, sharesItsState, storesRounded, forgetsItsCount, keepsMemoryOutside
        case revisesWithoutIdentity, disturbsTheProblem, neverActs, identityWanders

        var testDescription: String { rawValue }
    }

    final class Box: Sendable {
        let value = Mutex(0.0)
        func add(_ x: Double) -> Double {
            value.withLock {
                $0 += x; return $0
            }
        }
    }

    struct State: Checkpointable {
        var sum = 0.0
        var count = 0
        var wrong = Wrong.none
        var box = Box()

        init(wrong: Wrong) { self.wrong = wrong }

        func encode(into archive: inout Archive) {
            archive.set("wrong", wrong.rawValue)
            archive.set("sum", wrong == .storesRounded ? Double(Float(sum)) : sum)
            if wrong != .forgetsItsCount { archive.set("count", count) }
            if wrong == .sharesItsState { archive.set("box", box.value.withLock { $0 }) }
        }

        init(from archive: Archive) throws {
            wrong = Wrong(rawValue: try archive.string("wrong")) ?? .none
            sum = try archive.double("sum")
            if wrong != .forgetsItsCount { count = try archive.integer("count") }
            if wrong == .sharesItsState { _ = box.add(try archive.double("box")) }
        }
    }

    var wrong = Wrong.none
    var revisesEvery: Int?
    private let memory = Box()
    /// What all callbacks of the process share.
    private static let hidden = Box()

    init(_ wrong: Wrong = .none, revisesEvery: Int? = nil) { (self.wrong, self.revisesEvery) = (wrong, revisesEvery) }

    var name: String { wrong == .noName ? "" : "summing" }
    var identity: Setting? {
        if wrong == .identityWanders { return .number(Self.hidden.add(1)) }
        return revisesEvery != nil && wrong != .revisesWithoutIdentity ? .scalar("summing") : nil
    }

    func start(in observation: Observation) -> State { State(wrong: wrong) }

    func handle(_ event: RunEvent, state: inout State, in observation: Observation) throws -> [RunRequest] {
        if case .runEnded = event, wrong == .asksAtTheEnd { return [.record(.init("late", 1))] }
        guard case .stepTaken(let report) = event else { return [] }
        state.count += 1
        state.sum += report.loss.total
        if wrong == .sharesItsState { state.sum += state.box.add(1) }
        if wrong == .usesHiddenNumbers { state.sum += Self.hidden.add(1) }
        if wrong == .keepsMemoryOutside { state.sum += memory.add(report.loss.total) }
        if wrong == .disturbsTheProblem { (observation.problem as? Disturbed)?.disturbance.value.withLock { $0 += 1e-3 } }
        var requests: [RunRequest] = [.record(.init("sum", state.sum))]
        if let revisesEvery, wrong != .neverActs, state.count % revisesEvery == 0 {
            requests.append(.revise(Reweighting(weight: 1 + 0.25 * Double(state.count))))
        }
        return requests
    }
}

/// A callback whose default setting is outside its own range.
private struct OutOfRange: Callback, Configurable {
    var cadence = 0

    init() {}
    static let identifier = "misconfigured"
    static let summary = "has a default that its own schema refuses"
    static var fields: [Field<OutOfRange>] { [.integer("every", \.cadence, atLeast: 1, meaning: "is out of range")] }
    var name: String { Self.identifier }
    func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) -> [RunRequest] { [] }
}

/// Two bowls, the distance between which somebody else may change: no problem should be like this.
private struct Disturbed: DifferentiableProblem {
    let disturbance = Summing.Box()

    var name: String { "disturbed" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 2) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([1, 2]) }
    func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        let a = disturbance.value.withLock { $0 }
        let (x, y) = (θ[0] - a, θ[1])
        return Evaluation(loss: LossValue(0.5 * (x * x + 10 * y * y)), gradient: [x, 10 * y])
    }
}

@Suite(.serialized) struct CallbackConformanceTests {
    @Test func rightCallbacksConform() throws {
        #expect(try CallbackConformance.check(on: ZooProblem.wood) { Summing() }.checks.count == 9)
        try CallbackConformance.check(on: Fitting()) { Summing(revisesEvery: 3) }
    }

    /// Which check must fall for which fault.
    static let expected: [(Summing.Wrong, String)] = [
        (.noName, "has a name of its own"), (.asksAtTheEnd, "asks only where it is heard"), (.usesHiddenNumbers, "is deterministic"),
        (.sharesItsState, "has a state with value semantics"), (.storesRounded, "interrupted = uninterrupted"),
        (.forgetsItsCount, "interrupted = uninterrupted"), (.keepsMemoryOutside, "interrupted = uninterrupted"),
        (.revisesWithoutIdentity, "changes the run's course by an identity only"),
        (.neverActs, "changes the run's course by an identity only"), (.identityWanders, "changes the run's course by an identity only"),
    ]

    @Test(arguments: expected) func aFaultIsFound(wrong: Summing.Wrong, check: String) throws {
        let report = try CallbackConformance.report(on: Fitting()) { Summing(wrong, revisesEvery: 3) }
        #expect(report.failures.contains { $0.name == check }, "\(report)")
        #expect(throws: ConformanceFailure.self) { try CallbackConformance.check(on: Fitting()) { Summing(wrong, revisesEvery: 3) } }
    }

    @Test func everyFaultIsTried() {
        #expect(Set(Self.expected.map(\.0)).union([.none, .disturbsTheProblem]) == Set(Summing.Wrong.allCases))
    }

    @Test func aDisturbedCourseIsFound() throws {
        let report = try CallbackConformance.report(on: Disturbed()) { Summing(.disturbsTheProblem) }
        #expect(report.failures.contains { $0.name == "changes the run's course by an identity only" }, "\(report)")
    }

    @Test func aStateThatStoresItselfDifferentlyIsFound() throws {
        /// Each time it is stored, it counts.
        struct Counting: Callback {
            struct State: Checkpointable {
                var stored = 0
                init() {}
                func encode(into archive: inout Archive) { archive.set("stored", stored) }
                init(from archive: Archive) throws { stored = try archive.integer("stored") + 1 }
            }
            var name: String { "counting" }
            func start(in observation: Observation) -> State { State() }
            func handle(_ event: RunEvent, state: inout State, in observation: Observation) -> [RunRequest] { [] }
        }
        let report = try CallbackConformance.report(on: ZooProblem.wood) { Counting() }
        #expect(report.failures.map(\.name).contains("comes back from storage"), "\(report)")
    }

    @Test func aDefaultOutOfRangeIsFound() throws {
        let report = try CallbackConformance.report(on: ZooProblem.wood) { OutOfRange() }
        #expect(report.failures.map(\.name) == ["accepts its own settings"])
    }

    @Test func aSettingThatTakesTooMuchIsFound() throws {
        struct Lenient: Callback, Configurable {
            var every = 2
            init() {}
            static let identifier = "lenient"
            static let summary = "takes a cadence of zero"
            static var fields: [Field<Lenient>] {
                [
                    Field("every", range: "≥ 1", meaning: "is a cadence", read: { .integer($0.every) }) { root, setting, path in
                        guard let count = setting.text.flatMap(Int.init), (0...Int(Int32.max)).contains(count) else {
                            throw ConfigurationError(path: path, reason: "no cadence")
                        }
                        root.every = count
                    }
                ]
            }
            var name: String { Self.identifier }
            func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) -> [RunRequest] { [] }
        }
        let report = try CallbackConformance.report(on: ZooProblem.wood) { Lenient() }
        #expect(report.failures.map(\.name) == ["refuses bad settings"])
        #expect(report.description.contains("“every: 0” is accepted, where the schema says: ≥ 1"))
    }
}
