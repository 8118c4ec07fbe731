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
        case storesNonFiniteGradient, reportsCandidatesLoss, adaptMoves

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
                let breakdown = Breakdown.nonFinite(at: candidate, on: problem)
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

/// Takes whatever it is given as its rate.
struct Permissive: Optimizer, Configurable {
    var rate = 1.0
    private var right = Backtracking()

    init() {}
    static let identifier = "permissive"
    static let summary = "has a setting that may be no number"
    static var fields: [Field<Permissive>] { [.number("rate", \.rate, in: Bounds("anything") { _ in true }, meaning: "is anything")] }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> Backtracking.State {
        try right.start(on: problem, from: parameters)
    }
    func step(_ state: inout Backtracking.State, on problem: any DifferentiableProblem) throws -> StepReport {
        try right.step(&state, on: problem)
    }
}

@Suite struct OptimizerConformanceTests {
    @Test(arguments: ZooProblem.smooth) func aRightOptimizerConforms(problem: ZooProblem) throws {
        let report = try OptimizerConformance.check(Backtracking(), on: problem)
        #expect(report.checks.count == 13)
    }

    /// Which check must fall for which fault.
    static let expected: [(Backtracking.Wrong, String)] = [
        (.startsElsewhere, "starts where it is told"), (.climbs, "descends"), (.reportsOldLoss, "reports the loss of its parameters"),
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
        (.adaptMoves, "adapts to a new version where it stands"),
    ]

    @Test(arguments: expected) func aFaultIsFound(wrong: Backtracking.Wrong, check: String) throws {
        let report = try OptimizerConformance.report(Backtracking(wrong), on: ZooProblem.wood)
        #expect(report.failures.contains { $0.name == check }, "\(report)")
        #expect(throws: ConformanceFailure.self) { try OptimizerConformance.check(Backtracking(wrong), on: ZooProblem.wood) }
    }

    @Test func everyFaultIsTried() { #expect(Set(Self.expected.map(\.0)).union([.none]) == Set(Backtracking.Wrong.allCases)) }

    @Test func aDefaultOutOfRangeIsFound() throws {
        let report = try OptimizerConformance.report(Misconfigured(), on: ZooProblem.wood)
        #expect(report.failures.map(\.name) == ["accepts its own settings"])
        #expect(report.description.contains("must be > 0"))
    }

    @Test func aSettingThatTakesAnythingIsFound() throws {
        let report = try OptimizerConformance.report(Permissive(), on: ZooProblem.wood)
        #expect(report.failures.map(\.name) == ["refuses bad settings"])
        #expect(report.description.contains("rate: nan"))
    }

    @Test func tooSmallADescentIsFound() throws {
        let report = try OptimizerConformance.report(Backtracking(), on: ZooProblem.rosenbrock, decrease: 1e-12)
        #expect(report.failures.map(\.name) == ["descends"])
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
