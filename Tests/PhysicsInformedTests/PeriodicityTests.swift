import Differentiation
import LinearAlgebra
import OptimizationCore
import PhysicsInformed
import Testing

@Suite struct PeriodicityTests {
    /// Pairs lie opposite each other; the residuals are the differences of the value and of the slope, scaled by √(weight / pairs).
    @Test func pairsLieOpposite() throws {
        let p = try problem(DriftOnARing())
        let θ = start(p).values
        let points = try p.points(of: "periodic(x)")
        #expect(points.rows == smallPlan.boundary && (0..<points.rows).allSatisfy { points[$0, 1] == -1 })
        let opposite = Matrix(
            rows: points.rows, columns: 2, elements: points.column(0).elements + Array(repeating: 1, count: points.rows))
        let (low, high) = (try p.fields(at: points, parameters: θ), try p.fields(at: opposite, parameters: θ))
        let r = try p.residual(at: θ).elements.suffix(2 * points.rows)
        let scale = (smallPlan.boundaryWeight / Double(points.rows)).squareRoot()
        for (i, value) in r.prefix(points.rows).enumerated() { #expect(abs(value - scale * (low[i, 0] - high[i, 0])) <= 1e-14) }
        // The slopes by one-sided differences of order two, into the domain.
        let h = 1e-5
        func slope(_ at: Matrix, _ i: Int) throws -> Double {
            let step = at[i, 1] < 0 ? h : -h
            let u = try (0..<3).map { k in
                try p.fields(at: Matrix(rows: 1, columns: 2, elements: [at[i, 0], at[i, 1] + Double(k) * step]), parameters: θ)[0, 0]
            }
            return (-3 * u[0] + 4 * u[1] - u[2]) / (2 * step)
        }
        for (i, value) in r.suffix(points.rows).enumerated() {
            #expect(abs(value - scale * (try slope(points, i) - slope(opposite, i))) <= 1e-8)
        }
    }

    @Test func theUnknownIsTheLastParameter() throws {
        let p = try problem(DriftOnARing())
        #expect(p.layout.blocks.last?.name == "coefficients.speed")
        var random = RandomStream(seed: 1, name: "initialization")
        #expect(p.initialParameters(from: &random).values.elements.last == 0.7)
        // ∂r/∂speed is u_x: other speeds change the equation's residuals and no condition's.
        let θ = start(p)
        var faster = θ
        faster.values[θ.count - 1] += 1
        let (slow, fast) = (try p.loss(at: θ.values).terms, try p.loss(at: faster.values).terms)
        #expect(slow[0] != fast[0] && slow[1...] == fast[1...])
    }

    @Test func batchesAndNewPointsOfPairs() throws {
        let p = try problem(DriftOnARing())
        let θ = start(p).values
        let batch = Batch(p.sampleSets.map { Array(0..<($0.count / 2)) })
        let half = try p.restricted(to: batch)
        #expect(try half.points(of: "periodic(x)").rows == smallPlan.boundary / 2)
        #expect(try half.loss(at: θ).terms[2] != p.loss(at: θ).terms[2])
        let inside = Matrix(rows: 1, columns: 2, elements: [0.5, 0.3])
        let error = #expect(throws: PhysicsError.self) { try p.revised(by: PointRevision(term: "periodic(x)", points: inside)) }
        #expect(error?.description.contains("must lie on its faces") == true)
        var elsewhere = DriftAlong(axis: "y")
        #expect(throws: (any Error).self) { try problem(elsewhere) }
        elsewhere.axis = "x"
        #expect(throws: Never.self) { try problem(elsewhere) }
    }

    private struct DriftAlong: PDEProblem {
        var axis: String
        var name: String { "drift" }
        var domain: Domain { .timeSpace(t: 0...1, x: -1...1) }
        var conditions: [Condition] { [.periodic(along: axis)] }
        func residuals(_ u: Fields, at p: Point) -> [Residual] { [Residual("drift", u[0].t + u[0].x)] }
    }
}
