import Diagnostics
import LeastSquares
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

@Suite struct JacobianRankTests {
    /// J = U·diag(1, 1e-3, 1e-6, 1e-9, 1e-12, 0)·Vᵀ ∈ ℝ¹²ˣ⁶, and r = Σ (i + 1)·uᵢ over its columns' first six and two directions beside.
    private func model() throws -> (linearization: DenseLinearization, u: Matrix) {
        var random = RandomStream(seed: 8, name: "matrix")
        let u = try QR.factorize(Matrix(rows: 12, columns: 8, elements: random.normalVector(96).elements)).get().thinQ
        let v = try QR.factorize(Matrix(rows: 6, columns: 6, elements: random.normalVector(36).elements)).get().thinQ
        let σ = [1, 1e-3, 1e-6, 1e-9, 1e-12, 0]
        var scaled = Matrix.zeros(12, 6)
        for j in 0..<6 { for i in 0..<12 { scaled[i, j] = u[i, j] * σ[j] } }
        let r = u.times(Vector((1...8).map(Double.init)))
        return (DenseLinearization(residual: r, jacobian: .product(scaled, v, transposingSecond: true)), u)
    }

    /// τ = 12·2⁻⁵² = 2.7e-15 keeps five directions, √τ = 5e-8 three; what is left is ½(6² + 7² + 8²), as J⁺ takes the first five of r away.
    @Test func ranksAndTheFloorOfTheLinearModel() throws {
        let (linearization, _) = try model()
        let floor = try #require(JacobianFloor(of: linearization, at: .zeros(6)))
        #expect(floor.rank == 5 && floor.rankBySquares == 3)
        #expect(abs(floor.largestSingularValue - 1) < 1e-14)
        // The fifth direction is turned by rounding, 1e-16/1e-12, and with it what J⁺ takes away.
        #expect(abs(floor.gaussNewtonFloor - 0.5 * (36 + 49 + 64)) < 0.1, "\(floor.gaussNewtonFloor)")
        #expect(JacobianFloor(of: DenseLinearization(residual: [1], jacobian: Matrix(rows: [[.nan]])), at: [1]) == nil)
    }

    /// The expected loss of parameters that are rounded: entries moved by uniform shares of a unit in the last place, 2²⁶ times as far so
    /// that the products do not round them away, lose 2⁵² times the floor in the mean over 4 000 draws.
    @Test func thePrecisionFloorIsTheLossOfRounding() throws {
        let (linearization, _) = try model()
        let θ: Vector = [3, -0.7, 12, 1e-3, 0.4, 100]
        let floor = try #require(JacobianFloor(of: linearization, at: θ)).precisionFloor
        var random = RandomStream(seed: 2, name: "rounding")
        let draws = 4000
        let losses = (0..<draws).map { _ -> Double in
            let moved = Vector(θ.map { $0.ulp * 0x1p26 * (random.uniform() - 0.5) })
            let residual = linearization.product(moved)
            return 0.5 * residual.dot(residual)
        }
        let mean = losses.reduce(0, +) / Double(draws)
        let variance = losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(draws)
        #expect(abs(mean * 0x1p-52 - floor) < 5 * 0x1p-52 * (variance / Double(draws)).squareRoot(), "\(mean * 0x1p-52), \(floor)")
    }

    /// On a network: the numbers are those of J's singular values at the point reached, at the callback's cadence.
    @Test func recordedAtEachGaussNewtonStep() throws {
        let (problem, _) = try smallConvection()
        let listener = RecordListener()
        let pipeline = Pipeline(minimizing: problem) { Stage("solve", LevenbergMarquardt(), until: .iterations(6)) }
        let run = try pipeline.begin(seed: 1, callbacks: [RecordJacobianRank(every: 2), listener])
        _ = try run.finish()
        let details = listener.heard.details.withLock { $0 }
        #expect(Set(details.map(\.iteration)) == [1, 2, 4, 6])
        let last = Dictionary(uniqueKeysWithValues: details.filter { $0.iteration == 6 }.map { ($0.detail.name, $0.detail.value) })
        let names = [
            "jacobian: rank", "jacobian: rank by squares", "jacobian: largest singular value", "gauss-newton floor", "precision floor",
        ]
        #expect(Set(last.keys) == Set(names))
        let model = try problem.linearization(at: run.parameters.values)
        let σ = try SVD.factorize(model.jacobian()).get().singularValues
        #expect(try #require(last["jacobian: rank"]) == Double(σ.count { $0 > 33 * 0x1p-52 * σ[0] }))
        #expect(abs(try #require(last["jacobian: largest singular value"]) - σ[0]) < 1e-12 * σ[0])
        let floor = try #require(last["gauss-newton floor"])
        let loss = try problem.loss(at: run.parameters.values).total
        #expect(floor >= 0 && floor < loss)
        #expect(try #require(last["precision floor"]) < 1e-28 && last["precision floor"] != 0)
    }
}
