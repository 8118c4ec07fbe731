import LeastSquares
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import QuasiNewton
import Testing

/// The methods side by side on one small physics-informed problem, as an independent NumPy trial of the same problem found them (other
/// random starts; ranges over 3–5 seeds): BFGS 7e-7 … 1.8e-6, self-scaled Broyden 6e-10 … 1.4e-8 after 4 000 iterations (Adam first),
/// Levenberg–Marquardt 1e-6 … 3e-6, Gauss–Newton by truncated SVD 1e-13 … 4e-12 in 45 … 180 iterations.
@Suite struct PoissonNetworkTests {
    private func start(_ seed: UInt64) -> Vector {
        var random = RandomStream(seed: seed, name: "start")
        return PoissonNetwork().initialParameters(from: &random).values
    }

    @Test func jacobianIsTheResidualsDerivative() throws {
        // The remainder of the first-order model falls by four when the step is halved: slope two.
        let problem = PoissonNetwork()
        var random = RandomStream(seed: 1, name: "direction")
        let (θ, v) = (start(0), random.normalVector(97))
        let model = problem.linearization(at: θ)
        let (r, Jv) = (model.residual, model.product(v))
        func remainder(_ h: Double) -> Double { (problem.residual(at: θ.adding(v, scaledBy: h)) - r - h * Jv).norm }
        for h in [1e-3, 1e-4, 1e-5] { #expect(abs(remainder(h) / remainder(h / 2) - 4) <= 0.2) }
    }

    @Test(arguments: [0, 2] as [UInt64]) func gaussNewtonReachesRounding(seed: UInt64) throws {
        let problem = PoissonNetwork()
        let (state, reports) = try drive(GaussNewton(), on: problem, from: start(seed), steps: 200)
        #expect(problem.relativeError(at: state.parameters.values) <= 4e-12)
        #expect(reports.last?.verdict == .stationary)
    }

    /// What a configuration writes as `{name: gauss-newton, relativeCutoff: 1e-11, factorization: qr-then-svd}`.
    @Test(arguments: 0..<5 as Range<UInt64>) func theAccurateCutoffReachesRoundingFromEverySeed(seed: UInt64) throws {
        let problem = PoissonNetwork()
        let optimizer = GaussNewton(relativeCutoff: 1e-11, factorization: .qrThenSVD)
        let (state, reports) = try drive(optimizer, on: problem, from: start(seed), steps: 200)
        #expect(problem.relativeError(at: state.parameters.values) <= 1e-12)
        #expect(reports.last?.verdict == .stationary)
    }

    /// The largest acceptable radius comes as far from every seed as a tenth of the steps that the rest of the way takes; the best decrease,
    /// ρ* near one, does not.
    @Test func theLargestAcceptableRadiusLeavesTheValley() throws {
        let problem = PoissonNetwork()
        func error(_ acceptance: Double) throws -> Double {
            var optimizer = SingularValueTrustRegion()
            (optimizer.acceptance, optimizer.finalAcceptance) = (acceptance, acceptance)
            return problem.relativeError(at: try drive(optimizer, on: problem, from: start(0), steps: 300).state.parameters.values)
        }
        let bold = try error(0.02)
        #expect(bold <= 1e-11)
        #expect(try error(0.9) > 1e3 * bold)
    }

    /// On a sketch of a third of the directions the error falls by orders still.
    @Test func aSketchedRegionDescends() throws {
        let problem = PoissonNetwork()
        var optimizer = SingularValueTrustRegion()
        optimizer.sketch = 60
        let (state, reports) = try drive(optimizer, on: problem, from: start(2), steps: 150)
        let first = problem.loss(at: start(2)).total
        #expect(state.standpoint.loss.total <= 1e-5 * first)
        for (before, after) in zip(reports, reports.dropFirst()) { #expect(after.loss.total <= before.loss.total) }
    }

    /// Near a minimum with a large residual a sketch of two columns of eleven knows nothing of the gradient: where no radius will do, −∇L is followed
    /// and told, and nothing breaks down. At the minimum itself the region on J is stationary at once, by its full step.
    @Test func aCoarseSketchFollowsTheGradient() throws {
        let problem = ZooProblem.osborneSecond
        let (solved, _) = try drive(LevenbergMarquardt(), on: problem, from: problem.start, steps: 200)
        let minimizer = solved.parameters.values
        let end = try #require(drive(SingularValueTrustRegion(), on: problem, from: minimizer, steps: 60).reports.last)
        #expect(end.verdict == .stationary, "\(end)")
        let near = Vector(minimizer.enumerated().map { $1 * (1 + 1e-4 * ($0 % 2 == 0 ? 1 : -1)) })
        var optimizer = SingularValueTrustRegion()
        optimizer.sketch = 2
        var state = try optimizer.start(on: problem, from: Parameters(near))
        var reports: [StepReport] = []
        for _ in 0..<400 {
            reports.append(try optimizer.step(&state, on: problem))
            #expect(reports[reports.count - 1].loss == problem.loss(at: state.parameters.values))
        }
        #expect(reports.allSatisfy { $0.verdict == .accepted || $0.verdict == .rejected }, "\(reports.last.map { "\($0)" } ?? "")")
        let told = reports.filter { !$0.recoveries.isEmpty }
        #expect(!told.isEmpty && told.allSatisfy { $0.verdict == .accepted && $0.recoveries[0].contains("−∇L was followed") })
        let (first, last) = (problem.loss(at: near).total, state.standpoint.loss.total)
        #expect(last < first && reports.map(\.loss.total).max() ?? .infinity <= first)
    }

    /// c and d enter linearly; without them the way is shorter.
    @Test func projectedVariablesShortenTheWay() throws {
        let problem = PoissonNetwork()
        let θ = Parameters(layout: problem.layout, values: start(1))
        func loss(_ optimizer: VariableProjection) throws -> Double {
            var state = try optimizer.start(on: problem, from: θ)
            for _ in 0..<40 { _ = try optimizer.step(&state, on: problem) }
            return state.standpoint.loss.total
        }
        #expect(try loss(VariableProjection(linearBlocks: ["c", "d"])) < 0.1 * loss(VariableProjection()))
        let error = #expect(throws: ConfigurationError.self) {
            try VariableProjection(linearBlocks: ["e"]).start(on: problem, from: θ)
        }
        #expect(error?.reason.contains("there is no block “e”") == true)
    }

    @Test(arguments: [0, 2] as [UInt64]) func selfScalingBuysOrders(seed: UInt64) throws {
        let problem = PoissonNetwork()
        let (plain, _) = try drive(SelfScaledBroyden(.bfgs), on: problem, from: start(seed), steps: 1_500)
        let (scaled, reports) = try drive(SelfScaledBroyden(), on: problem, from: start(seed), steps: 1_500)
        let (before, after) = (problem.relativeError(at: plain.parameters.values), problem.relativeError(at: scaled.parameters.values))
        #expect(after <= 1e-6)
        #expect(after <= 0.05 * before)
        // The first trial, taken from the last decrease, is usually the only one.
        let trials = reports.reduce(0) { total, report in total + (report.details.first { $0.name == "trials" }?.value ?? 0) }
        #expect(trials <= 1.25 * Double(reports.count))
    }
}
