import LinearAlgebra
import Testing

@Suite struct LeastSquaresSolveTests {
    /// For a well-conditioned tall system all solvers meet the normal equations Aᵀ(Ax − b) = 0.
    @Test func solversAgreeWithTheNormalEquations() throws {
        var stream = TestStream(21)
        let a = stream.matrix(80, 20)
        let b = stream.vector(80)
        let solutions = [
            try QR.factorize(a).get().solveLeastSquares(b).get(),
            try PivotedQR.factorize(a).get().solveLeastSquares(b, relativeTolerance: 1e-12).get(),
            try SVD.factorize(a).get().solveTruncated(b, relativeTolerance: 1e-12),
            try TruncatedLeastSquares.solve(a, b, relativeTolerance: 1e-12).get().solution,
        ]
        for x in solutions {
            let residual = a.times(x) - b
            #expect(a.transposedTimes(residual).norm <= 80 * 20 * Double.ulpOfOne * a.frobeniusNorm * b.norm)
        }
    }

    /// Truncation is by σᵢ > rcond·σ₀: a matrix built with known singular values gives the known solution.
    @Test(arguments: [(18, 18), (40, 12), (12, 40)]) func truncationKeepsExactlyTheLargeSingularValues(m: Int, n: Int) throws {
        var stream = TestStream(22)
        let k = Swift.min(m, n)
        let u = try QR.factorize(stream.matrix(m, k)).get().thinQ
        let v = try QR.factorize(stream.matrix(n, k)).get().thinQ
        let σ = (0..<k).map { i in (0..<i).reduce(1.0) { product, _ in product * 0.1 } }
        var scaled = u
        for j in 0..<k { for i in 0..<m { scaled[i, j] *= σ[j] } }
        let a = Matrix.product(scaled, v, transposingSecond: true)
        let b = u.times(Vector(repeating: 1, count: k))
        // rcond between σ₆ = 1e-6 and σ₇ = 1e-7: seven are kept.
        var expected = Vector.zeros(n)
        for i in 0...6 { expected.add(v.column(i), scaledBy: 1 / σ[i]) }
        let direct = try TruncatedLeastSquares.solve(a, b, relativeTolerance: 3e-7).get()
        let svd = try SVD.factorize(a).get()
        #expect(direct.rank == 7)
        #expect(svd.rank(relativeTolerance: 3e-7) == 7)
        // Perturbing A by c·ε moves the kept solution by about ‖x‖·c·ε·σ₀/σ₆, and by mixing across the gap σ₆/(σ₆ − σ₇) of about one.
        let bound = 100 * Double.ulpOfOne / σ[6] * expected.norm
        #expect((direct.solution - expected).norm <= bound)
        #expect((svd.solveTruncated(b, relativeTolerance: 3e-7) - expected).norm <= bound)
        #expect((direct.singularValues - svd.singularValues).maximumNorm <= Double(m * n) * Double.ulpOfOne)
    }

    @Test func dampedSolutionMeetsItsNormalEquations() throws {
        var stream = TestStream(23)
        for (m, n) in [(30, 10), (10, 30)] {
            let (a, b, λ) = (stream.matrix(m, n), stream.vector(m), 0.37)
            let x = try SVD.factorize(a).get().solveDamped(b, damping: λ)
            var left = a.transposedTimes(a.times(x) - b)
            left.add(x, scaledBy: λ)
            #expect(left.norm <= Double(m * n) * Double.ulpOfOne * a.frobeniusNorm * b.norm)
        }
    }

    @Test func hilbertIsSolvedToItsNumericalRank() throws {
        let a = hilbert(14)
        let b = a.times(Vector(repeating: 1, count: 14))
        let solved = try TruncatedLeastSquares.solve(a, b, relativeTolerance: 1e-12).get()
        // κ ≈ 1e18: full rank is not resolved, yet the residual is at rounding level, ε‖A‖‖x‖ plus the truncated part 1e-12·σ₀·‖x‖.
        #expect(solved.rank < 14)
        #expect((a.times(solved.solution) - b).norm <= (14 * 14 * Double.ulpOfOne + 1e-12) * a.frobeniusNorm * Double(14).squareRoot())
    }

    @Test func trianglesSolveAndNameAZeroPivot() throws {
        let t = Matrix(rows: [[2, 7, 1], [4, 3, 9], [5, 6, 8]])
        // By hand: upper [2 7 1; 0 3 9; 0 0 8], lower [2; 4 3; 5 6 8].
        #expect(try t.solvingTriangle(.upper, [10, 12, 8]).get() == [1, 1, 1])
        #expect(try t.solvingTriangle(.lower, [2, 7, 19]).get() == [1, 1, 1])
        #expect(try t.solvingTriangle(.upper, [2, 10, 18], transposed: true).get() == [1, 1, 1])
        var singular = t
        singular[1, 1] = 0
        #expect(throws: FactorizationFailure.singular(pivot: 1)) { try singular.solvingTriangle(.upper, [1, 1, 1]).get() }
    }
}
