import Globalization
import LinearAlgebra
import NewtonFixtures
import OptimizationCore
import OptimizationTesting
import Testing
import TrustRegion

/// `trust-region` on a matrix that is learnt from gradients.
@Suite struct QuasiNewtonModelTests {
    /// A way to learn, with a subproblem's solver that takes it.
    struct Pairing: Sendable, CustomTestStringConvertible {
        var subproblem: TrustRegion.Subproblem
        var model: SecantModel
        var optimizer: TrustRegion { TrustRegion(subproblem, learning: model) }
        var testDescription: String { "\(subproblem.rawValue), \(model.update.rawValue), memory \(model.memory)" }
    }

    static let dense = TrustRegion.Subproblem.allCases.flatMap { subproblem in
        [HessianUpdate.symmetricRankOne, .dampedBFGS].map { Pairing(subproblem: subproblem, model: SecantModel($0)) }
    }
    static let limited = [TrustRegion.Subproblem.steihaugToint, .gltr, .exact].flatMap { subproblem in
        [HessianUpdate.symmetricRankOne, .dampedBFGS].map { Pairing(subproblem: subproblem, model: SecantModel($0, memory: 10)) }
    }

    /// A problem that has a gradient and nothing else.
    private struct GradientOnly: DifferentiableProblem {
        var base = ZooProblem.rosenbrock
        var name: String { base.name }
        var identity: Setting { base.identity }
        var layout: ParameterLayout { base.layout }
        func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
        func loss(at θ: Vector) throws -> LossValue { base.loss(at: θ) }
        func lossAndGradient(at θ: Vector) throws -> Evaluation { base.lossAndGradient(at: θ) }
    }

    @Test(arguments: dense + limited) func gradientsAreEnough(pairing: Pairing) throws {
        let problem = GradientOnly()
        let (state, reports) = try drive(pairing.optimizer, on: problem, from: Parameters([-1.2, 1]), steps: 200)
        #expect((state.parameters.values - [1, 1]).norm <= 1e-8, "\(reports.count) steps, \(reports.last?.verdict.name ?? "")")
        for (before, after) in zip(reports, reports.dropFirst()) { #expect(after.loss.total <= before.loss.total) }
    }

    /// A quadratic costs one gradient a step. By symmetric rank one its matrix is learnt whole, where steps go in all directions before the
    /// end: an inexact solver's need not.
    @Test(arguments: TrustRegion.Subproblem.allCases) func aQuadraticIsLearnt(subproblem: TrustRegion.Subproblem) throws {
        let A = try symmetric(eigenvalues: (1...12).map(Double.init), seed: 4)
        var random = RandomStream(seed: 4, name: "minimiser")
        let minimiser = random.normalVector(12)
        let counter = WorkCounter()
        let problem = Counted(Quadratic(A: A, b: A.times(minimiser)), counter: counter)
        let optimizer = TrustRegion(subproblem, learning: SecantModel())
        let (state, reports) = try drive(optimizer, on: problem, from: Parameters(.zeros(12)), steps: 40)
        #expect((state.parameters.values - minimiser).norm <= 1e-7 * minimiser.norm)
        #expect(counter.counts.calls(.hessianProduct) == 0 && counter.counts.calls(.gradient) <= reports.count + 1)
        guard subproblem.isDense else { return }
        var whole = Matrix.zeros(12, 12)
        let B = try #require(state.secant?.hessian).matrix(optimizer.quasiNewton)
        for j in 0..<12 {
            var unit = Vector.zeros(12)
            unit[j] = 1
            let image = B.times(unit)
            for i in 0..<12 { whole[i, j] = image[i] - A[i, j] }
        }
        #expect(Vector(whole.elements).norm <= 1e-5 * Vector(A.elements).norm)
    }

    /// With a memory that holds all pairs, the limited matrix is the dense one over the same σI.
    @Test(arguments: [HessianUpdate.symmetricRankOne, .dampedBFGS]) func limitedMemoryIsTheDenseUpdateOverItsScale(
        update: HessianUpdate
    ) throws {
        let n = 9
        var random = RandomStream(seed: 11, name: "pairs")
        // Indefinite, so that damping has something to mend.
        let A = try symmetric(eigenvalues: [-2, -0.5, 1, 2, 3, 4, 5, 6, 7], seed: 11)
        let model = SecantModel(update, memory: 20)
        var limited = SecantHessian(order: n, scale: 3, model)
        for _ in 0..<6 {
            let s = random.normalVector(n)
            limited.learn(s, A.times(s), model)
        }
        let newest = try #require(limited.memory.pairs.last)
        let B = limited.matrix(model)
        #expect((B.times(newest.step) - newest.change).norm <= 1e-9 * newest.change.norm)
        let σ = try #require(limited.memory.pairs.last { $0.curvature > 0 }.map { 1 / $0.inverseCurvature })
        // The recursion itself, one pair after another.
        var dense = SymmetricMatrix.identity(n, scaledBy: σ)
        for pair in limited.memory.pairs {
            let (s, y, image) = (pair.step, pair.change, dense.times(pair.step))
            if update == .symmetricRankOne {
                let r = y - image
                dense.update(scaling: 1, s, r, ss: 0, sq: 0, qq: 1 / r.dot(s))
            } else {
                dense.update(scaling: 1, y, image, ss: 1 / s.dot(y), sq: 0, qq: -1 / s.dot(image))
            }
        }
        for _ in 0..<5 {
            let v = random.normalVector(n)
            #expect((B.times(v) - dense.times(v)).norm <= 1e-9 * dense.times(v).norm)
        }
        #expect(try Archive(of: limited).decoded(as: SecantHessian.self) == limited)
    }

    /// Pairs whose small matrix is singular leave a matrix that still maps the newest step to its change.
    @Test func pairsThatSayTheSameAreLeftOut() throws {
        let model = SecantModel(.symmetricRankOne, memory: 5)
        var B = SecantHessian(order: 3, scale: 1, model)
        B.learn([1, 0, 0], [2, 1, 0], model)
        B.learn([1, 0, 0], [2.5, 1, 0.5], model)
        let image = B.matrix(model).times([1, 0, 0])
        #expect((image - [2.5, 1, 0.5]).norm <= 1e-6)
    }

    /// Damped BFGS stays positive definite where the loss curves down; symmetric rank one does not, and sees it.
    @Test func theUpdatesDifferWhereTheLossCurvesDown() throws {
        for memory in [0, 6] {
            for update in [HessianUpdate.symmetricRankOne, .dampedBFGS] {
                let model = SecantModel(update, memory: memory)
                var B = SecantHessian(order: 2, scale: 1, model)
                B.learn([0, 1], [0, 4], model)
                B.learn([1, 0.1], [-2, 0.4], model)
                let bend = B.matrix(model).times([1, 0])[0]
                #expect(update == .dampedBFGS ? bend > 0 : bend < 0, "\(update), memory \(memory): \(bend)")
            }
        }
    }

    /// A learnt matrix of absurd size promises nothing, one that is no number has no minimiser: both are begun anew within the step, and the
    /// report says so.
    @Test(arguments: [TrustRegion.Subproblem.gltr, .exact], [1e40, .infinity])
    func aModelThatIsBegunAnewIsTold(subproblem: TrustRegion.Subproblem, factor: Double) throws {
        let optimizer = TrustRegion(subproblem, learning: SecantModel(.dampedBFGS))
        let problem = ZooProblem.wood
        var state = try optimizer.start(on: problem, from: Parameters(problem.start))
        for _ in 0..<5 { #expect(try optimizer.step(&state, on: problem).recoveries == []) }
        var archive = Archive(of: state)
        var secant = try archive.group("secant")
        var hessian = try secant.group("hessian")
        hessian.set("matrix", try hessian.doubles("matrix").map { $0 * factor })
        secant.set("hessian", hessian)
        archive.set("secant", secant)
        state = try archive.decoded()
        let report = try optimizer.step(&state, on: problem)
        #expect(report.recoveries.count == 1 && report.recoveries[0].contains("begun anew"), "\(report.recoveries)")
        #expect(report.recoveries.first?.contains(factor.isFinite ? "promised nothing" : "no minimiser") == true, "\(report.recoveries)")
        #expect(report.verdict == .accepted || report.verdict == .rejected)
        #expect(try optimizer.step(&state, on: problem).recoveries == [])
    }

    /// Rounding can cost a dense damped B its definiteness: it is begun anew with the pair.
    @Test func anIndefiniteMatrixIsToldWhereItLearns() throws {
        let model = SecantModel(.dampedBFGS)
        var B = SecantHessian(order: 2, scale: 1, model)
        let first = B.learn([0, 1], [0, 4], model)
        var archive = Archive(of: B)
        archive.set("matrix", try archive.doubles("matrix").map { -$0 })
        B = try archive.decoded()
        let second = B.learn([1, 0], [2, 0], model)
        #expect(!first && second)
        #expect(B.matrix(model).times([1, 0])[0] > 0)
    }

    @Test(arguments: dense + limited) func saddlesAreLeft(pairing: Pairing) throws {
        let (state, _) = try drive(pairing.optimizer, on: Saddle(), from: Parameters([1e-3, 1e-3, -1e-3]), steps: 200)
        let θ = state.parameters.values
        #expect(abs(abs(θ[0]) - 1) <= 1e-6 && abs(θ[1]) <= 1e-6 && abs(θ[2]) <= 1e-6, "\(θ)")
    }

    @Test(arguments: dense + limited) func storedAndContinuedIsUninterrupted(pairing: Pairing) throws {
        let optimizer = pairing.optimizer
        var whole = try optimizer.start(on: ZooProblem.wood, from: Parameters(ZooProblem.wood.start))
        for step in 0..<40 {
            var resumed = try Archive(of: whole).decoded(as: TrustRegionState.self)
            #expect(resumed == whole)
            let verdict = try optimizer.step(&whole, on: ZooProblem.wood).verdict
            _ = try optimizer.step(&resumed, on: ZooProblem.wood)
            #expect(resumed == whole, "step \(step + 1)")
            if verdict != .accepted, verdict != .rejected { break }
        }
    }

    /// Where parameters differ in scale by many orders, one radius for all is slow, and a limited memory slower.
    static let (denseAccuracy, limitedAccuracy) = (
        DeclaredAccuracy(1e-8, within: 600, except: ["meyer": 1e-4, "osborne-1": 1e-4]),
        DeclaredAccuracy(
            1e-8, within: 600, except: ["meyer": 1e-3, "powell-badly-scaled": 1e-3, "brown-badly-scaled": 1e-6, "watson": 1e-7])
    )

    @Test(arguments: ZooProblem.all, [dense[2], dense[3], dense[4], dense[8], dense[9]]) func contract(
        problem: ZooProblem, pairing: Pairing
    ) throws {
        try OptimizerConformance.check(pairing.optimizer, on: problem, reaching: Self.denseAccuracy)
    }

    @Test(arguments: ZooProblem.all, limited) func contractOfLimitedMemories(problem: ZooProblem, pairing: Pairing) throws {
        try OptimizerConformance.check(pairing.optimizer, on: problem, reaching: Self.limitedAccuracy)
    }

    /// What a model or a solver cannot do is refused before the first step, in the setting's name.
    @Test func whatDoesNotFitIsRefused() throws {
        func refusal(_ optimizer: TrustRegion, on problem: some DifferentiableProblem) -> ConfigurationError? {
            let pipeline = Pipeline(minimizing: problem, stages: [Stage(dynamic: "only", optimizer, until: .iterations(1))])
            return #expect(throws: ConfigurationError.self) { try pipeline.preflight() }
        }
        #expect(refusal(TrustRegion(.gltr), on: GradientOnly())?.path == "stage “only”: model")
        #expect(refusal(TrustRegion(.gltr, model: .gaussNewton), on: Saddle())?.path == "stage “only”: model")
        for subproblem in [TrustRegion.Subproblem.dogleg, .doubleDogleg] {
            let error = refusal(TrustRegion(subproblem, learning: SecantModel(.symmetricRankOne, memory: 5)), on: Saddle())
            #expect(error?.path == "stage “only”: subproblem" && error?.reason.contains("take exact") == true)
        }
        let psb = refusal(TrustRegion(.gltr, learning: SecantModel(.powellSymmetricBroyden, memory: 5)), on: Saddle())
        #expect(psb?.path == "stage “only”: quasiNewton.memory")
        // By name: suggested for what has a gradient only where its settings as they come fit.
        var registry = Registry()
        try registry.install(TrustRegionPlugin.self)
        #expect(registry.optimizers(fitting: GradientOnly()).isEmpty && registry.optimizers(fitting: Saddle()) == ["trust-region"])
    }
}
