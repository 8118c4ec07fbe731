import Burgers
import Differentiation
import PhysicsInformed
import Testing

@Suite struct BurgersReferenceTests {
    /// The error of the differences falls by 2⁶ with the step; 40 leaves room for their next order.
    @Test(arguments: [[0.1, 0.3], [0.25, -0.5], [0.8, 0.7]]) func solvesItsEquation(point: [Double]) throws {
        let coarse = try Burgers().residualsOfReference(at: point, step: 0.02)[0]
        let fine = try Burgers().residualsOfReference(at: point, step: 0.01)[0]
        #expect(abs(fine) < abs(coarse) / 40, "\(coarse), \(fine)")
    }

    @Test func anotherViscosityIsAnotherSolution() throws {
        let wrong = try #require(Burgers(viscosity: 0.02).reference).values([0.5, 0.5])[0]
        let right = try #require(Burgers().reference).values([0.5, 0.5])[0]
        #expect(abs(wrong - right) > 1e-3)
    }
}
