import Classification
import Globalization
import LinearAlgebra
import NewtonFixtures
import NewtonKrylov
import OptimizationCore
import PhysicsInformed
import QuasiNewton
import StochasticCurvature
import Testing

/// What each method takes from which samples.
@Suite struct EffectTests {
    private let bowls = Bowls.random(60, dimension: 3, uneven: true)

    private func sum(_ indices: [Int], _ term: (Int) -> Double) -> Double { indices.reduce(0) { $0 + term($1) } }

    // MARK: Subsampled Newton–CG

    /// On bowls B_H = mean(h over H)·I: the direction is −g_S/mean(h over H), for S and H as the streams say.
    @Test func theStepIsOfOneSamplesGradientAndAnothersCurvature() throws {
        let method = SubsampledNewtonCG(batch: BatchSettings(size: 10), curvatureBatch: BatchSettings(size: 4))
        var state = try method.start(on: bowls, from: Parameters([3, 3, 3]))
        #expect(state.point.sample.stream == "subsampled-newton-cg/gradient" && state.curvature.stream == "subsampled-newton-cg/curvature")
        for _ in 0..<5 {
            let before = state
            let report = try method.step(&state, on: bowls)
            #expect(report.verdict == .accepted && report.stepLength == 1)
            let (S, H) = (before.point.sample.batch.indices[0], before.curvature.batch.indices[0])
            #expect(Set(S).count == 10 && Set(H).count == 4 && Array(S.prefix(4)) != H)
            let θ = before.parameters.values
            let g = 0.1 * S.reduce(Vector.zeros(3)) { $0 + bowls.gradient($1, at: θ) }
            let expected = θ.adding(g, scaledBy: -1 / (sum(H) { bowls.curvatures[$0] } / 4))
            #expect((state.parameters.values - expected).norm <= 1e-14 * expected.norm)
            // The report is of the next sample, at the new parameters.
            let next = try bowls.restricted(to: state.point.sample.batch)
            #expect(state.point.sample.number == before.point.sample.number + 1 && state.curvature.number == before.curvature.number + 1)
            #expect(report.loss == next.loss(at: state.parameters.values) && report.sampleFraction == 10.0 / 60)
        }
        let archive = Archive(of: state)
        for path in ["point", "curvature"] { #expect(archive[path] != nil) }
        #expect(try archive.group("point").group("sample").count("number") == 5)
    }

    @Test func samplesAreHeldAsLongAsAsked() throws {
        let method = SubsampledNewtonCG(batch: BatchSettings(size: 10, holding: 3), curvatureBatch: BatchSettings(size: 4, holding: 2))
        var state = try method.start(on: bowls, from: Parameters([3, 3, 3]))
        var numbers: [[Int]] = []
        for _ in 0..<6 {
            numbers.append([state.point.sample.number, state.curvature.number])
            _ = try method.step(&state, on: bowls)
        }
        #expect(numbers.map { $0[0] } == [0, 0, 0, 1, 1, 1] && numbers.map { $0[1] } == [0, 0, 1, 1, 2, 2])
    }

    @Test func theWholeProblemsStepIsNewtonCGs() throws {
        let problem = try ContractTests.classes()
        let start = Parameters(layout: problem.layout, values: Vector(repeating: 0.5, count: 5))
        let sampled = SubsampledNewtonCG(batch: BatchSettings(size: 80), curvatureBatch: BatchSettings(size: 80))
        var plain = NewtonCG(model: .hessian, lineSearch: BacktrackingArmijo())
        (plain.forcing, plain.maximumIterations) = (ForcingTerm(.constant, initial: 0.1), 20)
        var (one, other) = (try sampled.start(on: problem, from: start), try plain.start(on: problem, from: start))
        for _ in 0..<6 {
            let (a, b) = (try sampled.step(&one, on: problem), try plain.step(&other, on: problem))
            #expect(one.parameters == other.parameters && a.loss == b.loss && a.coversAllSamples)
        }
    }

    // MARK: Subsampled Gauss–Newton

    @Test(arguments: [SubsampledGaussNewton.Solver.conjugateGradients, .kernel])
    func aStepOfTheWholeIsLevenbergs(solver: SubsampledGaussNewton.Solver) throws {
        let problem = try poissonNetwork(seed: 1)
        let start = startingPoint(of: problem)
        var method = SubsampledGaussNewton(batch: BatchSettings(size: 1_000), solver: solver)
        var rule = NielsenDamping()
        rule.initial = 0.1
        (method.dampingRule, method.tolerance, method.maximumIterations) = (rule, 1e-14, 1_000)
        var state = try method.start(on: problem, from: start)
        let model = try problem.linearization(at: start.values)
        let g = model.transposedProduct(model.residual)
        let λ = 0.1 * pow2(model.product(g).norm / g.norm)
        let p = -(try Cholesky.factorize(model.gramian(), addingToDiagonal: Vector(repeating: λ, count: g.count)).get().solve(g))
        let report = try method.step(&state, on: problem)
        #expect(report.verdict == .accepted)
        let distance = (state.parameters.values - start.values - p).norm
        #expect(distance <= 1e-9 * p.norm, "\(distance / p.norm)")
        let (image, before) = (model.product(p), try problem.loss(at: start.values).total)
        let promised = -g.dot(p) - 0.5 * image.dot(image)
        let ρ = (before - report.loss.total) / promised
        let reported = try #require(report.details.first { $0.name == "gainRatio" }).value
        #expect(abs(reported - ρ) <= 1e-6 * abs(ρ))
        #expect(report.coversAllSamples)
    }

    /// The gain ratio is the probe's: a problem whose samples disagree is one where steps that fit S raise the loss of Q.
    @Test func stepsAreJudgedByTheProbe() throws {
        let method = SubsampledGaussNewton(
            batch: BatchSettings(size: 3), probeBatch: BatchSettings(size: 5, holding: 2), solver: .kernel)
        var state = try method.start(on: bowls, from: Parameters([0.4, 0.1, -0.2]))
        #expect(state.probe.stream == "subsampled-gauss-newton/probe")
        var (rejected, accepted, probes) = (0, 0, [Int]())
        for _ in 0..<30 {
            let before = state
            probes.append(before.probe.number)
            let report = try method.step(&state, on: bowls)
            let (S, Q) = (try bowls.restricted(to: before.point.sample.batch), try bowls.restricted(to: before.probe.batch))
            let (θ, λ) = (before.parameters.values, try #require(report.details.first { $0.name == "damping" }).value)
            let (g, h) = (S.lossAndGradient(at: θ).gradient, S.curvatures.reduce(0, +) / 3)
            let candidate = θ.adding(g, scaledBy: -1 / (h + λ))
            let p = candidate - θ
            let ρ = (Q.loss(at: θ).total - Q.loss(at: candidate).total) / (-g.dot(p) - 0.5 * h * p.dot(p))
            let reported = try #require(report.details.first { $0.name == "gainRatio" }).value
            // What rounding of the loss leaves of the ratio where the step promises little.
            let rounding = 64 * .ulpOfOne * Q.loss(at: θ).total / (-g.dot(p) - 0.5 * h * p.dot(p))
            #expect(abs(reported - ρ) <= 1e-9 * max(1, abs(ρ)) + rounding)
            #expect((report.verdict == .accepted) == (ρ > 0) && report.sampleFraction == 5.0 / 60)
            let there = ρ > 0 ? candidate : θ
            #expect((state.parameters.values - there).norm <= 1e-12)
            #expect(abs(report.loss.total - Q.loss(at: state.parameters.values).total) <= 1e-12 * report.loss.total)
            if ρ > 0 { accepted += 1 } else { rejected += 1 }
        }
        #expect(rejected >= 3 && accepted >= 3, "\(rejected) rejected, \(accepted) accepted")
        #expect(probes == (0..<30).map { $0 / 2 })
    }

    // MARK: L-BFGS

    @Test func overlapPairsAreOfTheSameSamples() throws {
        let problem = try ContractTests.classes()
        let method = OnlineLBFGS(batch: BatchSettings(size: 20), learningRate: 0.5)
        var state = try method.start(on: problem, from: Parameters(layout: problem.layout, values: .zeros(5)))
        #expect(state.shared?.indices[0].count == 5 && state.batch?.indices[0].count == 20)
        for _ in 0..<8 {
            let before = state
            _ = try method.step(&state, on: problem)
            let shared = try #require(before.shared).indices
            // The last quarter of the sample before is the first of this one, and no sample is in it twice.
            #expect(before.batch.map { Array($0.indices[0].suffix(5)) } == shared[0])
            #expect(state.batch.map { Array($0.indices[0].prefix(5)) } == shared[0])
            #expect(Set(state.batch?.indices[0] ?? []).count == 20 && state.batch != before.batch)
            let O = try problem.restricted(to: Batch(shared))
            let (a, b) = (before.parameters.values, state.parameters.values)
            let pair = try #require(state.pairs.last)
            #expect(pair.change == O.lossAndGradient(at: b).gradient - O.lossAndGradient(at: a).gradient && pair.step == b - a)
            // The parts' gradients make up that of the whole sample.
            let S = try problem.restricted(to: try #require(state.batch))
            let g = S.lossAndGradient(at: b).gradient
            #expect((state.standpoint.gradient - g).norm <= 1e-14 * max(1, g.norm))
        }
        #expect(Set(state.pairs.map(\.curvature)).count == 8)
    }

    @Test func sameSamplePairsAreOfAllOfIt() throws {
        let problem = Counted(try ContractTests.classes())
        let method = OnlineLBFGS(batch: BatchSettings(size: 20), pairs: .sameSample)
        var state = try method.start(on: problem, from: Parameters(layout: problem.layout, values: .zeros(5)))
        for _ in 0..<4 {
            let before = state
            _ = try method.step(&state, on: problem)
            let S = try problem.base.restricted(to: try #require(before.batch))
            let (a, b) = (before.parameters.values, state.parameters.values)
            #expect(state.pairs.last?.change == S.lossAndGradient(at: b).gradient - S.lossAndGradient(at: a).gradient)
        }
        // One at the start, two a step; with parts that are shared, one of a sample a step, in three pieces.
        #expect(problem.counter.counts.calls(.gradient) == 9)
        let other = Counted(try ContractTests.classes())
        let sharing = OnlineLBFGS(batch: BatchSettings(size: 20))
        var there = try sharing.start(on: other, from: Parameters(layout: problem.layout, values: .zeros(5)))
        for _ in 0..<4 { _ = try sharing.step(&there, on: other) }
        #expect(other.counter.counts.calls(.gradient) == 15 && abs(other.counter.counts[.gradient] - 5 * 20.0 / 80) < 1e-12)
    }

    /// On the whole problem y is the change of its gradient, and the direction the two-loop recursion's.
    @Test func onTheWholeTheDirectionIsLBFGSs() throws {
        let problem = try ContractTests.classes()
        let method = OnlineLBFGS(batch: BatchSettings(size: 80), learningRate: 1)
        var state = try method.start(on: problem, from: Parameters(layout: problem.layout, values: .zeros(5)))
        for _ in 0..<5 {
            let before = state
            let report = try method.step(&state, on: problem)
            #expect(report.coversAllSamples && state.batch == nil && state.shared == nil)
            let (a, b) = (before.parameters.values, state.parameters.values)
            #expect(state.pairs.last?.change == problem.lossAndGradient(at: b).gradient - problem.lossAndGradient(at: a).gradient)
            guard !before.pairs.isEmpty else { continue }
            let scale = before.pairs.reduce(0) { $0 + $1.curvature / $1.change.dot($1.change) } / Double(before.pairs.count)
            let H = inverse(before.pairs.map { ($0.step, $0.change) }, scale: scale)
            #expect((b - a + H.times(before.standpoint.gradient)).norm <= 1e-10 * (b - a).norm)
        }
    }

    /// BFGS's inverse matrix by its own formula.
    private func inverse(_ pairs: [(s: Vector, y: Vector)], scale: Double) -> Matrix {
        let n = pairs[0].s.count
        var H = Matrix.identity(n)
        for i in 0..<n { H[i, i] = scale }
        for (s, y) in pairs {
            let ρ = 1 / s.dot(y)
            var V = Matrix.identity(n)
            for i in 0..<n { for j in 0..<n { V[i, j] -= ρ * s[i] * y[j] } }
            H = Matrix.product(Matrix.product(V, H), V, transposingSecond: true)
            for i in 0..<n { for j in 0..<n { H[i, j] += ρ * s[i] * s[j] } }
        }
        return H
    }

    @Test func theWholeProblemsProgressiveStepIsLBFGSs() throws {
        let problem = try ContractTests.classes()
        let start = Parameters(layout: problem.layout, values: .zeros(5))
        let progressive = ProgressiveLBFGS(batch: BatchSettings(size: 80))
        var plain = LBFGS(memory: 10, lineSearch: progressive.lineSearch)
        (plain.firstTrial, plain.curvatureTolerance) = (.unit, progressive.curvatureTolerance)
        var (one, other) = (try progressive.start(on: problem, from: start), try plain.start(on: problem, from: start))
        for _ in 0..<8 {
            let (a, b) = (try progressive.step(&one, on: problem), try plain.step(&other, on: problem))
            #expect(one.parameters == other.parameters && a.loss == b.loss && a.coversAllSamples)
        }
    }

    /// Far from the minimum the parts of a sample agree; near it they do not, and samples grow to the whole problem, whose minimum is
    /// reached.
    @Test func samplesGrowWhereTheirDirectionsDiffer() throws {
        let problem = Bowls.random(400, dimension: 4, uneven: true)
        let method = ProgressiveLBFGS(batch: BatchSettings(size: 16))
        var state = try method.start(on: problem, from: Parameters(Vector(repeating: 1e3, count: 4)))
        var sizes: [Int] = []
        for _ in 0..<40 {
            sizes.append(state.point.sample.sizes[0])
            if case .stationary = try method.step(&state, on: problem).verdict { break }
        }
        #expect(sizes.prefix(2) == [16, 16] && sizes == sizes.sorted() && sizes.last == 400, "\(sizes)")
        #expect(problem.lossAndGradient(at: state.parameters.values).gradient.norm <= 1e-7)
    }

    /// A pair's y, and the search, are of the sample before; the first trial shrinks with the gradient's variance.
    @Test func theSearchBeginsShorterWhereTheGradientIsUncertain() throws {
        let method = ProgressiveLBFGS(batch: BatchSettings(size: 16), sampleSize: NormTest(tolerance: 1e3))
        var state = try method.start(on: bowls, from: Parameters([0.5, 0.5, 0.5]))
        var shortened = 0
        for _ in 0..<6 {
            let before = state
            let report = try method.step(&state, on: bowls)
            let g = before.point.standpoint.gradient
            guard !before.pairs.isEmpty, let α = report.stepLength, report.details.first(where: { $0.name == "trials" })?.value == 1
            else { continue }
            #expect(α == 1 / (1 + before.point.variance / g.dot(g)))
            if α < 0.99 { shortened += 1 }
            let S = try bowls.restricted(to: before.point.sample.batch)
            let (a, b) = (before.parameters.values, state.parameters.values)
            // The gradient at a is the mean of the parts'.
            let y = S.lossAndGradient(at: b).gradient - S.lossAndGradient(at: a).gradient
            #expect((try #require(state.pairs.last).change - y).norm <= 1e-14)
        }
        #expect(shortened >= 2)
    }

    // MARK: Stochastic trust region

    /// Every step draws three new samples; the radius doubles and halves, and the samples follow it.
    @Test func samplesFollowTheRadius() throws {
        var method = StochasticTrustRegion(
            batch: BatchSettings(size: 4), curvatureBatch: BatchSettings(size: 2), probeBatch: BatchSettings(size: 3))
        method.initialRadius = 0.5
        let problem = Bowls.random(500, dimension: 3, uneven: true)
        var state = try method.start(on: problem, from: Parameters([2, 2, 2]))
        let streams = [state.point.sample.stream, state.curvature.stream, state.probe.stream]
        #expect(streams == ["gradient", "curvature", "probe"].map { "stochastic-trust-region/\($0)" })
        var (accepted, rejected, largest) = (0, 0, 0)
        for _ in 0..<40 {
            let before = state
            let report = try method.step(&state, on: problem)
            let Δ = before.radius ?? 0.5
            #expect(state.radius == (report.verdict == .accepted ? min(2 * Δ, 500) : Δ / 2))
            for (old, new) in [
                (before.point.sample, state.point.sample), (before.curvature, state.curvature), (before.probe, state.probe),
            ] where !new.isWhole { #expect(new.number == old.number + 1) }
            let Q = try problem.restricted(to: before.probe.batch)
            #expect(report.loss == Q.loss(at: state.parameters.values))
            let ratio = max(1, 0.5 / (state.radius ?? 0.5))
            let expected = [4 * ratio * ratio, 2 * ratio * ratio, 3 * ratio * ratio * ratio * ratio].map { min(Int($0.rounded(.up)), 500) }
            #expect([state.point.sample.sizes[0], state.curvature.sizes[0], state.probe.sizes[0]] == expected)
            let (p, ρ) = (state.parameters.values - before.parameters.values, report.details.first { $0.name == "gainRatio" }?.value)
            if report.verdict == .accepted { accepted += 1 } else { rejected += 1 }
            #expect(p.norm <= Δ * (1 + 1e-12) && (report.verdict != .accepted || (ρ ?? 0) >= 0.1))
            largest = max(largest, state.probe.sizes[0])
        }
        #expect(accepted >= 5 && rejected >= 5 && largest > 30, "\(accepted), \(rejected), \(largest)")
        let Δ = try #require(state.radius)
        #expect(method.shortenSteps(&state) && state.radius == 0.1 * Δ)
        method.batch.holding = 2
        #expect(throws: ConfigurationError.self) { try method.validated() }
    }

    // MARK: Diagonals and sketches

    /// A diagonal Hessian is estimated without error by any signs, so that AdaHessian's first step is η·g/|h|.
    @Test func aDiagonalHessianIsFoundByOneProbe() throws {
        let A = Matrix(rows: [[4, 0, 0], [0, 9, 0], [0, 0, 0.5]])
        let problem = Quadratic(A: A, b: [1, 1, 1])
        var method = AdaHessian(learningRate: 0.25)
        method.epsilon = 0
        var state = try method.start(on: problem, from: Parameters([1, -1, 2]))
        #expect(state.diagonal == [4, 9, 0.5])
        let g = state.gradient
        _ = try method.step(&state, on: problem)
        let expected = Vector([1 - 0.25 * g[0] / 4, -1 - 0.25 * g[1] / 9, 2 - 0.25 * g[2] / 0.5])
        #expect((state.parameters.values - expected).norm <= 1e-14)
        method.averaging = 2
        state = try method.start(on: problem, from: Parameters([1, -1, 2]))
        _ = try method.step(&state, on: problem)
        let averaged = Vector([1 - 0.25 * g[0] / 6.5, -1 - 0.25 * g[1] / 6.5, 2 - 0.25 * g[2] / 0.5])
        #expect((state.parameters.values - averaged).norm <= 1e-14)
    }

    /// Hutchinson's estimate has the diagonal as its mean: over 4 000 probes of a dense matrix within five standard errors.
    @Test func theEstimatesMeanIsTheDiagonal() throws {
        let A = try symmetric(eigenvalues: [1, 2, 3, 10], seed: 4)
        var method = Sophia()
        method.probes = 4_000
        let D = try #require(try method.start(on: Quadratic(A: A, b: .zeros(4)), from: Parameters(.zeros(4))).diagonal)
        for i in 0..<4 {
            let deviation = (0..<4).filter { $0 != i }.reduce(0) { $0 + A[i, $1] * A[i, $1] }.squareRoot() / 4_000.0.squareRoot()
            #expect(abs(D[i] - A[i, i]) <= 5 * deviation && D[i] != A[i, i])
        }
    }

    @Test func sophiaClipsAndEstimatesSeldom() throws {
        let problem = Counted(Quadratic(A: Matrix(rows: [[4, 0], [0, -1]]), b: [0, 0]))
        var method = Sophia(learningRate: 0.01)
        method.refresh = 3
        var state = try method.start(on: problem, from: Parameters([1e-3, 1]))
        // m = 0.04·g, h = 0.01·D: the first entry moves by η·m/(γh) = 0.4η, the second, which curves down, by ηρ against its slope of −1.
        _ = try method.step(&state, on: problem)
        #expect(abs(state.parameters.values[0] - (1e-3 - 0.01 * 0.4)) <= 1e-15 && state.parameters.values[1] == 1.01)
        for _ in 0..<6 { _ = try method.step(&state, on: problem) }
        // At the start, and for steps 4 and 7; that for step 10 is not due yet.
        #expect(problem.counter.counts.calls(.hessianProduct) == 3 && problem.counter.counts.calls(.gradient) == 8)
    }

    @Test func gaussNewtonDiagonalsAreThoseOfJTJ() throws {
        var method = AdaHessian()
        (method.model, method.probes) = (.gaussNewton, 1)
        let D = try #require(try method.start(on: bowls, from: Parameters([1, 2, 3])).diagonal)
        let h = bowls.curvatures.reduce(0, +) / 60
        #expect(D.allSatisfy { abs($0 - h) <= 1e-14 })
    }

    /// A sketch of full rank is the curvature: the step is damped Newton's, at a rate just above one half.
    @Test func aSketchOfFullRankGivesADampedNewtonStep() throws {
        let problem = try ContractTests.classes()
        let start = Parameters(layout: problem.layout, values: Vector(repeating: 0.3, count: 5))
        var method = SketchySGD(
            batch: BatchSettings(size: 20), curvatureBatch: BatchSettings(size: 80), rank: 5, regularization: 0.1, refresh: 3)
        var state = try method.start(on: problem, from: start)
        let before = state
        let report = try method.step(&state, on: problem)
        let H = problem.hessian(at: start.values).matrix()
        let eigenvalues = try SymmetricEigen.factorize(H).get().values
        let largest = try #require(eigenvalues.last)
        let damped = try Cholesky.factorize(H, addingToDiagonal: Vector(repeating: 0.1 * largest, count: 5)).get()
        let expected = damped.solve(before.point.standpoint.gradient)
        let η = try #require(report.stepLength)
        #expect((state.parameters.values - start.values + η * expected).norm <= 1e-9 * expected.norm)
        // λ₁ = λ/(λ + ρ) of the largest λ, from below by ten power iterations.
        #expect(η >= 0.5 * 1.1 * (1 - 1e-12) && η <= 0.5 * 1.1 * 1.1, "\(η)")
        #expect(state.point.sample.stream == "sketchy-sgd/gradient" && state.curvature.stream == "sketchy-sgd/curvature")
        let ages = try (0..<6).map { _ in
            try #require(try method.step(&state, on: problem).details.first { $0.name == "sketchAge" }).value
        }
        #expect(ages == [1, 2, 0, 1, 2, 0] && state.curvature.number == 6)
        method.learningRate = 0.25
        state = before
        #expect(try method.step(&state, on: problem).stepLength == 0.5 * η)
        method.curvatureBatch.holding = 2
        #expect(throws: ConfigurationError.self) { try method.validated() }
    }
}

private func pow2(_ x: Double) -> Double { x * x }
