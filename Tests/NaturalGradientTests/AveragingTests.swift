import LinearAlgebra
import NaturalGradient
import OptimizationCore
import PhysicsInformed
import Testing

@Suite struct AveragingTests {
    /// Ḡ ← βḠ + (1 − β)JᵀJ from zero or the identity, θ⁺ = θ − η(Ḡ + λI)⁻¹g, over several steps by explicit matrices.
    @Test(arguments: MetricStart.allCases, [MetricSolver.exact, .truncated(TruncatedMetric())])
    func theAverageByExplicitMatrices(start: MetricStart, solver: MetricSolver) throws {
        let problem = try smallPoisson(width: 6, interior: 30)
        let (β, λ, η) = (0.6, 1e-2, 0.2)
        var method = NaturalGradient(
            damping: ConstantDamping(λ), solver: solver, stepLength: .fixed(CappedRate(learningRate: η, normBound: 1e300)))
        (method.averaging, method.metricStart) = (β, start)
        var state = try method.start(on: problem, from: startingPoint(of: problem))
        var θ = state.parameters.values
        var mean = start == .identity ? Matrix.identity(θ.count) : .zeros(θ.count, θ.count)
        for _ in 1...5 {
            let J = try problem.linearization(at: θ).jacobian()
            let g = try problem.lossAndGradient(at: θ).gradient
            for i in 0..<θ.count {
                for j in 0..<θ.count { mean[i, j] = β * mean[i, j] + (1 - β) * J.column(i).dot(J.column(j)) }
            }
            let damped = Vector(repeating: λ, count: θ.count)
            θ.add(try Cholesky.factorize(mean, addingToDiagonal: damped).get().solve(g), scaledBy: -η)
            #expect(try method.step(&state, on: problem).verdict == .accepted)
            let average = try #require(state.metric)
            for i in mean.elements.indices { #expect(abs(average.elements[i] - mean.elements[i]) <= 1e-10 * mean.maximumNorm) }
            #expect((state.parameters.values - θ).norm <= 1e-9 * θ.norm, "\((state.parameters.values - θ).norm)")
        }
        // The present metric alone would have gone elsewhere.
        method.averaging = 0
        let (alone, _) = try drive(method, on: problem, from: startingPoint(of: problem), steps: 5)
        #expect((alone.parameters.values - θ).norm > 1e-3 * θ.norm)
    }

    /// A checkpoint holds the average; a revision and another batch keep it, since its shape is that of the parameters alone.
    @Test func theAverageIsKept() throws {
        let problem = try smallPoisson(width: 6, interior: 30)
        var method = NaturalGradient(damping: ConstantDamping(1e-4))
        method.averaging = 0.5
        var (state, _) = try drive(method, on: problem, from: startingPoint(of: problem), steps: 2)
        let average = try #require(state.metric)
        #expect(try Archive(of: state).decoded(as: NaturalGradientState.self) == state)
        try method.adapt(&state, to: try problem.revised(by: WeightRevision([("boundary", 3)])))
        #expect(state.metric == average)
        let batched = Batched(method, size: 8)
        let (trained, reports) = try drive(batched, on: problem, from: startingPoint(of: problem), steps: 4)
        #expect(trained.base.metric != nil && reports.allSatisfy { $0.verdict == .accepted })
    }

    /// JJᵀ has another shape for other samples, and a sketch has no matrix to average.
    @Test func whatCannotBeAveragedIsRefused() throws {
        for (space, solver) in [(MetricSpace.samples, MetricSolver.exact), (.automatic, .nystrom(NystromMetric()))] {
            var method = NaturalGradient(space: space, solver: solver)
            method.averaging = 0.5
            let error = #expect(throws: ConfigurationError.self) { try method.validated() }
            #expect(error?.path == "natural-gradient.averaging" && error?.reason.contains("take") == true)
        }
    }
}
