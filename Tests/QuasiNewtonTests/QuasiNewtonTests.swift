import Globalization
import LinearAlgebra
import OptimizationCore
import QuasiNewton
import Testing

@Suite struct SelfScaledBroydenTests {
    @Test(arguments: BroydenVariant.allCases.filter { $0 != .dfp }) func rosenbrockIsSolved(variant: BroydenVariant) throws {
        let (state, reports) = try drive(SelfScaledBroyden(variant), on: Rosenbrock(), from: [-1.2, 1], steps: 200)
        #expect(state.standpoint.loss.total <= 1e-28)
        #expect((state.parameters.values - [1, 1]).norm <= 1e-13)
        for (before, after) in zip(reports, reports.dropFirst()) {
            #expect(after.loss.total <= before.loss.total * (1 + 1e-10))
        }
        if let verdict = reports.last?.verdict, case .brokeDown(let breakdown) = verdict { Issue.record("broke down: \(breakdown)") }
    }

    /// In the late phase of a physics-informed loss, curvatures differ by 1e10; the search must not die of rounding.
    @Test(arguments: [BroydenVariant.bfgs, .selfScaledBroyden2]) func illConditionedBowlIsSolvedToRounding(variant: BroydenVariant) throws {
        var random = RandomStream(seed: 4, name: "bowl")
        let problem = Bowl(count: 40, condition: 1e10)
        let (state, _) = try drive(SelfScaledBroyden(variant), on: problem, from: random.normalVector(40), steps: 2_000)
        #expect(state.standpoint.loss.total <= 1e-20)
    }

    @Test func storedAndContinuedIsUninterrupted() throws {
        let optimizer = SelfScaledBroyden()
        let problem = Rosenbrock()
        var whole = try optimizer.start(on: problem, from: Parameters([-1.2, 1]))
        for step in 0..<30 {
            var archive = Archive()
            whole.encode(into: &archive)
            var resumed = try InverseHessianState(from: archive)
            #expect(resumed == whole)
            let (a, b) = (try optimizer.step(&whole, on: problem), try optimizer.step(&resumed, on: problem))
            #expect(resumed == whole, "step \(step)")
            #expect(a.verdict == b.verdict)
            if a.verdict != .accepted { break }
        }
    }

    @Test func malformedStatesAreRefused() throws {
        let state = try SelfScaledBroyden().start(on: Rosenbrock(), from: Parameters([-1.2, 1]))
        var archive = Archive()
        state.encode(into: &archive)
        archive.set("inverseHessian", [1.0, 2.0])
        #expect(throws: ArchiveError.self) { try InverseHessianState(from: archive) }
    }

    @Test func nonFiniteTrialsLeaveTheStateUntouched() throws {
        // The start itself is beyond the wall.
        var state = try SelfScaledBroyden().start(on: Rosenbrock(wall: -2), from: Parameters([-1.2, 1]))
        let before = state
        let report = try SelfScaledBroyden().step(&state, on: Rosenbrock(wall: -2))
        guard case .brokeDown(let breakdown) = report.verdict else {
            Issue.record("a start without a value gave \(report.verdict)")
            return
        }
        #expect(breakdown.reason == .nonFinite)
        #expect(Archive(of: state) == Archive(of: before))
        // A wall across the valley: every accepted point is finite, and the method stops at it or breaks down; never a NaN.
        let (walled, reports) = try drive(SelfScaledBroyden(), on: Rosenbrock(wall: 0.5), from: [-1.2, 1], steps: 300)
        #expect(walled.standpoint.isFinite && walled.parameters.values[0] <= 0.5)
        #expect(reports.allSatisfy { $0.loss.isFinite })
    }

    @Test func revisionsKeepADefiniteMatrixAndResetAnother() throws {
        let optimizer = SelfScaledBroyden()
        var (state, _) = try drive(optimizer, on: Rosenbrock(), from: [-1.2, 1], steps: 12)
        let kept = state.inverseHessian
        let revised = Rosenbrock(centre: 1.1, version: 1)
        try optimizer.adapt(&state, to: revised)
        #expect(state.inverseHessian == kept)
        #expect(!state.isFresh)
        #expect(state.standpoint.loss == revised.loss(at: state.parameters.values))
        #expect(state.standpoint.gradient == revised.lossAndGradient(at: state.parameters.values).gradient)

        var archive = Archive(of: state)
        archive.set("inverseHessian", [1.0, 0, -1])
        var broken = try InverseHessianState(from: archive)
        try optimizer.adapt(&broken, to: revised)
        #expect(broken.isFresh)
        #expect(broken.inverseHessian == .identity(2))
        // And both go on to the new minimiser.
        for start in [state, broken] {
            var state = start
            for _ in 0..<100 where try optimizer.step(&state, on: revised).verdict != .accepted { break }
            #expect((state.parameters.values - [1.1, 1.21]).norm <= 1e-10)
        }
    }

    @Test func settingsRoundTripAndRefuseNonsense() throws {
        var optimizer = SelfScaledBroyden(.selfScaledBroyden3)
        var search = StrongWolfe()
        search.curvature = 0.5
        optimizer.lineSearch = search
        let read = try SelfScaledBroyden(optimizer.settings, path: "optimizer")
        #expect(read.settings == optimizer.settings)
        #expect((read.lineSearch as? StrongWolfe)?.curvature == 0.5)
        let wrong = optimizer.settings.setting(["lineSearch", "curvatur"], to: .number(0.5))
        #expect(throws: ConfigurationError.self) { try SelfScaledBroyden(wrong, path: "optimizer") }
        var registry = Registry()
        try registry.install(QuasiNewtonPlugin.self)
        #expect(registry.optimizers.map(\.name) == ["l-bfgs", "l-bfgs-b", "bfgs", "self-scaled-broyden", "trust-region-quasi-newton"])
    }
}

@Suite struct LBFGSTests {
    @Test(arguments: [1, 3, 50]) func rosenbrockIsSolved(memory: Int) throws {
        let (state, reports) = try drive(LBFGS(memory: memory), on: Rosenbrock(), from: [-1.2, 1], steps: 400)
        #expect(state.standpoint.loss.total <= 1e-24)
        #expect((state.parameters.values - [1, 1]).norm <= 1e-11)
        #expect(state.pairs.count <= memory)
        for (before, after) in zip(reports, reports.dropFirst()) {
            #expect(after.loss.total <= before.loss.total * (1 + 1e-10))
        }
    }

    @Test func otherLineSearchesServeToo() throws {
        let (state, _) = try drive(LBFGS(memory: 10, lineSearch: BacktrackingArmijo()), on: Rosenbrock(), from: [-1.2, 1], steps: 400)
        #expect((state.parameters.values - [1, 1]).norm <= 1e-8)
    }

    /// The two-loop recursion against H formed densely: H ← (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ over the pairs, oldest first.
    @Test func directionIsThatOfTheDenseMatrix() throws {
        let (state, _) = try drive(LBFGS(memory: 5), on: Bowl(count: 8, condition: 50), from: .zeros(8), steps: 7)
        let pairs = state.pairs
        #expect(pairs.count == 5)
        let newest = try #require(pairs.last)
        var h = Matrix.identity(8)
        for i in 0..<8 { h[i, i] = newest.step.dot(newest.change) / newest.change.dot(newest.change) }
        for pair in pairs {
            let (s, y) = (pair.step, pair.change)
            let ρ = 1 / s.dot(y)
            var left = Matrix.identity(8)
            for i in 0..<8 { for j in 0..<8 { left[i, j] -= ρ * s[i] * y[j] } }
            h = Matrix.product(Matrix.product(left, h), left, transposingSecond: true)
            for i in 0..<8 { for j in 0..<8 { h[i, j] += ρ * s[i] * s[j] } }
        }
        let expected = -h.times(state.standpoint.gradient)
        #expect((state.direction() - expected).norm <= 1e-10 * expected.norm)
    }

    @Test func storedAndContinuedIsUninterrupted() throws {
        let optimizer = LBFGS(memory: 4)
        var whole = try optimizer.start(on: Rosenbrock(), from: Parameters([-1.2, 1]))
        for _ in 0..<30 {
            var archive = Archive()
            whole.encode(into: &archive)
            var resumed = try LBFGSState(from: archive)
            #expect(resumed == whole)
            let verdict = try optimizer.step(&whole, on: Rosenbrock()).verdict
            _ = try optimizer.step(&resumed, on: Rosenbrock())
            #expect(resumed == whole)
            if verdict != .accepted { break }
        }
    }

    @Test func noPairCrossesARevision() throws {
        let optimizer = LBFGS()
        var (state, _) = try drive(optimizer, on: Rosenbrock(), from: [-1.2, 1], steps: 10)
        let revised = Rosenbrock(centre: 1.1, version: 1)
        try optimizer.adapt(&state, to: revised)
        #expect(state.pairs.isEmpty)
        #expect(state.standpoint.loss == revised.loss(at: state.parameters.values))
    }

    @Test func nonFiniteStartsBreakDown() throws {
        var state = try LBFGS().start(on: Rosenbrock(wall: -2), from: Parameters([-1.2, 1]))
        let before = Archive(of: state)
        let report = try LBFGS().step(&state, on: Rosenbrock(wall: -2))
        guard case .brokeDown(let breakdown) = report.verdict, breakdown.reason == .nonFinite else {
            Issue.record("a start without a value gave \(report.verdict)")
            return
        }
        #expect(Archive(of: state) == before)
    }
}
