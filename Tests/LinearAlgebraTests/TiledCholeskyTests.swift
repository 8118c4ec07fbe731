import CKernels
import LinearAlgebra
import Testing

@Suite struct TiledCholeskyTests {
    /// Around the borders of blocks and chunks made small for the purpose.
    static let smallOrders = [1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 33, 40, 95]
    /// Around those that are in use: panels of 48 on one thread up to 192, then blocks of 96, from 800 on of 128 (docs/performance.md).
    static let orders = [1, 47, 48, 49, 95, 97, 191, 192, 193, 199, 287, 288, 289, 583, 799, 800, 905]

    /// Positive definite with eigenvalues of at least one.
    private func positive(_ n: Int, seed: UInt64 = 91) -> Matrix {
        var stream = TestStream(seed)
        var a = stream.matrix(n, n).gram
        a.addDiagonal(Vector(repeating: 1, count: n))
        return a
    }

    /// ‖A − LLᵀ‖ ≤ c·n·ε·‖A‖ with c = 1: the bound on a single entry is (n + 1)·ε·(|L||Lᵀ|)ᵢⱼ (Higham, thm 10.3), and rounding is random.
    private func isFactor(_ l: Matrix, of a: Matrix) -> Bool {
        let n = a.rows
        for j in 0..<n { for i in 0..<j where l[i, j] != 0 { return false } }
        let residual = difference(Matrix.product(l, l, transposingSecond: true), a).frobeniusNorm
        return residual <= Double(n) * Double.ulpOfOne * a.frobeniusNorm
    }

    private func factor(_ a: Matrix, _ tiles: TiledCholesky.Tiles) -> (Matrix, Int?) {
        var l = a
        let failure = l.elements.withUnsafeMutableBufferPointer { l in
            l.baseAddress.flatMap { TiledCholesky.factorize(a.rows, $0, a.rows, tiles: tiles) }
        }
        for j in 0..<a.rows { for i in 0..<j { l[i, j] = 0 } }
        return (l, failure)
    }

    @Test(arguments: smallOrders) func smallTilesReproduceTheMatrix(n: Int) {
        let a = positive(n)
        for (width, height) in [(8, 1), (8, 2), (8, 100), (16, 3)] {
            let results = onThreads { factor(a, .init(width: width, height: height)) }
            #expect(results[0].1 == nil)
            #expect(isFactor(results[0].0, of: a))
            #expect(results.dropFirst().allSatisfy { $0.0 == results[0].0 && $0.1 == nil })
        }
    }

    @Test(arguments: orders) func factorReproducesTheMatrixWithTheSameBits(n: Int) throws {
        let a = positive(n)
        let results = try onThreads { try Cholesky.factorize(a).get().lower }
        #expect(isFactor(results[0], of: a))
        #expect(results.dropFirst().allSatisfy { $0 == results[0] })
    }

    /// A positive definite matrix with one diagonal entry made negative: the leading minors before it stay positive.
    @Test(arguments: [0, 1, 95, 96, 97, 191, 192, 255, 299]) func theFirstFailingPivotIsNamed(pivot: Int) {
        var a = positive(300)
        a[pivot, pivot] = -1
        a[299, 299] = -1
        for result in onThreads({ Cholesky.factorize(a) }) {
            guard case .failure(.notPositiveDefinite(pivot)) = result else {
                Issue.record("pivot \(pivot) was not named: \(result)")
                return
            }
        }
    }

    @Test(arguments: smallOrders) func everyFailingPivotOfSmallTilesIsNamed(n: Int) {
        for pivot in 0..<n {
            var a = positive(n)
            a[pivot, pivot] = 0
            #expect(onThreads { factor(a, .init(width: 8, height: 2)).1 } == [pivot, pivot, pivot, pivot])
        }
    }

    @Test func onlyTheLowerTriangleIsRead() throws {
        for n in [30, 230] {
            let a = positive(n)
            var spoilt = a
            for j in 0..<n { for i in 0..<j { spoilt[i, j] = .nan } }
            #expect(try Cholesky.factorize(spoilt).get().lower == Cholesky.factorize(a).get().lower)
        }
    }

    @Test(arguments: [(0, 0), (229, 0), (229, 229), (100, 99), (96, 95)]) func nonFiniteEntriesAreRefused(i: Int, j: Int) {
        for bad in [Double.nan, .infinity, -.infinity] {
            var a = positive(230)
            a[i, j] = bad
            #expect(throws: FactorizationFailure.nonFinite) { try Cholesky.factorize(a).get() }
            #expect(throws: FactorizationFailure.nonFinite) {
                try Cholesky.factorize(a, addingToDiagonal: .zeros(230)).get()
            }
        }
        #expect(throws: FactorizationFailure.nonFinite) { try Cholesky.factorize(.identity(2), addingToDiagonal: [0, .nan]).get() }
    }

    @Test(arguments: [0, 1, 30, 230, 600]) func dampingIsAddedToTheDiagonal(n: Int) throws {
        var stream = TestStream(93)
        let a = positive(n)
        let d = Vector(stream.vector(n).map { $0 + 2 })
        var sum = a
        sum.addDiagonal(d)
        #expect(try Cholesky.factorize(a, addingToDiagonal: d).get().lower == Cholesky.factorize(sum).get().lower)
    }

    /// A matrix of 200 MB must not become two.
    @Test func aMatrixThatIsHandedOverIsFactorisedInPlace() throws {
        let a = positive(200)
        let before = a.elements.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
        #expect(try Cholesky.factorize(consume a).get().storageAddress == before)
    }

    @Test func emptyMatrices() throws {
        let empty = try Cholesky.factorize(.zeros(0, 0)).get()
        #expect(empty.lower == .zeros(0, 0))
        #expect(empty.solve([]) == [])
        #expect(empty.solve(.zeros(0, 3)) == .zeros(0, 3))
        #expect(try Cholesky.factorize(positive(3)).get().solve(.zeros(3, 0)) == .zeros(3, 0))
    }

    // MARK: Triangles

    /// X·Lᵀ gives B back: a row's backward error is n·ε·|X||L|ᵀ (Higham, thm 8.5), and one rounding more for the reciprocals.
    @Test func solvingFromTheRightIsItsDefinition() {
        var stream = TestStream(94)
        for n in [1, 2, 5, 6, 7, 11, 12, 13, 64, 131, 256] {
            var l = stream.matrix(n + 3, n)
            for j in 0..<n {
                for i in 0..<j { l[i, j] = .nan }  // not read
                for i in (j + 1)..<(n + 3) { l[i, j] /= Double(n) }
                l[j, j] += 3
            }
            for m in [0, 1, 7, 8, 9, 31, 32, 33, 77] {
                let b = stream.matrix(m + 2, n)
                var x = b
                x.elements.withUnsafeMutableBufferPointer { x in
                    l.elements.withUnsafeBufferPointer { ck_solve_right(m, n, $0.baseAddress, n + 3, x.baseAddress, m + 2) }
                }
                var worst = 0.0
                for j in 0..<n {
                    for i in 0..<m {
                        let sum = (0...j).reduce(0) { $0 + x[i, $1] * l[j, $1] }
                        worst = Swift.max(worst, abs(sum - b[i, j]))
                    }
                    for i in m..<(m + 2) { #expect(x[i, j] == b[i, j]) }
                }
                #expect(worst <= Double(n + 1) * 5 * Double.ulpOfOne)
            }
        }
    }

    /// T·X = B to n·ε·‖T‖·‖X‖ (Higham, thm 8.5), for one and several right-hand sides, below and above the order that is cut into blocks.
    @Test(arguments: [(1, 1), (130, 1), (130, 5), (1024, 1), (1025, 1), (1300, 3), (1300, 65)])
    func trianglesAreSolvedWithTheSameBits(n: Int, columns: Int) throws {
        var stream = TestStream(95)
        var t = stream.matrix(n, n)
        for j in 0..<n { for i in 0..<n { t[i, j] = i == j ? 2 + t[i, j] : t[i, j] / Double(n) } }
        let b = stream.matrix(n, columns)
        for triangle in [Triangle.lower, .upper] {
            var kept = t
            for j in 0..<n { for i in 0..<n where triangle == .lower ? i < j : i > j { kept[i, j] = 0 } }
            for transposed in [false, true] {
                let results = try onThreads { try t.solvingTriangle(triangle, b, transposed: transposed).get() }
                #expect(results.dropFirst().allSatisfy { $0 == results[0] })
                let residual = difference(Matrix.product(kept, results[0], transposingFirst: transposed), b).frobeniusNorm
                #expect(residual <= Double(n) * Double.ulpOfOne * kept.frobeniusNorm * results[0].frobeniusNorm)
                if columns == 1 {
                    let vector = try t.solvingTriangle(triangle, b.column(0), transposed: transposed).get()
                    #expect(vector == results[0].column(0))
                }
            }
        }
        var singular = t
        singular[n - 1, n - 1] = 0
        #expect(throws: FactorizationFailure.singular(pivot: n - 1)) { try singular.solvingTriangle(.lower, b).get() }
    }

    @Test(arguments: [(1, 1), (200, 2), (1100, 1)]) func systemsAreSolved(n: Int, columns: Int) throws {
        var stream = TestStream(96)
        let (a, x) = (positive(n), stream.matrix(n, columns))
        let b = Matrix.product(a, x)
        let results = try onThreads { try Cholesky.factorize(a).get().solve(b) }
        #expect(results.dropFirst().allSatisfy { $0 == results[0] })
        // Backward stable (Higham, thm 10.4), and A's eigenvalues are at least one: κ(A) ≤ ‖A‖.
        #expect(difference(results[0], x).frobeniusNorm <= Double(n) * Double.ulpOfOne * a.frobeniusNorm * x.frobeniusNorm)
    }
}
