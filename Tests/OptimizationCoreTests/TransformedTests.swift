import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

@Suite struct TransformedTests {
    /// Values, gradients, residuals, J, Hessians: by the slopes of their remainders.
    @Test(arguments: [ZooProblem.rosenbrock, .kowalikOsborne, .biggsExponential, .osborneSecond])
    func derivativesAreRight(problem: ZooProblem) throws {
        let root = try DerivativeCheck(of: Transformed(problem, by: SquareRoot.self))
        #expect(root.passed, "\(root)")
        let logarithm = try DerivativeCheck(of: Transformed(problem, by: Logarithm.self))
        #expect(logarithm.passed, "\(logarithm)")
    }

    @Test func valuesAreTheTransforms() throws {
        let problem = ZooProblem.wood
        let x = problem.start
        let L = problem.loss(at: x).total
        let (root, logarithm) = (Transformed(problem, by: SquareRoot.self), Transformed(problem, by: Logarithm.self))
        #expect(try root.loss(at: x).total == L.squareRoot())
        #expect(abs(try logarithm.loss(at: x).total - 9.1688) < 1e-3)
        let r = try root.residual(at: x)
        #expect(abs(0.5 * r.dot(r) - L.squareRoot()) <= 1e-13 * L.squareRoot())
        #expect(try root.lossAndGradient(at: x).gradient == (0.5 / L.squareRoot()) * problem.lossAndGradient(at: x).gradient)
    }

    /// T′·JᵀJ + T″·ggᵀ against the dense matrices, and against the Hessian where the residual is linear: there they are the same.
    @Test func theGaussNewtonMatrixIsPulledBack() throws {
        let x: Vector = [2, -1, 0.5, 3, 1, -2, 0.3, 1, 2, -1]
        let linear = ZooProblem.linearFullRank()
        var random = RandomStream(seed: 3, name: "v")
        let v = random.normalVector(10)
        let root = Transformed(linear, by: SquareRoot.self)
        let (hessian, gaussNewton) = (try root.hessian(at: x).product(v), try root.gaussNewtonOperator(at: x).product(v))
        #expect((hessian - gaussNewton).norm <= 1e-12 * hessian.norm)
        let logarithm = Transformed(linear, by: Logarithm.self)
        let (bent, pulled) = (try logarithm.hessian(at: x).product(v), try logarithm.gaussNewtonOperator(at: x).product(v))
        #expect((bent - pulled).norm <= 1e-12 * bent.norm)
        // Positive semidefinite for √L, on a residual that is not linear.
        let curved = Transformed(ZooProblem.wood, by: SquareRoot.self)
        let model = try curved.gaussNewtonOperator(at: ZooProblem.wood.start)
        for _ in 0..<20 {
            let w = random.normalVector(4)
            #expect(w.dot(model.product(w)) >= -1e-12 * w.dot(w))
        }
    }

    /// At a solution, where √L has a kink, its slope is taken to be zero, and nothing is infinite.
    @Test func aSolutionHasASlopeOfZero() throws {
        let root = Transformed(ZooProblem.rosenbrock, by: SquareRoot.self)
        let value = try root.lossAndGradient(at: [1, 1])
        #expect(value.loss.total == 0 && value.gradient == [0, 0])
        #expect(try root.residual(at: [1, 1]) == [0, 0])
        #expect(try root.linearization(at: [1, 1]).jacobian().isFinite)
        #expect(try !Transformed(ZooProblem.rosenbrock, by: Logarithm.self).loss(at: [1, 1]).isFinite)
    }
}
