import Globalization
import LinearAlgebra
import NewtonFixtures
import OptimizationCore
import OptimizationTesting
import Testing
import TrustRegion

/// S beside Gauss–Newton's matrix: its update, its sizing, and what it is worth where residuals are large.
@Suite struct StructuredSecantTests {
    private struct Pair {
        var s: Vector
        var y: Vector
        var yHash: Vector
    }

    private func pairs(_ n: Int, _ count: Int, seed: UInt64) -> [Pair] {
        var random = RandomStream(seed: seed, name: "pairs")
        return (0..<count).map { _ in
            let s = random.normalVector(n)
            return Pair(s: s, y: s.adding(random.normalVector(n), scaledBy: 0.3), yHash: random.normalVector(n))
        }
    }

    /// S⁺ = τS + (ryᵀ + yrᵀ)/yᵀs − (sᵀr)yyᵀ/(yᵀs)² with r = y# − τSs, against dense matrices.
    @Test func theUpdateIsTheFormula() throws {
        let n = 6
        var learnt = StructuredSecant(order: n)
        var dense = Matrix.zeros(n, n)
        var sized = 0
        for pair in pairs(n, 9, seed: 1) {
            learnt.learn(step: pair.s, change: pair.y, curvatureChange: pair.yHash)
            let (image, product) = (dense.times(pair.s), pair.y.dot(pair.s))
            let τ = min(1, abs(pair.s.dot(pair.yHash)) / abs(pair.s.dot(image)))
            if τ < 1 { sized += 1 }
            let r = pair.yHash.adding(image, scaledBy: -τ)
            for i in 0..<n {
                for j in 0..<n {
                    let first = (r[i] * pair.y[j] + pair.y[i] * r[j]) / product
                    dense[i, j] = τ * dense[i, j] + first - pair.s.dot(r) * pair.y[i] * pair.y[j] / (product * product)
                }
            }
            let S = learnt.matrix.full
            #expect(Vector(zip(S.elements, dense.elements).map { $0 - $1 }).norm <= 1e-12 * Vector(dense.elements).norm)
            // The secant equation, S⁺s = y#.
            #expect((learnt.matrix.times(pair.s) - pair.yHash).norm <= 1e-12 * Vector(dense.elements).norm * pair.s.norm)
        }
        #expect(sized > 1 && sized < 8, "\(sized) of nine were sized: both branches are to be seen")
        #expect(try Archive(of: learnt).decoded(as: StructuredSecant.self) == learnt)
    }

    /// Where the residuals vanish S does: y# = 0 leaves τ = 0.
    @Test func theSizingLetsSVanish() {
        var learnt = StructuredSecant(order: 3)
        learnt.learn(step: [1, 2, 0], change: [1, 1, 1], curvatureChange: [3, -1, 2])
        #expect(learnt.matrix.isFinite && learnt.matrix.times([1, 2, 0]).norm > 1)
        learnt.learn(step: [0, 1, 1], change: [0.5, 2, 1], curvatureChange: [0, 0, 0])
        #expect(learnt.matrix.times([1, 1, 1]) == [0, 0, 0])
        // A pair without curvature teaches nothing.
        let before = learnt
        learnt.learn(step: [1, 0, 0], change: [-1, 0, 0], curvatureChange: [1, 1, 1])
        #expect(learnt == before)
    }

    @Test func theModelThatForetellsBetterIsFollowed() {
        var learnt = StructuredSecant(order: 1)
        #expect(!learnt.isFollowed)
        learnt.judge(decrease: 1, promisedWith: 1.4, promisedWithout: 1.5)
        #expect(!learnt.isFollowed)
        learnt.judge(decrease: 1, promisedWith: 1.1, promisedWithout: 1.5)
        #expect(learnt.isFollowed)
        learnt.judge(decrease: 1, promisedWith: 1.4, promisedWithout: 0.7)
        #expect(learnt.isFollowed)
        learnt.judge(decrease: 1, promisedWith: 1.4, promisedWithout: 0.8)
        #expect(!learnt.isFollowed)
    }

    /// Steps until the loss is within 1e-8 of a known minimum; nil where none is reached.
    private func steps(_ model: TrustRegion.Model, _ subproblem: TrustRegion.Subproblem, on problem: ZooProblem) throws -> Int? {
        let optimizer = TrustRegion(subproblem, model: model)
        var state = try optimizer.start(on: problem, from: Parameters(problem.start))
        for step in 1...500 {
            let report = try optimizer.step(&state, on: problem)
            let answers = [problem.minimum].compactMap { $0 } + problem.localMinima
            if answers.contains(where: { abs(report.loss.total - $0) <= 1e-8 * $0 }) { return step }
            if report.verdict != .accepted, report.verdict != .rejected { return nil }
        }
        return nil
    }

    /// Where the residuals at the minimiser are large and curved, Gauss–Newton's steps converge linearly and these superlinearly.
    @Test(arguments: [ZooProblem.freudensteinRoth, .brownDennis, .jennrichSampson, .chebyquad(8)])
    func largeResidualsTakeFewerSteps(problem: ZooProblem) throws {
        let structured = try #require(try steps(.structuredSecant, .exact, on: problem))
        let plain = try steps(.gaussNewton, .exact, on: problem)
        #expect(structured < plain ?? .max, "\(structured) steps against \(String(describing: plain))")
    }

    /// JᵀJ + S is near the Hessian along the way that was gone, where S alone is as large as the rest.
    @Test func theModelNearsTheHessian() throws {
        let problem = ZooProblem.brownDennis
        let optimizer = TrustRegion(.exact, model: .structuredSecant)
        var state = try optimizer.start(on: problem, from: Parameters(problem.start))
        var last: Vector = .zeros(4)
        // As far as steps are seen above rounding.
        for _ in 0..<12 {
            let before = state.parameters.values
            guard try optimizer.step(&state, on: problem).verdict == .accepted else { break }
            last = state.parameters.values - before
        }
        let θ = state.parameters.values
        let S = try #require(state.structured?.matrix)
        let model = problem.linearization(at: θ)
        let curvature = problem.hessian(at: θ).product(last) - model.transposedProduct(model.product(last))
        #expect((S.times(last) - curvature).norm <= 0.05 * curvature.norm)
        #expect(curvature.norm > 0.01 * problem.hessian(at: θ).product(last).norm)
    }

    /// On a residual that vanishes it is Gauss–Newton in the end, as fast.
    @Test(arguments: TrustRegion.Subproblem.allCases) func vanishingResidualsConvergeAsByGaussNewton(subproblem: TrustRegion.Subproblem)
        throws
    {
        let (state, reports) = try drive(
            TrustRegion(subproblem, model: .structuredSecant), on: ZooProblem.rosenbrock, from: Parameters([-1.2, 1]), steps: 80)
        #expect((state.parameters.values - [1, 1]).norm <= 1e-9, "\(reports.count) steps")
    }

    @Test func itWantsASumOfSquares() {
        let error = #expect(throws: ConfigurationError.self) {
            try TrustRegion(.gltr, model: .structuredSecant).start(on: Saddle(), from: Parameters([1, 1, 1]))
        }
        #expect(error?.reason.contains("LeastSquaresProblem") == true)
    }

    @Test(arguments: TrustRegion.Subproblem.allCases) func storedAndContinuedIsUninterrupted(subproblem: TrustRegion.Subproblem) throws {
        let optimizer = TrustRegion(subproblem, model: .structuredSecant)
        let problem = ZooProblem.brownDennis
        var whole = try optimizer.start(on: problem, from: Parameters(problem.start))
        for step in 0..<25 {
            var resumed = try Archive(of: whole).decoded(as: TrustRegionState.self)
            #expect(resumed == whole)
            let verdict = try optimizer.step(&whole, on: problem).verdict
            _ = try optimizer.step(&resumed, on: problem)
            #expect(resumed == whole, "step \(step + 1)")
            if verdict != .accepted, verdict != .rejected { break }
        }
        #expect(whole.structured?.matrix.times([1, 1, 1, 1]).norm ?? 0 > 0)
    }

    @Test(arguments: ZooProblem.all, [TrustRegion.Subproblem.gltr, .exact])
    func contract(problem: ZooProblem, subproblem: TrustRegion.Subproblem) throws {
        try OptimizerConformance.check(TrustRegion(subproblem, model: .structuredSecant), on: problem, reaching: ContractTests.gaussNewton)
    }
}
