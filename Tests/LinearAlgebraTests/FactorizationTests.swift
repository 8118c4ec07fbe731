import LinearAlgebra
import Testing

@Suite struct FactorizationTests {
    @Test(arguments: factorizationSamples.indices) func qrReproducesItsMatrix(sample: Int) throws {
        let a = factorizationSamples[sample]
        let qr = try QR.factorize(a).get()
        let q = qr.thinQ
        #expect(difference(Matrix.product(q, qr.r), a).frobeniusNorm <= backwardBound(a))
        let k = q.columns
        #expect(difference(q.gram, .identity(k)).frobeniusNorm <= Double(a.rows * k) * Double.ulpOfOne * Double(k).squareRoot())
        let b = Vector((0..<a.rows).map { Double($0) - 1 })
        let projected = q.transposedTimes(b)
        #expect((Vector(qr.transposedQ(times: b).prefix(k)) - projected).norm <= Double(a.rows * k) * Double.ulpOfOne * b.norm)
    }

    @Test(arguments: factorizationSamples.indices) func pivotedQRReproducesItsColumnsInOrder(sample: Int) throws {
        let a = factorizationSamples[sample]
        let pivoted = try PivotedQR.factorize(a).get()
        #expect(pivoted.permutation.sorted() == Array(0..<a.columns))
        var permuted = Matrix.zeros(a.rows, a.columns)
        for (j, from) in pivoted.permutation.enumerated() { for i in 0..<a.rows { permuted[i, j] = a[i, from] } }
        #expect(difference(Matrix.product(pivoted.qr.thinQ, pivoted.qr.r), permuted).frobeniusNorm <= backwardBound(a))
        let diagonal = pivoted.qr.r.diagonal.map(abs)
        for (larger, smaller) in zip(diagonal, diagonal.dropFirst()) { #expect(smaller <= larger * (1 + 1e-12)) }
    }

    @Test(arguments: factorizationSamples.indices) func svdReproducesItsMatrixByBothRoutes(sample: Int) throws {
        let a = factorizationSamples[sample]
        let first = try SVD.factorize(a).get()
        let second = try SVD.factorize(a, byDivideAndConquer: false).get()
        for svd in [first, second] {
            var scaled = svd.u
            for j in 0..<scaled.columns { for i in 0..<scaled.rows { scaled[i, j] *= svd.singularValues[j] } }
            #expect(difference(Matrix.product(scaled, svd.vTransposed), a).frobeniusNorm <= backwardBound(a))
            #expect(zip(svd.singularValues, svd.singularValues.dropFirst()).allSatisfy { $0 >= $1 && $1 >= 0 })
        }
        #expect((first.singularValues - second.singularValues).maximumNorm <= backwardBound(a))
    }

    @Test func rankIsSeenByBothJudges() throws {
        let lowRank = factorizationSamples[6]
        #expect(try SVD.factorize(lowRank).get().rank(relativeTolerance: 1e-12) == 3)
        #expect(try PivotedQR.factorize(lowRank).get().rank(relativeTolerance: 1e-12) == 3)
        #expect(try SVD.factorize(.zeros(4, 3)).get().rank(relativeTolerance: 1e-12) == 0)
    }

    @Test func eigenvectorsDiagonalise() throws {
        var stream = TestStream(3)
        for a in [stream.matrix(30, 30).gram, hilbert(10)] {
            let eigen = try SymmetricEigen.factorize(a).get()
            var scaled = eigen.vectors
            for j in 0..<a.rows { for i in 0..<a.rows { scaled[i, j] *= eigen.values[j] } }
            #expect(difference(Matrix.product(scaled, eigen.vectors, transposingSecond: true), a).frobeniusNorm <= backwardBound(a))
            #expect(zip(eigen.values, eigen.values.dropFirst()).allSatisfy { $0 <= $1 })
        }
        // The second-difference matrix: λₖ = 2 − 2cos(kπ/(n + 1)), known exactly.
        let n = 9
        var second = Matrix.zeros(n, n)
        for i in 0..<n {
            second[i, i] = 2
            if i > 0 { (second[i, i - 1], second[i - 1, i]) = (-1, -1) }
        }
        let values = try SymmetricEigen.factorize(second).get().values
        // 4 sin²(kπ/20), from a table.
        let known = [0.09788696740969294, 0.3819660112501051, 0.8244294954150537, 1.381966011250105, 2.0]
        for (value, expected) in zip(values, known) { #expect(abs(value - expected) <= 1e-14) }
    }

    @Test func choleskyReproducesAndNamesTheFailingPivot() throws {
        var stream = TestStream(5)
        var a = stream.matrix(60, 50).gram
        let cholesky = try Cholesky.factorize(a).get()
        #expect(
            difference(Matrix.product(cholesky.lower, cholesky.lower, transposingSecond: true), a).frobeniusNorm <= backwardBound(a))
        let x = stream.vector(50)
        let solved = cholesky.solve(a.times(x))
        let spectrum = try SymmetricEigen.factorize(a).get().values
        let condition = spectrum[49] / spectrum[0]
        #expect((solved - x).norm <= 50 * 50 * Double.ulpOfOne * condition * x.norm)

        a[17, 17] = -1
        guard case .failure(.notPositiveDefinite(pivot: 17)) = Cholesky.factorize(a) else {
            Issue.record("the failing pivot was not named")
            return
        }
    }

    @Test func nonFiniteInputIsRefusedEverywhere() {
        for bad in [Double.nan, .infinity, -.infinity] {
            var a = Matrix.identity(4)
            a[2, 1] = bad
            #expect(failure(QR.factorize(a)) == .nonFinite)
            #expect(failure(PivotedQR.factorize(a)) == .nonFinite)
            #expect(failure(SVD.factorize(a)) == .nonFinite)
            #expect(failure(Cholesky.factorize(a)) == .nonFinite)
            #expect(failure(SymmetricEigen.factorize(a)) == .nonFinite)
            #expect(failure(TruncatedLeastSquares.solve(a, [1, 1, 1, 1], relativeTolerance: 0)) == .nonFinite)
            #expect(failure(TruncatedLeastSquares.solve(.identity(2), [1, bad], relativeTolerance: 0)) == .nonFinite)
        }
    }

    private func failure<T>(_ result: Result<T, FactorizationFailure>) -> FactorizationFailure? {
        if case .failure(let failure) = result { failure } else { nil }
    }
}
