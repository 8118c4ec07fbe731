import Globalization
import NewtonFixtures
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing
import TrustRegion

@Suite struct TrustRegionTests {
    static let subproblems = TrustRegion.Subproblem.allCases

    @Test(arguments: subproblems) func aQuadraticIsSolved(subproblem: TrustRegion.Subproblem) throws {
        let A = try symmetric(eigenvalues: (1...15).map(Double.init), seed: 1)
        var random = RandomStream(seed: 1, name: "minimiser")
        let minimiser = random.normalVector(15)
        let problem = Quadratic(A: A, b: A.times(minimiser))
        let (state, _) = try drive(TrustRegion(subproblem), on: problem, from: Parameters(.zeros(15)), steps: 40)
        #expect((state.parameters.values - minimiser).norm <= 1e-7 * minimiser.norm)
    }

    @Test(arguments: subproblems, [.hessian, .gaussNewton] as [TrustRegion.Model])
    func convergenceIsFast(subproblem: TrustRegion.Subproblem, model: TrustRegion.Model) throws {
        let (state, reports) = try drive(
            TrustRegion(subproblem, model: model), on: ZooProblem.rosenbrock, from: Parameters([-1.2, 1]), steps: 80)
        let losses = reports.map(\.loss.total)
        #expect((state.parameters.values - [1, 1]).norm <= 1e-9, "\(losses.count) steps")
        let (near, arrived) = (try #require(losses.firstIndex { $0 <= 1e-4 }), try #require(losses.firstIndex { $0 <= 1e-18 }))
        #expect(arrived - near <= 6, "\(losses.suffix(8))")
        for (before, after) in zip(reports, reports.dropFirst()) { #expect(after.loss.total <= before.loss.total) }
    }

    /// Beside a saddle every subproblem's step goes on; on its ridge, with a gradient that has no part down it, the exact one alone.
    @Test(arguments: subproblems) func saddlesAreLeft(subproblem: TrustRegion.Subproblem) throws {
        let (state, _) = try drive(TrustRegion(subproblem), on: Saddle(), from: Parameters([1e-3, 1e-3, -1e-3]), steps: 60)
        let θ = state.parameters.values
        #expect(abs(abs(θ[0]) - 1) <= 1e-6 && abs(θ[1]) <= 1e-6 && abs(θ[2]) <= 1e-6, "\(θ)")
        guard subproblem == .exact else { return }
        let (ridge, _) = try drive(TrustRegion(.exact), on: Saddle(), from: Parameters([0, 0.5, -0.5]), steps: 60)
        #expect(abs(abs(ridge.parameters.values[0]) - 1) <= 1e-6)
    }

    /// A small physics-informed network from its random start.
    @Test(arguments: subproblems, [1, 2] as [UInt64]) func aNetworkIsTrained(subproblem: TrustRegion.Subproblem, seed: UInt64) throws {
        let problem = try poissonNetwork(seed: seed)
        var random = RandomStream(seed: seed, name: "initialization")
        let start = problem.initialParameters(from: &random)
        let first = try problem.loss(at: start.values).total
        for model in [TrustRegion.Model.hessian, .gaussNewton] {
            let (state, _) = try drive(TrustRegion(subproblem, model: model), on: problem, from: start, steps: 100)
            let error = try #require(try problem.referenceError(at: state.parameters.values))
            #expect(
                state.standpoint.loss.total <= 1e-4 * first && error <= 0.1, "L from \(first) to \(state.standpoint.loss.total), \(error)")
        }
    }

    /// A refused trial is followed by another radius in the same step, without another product.
    @Test func refusalsCostNoProducts() throws {
        let counter = WorkCounter()
        let problem = Counted(ZooProblem.rosenbrock, counter: counter)
        var optimizer = TrustRegion(.steihaugToint)
        optimizer.initialRadius = 100
        var state = try optimizer.start(on: problem, from: Parameters([-1.2, 1]))
        var refused = 0
        for _ in 0..<20 {
            let before = counter.counts
            let report = try optimizer.step(&state, on: problem)
            let work = counter.counts - before
            let trials = Int(report.details.first { $0.name == "trials" }?.value ?? 0)
            refused += trials - 1
            #expect(work.calls(.hessianProduct) <= 4 && work.calls(.gradient) == trials)
            #expect(work.calls(.hessianProduct) == report.linearIterations)
        }
        #expect(refused >= 1)
    }

    @Test func radiusFollowsItsRule() throws {
        var optimizer = TrustRegion(.exact)
        optimizer.initialRadius = 1e-3
        var state = try optimizer.start(on: Saddle(), from: Parameters([0.1, 0.1, 0.1]))
        // Far within the model's reach: every step goes to the boundary, and the radius doubles.
        for k in 0..<4 {
            let report = try optimizer.step(&state, on: Saddle())
            #expect(abs((report.stepLength ?? 0) - 1e-3 * Double(1 << k)) <= 1e-12)
        }
        #expect(state.radius == 16e-3)
        #expect(optimizer.shortenSteps(&state) && state.radius == 1.6e-3)
    }

    @Test(arguments: subproblems) func storedAndContinuedIsUninterrupted(subproblem: TrustRegion.Subproblem) throws {
        let optimizer = TrustRegion(subproblem)
        var whole = try optimizer.start(on: ZooProblem.wood, from: Parameters(ZooProblem.wood.start))
        for step in 0..<30 {
            var resumed = try Archive(of: whole).decoded(as: TrustRegionState.self)
            #expect(resumed == whole)
            let verdict = try optimizer.step(&whole, on: ZooProblem.wood).verdict
            _ = try optimizer.step(&resumed, on: ZooProblem.wood)
            #expect(resumed == whole, "step \(step + 1)")
            if verdict != .accepted, verdict != .rejected { break }
        }
    }

    @Test func gaussNewtonWantsASumOfSquares() {
        #expect(throws: ConfigurationError.self) {
            try TrustRegion(.gltr, model: .gaussNewton).start(on: Saddle(), from: Parameters([1, 1, 1]))
        }
    }

    @Test func settingsAreRefusedInTheirNames() throws {
        #expect(SettingsConformance.failures(of: TrustRegion()) == [])
        var registry = Registry()
        try registry.install(TrustRegionPlugin.self)
        #expect(registry.optimizers.map(\.name) == ["trust-region"])
    }

    /// No constant of the method has the loss's scale: times 2⁻⁴⁰ and 2⁴⁰ it gives the same bits in every iterate.
    @Test(arguments: subproblems, [ZooProblem.rosenbrock, .wood, .biggsExponential, .powellBadlyScaled, .brownDennis])
    func theSameBits(subproblem: TrustRegion.Subproblem, problem: ZooProblem) throws {
        for model in TrustRegion.Model.allCases {
            func iterates(_ factor: Double) throws -> ([Vector], [String]) {
                let (optimizer, scaled) = (TrustRegion(subproblem, model: model), Rescaled(base: problem, factor: factor))
                var state = try optimizer.start(on: scaled, from: Parameters(problem.start))
                var (points, verdicts) = ([Vector](), [String]())
                for _ in 0..<60 {
                    verdicts.append(try optimizer.step(&state, on: scaled).verdict.name)
                    points.append(state.parameters.values)
                    if verdicts.last != "accepted", verdicts.last != "rejected" { break }
                }
                return (points, verdicts)
            }
            let (points, verdicts) = try iterates(1)
            #expect(points.count > 3)
            for factor in [0x1p-40, 0x1p40] {
                let (others, ends) = try iterates(factor)
                #expect(ends == verdicts && others == points, "\(model), scaled by \(factor)")
            }
        }
    }
}
