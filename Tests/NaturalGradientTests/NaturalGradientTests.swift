import Globalization
import LinearAlgebra
import NaturalGradient
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Testing

@Suite struct NaturalGradientTests {
    /// The whole direction as the step.
    private let whole = NaturalStepLength.fixed(CappedRate(learningRate: 1, normBound: 1e300))

    /// σ₁² of J.
    private func largestSquare(_ problem: any LeastSquaresProblem, at θ: Vector) throws -> Double {
        let σ = try SVD.factorize(problem.linearization(at: θ).jacobian()).get().singularValues[0]
        return σ * σ
    }

    // MARK: The direction

    /// Both spaces, and the singular values of J itself, give the same step within the rounding that squaring leaves, c·u·σ₁²/λ.
    @Test(arguments: [1e3, 1e5, 1e7], [NaturalMomentum.none, .spring(SPRINGMomentum(decay: 0.7))])
    func bothSpacesAgree(ratio: Double, momentum: NaturalMomentum) throws {
        for (width, interior) in [(24, 60), (15, 90)] {
            let problem = try smallPoisson(width: width, interior: interior)
            let start = startingPoint(of: problem)
            let λ = try largestSquare(problem, at: start.values) / ratio
            func method(_ space: MetricSpace) -> NaturalGradient {
                NaturalGradient(space: space, damping: ConstantDamping(λ), solver: .exact, momentum: momentum, stepLength: whole)
            }
            // A memory from elsewhere, so that the momentum has something to correct.
            var before = try method(.parameters).start(on: problem, from: start)
            var random = RandomStream(seed: 2, name: "memory")
            if momentum != .none { (before.memory, before.count) = (0.01 * random.normalVector(start.count), 3) }
            var ends: [Vector] = []
            for space in [MetricSpace.parameters, .samples] {
                var state = before
                #expect(try method(space).step(&state, on: problem).verdict == .accepted)
                ends.append(state.parameters.values - start.values)
            }
            #expect(ends[0].norm > 1e-6)
            #expect((ends[0] - ends[1]).norm <= 30 * Double.ulpOfOne * ratio * ends[0].norm, "\((ends[0] - ends[1]).norm / ends[0].norm)")
            if momentum == .none {
                let model = try problem.linearization(at: start.values)
                let exact = try SVD.factorize(model.jacobian()).get().solveDamped(-model.residual, damping: λ)
                for end in ends { #expect((end - exact).norm <= 30 * Double.ulpOfOne * ratio * exact.norm) }
            }
            var state = before
            _ = try method(.automatic).step(&state, on: problem)
            #expect(ends.contains(state.parameters.values - start.values))
        }
    }

    /// SPRING's memory is argmin ‖Jφ + r‖² + λ‖φ − μφ₋‖², here by QR of the stacked matrix, and the step φ/√(1 − μ²ᵏ).
    @Test(arguments: [true, false]) func springSolvesItsLeastSquaresProblem(corrects: Bool) throws {
        let problem = try smallPoisson()
        let (λ, μ, η) = (1e-2, 0.9, 0.1)
        let method = NaturalGradient(
            space: .samples, damping: ConstantDamping(λ), solver: .exact,
            momentum: .spring(SPRINGMomentum(decay: μ, biasCorrection: corrects)),
            stepLength: .fixed(CappedRate(learningRate: η, normBound: 1e300)))
        var state = try method.start(on: problem, from: startingPoint(of: problem))
        var (θ, φ) = (state.parameters.values, Vector.zeros(state.parameters.count))
        for k in 1...4 {
            let model = try problem.linearization(at: θ)
            let stacked = try QR.factorize(
                model.jacobian(), overDiagonal: Vector(repeating: λ.squareRoot(), count: θ.count), upperTriangular: false
            ).get()
            φ = try stacked.solveLeastSquares(Vector((-model.residual).elements + ((λ.squareRoot() * μ) * φ).elements)).get()
            let correction = corrects ? (1 - (0..<(2 * k)).reduce(1) { product, _ in product * μ }).squareRoot() : 1
            θ.add(φ, scaledBy: η / correction)
            #expect(try method.step(&state, on: problem).verdict == .accepted)
            let allowed = 1000 * Double.ulpOfOne * (try largestSquare(problem, at: θ)) / λ
            #expect((state.parameters.values - θ).norm <= allowed * θ.norm, "\((state.parameters.values - θ).norm)")
            #expect(state.count == k)
        }
    }

    /// φ ← μφ + d, and p = φ or d + μφ: two steps on a linear residual, whose directions are known.
    @Test func momentumAccumulates() throws {
        let problem = try LinearResiduals.random(20, 6, singularValues: [3, 2, 1.5, 1, 0.7, 0.5])
        let (λ, μ, η) = (0.1, 0.8, 0.25)
        let svd = try SVD.factorize(problem.a).get()
        func d(_ θ: Vector) -> Vector { svd.solveDamped(-problem.residual(at: θ), damping: λ) }
        for isNesterov in [false, true] {
            let method = NaturalGradient(
                damping: ConstantDamping(λ),
                momentum: isNesterov ? .nesterov(NesterovMomentum(decay: μ)) : .heavyBall(HeavyBallMomentum(decay: μ)),
                stepLength: .fixed(CappedRate(learningRate: η, normBound: 1e300)))
            let (state, _) = try drive(method, on: problem, from: Parameters(.zeros(6)), steps: 3)
            var (θ, φ) = (Vector.zeros(6), Vector.zeros(6))
            for _ in 0..<3 {
                let natural = d(θ)
                φ = natural + μ * φ
                θ.add(isNesterov ? natural + μ * φ : φ, scaledBy: η)
            }
            #expect((state.parameters.values - θ).norm <= 1e-13 * θ.norm)
        }
    }

    /// −Jᵀ·S(S·JJᵀ·S + λI)⁻¹S·r with S = diag(JJᵀ)^(−½), and −S(S·JᵀJ·S + λI)⁻¹S·Jᵀr with S = diag(JᵀJ)^(−½), by their dense matrices.
    @Test(arguments: [MetricSpace.parameters, .samples]) func jacobiScalingIsItsFormula(space: MetricSpace) throws {
        let problem = try LinearResiduals.random(8, 12, singularValues: [5, 4, 3, 2, 1, 0.5, 0.2, 0.1])
        let (λ, r) = (1e-2, -problem.b)
        var metric = Matrix.product(problem.a, problem.a, transposingFirst: space == .parameters, transposingSecond: space == .samples)
        let s = Vector(metric.diagonal.map { 1 / $0.squareRoot() })
        metric = metric.scalingColumns(by: s).transposed.scalingColumns(by: s)
        metric.addDiagonal(Vector(repeating: λ, count: s.count))
        func inverted(_ v: Vector) throws -> Vector {
            let scaled = Vector(zip(v, s).map { $0 * $1 })
            let solved = try QR.factorize(metric).get().solveLeastSquares(scaled).get()
            return Vector(zip(solved, s).map { $0 * $1 })
        }
        let expected = try space == .samples ? -problem.a.transposedTimes(inverted(r)) : -inverted(problem.a.transposedTimes(r))
        for solver in [MetricSolver.exact, .truncated(TruncatedMetric())] {
            let method = NaturalGradient(
                space: space, damping: ConstantDamping(λ), scaling: .jacobi, solver: solver, stepLength: whole)
            let (state, _) = try drive(method, on: problem, from: Parameters(.zeros(12)), steps: 1)
            #expect((state.parameters.values - expected).norm <= 1e-11 * expected.norm, "\(space), \(solver)")
        }
    }

    /// The rate follows its schedule by the state's clock, up to the bound on the step.
    @Test func ratesFollowTheirSchedule() throws {
        let problem = try LinearResiduals.random(20, 6, singularValues: [3, 2, 1.5, 1, 0.7, 0.5])
        let schedule = ExponentialDecay(rate: 0.5, every: 1)
        func lengths(normBound: Double) throws -> [Double] {
            let method = NaturalGradient(
                damping: ConstantDamping(1e-6), stepLength: .fixed(CappedRate(learningRate: 0.2, normBound: normBound, schedule: schedule)))
            return try drive(method, on: problem, from: Parameters(.zeros(6)), steps: 4).reports.compactMap(\.stepLength)
        }
        let free = try lengths(normBound: 1e300)
        #expect(free == (1...4).map { 0.2 * schedule.factor(at: $0) } && free[3] < free[0] / 4)
        #expect(try lengths(normBound: 1e-8).allSatisfy { $0 < free[3] })
        let read = try NaturalGradient(
            .map([.init("stepLength", .map([.init("name", .scalar("fixed")), .init("schedule", schedule.settings)]))]), path: "optimizer")
        guard case .fixed(let rate) = read.stepLength else {
            Issue.record("no fixed rate was read")
            return
        }
        #expect((1...4).allSatisfy { rate.schedule.factor(at: $0) == schedule.factor(at: $0) })
    }

    /// A dual natural gradient does not see how rows of the residual are scaled, a primal one how parameters are; without the scaling
    /// both do.
    @Test func jacobiScalingForgetsUnits() throws {
        let problem = try LinearResiduals.random(8, 12, singularValues: [5, 4, 3, 2, 1, 0.5, 0.2, 0.1])
        let λ = 1e-3
        func end(_ problem: LinearResiduals, _ space: MetricSpace, _ scaling: MetricScaling) throws -> Vector {
            let method = NaturalGradient(space: space, damping: ConstantDamping(λ), scaling: scaling, stepLength: whole)
            return try drive(method, on: problem, from: Parameters(.zeros(12)), steps: 1).state.parameters.values
        }
        let rows = Vector((0..<8).map { Double(1 << $0) })
        let scaledRows = LinearResiduals(
            a: problem.a.transposed.scalingColumns(by: rows).transposed, b: Vector(zip(problem.b, rows).map { $0 * $1 }))
        let dual = try end(problem, .samples, .jacobi)
        #expect(try (end(scaledRows, .samples, .jacobi) - dual).norm <= 1e-10 * dual.norm)
        #expect(try (end(scaledRows, .samples, .none) - end(problem, .samples, .none)).norm > 1e-4 * dual.norm)

        let columns = Vector((0..<12).map { Double(1 << ($0 % 7)) })
        let scaledColumns = LinearResiduals(a: problem.a.scalingColumns(by: columns), b: problem.b)
        func unscaled(_ v: Vector) -> Vector { Vector(zip(v, columns).map { $0 * $1 }) }
        let primal = try end(problem, .parameters, .jacobi)
        #expect(try (unscaled(end(scaledColumns, .parameters, .jacobi)) - primal).norm <= 1e-10 * primal.norm)
        #expect(try (unscaled(end(scaledColumns, .parameters, .none)) - end(problem, .parameters, .none)).norm > 1e-4 * primal.norm)
        #expect(throws: ConfigurationError.self) { try NaturalGradient(scaling: .jacobi, solver: .nystrom(NystromMetric())).validated() }
    }

    // MARK: Solvers

    /// A sketch that holds the whole range of a metric of low rank is the metric; one that does not keeps λ at its least eigenvalue.
    @Test(arguments: [MetricSpace.parameters, .samples]) func sketchesOfLowRankAreExact(space: MetricSpace) throws {
        let problem = try LinearResiduals.random(60, 50, singularValues: [4, 3, 2, 1, 0.5])
        let λ = 1e-2
        func end(_ solver: MetricSolver) throws -> (Vector, StepReport) {
            let method = NaturalGradient(space: space, damping: ConstantDamping(λ), solver: solver, stepLength: whole)
            let (state, reports) = try drive(method, on: problem, from: Parameters(.zeros(50)), steps: 1)
            return (state.parameters.values, try #require(reports.first))
        }
        let (exact, _) = try end(.exact)
        let (sketched, report) = try end(.nystrom(NystromMetric(share: 0.2)))
        // The shift ε·‖A·Ω‖ of the sketch beside λ.
        #expect((sketched - exact).norm <= 1e-10 * exact.norm, "\((sketched - exact).norm / exact.norm)")
        #expect(report.details.contains(.init("damping", λ)))
        // Three directions of five: the least eigenvalue known is one of the metric's own, 0.25 … 16.
        let (_, coarse) = try end(.nystrom(NystromMetric(share: 0.05)))
        let damping = try #require(coarse.details.first { $0.name == "damping" }).value
        #expect(damping > 0.1 && damping < 16)
        // As Guzmán-Cordero et al.: λ as it is, so that what the sketch leaves out is followed 1/λ times as far.
        let (far, untouched) = try end(.nystrom(NystromMetric(share: 0.05, liftsDamping: false)))
        #expect(untouched.details.contains(.init("damping", λ)))
        #expect(far.norm > 5 * exact.norm)
    }

    /// The eigenvalues above the cut-off give the direction of J's singular values above its square root, and no other: with eigenvalues
    /// lost in rounding the factorisation follows noise.
    @Test(arguments: [MetricSpace.parameters, .samples]) func smallEigenvaluesAreCutOff(space: MetricSpace) throws {
        let problem = try LinearResiduals.random(40, 30, singularValues: [10, 3, 1, 0.1, 1e-6, 1e-9])
        let method = NaturalGradient(
            space: space, damping: ConstantDamping(1e-20), solver: .truncated(TruncatedMetric(relativeCutoff: 1e-8)), stepLength: whole)
        let (state, _) = try drive(method, on: problem, from: Parameters(.zeros(30)), steps: 1)
        let expected = try SVD.factorize(problem.a).get().solveTruncated(problem.b, relativeTolerance: 1e-4)
        // ε·σ₁²/σ₄² = 2e-12, times a modest constant.
        #expect((state.parameters.values - expected).norm <= 1e-10 * expected.norm)
        let factorized = NaturalGradient(space: space, damping: ConstantDamping(1e-20), solver: .exact, stepLength: whole)
        let (noisy, _) = try drive(factorized, on: problem, from: Parameters(.zeros(30)), steps: 1)
        #expect((noisy.parameters.values - expected).norm > 1e-3 * expected.norm)
    }

    /// Conjugate gradients come to the exact direction, in fewer iterations with the sketch than without.
    @Test(arguments: [MetricSpace.parameters, .samples]) func conjugateGradientsArePreconditioned(space: MetricSpace) throws {
        let problem = try smallPoisson(width: 40, interior: 150)
        let start = startingPoint(of: problem)
        let λ = try largestSquare(problem, at: start.values) / 1e6
        func end(_ solver: MetricSolver) throws -> (Vector, Int) {
            let method = NaturalGradient(space: space, damping: ConstantDamping(λ), solver: solver, stepLength: whole)
            let (state, reports) = try drive(method, on: problem, from: start, steps: 1)
            return (state.parameters.values - start.values, reports.first?.linearIterations ?? 0)
        }
        let (exact, none) = try end(.exact)
        let (plain, many) = try end(.pcg(PreconditionedMetric(share: 0, tolerance: 1e-10, maximumIterations: 2000)))
        let (conditioned, few) = try end(.pcg(PreconditionedMetric(share: 0.3, tolerance: 1e-10, maximumIterations: 2000)))
        #expect(none == 0 && few > 0 && 4 * few < many, "\(few) and \(many)")
        // A residual of 1e-10 leaves 1e-10·κ of the solution, κ ≤ 1e6.
        for found in [plain, conditioned] { #expect((found - exact).norm <= 1e-4 * exact.norm, "\((found - exact).norm / exact.norm)") }
    }

    /// Every step draws another sketch, and the seed decides which.
    @Test func sketchesAreDrawnAnew() throws {
        let problem = try smallPoisson()
        func run(seed: Int) throws -> NaturalGradientState {
            let method = NaturalGradient(damping: ConstantDamping(1e-3), solver: .nystrom(NystromMetric(share: 0.2)), seed: seed)
            return try drive(method, on: problem, from: startingPoint(of: problem), steps: 2).state
        }
        let (one, same, other) = (try run(seed: 1), try run(seed: 1), try run(seed: 2))
        #expect(one == same && one.parameters != other.parameters)
        #expect(one.random.position > 0)
    }

    /// A metric that rounding makes indefinite is damped more, and the report says so.
    @Test func dampingGrowsUntilTheMetricIsDefinite() throws {
        let problem = try LinearResiduals.random(40, 30, singularValues: [1e6, 1])
        let (state, reports) = try drive(
            NaturalGradient(damping: ConstantDamping(1e-12), solver: .exact), on: problem, from: Parameters(.zeros(30)), steps: 1)
        let damping = try #require(reports.first?.details.first { $0.name == "damping" }).value
        #expect(damping >= 1e-12 * 10 && damping <= 10)
        #expect(state.standpoint.loss.total < problem.loss(at: .zeros(30)).total)
    }

    // MARK: Settings that act

    @Test func dampingRules() throws {
        #expect(LossProportionalDamping(factor: 1e-2).value(loss: 3, steps: 9) == 1e-2 * 3)
        #expect(LossProportionalDamping(factor: 1e-2, minimum: 1e-4).value(loss: 1e-6, steps: 9) == 1e-4)
        #expect(LossProportionalDamping(factor: 1e-2, maximum: 0.1).value(loss: 1e3, steps: 9) == 0.1)
        #expect(abs(DecayingDamping(initial: 1, rate: 0.5).value(loss: 3, steps: 3) - 0.125) < 1e-16)
        #expect(DecayingDamping(initial: 1, rate: 0.5, minimum: 0.2).value(loss: 3, steps: 3) == 0.2)
        #expect(throws: ConfigurationError.self) { try LossProportionalDamping(factor: 1, minimum: 2, maximum: 1).validated() }
        // The clock of a decaying damping is the state's, and the loss that of the standpoint.
        let problem = try smallPoisson()
        let (_, reports) = try drive(
            NaturalGradient(damping: DecayingDamping(initial: 1, rate: 0.1, minimum: 1e-9)), on: problem,
            from: startingPoint(of: problem), steps: 3)
        let used = reports.map { $0.details.first { $0.name == "damping" }?.value ?? .nan }
        for (k, λ) in [1, 0.1, 0.01].enumerated() { #expect(abs(used[k] - λ) < 1e-12 * λ) }
    }

    /// No step is longer than √C, and one whose direction is short has the rate's length.
    @Test func ratesAreCapped() throws {
        let problem = try smallPoisson()
        let start = startingPoint(of: problem)
        for (η, bound) in [(0.5, 1e-6), (1e-7, 1.0)] {
            let method = NaturalGradient(
                damping: ConstantDamping(1e-4), stepLength: .fixed(CappedRate(learningRate: η, normBound: bound)))
            let (state, reports) = try drive(method, on: problem, from: start, steps: 1)
            let length = (state.parameters.values - start.values).norm
            if η == 0.5 { #expect(abs(length - 1e-3) < 1e-12) } else { #expect(length < 1 && reports[0].stepLength == 1e-7) }
        }
    }

    /// After a revision the memory, its count and the clock go on; loss and gradient are those of the new problem.
    @Test func revisionsKeepTheMemory() throws {
        let problem = try smallPoisson()
        let method = NaturalGradient(damping: ConstantDamping(1e-3), momentum: .spring(SPRINGMomentum(decay: 0.5)))
        var (state, _) = try drive(method, on: problem, from: startingPoint(of: problem), steps: 3)
        let before = state
        let revised = try problem.revised(by: WeightRevision([("boundary", 7)]))
        try method.adapt(&state, to: revised)
        #expect(state.memory == before.memory && state.count == before.count && state.steps == 3)
        #expect(state.standpoint.loss == (try revised.lossAndGradient(at: state.parameters.values)).loss)
        #expect(state.standpoint.loss != before.standpoint.loss)
    }

    /// An ascent direction is no step: the memory is dropped, and where the gradient itself is wrong, that is a breakdown.
    @Test func troubleIsAVerdict() throws {
        let problem = try LinearResiduals.random(12, 5, singularValues: [3, 2, 1, 0.5, 0.3])
        let method = NaturalGradient(damping: ConstantDamping(1e-6), momentum: .heavyBall(HeavyBallMomentum(decay: 0.9)))
        var state = try method.start(on: problem, from: Parameters(.zeros(5)))
        state.memory = 1e6 * state.standpoint.gradient
        state.count = 4
        let report = try method.step(&state, on: problem)
        #expect(report.verdict == .accepted && state.count == 1)

        struct Lying: LeastSquaresProblem {
            var honest: LinearResiduals
            var name: String { "lying" }
            var identity: Setting { .scalar(name) }
            var layout: ParameterLayout { honest.layout }
            var residualCount: Int { honest.residualCount }
            func initialParameters(from random: inout RandomStream) -> Parameters { honest.initialParameters(from: &random) }
            func residual(at θ: Vector) -> Vector { honest.residual(at: θ) }
            func loss(at θ: Vector) -> LossValue { honest.loss(at: θ) }
            func lossAndGradient(at θ: Vector) -> Evaluation {
                Evaluation(loss: honest.loss(at: θ), gradient: -honest.lossAndGradient(at: θ).gradient)
            }
            func linearization(at θ: Vector) -> any Linearization {
                LinearResiduals.Dense(residual: -honest.residual(at: θ), matrix: honest.a)
            }
        }
        var lying = try NaturalGradient().start(on: Lying(honest: problem), from: Parameters(.zeros(5)))
        let before = Archive(of: lying)
        guard case .brokeDown(let breakdown) = try NaturalGradient().step(&lying, on: Lying(honest: problem)).verdict else {
            Issue.record("an ascent direction was not reported")
            return
        }
        #expect(breakdown.reason == .lineSearch && Archive(of: lying) == before)
    }
}
