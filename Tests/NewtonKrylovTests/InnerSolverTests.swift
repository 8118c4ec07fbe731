import Globalization
import LinearAlgebra
import NewtonFixtures
import NewtonKrylov
import OptimizationCore
import Testing

@Suite struct InnerSolverTests {
    private let n = 12

    private func rightHandSide(_ seed: UInt64, count: Int) -> Vector {
        var random = RandomStream(seed: seed, name: "right-hand side")
        return random.normalVector(count)
    }

    // MARK: Conjugate gradients

    @Test func conjugateGradientsSolveADefiniteSystem() throws {
        let A = try symmetric(eigenvalues: (1...n).map(Double.init), seed: 1)
        let g = rightHandSide(1, count: n)
        let solver = TruncatedConjugateGradients(g, target: 1e-12 * g.norm, maximumIterations: 2 * n, product: { A.times($0) })
        guard case .converged = solver.end else {
            Issue.record("ended with \(solver.end)")
            return
        }
        let exact = -(try Cholesky.factorize(A).get().solve(g))
        #expect((solver.p - exact).norm <= 1e-11 * exact.norm)
        #expect((solver.r - (g + A.times(solver.p))).norm <= 1e-12 * g.norm)
        #expect(solver.iterations <= n + 1)
    }

    @Test func conjugateGradientsShowNegativeCurvature() throws {
        let A = try symmetric(eigenvalues: [-1] + (1..<n).map(Double.init), seed: 2)
        let g = rightHandSide(2, count: n)
        let solver = TruncatedConjugateGradients(g, target: 1e-12 * g.norm, maximumIterations: 2 * n, product: { A.times($0) })
        guard case .negativeCurvature(let d, let curvature) = solver.end else {
            Issue.record("ended with \(solver.end)")
            return
        }
        #expect(curvature <= 0 && abs(d.dot(A.times(d)) - curvature) <= 1e-10 * d.dot(d))
        #expect(g.dot(d) < 0 && g.dot(solver.p) < 0)
    }

    @Test func conjugateGradientsGoOnFromAGuess() throws {
        let A = try symmetric(eigenvalues: (1...n).map(Double.init), seed: 3)
        let g = rightHandSide(3, count: n)
        let exact = -(try Cholesky.factorize(A).get().solve(g))
        let near = exact.adding(rightHandSide(4, count: n), scaledBy: 1e-6)
        let solver = TruncatedConjugateGradients(g, target: 1e-5 * g.norm, maximumIterations: 50, from: near, product: { A.times($0) })
        #expect(solver.iterations <= 1)
        #expect((solver.p - exact).norm <= 1e-5 * exact.norm)
    }

    @Test func aProductThatIsNotFiniteIsSaid() {
        let g = rightHandSide(5, count: 4)
        let nan = Vector(repeating: .nan, count: 4)
        guard case .nonFinite = TruncatedConjugateGradients(g, target: 0, maximumIterations: 5, product: { _ in nan }).end else {
            Issue.record("conjugate gradients went on")
            return
        }
        guard case .nonFinite = MinimumResidual(g, target: 0, maximumIterations: 5, product: { _ in nan }).end else {
            Issue.record("MINRES went on")
            return
        }
    }

    /// Where the squares of a gradient underflow there is no step, and nothing that is not finite.
    @Test(arguments: [1e-150, 1e-162, 1e-200]) func theLeastNumbersDoNoHarm(size: Double) throws {
        let A = try symmetric(eigenvalues: (1...n).map(Double.init), seed: 12)
        let g = size * rightHandSide(12, count: n)
        let solver = TruncatedConjugateGradients(g, target: 1e-3 * g.norm, maximumIterations: 2 * n, product: { A.times($0) })
        #expect(solver.p.isFinite && solver.r.isFinite)
        if case .nonFinite = solver.end { Issue.record("a product was not finite") }
    }

    // MARK: MINRES

    /// The least ‖g + Ap‖ over the Krylov space of k vectors, by QR of A·V for an orthonormal V.
    private func leastResidual(_ A: Matrix, _ g: Vector, _ k: Int) throws -> Double {
        var columns = [g]
        for _ in 1..<k { columns.append((1 / columns[columns.count - 1].norm) * A.times(columns[columns.count - 1])) }
        let V = try QR.factorize(Matrix(rows: g.count, columns: k, elements: columns.flatMap(\.elements))).get().thinQ
        let image = Matrix.product(A, V)
        let y = try QR.factorize(image).get().solveLeastSquares(-g).get()
        return (g + image.times(y)).norm
    }

    @Test(arguments: 1...6) func minimumResidualIsLeastOverTheKrylovSpace(k: Int) throws {
        let A = try symmetric(eigenvalues: (1...n).map { 0.5 + Double($0 * $0) }, seed: 4)
        let g = rightHandSide(6, count: n)
        let solver = MinimumResidual(g, target: 0, maximumIterations: k, product: { A.times($0) })
        #expect(solver.iterations == k)
        let left = (g + A.times(solver.p)).norm
        #expect((solver.r + g + A.times(solver.p)).norm <= 1e-12 * g.norm)
        let least = try leastResidual(A, g, k)
        #expect(abs(left - least) <= 1e-10 * g.norm, "\(left) and \(least)")
    }

    /// The residual's curvature as the recursion tells it is that of the residual, and the first that is not positive ends it.
    @Test(arguments: 1...8 as ClosedRange<UInt64>) func minimumResidualShowsTheFirstNonpositiveCurvature(seed: UInt64) throws {
        let A = try symmetric(eigenvalues: [-3, -0.1] + (2..<n).map(Double.init), seed: seed)
        let g = rightHandSide(20 + seed, count: n)
        let solver = MinimumResidual(g, target: 1e-12 * g.norm, maximumIterations: 2 * n, product: { A.times($0) })
        guard case .nonpositiveCurvature(let curvature) = solver.end else {
            Issue.record("ended with \(solver.end)")
            return
        }
        let direct = solver.r.dot(A.times(solver.r))
        #expect(curvature <= 0 && abs(curvature - direct) <= 1e-9 * solver.r.dot(solver.r))
        #expect(g.dot(solver.r) < 0)
        for k in 0..<(solver.iterations - 1) {
            let before = MinimumResidual(g, target: 0, maximumIterations: k, product: { A.times($0) })
            #expect(before.r.dot(A.times(before.r)) > 0, "the residual after \(k) iterations")
        }
    }

    @Test func minimumResidualOfASingularSystemIsLeastSquares() throws {
        let A = try symmetric(eigenvalues: [0] + (1..<n).map(Double.init), seed: 5)
        let eigen = try SymmetricEigen.factorize(A).get()
        let g = rightHandSide(7, count: n)
        let solver = MinimumResidual(g, target: 1e-13 * g.norm, maximumIterations: 2 * n, product: { A.times($0) })
        // What is left is g's part in the null space.
        let outside = eigen.vectors.column(0).dot(g)
        #expect(abs((g + A.times(solver.p)).norm - abs(outside)) <= 1e-9 * g.norm)
    }

    // MARK: Nyström

    /// A matrix of rank five is what its sketch of rank eight says.
    @Test func sketchOfALowRankMatrixIsExact() throws {
        let A = try symmetric(eigenvalues: Array(repeating: 0, count: 25) + [1, 10, 100, 1e3, 1e4], seed: 6)
        var random = RandomStream(seed: 1, name: "sketch")
        let sketch = try NystromPreconditioner.sketch(dimension: 30, rank: 8, random: &random, product: { A.times($0) }).get()
        for (value, exact) in zip(sketch.eigenvalues, [1e4, 1e3, 100, 10, 1, 0, 0, 0]) { #expect(abs(value - exact) <= 1e-8 * 1e4) }
        let again = Matrix.product(sketch.basis.scalingColumns(by: sketch.eigenvalues), sketch.basis, transposingSecond: true)
        #expect(Matrix(rows: 30, columns: 30, elements: zip(again.elements, A.elements).map { $0 - $1 }).frobeniusNorm <= 1e-6 * 1e4)
    }

    @Test func preconditionerIsItsFormula() throws {
        let A = try symmetric(eigenvalues: (0..<20).map { Double($0 * $0) }, seed: 7)
        var random = RandomStream(seed: 2, name: "sketch")
        let sketch = try NystromPreconditioner.sketch(dimension: 20, rank: 6, random: &random, product: { A.times($0) }).get()
        let (U, s, μ) = (sketch.basis, sketch.eigenvalues, 0.3)
        // P = U·diag((ŝ + μ)/(ŝₖ + μ))·Uᵀ + I − UUᵀ, dense, applied to P⁻¹x.
        let least = try #require(s.last)
        var P = Matrix.product(U.scalingColumns(by: Vector(s.map { ($0 + μ) / (least + μ) - 1 })), U, transposingSecond: true)
        P.addDiagonal(Vector(repeating: 1, count: 20))
        let x = rightHandSide(8, count: 20)
        #expect((P.times(sketch.apply(x, damping: μ)) - x).norm <= 1e-10 * x.norm)
    }

    /// Eigenvalues over eight decades with ten large ones: what takes conjugate gradients as many iterations as there are takes a few with
    /// them.
    @Test func preconditionedIterationsAreFew() throws {
        let A = try symmetric(eigenvalues: (0..<90).map { 1 + Double($0) / 100 } + (0..<10).map { 1e4 * Double(1 << (2 * $0)) }, seed: 8)
        let g = rightHandSide(9, count: 100)
        var random = RandomStream(seed: 3, name: "sketch")
        let sketch = try NystromPreconditioner.sketch(dimension: 100, rank: 15, random: &random, product: { A.times($0) }).get()
        let plain = TruncatedConjugateGradients(g, target: 1e-8 * g.norm, maximumIterations: 500, product: { A.times($0) })
        let better = TruncatedConjugateGradients(
            g, target: 1e-8 * g.norm, maximumIterations: 500, preconditioner: { sketch.apply($0, damping: 1) }, product: { A.times($0) })
        #expect((g + A.times(better.p)).norm <= 1e-6 * g.norm)
        #expect(better.iterations <= 15 && plain.iterations >= 2 * better.iterations, "\(better.iterations) and \(plain.iterations)")
    }

    @Test func anIndefiniteMatrixHasASketchToo() throws {
        let A = try symmetric(eigenvalues: [-50, -1] + (0..<18).map { Double($0 * $0 * $0) }, seed: 9)
        var random = RandomStream(seed: 4, name: "sketch")
        let sketch = try NystromPreconditioner.sketch(dimension: 20, rank: 20, random: &random, product: { A.times($0) }).get()
        #expect(sketch.eigenvalues.allSatisfy { $0 >= 0 && $0.isFinite })
        #expect(abs(sketch.eigenvalues[0] - 4913) <= 200)
    }

    /// (UŜUᵀ + ρI)^q by its roots: twice the power −½ is the inverse, which undoes B + ρI where the sketch is B.
    @Test func aSketchOfFullRankInvertsTheRegularisedMatrix() throws {
        let A = try symmetric(eigenvalues: (1...8).map { Double($0 * $0) }, seed: 3)
        var random = RandomStream(seed: 6, name: "sketch")
        let sketch = try NystromPreconditioner.sketch(dimension: 8, rank: 8, random: &random, product: { A.times($0) }).get()
        let x = rightHandSide(7, count: 8)
        let inverse = sketch.regularized(x, by: 0.5, power: -1)
        #expect((A.times(inverse) + 0.5 * inverse - x).norm <= 1e-10 * x.norm)
        let twice = sketch.regularized(sketch.regularized(x, by: 0.5, power: -0.5), by: 0.5, power: -0.5)
        #expect((twice - inverse).norm <= 1e-12 * inverse.norm)
    }

    // MARK: Modified Cholesky

    private func defect(_ A: Matrix, _ factors: ModifiedCholesky, seed: UInt64) -> Double {
        var lifted = A
        lifted.addDiagonal(factors.modification)
        let b = rightHandSide(seed, count: A.rows)
        return (lifted.times(factors.solve(b)) - b).norm / b.norm
    }

    @Test func aDefiniteMatrixIsFactorisedAsItIs() throws {
        let A = try symmetric(eigenvalues: (1...n).map(Double.init), seed: 10)
        let factors = try #require(ModifiedCholesky(A))
        #expect(factors.modification.maximumNorm <= 1e-13)
        #expect(defect(A, factors, seed: 10) <= 1e-12)
        #expect(Set(factors.permutation) == Set(0..<n))
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>) func anIndefiniteMatrixIsLifted(seed: UInt64) throws {
        let A = try symmetric(eigenvalues: [-5, -1, 0] + (3..<n).map(Double.init), seed: 100 + seed)
        let factors = try #require(ModifiedCholesky(A))
        #expect(factors.modification.allSatisfy { $0 >= 0 } && factors.modification.maximumNorm > 0)
        #expect(defect(A, factors, seed: seed) <= 1e-9)
        var lifted = A
        lifted.addDiagonal(factors.modification)
        let least = try SymmetricEigen.factorize(lifted).get().values[0]
        #expect(least > 0)
        // Of the order of A itself, not of a larger one.
        #expect(factors.modification.maximumNorm <= 20 * 11)
        var four = A
        four.elements = four.elements.map { 0x1p40 * $0 }
        let scaled = try #require(ModifiedCholesky(four))
        #expect(scaled.modification == 0x1p40 * factors.modification)
    }

    @Test func noCurvatureHasNoFactors() {
        #expect(ModifiedCholesky(.zeros(3, 3)) == nil)
        #expect(ModifiedCholesky(Matrix(rows: [[.nan, 0], [0, 1]])) == nil)
    }

    // MARK: The cubic model

    /// (A + μI)p = −g with μ = σ‖p‖ and A + μI ⪰ 0: what makes p the global minimiser.
    @Test(arguments: [1e-3, 0.1, 1, 50]) func cubicModelIsMinimised(σ: Double) throws {
        let A = try symmetric(eigenvalues: [-2, -0.5] + (2..<n).map(Double.init), seed: 11)
        let g = rightHandSide(11, count: n)
        var space = KrylovCubic(g, product: { A.times($0) })
        let minimum = try space.minimum(σ, accuracy: 1e-12, maximum: n).get()
        let (p, μ) = (minimum.p, σ * minimum.p.norm)
        #expect((A.times(p) + μ * p + g).norm <= 1e-9 * g.norm)
        #expect(μ >= 2 - 1e-9)
        let direct = -(g.dot(p) + 0.5 * p.dot(A.times(p)) + σ * p.norm * p.norm * p.norm / 3)
        #expect(abs(minimum.decrease - direct) <= 1e-10 * direct)
    }
}
