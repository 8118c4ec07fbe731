import LinearAlgebra
import Testing

@Suite struct TiledQRTests {
    /// Around the width of a panel (64) and of a group of panels (256), tall, square and wide.
    static let shapes = [
        (1, 1), (63, 63), (64, 64), (65, 65), (64, 63), (63, 64), (135, 64), (64, 135), (135, 65), (65, 135), (200, 129), (100, 330),
        (330, 321), (321, 330), (5, 300), (300, 5),
    ]

    private func orthogonality(_ q: Matrix) -> Double { difference(q.gram, .identity(q.columns)).frobeniusNorm }

    private func orthogonalityBound(_ q: Matrix) -> Double {
        Double(q.rows * q.columns) * Double.ulpOfOne * Double(q.columns).squareRoot()
    }

    @Test(arguments: shapes) func panelsReproduceTheMatrixWithTheSameBits(m: Int, n: Int) throws {
        var stream = TestStream(101)
        let (a, b) = (stream.matrix(m, n), stream.matrix(m, 70))
        let results = try onThreads {
            let qr = try QR.factorize(a).get()
            return [qr.r, qr.thinQ, qr.transposedQ(times: b), qr.q(times: b)]
        }
        #expect(results.dropFirst().allSatisfy { $0 == results[0] })
        let (r, q, rotated, back) = (results[0][0], results[0][1], results[0][2], results[0][3])
        for j in 0..<r.columns { for i in (j + 1)..<Swift.max(j + 1, r.rows) { #expect(r[i, j] == 0) } }
        #expect(difference(Matrix.product(q, r), a).frobeniusNorm <= backwardBound(a))
        #expect(orthogonality(q) <= orthogonalityBound(q))
        // Qᵀ and Q undo each other, and Qᵀ begins with the thin Q's.
        let qr = try QR.factorize(a).get()
        let bound = 2 * Double(m * Swift.min(m, n)) * Double.ulpOfOne * b.frobeniusNorm
        #expect(difference(qr.q(times: rotated), b).frobeniusNorm <= bound)
        #expect(difference(qr.transposedQ(times: back), b).frobeniusNorm <= bound)
        let projected = Matrix.product(q, b, transposingFirst: true)
        for j in 0..<b.columns { for i in 0..<q.columns { #expect(abs(projected[i, j] - rotated[i, j]) <= bound) } }
        let single = qr.transposedQ(times: b.column(3))
        #expect((single - rotated.column(3)).norm <= bound)
    }

    /// R is the Cholesky factor of AᵀA up to the signs of its rows: an independent computation, as exact as κ(A)² allows.
    @Test func rIsTheCholeskyFactorOfTheGramMatrix() throws {
        var stream = TestStream(102)
        let a = stream.matrix(400, 150)
        let r = try QR.factorize(a).get().r
        let l = try Cholesky.factorize(a.gram).get().lower
        let σ = try SVD.factorize(a).get().singularValues
        let condition = σ[0] / σ[149]
        for j in 0..<150 {
            for i in 0...j {
                #expect(abs(abs(r[i, j]) - abs(l[j, i])) <= 150 * Double.ulpOfOne * condition * condition * σ[0])
            }
        }
    }

    @Test(arguments: [(1, 1), (80, 20), (300, 130), (1100, 1030)]) func leastSquaresMeetTheNormalEquations(m: Int, n: Int) throws {
        var stream = TestStream(103)
        let (a, b) = (stream.matrix(m, n), stream.vector(m))
        let results = try onThreads { try QR.factorize(a).get().solveLeastSquares(b).get() }
        #expect(results.dropFirst().allSatisfy { $0 == results[0] })
        let residual = a.times(results[0]) - b
        let bound = Double(m * n) * Double.ulpOfOne * a.frobeniusNorm * (b.norm + a.frobeniusNorm * results[0].norm)
        #expect(a.transposedTimes(residual).norm <= bound)
    }

    /// The zeros that are left out change nothing: against the whole stacked matrix.
    @Test(arguments: [(1, 1), (64, 64), (65, 65), (130, 130), (40, 150), (150, 40), (70, 65), (0, 5), (200, 200)])
    func stackedOverADiagonal(m: Int, n: Int) throws {
        var stream = TestStream(104)
        let a = stream.matrix(m, n)
        let d = Vector(stream.vector(n).map { abs($0) + 0.1 })
        try checkStacked(a, d, upperTriangular: false)
        if m == n {
            var r = a
            for j in 0..<n { for i in (j + 1)..<Swift.max(j + 1, n) { r[i, j] = 0 } }
            try checkStacked(r, d, upperTriangular: true)
            // What is below the triangle does not count.
            #expect(
                try QR.factorize(a, overDiagonal: d, upperTriangular: true).get().r
                    == QR.factorize(r, overDiagonal: d, upperTriangular: true).get().r)
        }
    }

    private func checkStacked(_ a: Matrix, _ d: Vector, upperTriangular: Bool) throws {
        let (m, n) = (a.rows, a.columns)
        var whole = Matrix.zeros(m + n, n)
        for j in 0..<n {
            for i in 0..<m { whole[i, j] = a[i, j] }
            whole[m + j, j] = d[j]
        }
        let results = try onThreads {
            let qr = try QR.factorize(a, overDiagonal: d, upperTriangular: upperTriangular).get()
            return [qr.r, qr.thinQ]
        }
        #expect(results.dropFirst().allSatisfy { $0 == results[0] })
        let q = results[0][1]
        #expect(difference(Matrix.product(q, results[0][0]), whole).frobeniusNorm <= backwardBound(whole))
        #expect(orthogonality(q) <= orthogonalityBound(q))
        var stream = TestStream(105)
        let b = stream.vector(m + n)
        let qr = try QR.factorize(a, overDiagonal: d, upperTriangular: upperTriangular).get()
        let x = try qr.solveLeastSquares(b).get()
        // (AᵀA + D²)x = Aᵀb₁ + Db₂ by Cholesky: an independent computation; its condition is at most ‖[A; D]‖²/min d².
        var normal = a.gram
        normal.addDiagonal(Vector(d.map { $0 * $0 }))
        let expected = try Cholesky.factorize(normal).get().solve(whole.transposedTimes(b))
        let smallest = d.min() ?? 1
        let condition = whole.frobeniusNorm * whole.frobeniusNorm / (smallest * smallest)
        #expect((x - expected).norm <= Double(n) * Double.ulpOfOne * condition * (expected.norm + b.norm / smallest))
    }

    @Test func hugeAndTinyEntriesDoNotOverflow() throws {
        var stream = TestStream(106)
        for scale in [1e-200, 1e200] {
            let a = Matrix(rows: 90, columns: 70, elements: stream.matrix(90, 70).elements.map { $0 * scale })
            let qr = try QR.factorize(a).get()
            let q = qr.thinQ
            #expect(orthogonality(q) <= orthogonalityBound(q))
            let residual = difference(Matrix.product(q, qr.r), a)
            #expect(residual.maximumNorm <= 90 * 70 * Double.ulpOfOne * a.maximumNorm)
        }
    }

    @Test func nonFiniteEntriesAreRefused() {
        for bad in [Double.nan, .infinity, -.infinity] {
            var a = Matrix.identity(130)
            a[129, 70] = bad
            #expect(throws: FactorizationFailure.nonFinite) { try QR.factorize(a).get() }
            #expect(throws: FactorizationFailure.nonFinite) { try QR.factorize(a, overDiagonal: .zeros(130)).get() }
            #expect(throws: FactorizationFailure.nonFinite) { try QR.factorize(.identity(2), overDiagonal: [1, bad]).get() }
        }
    }

    @Test func aMatrixThatIsHandedOverIsFactorisedInPlace() throws {
        var stream = TestStream(107)
        let a = stream.matrix(90, 70)
        let before = a.elements.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
        let result = QR.factorize(consume a)
        let address = try result.get().storageAddress
        #expect(address == before)
    }

    @Test func emptyMatrices() throws {
        for (m, n) in [(0, 0), (3, 0), (0, 3)] {
            let qr = try QR.factorize(.zeros(m, n)).get()
            #expect(qr.r == .zeros(0, n))
            #expect(qr.thinQ == .zeros(m, 0))
            #expect(qr.transposedQ(times: .zeros(m, 2)) == .zeros(m, 2))
        }
        #expect(try QR.factorize(.zeros(4, 0)).get().solveLeastSquares(.zeros(4)).get() == [])
        #expect(try QR.factorize(.zeros(0, 0), overDiagonal: []).get().r == .zeros(0, 0))
    }
}
