import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Testing

@Suite struct PointWeightTests {
    /// Weights from 0 to 2 for the 60 points of the equation.
    private static let weights = (0..<60).map { Double(($0 * 37) % 60) / 29.5 }

    private func weighted(_ base: PhysicsInformedProblem, by weights: PointWeights? = .each(Self.weights)) throws -> PhysicsInformedProblem
    {
        try base.revised(by: PointWeightRevision(term: "interior", weights: weights))
    }

    /// The loss by hand, from the residuals as they are looked at: those are unweighted.
    @Test func theLossWeighsEachPoint() throws {
        let base = try coupledWaves()
        let p = try weighted(base)
        let (θ, points) = (start(p).values, try p.points(of: "interior"))
        let magnitudes = try p.residualMagnitudes(of: "interior", at: points, parameters: θ)
        #expect(try magnitudes == base.residualMagnitudes(of: "interior", at: points, parameters: θ))
        let expected = (0..<60).reduce(0.0) { $0 + Self.weights[$1] * magnitudes[$1] * magnitudes[$1] } / 120
        let loss = try p.loss(at: θ)
        #expect(abs(loss.terms[0] - expected) <= 1e-13 * expected)
        #expect(try loss.terms[1...] == base.loss(at: θ).terms[1...])
        #expect(p.version == 1 && p.residualCount == base.residualCount)
        #expect(try p.monitorLoss(at: θ) == base.monitorLoss(at: θ))
        // The term's own weight and its points' multiply.
        let heavier = try p.revised(by: WeightRevision([("interior", 3)]))
        #expect(abs(try heavier.loss(at: θ).terms[0] - 3 * expected) <= 1e-13 * 3 * expected)
        // Without weights the problem is what it was, but for its version.
        let plain = try weighted(p, by: nil)
        #expect(try plain.version == 2 && plain.lossAndGradient(at: θ) == base.lossAndGradient(at: θ))
    }

    @Test(arguments: [PointWeights.each(weights), .slabs(axis: 0, [1, 0.25, 0, 2])]) func derivatives(weights: PointWeights) throws {
        let check = try DerivativeCheck(of: try weighted(try coupledWaves(), by: weights))
        #expect(check.passed, "\(check)")
    }

    @Test func contract() throws {
        let base = try coupledWaves()
        var random = RandomStream(seed: 5, name: "test")
        let fresh = try base.candidates(44, for: "interior", sampling: .uniform, random: &random)
        try ProblemConformance.check(
            base,
            revisions: [
                PointWeightRevision(term: "interior", weights: .each(Self.weights)),
                PointWeightRevision(term: "initial", weights: .slabs(axis: 1, [1, 3])),
                PointWeightRevision(term: "interior", weights: .slabs(axis: 0, [1, 0.5, 0.25])),
                PointRevision(term: "interior", points: fresh),
                PointWeightRevision(term: "initial", weights: nil),
            ])
    }

    /// Slabs weigh new points by their place; weights of single points end with those points.
    @Test func newPoints() throws {
        let base = try coupledWaves()
        var random = RandomStream(seed: 5, name: "test")
        let fresh = try base.candidates(33, for: "interior", sampling: .uniform, random: &random)
        let θ = start(base).values
        let revision = PointRevision(term: "interior", points: fresh)
        let plain = try base.revised(by: revision)
        let each = try weighted(base).revised(by: revision)
        #expect(try each.pointWeights(of: "interior") == nil && each.loss(at: θ) == plain.loss(at: θ))
        let slabs = PointWeights.slabs(axis: 1, [1, 0.5, 0])
        let after = try weighted(base, by: slabs).revised(by: revision)
        #expect(try after.pointWeights(of: "interior") == slabs)
        #expect(try after.loss(at: θ) == weighted(plain, by: slabs).loss(at: θ))
        // x runs from 0 to 2: thirds of it.
        let magnitudes = try base.residualMagnitudes(of: "interior", at: fresh, parameters: θ)
        let expected = (0..<33).reduce(0.0) { sum, i in
            let weight = fresh[i, 1] < 2.0 / 3 ? 1 : fresh[i, 1] < 4.0 / 3 ? 0.5 : 0
            return sum + weight * magnitudes[i] * magnitudes[i] / 66
        }
        #expect(abs(try after.loss(at: θ).terms[0] - expected) <= 1e-13 * expected)
    }

    @Test func slabsOfARange() {
        let slab = { PointWeights.slab(of: $0, among: 4, of: -1...1) }
        #expect([-1, -0.51, -0.5, -0.1, 0, 0.49, 0.5, 1].map(slab) == [0, 0, 1, 1, 2, 2, 3, 3])
        #expect([-5.0, 7].map(slab) == [0, 3])
    }

    /// A batch's points keep their weights.
    @Test func batches() throws {
        let p = try weighted(try coupledWaves())
        let θ = start(p).values
        let counts = p.sampleSets.map(\.count)
        var mean = 0.0
        for i in 0..<60 {
            var indices = counts.map { Array(0..<$0) }
            indices[0] = [i]
            mean += try p.restricted(to: Batch(indices)).loss(at: θ).terms[0] / 60
        }
        let whole = try p.loss(at: θ).terms[0]
        #expect(abs(mean - whole) <= 1e-13 * whole)
        #expect(try abs(p.restricted(toTerm: 0).loss(at: θ).total - whole) <= 1e-14 * whole)
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let base = try coupledWaves()
        func message(_ term: String, _ weights: PointWeights) -> String {
            do {
                _ = try base.revised(by: PointWeightRevision(term: term, weights: weights))
                return "nothing was thrown"
            } catch {
                return "\(error)"
            }
        }
        #expect(message("interior", .each([1, 2])).contains("2 weights for the 60 points of term “interior”"))
        #expect(message("interior", .slabs(axis: 0, [1, -1])).contains("-1.0"))
        #expect(message("interior", .slabs(axis: 0, [1, .nan])).contains("nan"))
        #expect(message("interior", .slabs(axis: 2, [1])).contains("along axis 2"))
        #expect(message("interior", .slabs(axis: -1, [1])).contains("along axis -1"))
        #expect(message("interior", .slabs(axis: 0, [])).contains("0 slabs"))
        #expect(message("interio", .slabs(axis: 0, [1])).contains("has no term “interio”"))
        // An archive of weights for other points is refused.
        var archive = Archive()
        try weighted(base).encodeRevisions(into: &archive)
        archive.set("point weights 0", PointWeights.each([1, 2, 3]))
        #expect(throws: PhysicsError.self) { try base.restoringRevisions(from: archive) }
    }
}
