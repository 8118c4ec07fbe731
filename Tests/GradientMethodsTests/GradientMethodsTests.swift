import Globalization
import GradientMethods
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

/// ½ Σ dᵢ(xᵢ − 1)² with dᵢ from 1 to `condition`, evenly spread, times `factor`.
struct Bowl: DifferentiableProblem {
    var count: Int
    var condition: Double
    var factor = 1.0

    var name: String { "bowl" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: count) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(random.normalVector(count)) }
    func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        var (loss, gradient) = (0.0, Vector.zeros(count))
        for i in 0..<count {
            gradient[i] = factor * (1 + (condition - 1) * Double(i) / Double(count - 1)) * (θ[i] - 1)
            loss += 0.5 * gradient[i] * (θ[i] - 1)
        }
        return Evaluation(loss: LossValue(loss), gradient: gradient)
    }
}

/// A loss and its gradient times a power of two.
struct Rescaled<Base: DifferentiableProblem>: DifferentiableProblem {
    var base: Base
    var factor: Double

    var name: String { base.name }
    var identity: Setting { base.identity }
    var layout: ParameterLayout { base.layout }
    func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
    func loss(at θ: Vector) throws -> LossValue { LossValue(factor * (try base.loss(at: θ)).total) }
    func lossAndGradient(at θ: Vector) throws -> Evaluation {
        let value = try base.lossAndGradient(at: θ)
        return Evaluation(loss: LossValue(factor * value.loss.total), gradient: factor * value.gradient)
    }
}

/// A method with its states made anonymous: the parameters and reports of a run.
struct Method: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var run: @Sendable (any DifferentiableProblem, Vector, Int) throws -> (points: [Vector], reports: [StepReport])

    init<O: Optimizer>(_ name: String, _ optimizer: O) {
        testDescription = name
        run = { problem, start, steps in
            guard let objective = problem as? O.Objective else { return ([], []) }
            var state = try optimizer.start(on: objective, from: Parameters(start))
            var (points, reports) = ([Vector](), [StepReport]())
            for _ in 0..<steps {
                reports.append(try optimizer.step(&state, on: objective))
                points.append(state.parameters.values)
                if reports.last?.verdict != .accepted { break }
            }
            return (points, reports)
        }
    }

    static let all: [Method] =
        [
            Method("gradient descent", GradientDescent()), Method("backtracking", GradientDescent(lineSearch: BacktrackingArmijo())),
            Method("heavy ball", HeavyBall()), Method("nesterov", Nesterov()), Method("nesterov by gradient", Nesterov(restart: .gradient)),
            Method("preconditioned", ConjugateGradient(.hagerZhang, preconditioner: .diagonal)),
        ] + SpectralStep.allCases.map { Method("barzilai-borwein \($0)", BarzilaiBorwein($0)) }
        + ConjugacyFormula.allCases.map { Method("\($0)", ConjugateGradient($0)) }
}

@Suite struct GradientMethodTests {
    /// No threshold is absolute: scaled by 2⁻⁴⁰ and by 2⁴⁰, a loss gives the same bits in every iterate.
    @Test(arguments: Method.all, [ZooProblem.rosenbrock, .wood, .biggsExponential, .brownDennis])
    func scaledLossesGiveTheSameBits(method: Method, problem: ZooProblem) throws {
        let (points, reports) = try method.run(Rescaled(base: problem, factor: 1), problem.start, 150)
        #expect(points.count > 20)
        for factor in [0x1p-40, 0x1p40] {
            let other = try method.run(Rescaled(base: problem, factor: factor), problem.start, 150)
            #expect(other.points == points, "scaled by \(factor)")
            #expect(other.reports.map(\.verdict.name) == reports.map(\.verdict.name))
        }
    }

    /// With an exact search, conjugate gradients end on a quadratic after as many steps as it has curvatures.
    @Test(arguments: ConjugacyFormula.allCases) func quadraticsEndInAsManyStepsAsTheyHaveCurvatures(formula: ConjugacyFormula) throws {
        var search = StrongWolfe()
        (search.sufficientDecrease, search.curvature) = (1e-9, 1e-8)
        var optimizer = ConjugateGradient(formula)
        optimizer.lineSearch = search
        let method = Method("exact", optimizer)
        let run = try method.run(Bowl(count: 8, condition: 50), [3, -1, 2, 0.5, -2, 4, 1.5, -3], 8)
        let (first, last) = (try #require(run.reports.first?.loss.total), try #require(run.reports.last?.loss.total))
        #expect(last <= 1e-12 * first, "\(last) of \(first)")
    }

    /// Steps that the rates of the methods promise on a condition of 1 000: κ for descent, √κ for the accelerated ones.
    @Test func accelerationAccelerates() throws {
        func steps(_ method: Method) throws -> Int {
            let start = Vector((0..<30).map { Double($0 % 5) - 2 })
            let run = try method.run(Bowl(count: 30, condition: 1_000), start, 20_000)
            let first = run.reports[0].loss.total
            return run.reports.firstIndex { $0.loss.total <= 1e-10 * first } ?? .max
        }
        let plain = try steps(Method("descent", GradientDescent()))
        #expect(plain > 1_000)
        for method in [
            Method("cg", ConjugateGradient()), Method("nesterov", Nesterov()), Method("nesterov", Nesterov(restart: .gradient)),
            Method("barzilai-borwein", BarzilaiBorwein()), Method("heavy ball", HeavyBall()),
        ] {
            let count = try steps(method)
            #expect(count < plain / 3, "\(method.testDescription): \(count) of \(plain)")
        }
    }

    /// Without its restarts the momentum overshoots: the loss goes up and down, and further is left at the end.
    @Test func restartsHelpNesterov() throws {
        let start = Vector((0..<30).map { Double($0 % 5) - 2 })
        let bowl = Bowl(count: 30, condition: 1_000)
        let free = try Method("never", Nesterov(restart: .never)).run(bowl, start, 600).reports.map(\.loss.total)
        let restarted = try Method("loss", Nesterov()).run(bowl, start, 600).reports.map(\.loss.total)
        #expect(zip(free, free.dropFirst()).contains { $0 < $1 })
        #expect(zip(restarted, restarted.dropFirst()).allSatisfy { $0 >= $1 })
        #expect(restarted[restarted.count - 1] < 1e-3 * free[free.count - 1])
    }

    /// Barzilai and Borwein's lengths by hand: after a first step on diag(1, 4), α is sᵀs/sᵀy or sᵀy/yᵀy of it.
    @Test(arguments: SpectralStep.allCases) func spectralLengths(length: SpectralStep) throws {
        let bowl = Bowl(count: 2, condition: 4)
        var state = try BarzilaiBorwein(length).start(on: bowl, from: Parameters([3, 2]))
        let first = state.parameters.values
        _ = try BarzilaiBorwein(length).step(&state, on: bowl)
        let s = state.parameters.values - first
        let y: Vector = [s[0], 4 * s[1]]
        let (long, short) = (s.dot(s) / s.dot(y), s.dot(y) / y.dot(y))
        let expected = length == .long ? long : length == .short || short < 0.15 * long ? short : long
        #expect(abs((state.stepLength ?? 0) - expected) <= 1e-14 * expected)
        // Losses go up on the way, and the method converges nonetheless.
        let run = try Method("bb", BarzilaiBorwein(length)).run(Bowl(count: 30, condition: 1_000), .zeros(30), 600)
        let losses = run.reports.map(\.loss.total)
        #expect(zip(losses, losses.dropFirst()).contains { $0 < $1 })
        #expect(losses[losses.count - 1] <= 1e-10 * losses[0])
    }

    /// The diagonal preconditioner undoes a diagonal scaling of 10⁶ that conjugate gradients alone crawl along.
    @Test func thePreconditionerHelps() throws {
        struct Stretched: DifferentiableProblem {
            var name: String { "stretched" }
            var identity: Setting { .scalar(name) }
            var layout: ParameterLayout { ParameterLayout(count: 40) }
            func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(.zeros(40)) }
            func loss(at θ: Vector) throws -> LossValue { lossAndGradient(at: θ).loss }
            func lossAndGradient(at θ: Vector) -> Evaluation {
                // Neighbours are coupled, in scaled variables zᵢ = θᵢ·dᵢ with dᵢ from 1 to 1 000.
                let d = (0..<40).map { 1 + 999 * Double($0 * $0) / 1521 }
                let z = zip(θ, d).map { $0 * $1 - 1 }
                var (loss, g) = (0.0, Vector.zeros(40))
                for i in 0..<40 {
                    let coupled = z[i] - (i > 0 ? 0.4 * z[i - 1] : 0)
                    loss += 0.5 * coupled * coupled + 0.05 * coupled * coupled * coupled * coupled
                    let slope = coupled + 0.2 * coupled * coupled * coupled
                    g[i] += slope * d[i]
                    if i > 0 { g[i - 1] -= 0.4 * slope * d[i - 1] }
                }
                return Evaluation(loss: LossValue(loss), gradient: g)
            }
        }
        func steps(_ preconditioner: GradientPreconditioner) throws -> Int {
            let optimizer = ConjugateGradient(.hagerZhang, preconditioner: preconditioner)
            let run = try Method("cg", optimizer).run(Stretched(), .zeros(40), 20_000)
            return run.reports.firstIndex { $0.loss.total <= 1e-12 } ?? .max
        }
        let (plain, scaled) = (try steps(.none), try steps(.diagonal))
        #expect(scaled < plain / 2, "\(scaled) against \(plain)")
    }

    @Test func settingsOfThePluginRoundTrip() throws {
        var registry = Registry()
        try registry.install(GradientMethodsPlugin.self)
        #expect(
            registry.optimizers.map(\.name) == ["gradient-descent", "barzilai-borwein", "heavy-ball", "nesterov", "nonlinear-cg"])
        for entry in registry.optimizers {
            let optimizer = try #require(try registry.optimizer(.scalar(entry.name)) as? any Configurable)
            #expect(SettingsConformance.failures(of: optimizer) == [], "\(entry.name)")
        }
    }

    @Test func malformedStatesAreRefused() throws {
        let state = try ConjugateGradient().start(on: ZooProblem.rosenbrock, from: Parameters([-1.2, 1]))
        for (entry, values) in [("direction", [1.0]), ("metric", [1.0, 2, 3])] {
            var archive = Archive(of: state)
            archive.set(entry, values)
            #expect(throws: ArchiveError.self) { try ConjugateGradientState(from: archive) }
        }
    }
}
