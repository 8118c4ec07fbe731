import Differentiation
import OptimizationCore
import PhysicsInformed
import Poisson
import Testing

@Suite struct PoissonReferenceTests {
    /// The error of the differences falls by 2⁶ with the step; 40 leaves room for their next order.
    private func check(_ pde: any PDEProblem, at point: [Double], step: Double) throws {
        let coarse = try pde.residualsOfReference(at: point, step: step)
        let fine = try pde.residualsOfReference(at: point, step: step / 2)
        for (a, b) in zip(coarse, fine) { #expect(abs(b) < abs(a) / 40, "\(a), \(b)") }
    }

    @Test(arguments: [1, 4, 7]) func intervalSolvesItsEquation(frequency: Int) throws {
        for x in [0.13, 0.4, 0.71] { try check(PoissonOnInterval(frequency: frequency), at: [x], step: 0.1 / Double(frequency)) }
    }

    @Test func squareSolvesItsEquation() throws {
        for point in [[0.3, 0.4], [0.45, 0.82]] { try check(PoissonOnSquare(), at: point, step: 0.08) }
    }

    @Test func referencesMeetTheirConditions() throws {
        // sin of a multiple of π is zero up to the rounding of the multiple: 7π·1.1e-16.
        for x in [0.0, 1] {
            let u = try #require(PoissonOnInterval(frequency: 7).reference).values([x])
            #expect(abs(u[0]) < 1e-14)
        }
        for point in [[0, 0.3], [1, 0.3], [0.2, 0], [0.2, 1]] {
            let u = try #require(PoissonOnSquare().reference).values(point)
            #expect(abs(u[0]) < 1e-15)
        }
    }
}
