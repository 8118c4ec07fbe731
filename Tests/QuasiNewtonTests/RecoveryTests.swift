import Globalization
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import QuasiNewton
import Testing

/// What a method gives up within a step is in the step's report, and only there.
@Suite struct RecoveryTests {
    private let problem = ZooProblem.wood

    private func start<O: Optimizer<any DifferentiableProblem>>(_ optimizer: O, steps: Int = 5) throws -> O.State {
        var state = try optimizer.start(on: problem, from: Parameters(problem.start))
        for _ in 0..<steps { #expect(try optimizer.step(&state, on: problem).recoveries == []) }
        return state
    }

    /// A pair of negative curvature, sᵀy < 0, makes −H·∇L an ascent direction.
    @Test func pairsThatLeadNowhereAreForgotten() throws {
        let optimizer = LBFGS()
        var state = try start(optimizer)
        let g = state.standpoint.gradient
        state.pairs = [SecantPair(step: g, change: -g)]
        let report = try optimizer.step(&state, on: problem)
        #expect(report.verdict == .accepted && report.recoveries.count == 1)
        #expect(report.recoveries[0].contains("−∇L") && report.recoveries[0].contains("forgotten"), "\(report.recoveries)")
        #expect(state.pairs.count == 1 && state.pairs[0].curvature > 0)
        #expect(try optimizer.step(&state, on: problem).recoveries == [])
    }

    /// A pair of bounded L-BFGS whose model holds no descent within the box.
    @Test func boundedPairsThatLeadNowhereAreForgotten() throws {
        let optimizer = LBFGSB()
        var archive = Archive(of: try start(optimizer))
        let g = try archive.group("standpoint").vector("gradient")
        archive.set("steps", [g])
        archive.set("changes", [-g])
        archive.set("scalings", [1.0])
        var state = try archive.decoded(as: LBFGSBState.self)
        let report = try optimizer.step(&state, on: problem)
        #expect(report.verdict == .accepted && report.recoveries.count == 1)
        #expect(report.recoveries.first?.contains("forgotten") == true, "\(report.recoveries)")
    }

    private func spoiled(_ state: InverseHessianState) throws -> InverseHessianState {
        var archive = Archive(of: state)
        archive.set("inverseHessian", try archive.doubles("inverseHessian").map { -$0 })
        return try archive.decoded()
    }

    @Test func anInverseHessianThatLeadsNowhereIsBegunAnew() throws {
        for optimizer in [SelfScaledBroyden(), SelfScaledBroyden(.bfgs)] {
            var state = try spoiled(try start(optimizer))
            let report = try optimizer.step(&state, on: problem)
            #expect(report.verdict == .accepted)
            #expect(report.recoveries.contains { $0.contains("−∇L") && $0.contains("H begun anew") }, "\(report.recoveries)")
            #expect(try optimizer.step(&state, on: problem).recoveries == [])
        }
    }

    /// What a revision costs is told by the next step that is taken, from a stored state too.
    @Test func aRevisionThatCostsHIsTold() throws {
        let optimizer = SelfScaledBroyden()
        var kept = try start(optimizer)
        try optimizer.adapt(&kept, to: problem)
        #expect(try optimizer.step(&kept, on: problem).recoveries == [])
        var state = try spoiled(kept)
        try optimizer.adapt(&state, to: problem)
        state = try Archive(of: state).decoded()
        let report = try optimizer.step(&state, on: problem)
        #expect(report.recoveries.first?.contains("revision") == true, "\(report.recoveries)")
        #expect(try optimizer.step(&state, on: problem).recoveries == [])
    }
}
