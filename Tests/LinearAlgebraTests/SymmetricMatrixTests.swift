import LinearAlgebra
import Testing

@Suite(.serialized) struct SymmetricMatrixTests {
    /// Orders below and above the first cut into shards, with odd remainders of every vector width.
    static let orders = [1, 2, 3, 17, 64, 255, 256, 257, 700]

    @Test(arguments: orders) func productAgreesWithTheFullMatrix(n: Int) {
        var stream = TestStream(31)
        let h = SymmetricMatrix(lowerTriangleOf: stream.matrix(n, n))
        let x = stream.vector(n)
        // Two ways of summing n products: each is within n·ε·Σ|hᵢⱼ||xⱼ| of the exact value.
        let bound = 2 * Double(n) * Double.ulpOfOne * h.full.frobeniusNorm * x.norm
        #expect((h.times(x) - h.full.times(x)).maximumNorm <= bound)
    }

    @Test(arguments: orders) func updateAgreesWithItsDefinition(n: Int) {
        var stream = TestStream(32)
        var h = SymmetricMatrix(lowerTriangleOf: stream.matrix(n, n))
        let before = h
        let (s, q) = (stream.vector(n), stream.vector(n))
        let (scale, a, b, c) = (1.25, 0.7, -0.3, 1.9)
        h.update(scaling: scale, s, q, ss: a, sq: b, qq: c)
        var worst = 0.0
        for j in 0..<n {
            for i in j..<n {
                let expected = scale * before[i, j] + a * s[i] * s[j] + b * (s[i] * q[j] + q[i] * s[j]) + c * q[i] * q[j]
                worst = Swift.max(worst, abs(h[i, j] - expected))
                if i != j { #expect(h[i, j] == h[j, i]) }
            }
        }
        // Ten operations on numbers of at most 1.25 + 0.7 + 0.6 + 1.9.
        #expect(worst <= 10 * Double.ulpOfOne * 4.45)
    }

    @Test func bitsDoNotDependOnTheNumberOfThreads() {
        let n = 700
        var results: [(SymmetricMatrix, Vector)] = []
        for threads in [1, 2, 3] {
            withThreads(threads) {
                var stream = TestStream(33)
                var h = SymmetricMatrix(lowerTriangleOf: stream.matrix(n, n))
                let (s, q) = (stream.vector(n), stream.vector(n))
                h.update(scaling: 0.9, s, q, ss: 1, sq: 2, qq: 3)
                results.append((h, h.times(s)))
            }
        }
        for result in results.dropFirst() {
            #expect(result.0 == results[0].0)
            #expect(result.1 == results[0].1)
        }
    }

    @Test func definitenessIsTested() {
        var h = SymmetricMatrix.identity(5, scaledBy: 2)
        #expect((try? h.choleskyFactorization().get()) != nil)
        h[3, 3] = -1
        #expect(throws: FactorizationFailure.notPositiveDefinite(pivot: 3)) { try h.choleskyFactorization().get() }
    }

    @Test func gramsAreExactlySymmetricAndRight() {
        var stream = TestStream(34)
        let a = stream.matrix(23, 9)
        #expect(a.gram == a.gram.transposed)
        #expect(a.outerGram == a.outerGram.transposed)
        let bound = 2 * 23 * Double.ulpOfOne * a.frobeniusNorm * a.frobeniusNorm
        #expect(difference(a.gram, Matrix.product(a, a, transposingFirst: true)).maximumNorm <= bound)
        #expect(difference(a.outerGram, Matrix.product(a, a, transposingSecond: true)).maximumNorm <= bound)
    }
}
