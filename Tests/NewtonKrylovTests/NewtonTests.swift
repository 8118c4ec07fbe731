import Globalization
import NewtonFixtures
import LinearAlgebra
import NewtonKrylov
import OptimizationCore
import OptimizationTesting
import Testing

/// What the methods have in common, each tried by name.
@Suite struct NewtonTests {
    struct Method: Sendable, CustomTestStringConvertible {
        typealias Course = (θ: Vector, reports: [StepReport])
        var testDescription: String
        var run: @Sendable (any TwiceDifferentiableProblem, Parameters, Int) throws -> Course
        /// Stores and restores the state before every step; throws where a bit differs.
        var interrupted: @Sendable (any TwiceDifferentiableProblem, Parameters, Int) throws -> Void

        init<O: Optimizer>(_ name: String, _ optimizer: O) where O.Objective == any TwiceDifferentiableProblem, O.State: Equatable {
            testDescription = name
            run = { problem, start, steps in
                let (state, reports) = try drive(optimizer, on: problem, from: start, steps: steps)
                return (state.parameters.values, reports)
            }
            interrupted = { problem, start, steps in
                var whole = try optimizer.start(on: problem, from: start)
                for step in 0..<steps {
                    var resumed = try Archive(of: whole).decoded(as: O.State.self)
                    #expect(resumed == whole)
                    let verdict = try optimizer.step(&whole, on: problem).verdict
                    _ = try optimizer.step(&resumed, on: problem)
                    #expect(resumed == whole, "\(name), step \(step + 1)")
                    if verdict != .accepted, verdict != .rejected { break }
                }
            }
        }
    }

    static let methods = [
        Method("newton-cg", NewtonCG()),
        Method("newton-cg, last iterate", with(NewtonCG()) { $0.negativeCurvature = .lastIterate }),
        Method("newton-cg, choice 1", with(NewtonCG()) { $0.forcing = ForcingTerm(.modelAgreement) }),
        Method("newton-minres", NewtonMINRES()),
        Method("newton-minres, last iterate", with(NewtonMINRES()) { $0.negativeCurvature = .lastIterate }),
        Method("nystrom-newton-cg", NystromNewtonCG()), Method("newton", Newton()),
        Method("newton, shifted", Newton(.eigenvalueShift)), Method("saddle-free-newton", SaddleFreeNewton()),
        Method("saddle-free-newton, Krylov", SaddleFreeNewton(denseLimit: 0)), Method("cubic-regularization", CubicRegularization()),
    ]

    static func with<T>(_ value: T, _ change: (inout T) -> Void) -> T {
        var changed = value
        change(&changed)
        return changed
    }

    // MARK: What Newton's method does

    /// A convex quadratic takes one exact step; inner iterations to a tolerance take a few.
    @Test(arguments: methods) func aQuadraticIsSolved(method: Method) throws {
        let A = try symmetric(eigenvalues: (1...15).map(Double.init), seed: 1)
        var random = RandomStream(seed: 1, name: "minimiser")
        let minimiser = random.normalVector(15)
        let problem = Quadratic(A: A, b: A.times(minimiser))
        let course = try method.run(problem, Parameters(.zeros(15)), 30)
        #expect((course.θ - minimiser).norm <= 1e-7 * minimiser.norm, "\(course.reports.count) steps")
    }

    /// Rosenbrock's valley to the last digits: in fewer steps than a quasi-Newton method, and by a factor of ten and more a step at the
    /// end.
    @Test(arguments: methods) func convergenceIsFast(method: Method) throws {
        let course = try method.run(ZooProblem.rosenbrock, Parameters([-1.2, 1]), 100)
        let losses = course.reports.map(\.loss.total)
        #expect((course.θ - [1, 1]).norm <= 1e-9, "\(losses.count) steps")
        let arrived = try #require(losses.firstIndex { $0 <= 1e-18 })
        let near = try #require(losses.firstIndex { $0 <= 1e-4 })
        #expect(arrived - near <= 6, "\(losses.suffix(8))")
    }

    /// Within 1e-3 of a saddle Newton's own step goes to it; each of these goes on to a minimum.
    @Test(arguments: methods) func saddlesAreLeft(method: Method) throws {
        let course = try method.run(Saddle(), Parameters([1e-3, 1e-3, -1e-3]), 60)
        #expect(abs(abs(course.θ[0]) - 1) <= 1e-6 && abs(course.θ[1]) <= 1e-6 && abs(course.θ[2]) <= 1e-6, "\(course.θ)")
        #expect(abs((course.reports.last?.loss.total ?? 0) + 0.25) <= 1e-12)
    }

    /// A small physics-informed network from its random start: the loss falls by three decades at least, and the error with it.
    @Test(arguments: methods.filter { !$0.testDescription.hasPrefix("nystrom") }, [1, 2] as [UInt64])
    func aNetworkIsTrained(method: Method, seed: UInt64) throws {
        let problem = try poissonNetwork(seed: seed)
        var random = RandomStream(seed: seed, name: "initialization")
        let start = problem.initialParameters(from: &random)
        let first = try problem.loss(at: start.values).total
        let course = try method.run(problem, start, 100)
        let (last, error) = (try problem.loss(at: course.θ).total, try #require(try problem.referenceError(at: course.θ)))
        #expect(last <= 1e-2 * first && error <= 0.3, "L from \(first) to \(last), error \(error)")
    }

    /// The end of a training: what Newton–CG leaves after sixty steps falls to a third at least in forty more.
    @Test(arguments: [1, 2, 3] as [UInt64], CurvatureModel.allCases)
    func nystromNewtonFinishes(seed: UInt64, model: CurvatureModel) throws {
        let problem = try poissonNetwork(seed: seed)
        var random = RandomStream(seed: seed, name: "initialization")
        let (begun, _) = try drive(NewtonCG(), on: problem, from: problem.initialParameters(from: &random), steps: 60)
        let optimizer = NewtonTests.with(NystromNewtonCG()) { $0.model = model }
        let (state, _) = try drive(optimizer, on: problem, from: begun.parameters, steps: 40)
        #expect(state.standpoint.loss.total <= begun.standpoint.loss.total / 3, "from \(begun.standpoint.loss.total)")
    }

    // MARK: State, faults, settings

    @Test(arguments: methods) func storedAndContinuedIsUninterrupted(method: Method) throws {
        try method.interrupted(ZooProblem.wood, Parameters(ZooProblem.wood.start), 25)
        try method.interrupted(Saddle(), Parameters([1e-3, 1e-3, -1e-3]), 10)
    }

    @Test(arguments: methods) func aHessianThatIsNotFiniteBreaksDown(method: Method) throws {
        var problem = Quadratic(A: .identity(4), b: [1, 2, 3, 4])
        problem.A[2, 2] = .nan
        struct Spoiled: TwiceDifferentiableProblem {
            var base: Quadratic
            var name: String { "spoiled" }
            var identity: Setting { .scalar(name) }
            var layout: ParameterLayout { base.layout }
            func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
            func loss(at θ: Vector) -> LossValue { LossValue(0.5 * (θ - base.b).dot(θ - base.b)) }
            func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: θ - base.b) }
            func hessian(at θ: Vector) -> any HessianOperator { base.hessian(at: θ) }
        }
        let course = try method.run(Spoiled(base: problem), Parameters(.zeros(4)), 5)
        guard case .brokeDown(let breakdown) = try #require(course.reports.last).verdict else {
            Issue.record("a Hessian with a NaN gave \(course.reports.map(\.verdict.name))")
            return
        }
        #expect(breakdown.reason == .nonFinite && breakdown.detail.contains("curvature"))
        #expect(course.θ == .zeros(4))
    }

    @Test func gaussNewtonWantsASumOfSquares() throws {
        #expect(throws: ConfigurationError.self) {
            try NewtonCG(model: .gaussNewton).start(on: Saddle(), from: Parameters([1, 1, 1]))
        }
        let (state, _) = try drive(NewtonCG(model: .gaussNewton), on: ZooProblem.rosenbrock, from: Parameters([-1.2, 1]), steps: 60)
        #expect((state.parameters.values - [1, 1]).norm <= 1e-8)
        let (other, reports) = try drive(
            Newton(.modifiedCholesky, model: .gaussNewton), on: ZooProblem.rosenbrock, from: Parameters([-1.2, 1]), steps: 60)
        #expect((other.parameters.values - [1, 1]).norm <= 1e-8 && reports.count <= 30)
    }

    /// Near the solution η falls, and the step with it becomes exact; far from it few iterations are spent.
    @Test(arguments: [ForcingTerm.Rule.modelAgreement, .gradientDecrease]) func forcingTightensNearTheSolution(rule: ForcingTerm.Rule)
        throws
    {
        let problem = try #require(ZooProblem.named("variably-dimensioned", dimension: 10))
        let optimizer = NewtonTests.with(NewtonCG()) { $0.forcing = ForcingTerm(rule) }
        let (_, reports) = try drive(optimizer, on: problem, from: Parameters(problem.start), steps: 60)
        let terms = reports.compactMap { $0.details.first { $0.name == "forcing" }?.value }
        #expect(terms[0] == 0.25)
        #expect(try #require(terms.min()) <= 1e-3)
        #expect(terms.allSatisfy { $0 <= 0.25 && $0 >= 1e-10 })
    }

    @Test func sketchesAreRenewedAndCounted() throws {
        let problem = ZooProblem.wood
        var optimizer = NystromNewtonCG()
        (optimizer.refresh, optimizer.rank) = (3, 2)
        var state = try optimizer.start(on: problem, from: Parameters(problem.start))
        var positions: [UInt64] = []
        for _ in 0..<7 {
            _ = try optimizer.step(&state, on: problem)
            positions.append(state.random.position)
        }
        // A sketch takes 4 × 2 normal numbers of two draws each, at steps 1, 4 and 7.
        #expect(positions == [16, 16, 16, 32, 32, 32, 48])
        try optimizer.adapt(&state, to: problem)
        _ = try optimizer.step(&state, on: problem)
        #expect(state.random.position == 64)
        optimizer.seed = 1
        var other = try optimizer.start(on: problem, from: Parameters(problem.start))
        _ = try optimizer.step(&other, on: problem)
        #expect(other != state)
    }

    @Test func malformedStatesAreRefused() throws {
        let problem = ZooProblem.wood
        var state = try NystromNewtonCG().start(on: problem, from: Parameters(problem.start))
        _ = try NystromNewtonCG().step(&state, on: problem)
        for (entry, values) in [("direction", [1.0]), ("eigenvalues", [1.0, 2.0])] {
            var archive = Archive(of: state)
            archive.set(entry, values)
            #expect(throws: ArchiveError.self) { try NystromNewtonCGState(from: archive) }
        }
    }

    @Test func settingsAreRefusedInTheirNames() throws {
        #expect(SettingsConformance.failures(of: NewtonCG()) == [])
        #expect(SettingsConformance.failures(of: NewtonMINRES()) == [])
        #expect(SettingsConformance.failures(of: NystromNewtonCG()) == [])
        #expect(SettingsConformance.failures(of: Newton()) == [])
        #expect(SettingsConformance.failures(of: SaddleFreeNewton()) == [])
        #expect(SettingsConformance.failures(of: CubicRegularization()) == [])
        var registry = Registry()
        try registry.install(NewtonKrylovPlugin.self)
        #expect(
            registry.optimizers.map(\.name) == [
                "newton-cg", "newton-minres", "nystrom-newton-cg", "newton", "saddle-free-newton", "cubic-regularization",
            ])
    }

    /// `model: gauss-newton` of log L is JᵀJ/L − ggᵀ/L², which may be indefinite: by products with J and Jᵀ alone each method comes to the minimum.
    @Test(
        arguments: [
            Method("newton-cg", NewtonCG(model: .gaussNewton)), Method("newton-minres", with(NewtonMINRES()) { $0.model = .gaussNewton }),
            Method("newton", Newton(.modifiedCholesky, model: .gaussNewton)),
            Method("cubic-regularization", with(CubicRegularization()) { $0.model = .gaussNewton }),
        ])
    func theLogarithmIsModelledByGaussAndNewton(method: Method) throws {
        let problem = Counted(Transformed(ZooProblem.bard, by: Logarithm.self))
        let θ = try method.run(problem, Parameters(ZooProblem.bard.start), 100).θ
        let least = try #require(ZooProblem.bard.minimum)
        let L = ZooProblem.bard.loss(at: θ).total
        #expect(L <= least * (1 + 1e-8), "\(L), the least \(least)")
        let counts = problem.counter.counts
        #expect(counts.calls(.jacobianProduct) > 0 && counts.calls(.jacobianProduct) == counts.calls(.transposedProduct))
        #expect(counts.calls(.hessianProduct) == 0 && counts.calls(.linearization) > 0)
    }

    /// A weight of absurd size lets the cubic model promise nothing: it is begun anew within the step, and the report says so.
    @Test func aWeightThatIsBegunAnewIsTold() throws {
        let (problem, method) = (ZooProblem.wood, CubicRegularization())
        var state = try method.start(on: problem, from: Parameters(problem.start))
        for _ in 0..<5 { #expect(try method.step(&state, on: problem).recoveries == []) }
        var archive = Archive(of: state)
        archive.set("weight", [1e60])
        state = try archive.decoded()
        let report = try method.step(&state, on: problem)
        #expect(report.verdict == .accepted)
        #expect(report.recoveries == ["the cubic model promised nothing that could be seen: its weight begun anew"])
        #expect(try method.step(&state, on: problem).recoveries == [])
    }

    // MARK: Scale

    /// No constant of a method has the loss's scale: times 2⁻⁴⁰ and 2⁴⁰ it gives the same bits in every iterate.
    @Test(
        arguments: methods + [
            Method("newton-cg, gauss-newton", NewtonCG(model: .gaussNewton)),
            Method("newton-cg, backtracking", NewtonCG(model: .hessian, lineSearch: BacktrackingArmijo())),
            Method("newton, gauss-newton", Newton(.modifiedCholesky, model: .gaussNewton)),
            Method("nystrom-newton-cg, warm", with(NystromNewtonCG()) { $0.warmStart = true }),
        ], [ZooProblem.rosenbrock, .wood, .biggsExponential, .powellBadlyScaled, .brownDennis])
    func theSameBits(method: Method, problem: ZooProblem) throws {
        let whole = try method.run(Rescaled(base: problem, factor: 1), Parameters(problem.start), 60)
        #expect(whole.reports.count > 3)
        for factor in [0x1p-40, 0x1p40] {
            let other = try method.run(Rescaled(base: problem, factor: factor), Parameters(problem.start), 60)
            #expect(other.reports.map(\.verdict.name) == whole.reports.map(\.verdict.name), "scaled by \(factor)")
            #expect(other.θ == whole.θ, "scaled by \(factor)")
            #expect(other.reports.map { $0.loss.total / factor } == whole.reports.map(\.loss.total), "scaled by \(factor)")
        }
    }
}
