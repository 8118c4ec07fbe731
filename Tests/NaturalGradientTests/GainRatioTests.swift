import Globalization
import LeastSquares
import LinearAlgebra
import NaturalGradient
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Testing

@Suite struct GainRatioTests {
    private func detail(_ name: String, _ report: StepReport) -> Double? { report.details.first { $0.name == name }?.value }

    /// Full steps by Nielsen's or the classical rule are Levenberg–Marquardt's, refusals included, in the space that squares as it does: straight
    /// ones, and those that are bent along their geodesics.
    @Test(arguments: [MetricSpace.parameters, .samples], [0, 0.75])
    func fullStepsAreLevenbergMarquardts(space: MetricSpace, bound: Double) throws {
        let poisson = try smallPoisson(width: 10, interior: 50)
        for rule in [NielsenDamping(), ClassicalDamping()] as [any DampingRule] {
            let refusals = try endAsLevenbergMarquardt(poisson, startingPoint(of: poisson), space, rule, bound: bound).refusals
            #expect(refusals > 0)
            // In the valley of Wood's function steps gain little, so that some are bent. With six residuals of four parameters JJᵀ is singular there.
            guard space == .parameters else { continue }
            let (wood, start) = (ZooProblem.wood, Parameters(ZooProblem.wood.start))
            let end = try endAsLevenbergMarquardt(wood, start, space, rule, bound: bound).θ
            if bound > 0 { #expect(try endAsLevenbergMarquardt(wood, start, space, rule, bound: 0).θ != end) }
        }
    }

    private func endAsLevenbergMarquardt(
        _ problem: any LeastSquaresProblem, _ start: Parameters, _ space: MetricSpace, _ rule: any DampingRule, bound: Double
    ) throws -> (θ: Vector, refusals: Int) {
        let natural = NaturalGradient(
            space: space, damping: rule, solver: .exact, stepLength: .full(FullStep(maximumTrials: 20, geodesicAcceleration: bound)))
        let reference = LevenbergMarquardt(
            damping: rule, solver: space == .samples ? .kernel : .gramian, geodesicAcceleration: bound, beginsUndamped: false)
        let (mine, reports) = try drive(natural, on: problem, from: start, steps: 12)
        let (theirs, expected) = try drive(reference, on: problem, from: start, steps: 12)
        #expect(reports.count == 12)
        for (report, other) in zip(reports, expected) {
            #expect(report.verdict == other.verdict && detail("trials", report) == detail("trials", other))
            let (λ, ρ) = (detail("damping", other) ?? .nan, detail("gainRatio", other) ?? .nan)
            #expect(
                abs((detail("damping", report) ?? .nan) - λ) <= 1e-6 * λ && abs((detail("gainRatio", report) ?? .nan) - ρ) <= 1e-6 * abs(ρ))
        }
        #expect((mine.parameters.values - theirs.parameters.values).norm <= 1e-6 * theirs.parameters.values.norm)
        #expect(mine.damping != nil && theirs.damping.map { abs($0.value - (mine.damping?.value ?? 0)) <= 1e-6 * $0.value } == true)
        return (mine.parameters.values, reports.count { detail("trials", $0) ?? 0 > 1 })
    }

    /// From the same memory and damping both spaces take the same step with SPRING's momentum: φ itself, without its correction, judged by the
    /// quadratic model along it.
    @Test func springsFullStep() throws {
        let problem = try smallPoisson(width: 10, interior: 50)
        let start = startingPoint(of: problem)
        let (λ, μ) = (5.0, 0.3)
        func method(_ space: MetricSpace) -> NaturalGradient {
            NaturalGradient(
                space: space, damping: NielsenDamping(), solver: .exact, momentum: .spring(SPRINGMomentum(decay: μ)))
        }
        var before = try method(.parameters).start(on: problem, from: start)
        before.damping = Damping(value: λ, growth: 2)
        before.memory = -0.01 * before.standpoint.gradient
        before.count = 1
        let model = try problem.linearization(at: start.values)
        let φ = try #require(before.memory)
        let ζ = (-model.residual).adding(model.product(φ), scaledBy: -μ)
        let d = try SVD.factorize(model.jacobian()).get().solveDamped(ζ, damping: λ).adding(φ, scaledBy: μ)
        let Jd = model.product(d)
        let promised = -before.standpoint.gradient.dot(d) - 0.5 * Jd.dot(Jd)
        let ρ = (before.standpoint.loss.total - (try problem.loss(at: start.values + d)).total) / promised
        #expect(ρ > 0)
        for space in [MetricSpace.parameters, .samples] {
            var state = before
            let report = try method(space).step(&state, on: problem)
            #expect(report.verdict == .accepted && report.stepLength == 1 && state.count == 2)
            #expect((state.parameters.values - start.values - d).norm <= 1e-9 * d.norm)
            #expect(abs((detail("gainRatio", report) ?? .nan) - ρ) <= 1e-8 * abs(ρ))
            let next = NielsenDamping().updated(Damping(value: λ, growth: 2), gainRatio: ρ)
            #expect(abs((state.damping?.value ?? 0) - next.value) <= 1e-8 * next.value)
        }
        // A memory that leads up is dropped, and the step is that without one.
        var state = before
        state.memory = 10 * before.standpoint.gradient
        let report = try method(.samples).step(&state, on: problem)
        let alone = try SVD.factorize(model.jacobian()).get().solveDamped(-model.residual, damping: λ)
        #expect(report.verdict == .accepted && state.count == 1 && detail("trials", report) == 2)
        #expect((state.parameters.values - start.values - alone).norm <= 1e-9 * alone.norm)
    }

    /// With a search the whole direction is judged, however far the step goes; with a rate the step as it was taken, whatever it does.
    @Test func theRatioOfOtherSteps() throws {
        let problem = try smallPoisson(width: 10, interior: 50)
        let start = startingPoint(of: problem)
        var method = NaturalGradient(
            space: .parameters, damping: NielsenDamping(), solver: .exact, momentum: .spring(SPRINGMomentum(decay: 0.8)),
            stepLength: .search(GridLineSearch()))
        var state = try method.start(on: problem, from: start)
        let λ = 0.02
        state.damping = Damping(value: λ, growth: 2)
        let begun = state
        let model = try problem.linearization(at: start.values)
        let d = try SVD.factorize(model.jacobian()).get().solveDamped(-model.residual, damping: λ)
        func ratio(of s: Vector) throws -> Double {
            let Js = model.product(s)
            let promised = -begun.standpoint.gradient.dot(s) - 0.5 * Js.dot(Js)
            return (begun.standpoint.loss.total - (try problem.loss(at: start.values + s)).total) / promised
        }
        let searched = try method.step(&state, on: problem)
        let whole = try ratio(of: d)
        #expect(searched.verdict == .accepted && abs((detail("gainRatio", searched) ?? .nan) - whole) <= 1e-7 * abs(whole))
        let moved = NielsenDamping().updated(Damping(value: λ, growth: 2), gainRatio: detail("gainRatio", searched) ?? .nan)
        #expect(state.damping?.value == moved.value && state.damping?.growth == moved.growth)

        method.momentum = .none
        for η in [0.1, 30.0] {
            method.stepLength = .fixed(CappedRate(learningRate: η, normBound: 1e300))
            var state = begun
            let report = try method.step(&state, on: problem)
            let taken = try ratio(of: η * d)
            #expect(report.verdict == .accepted && (state.parameters.values - start.values - η * d).norm <= 1e-9 * η * d.norm)
            // Far away the model promises no decrease.
            let expected = taken.isFinite && η < 2 ? taken : -.infinity
            let ρ = try #require(detail("gainRatio", report))
            #expect(ρ == expected || abs(ρ - expected) <= 1e-7 * abs(expected))
            #expect(η < 2 ? state.damping?.value ?? 0 < λ : state.damping?.value == 2 * λ)
        }
    }

    /// Batches keep λ, and the momentum with it.
    @Test func batchesKeepTheDamping() throws {
        let problem = try smallPoisson(width: 10, interior: 60)
        let method = Batched(
            NaturalGradient(
                damping: NielsenDamping(), solver: .exact, momentum: .spring(SPRINGMomentum(decay: 0.5)),
                stepLength: .fixed(CappedRate(learningRate: 0.2, normBound: 1e-2))), size: 12)
        let start = startingPoint(of: problem)
        let (state, reports) = try drive(method, on: problem, from: start, steps: 60)
        let dampings = reports.compactMap { detail("damping", $0) }
        #expect(dampings.count == 60 && Set(dampings).count > 30 && state.base.memory != nil)
        #expect(try problem.loss(at: state.parameters.values).total < 0.5 * problem.loss(at: start.values).total)
    }

    @Test func fullStepsNeedAGainRatio() throws {
        let error = #expect(throws: ConfigurationError.self) {
            try NaturalGradient(damping: ConstantDamping(), stepLength: .full(FullStep())).validated()
        }
        #expect(error?.path == "natural-gradient.stepLength" && error?.reason.contains("nielsen") == true)
    }

    /// A gradient that is wrong is told from a point with nothing left to do.
    @Test func troubleIsAVerdict() throws {
        let problem = try LinearResiduals.random(12, 5, singularValues: [3, 2, 1, 0.5, 0.3])
        var method = NaturalGradient(damping: NielsenDamping(), solver: .exact)
        let (state, reports) = try drive(method, on: problem, from: Parameters(.zeros(5)), steps: 60)
        let solution = try QR.factorize(problem.a).get().solveLeastSquares(problem.b).get()
        #expect(reports.last?.verdict == .stationary && (state.parameters.values - solution).norm <= 1e-6 * solution.norm)

        // The loss rises wherever the model says that it falls.
        struct Hill: LeastSquaresProblem {
            var base: LinearResiduals
            var name: String { "hill" }
            var identity: Setting { .scalar(name) }
            var layout: ParameterLayout { base.layout }
            var residualCount: Int { base.residualCount }
            func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
            func residual(at θ: Vector) -> Vector { base.residual(at: θ) }
            func loss(at θ: Vector) -> LossValue { LossValue(base.loss(at: θ).total + 1e3 * θ.norm) }
            func lossAndGradient(at θ: Vector) -> Evaluation {
                Evaluation(loss: loss(at: θ), gradient: base.lossAndGradient(at: θ).gradient)
            }
            func linearization(at θ: Vector) -> any Linearization { base.linearization(at: θ) }
        }
        // Straight steps: a bent one would go by the residual.
        method.stepLength = .full(FullStep(maximumTrials: 3, geodesicAcceleration: 0))
        var stuck = try method.start(on: Hill(base: problem), from: Parameters(.zeros(5)))
        let first = try method.step(&stuck, on: Hill(base: problem))
        #expect(first.verdict == .rejected && detail("trials", first) == 3 && stuck.parameters.values == .zeros(5))
        let raised = try #require(stuck.damping?.value)
        var rule = NielsenDamping()
        rule.maximum = 10 * raised
        let bounded = NaturalGradient(
            damping: rule, solver: .exact, stepLength: .full(FullStep(maximumTrials: 20, geodesicAcceleration: 0)))
        guard case .brokeDown(let breakdown) = try bounded.step(&stuck, on: Hill(base: problem)).verdict else {
            Issue.record("the bound of λ was not reported")
            return
        }
        #expect(breakdown.reason == .regularization && stuck.damping?.value == raised)
    }
}
