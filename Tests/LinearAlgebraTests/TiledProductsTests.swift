import CKernels
import LinearAlgebra
import Testing

@Suite struct TiledProductsTests {
    /// Below, at and above what is computed on the calling thread, and shapes whose tiles do not divide them.
    static let shapes = [
        (1, 1, 1), (64, 64, 128), (65, 64, 128), (200, 90, 70), (90, 300, 65), (7, 400, 300), (513, 3, 400), (300, 300, 7),
    ]

    /// Against sums by definition; each entry of the two is within k·ε·Σ|aᵢₚ||bₚⱼ| of the exact value (Higham, (3.13)).
    @Test(arguments: shapes) func productsAreTheirDefinition(m: Int, n: Int, k: Int) {
        var stream = TestStream(81)
        for (transposeA, transposeB) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = transposeA ? stream.matrix(k, m) : stream.matrix(m, k)
            let b = transposeB ? stream.matrix(n, k) : stream.matrix(k, n)
            let start = stream.matrix(m, n)
            var c = start
            c.elements.withUnsafeMutableBufferPointer { c in
                a.elements.withUnsafeBufferPointer { a_ in
                    b.elements.withUnsafeBufferPointer { b_ in
                        guard let a_ = a_.baseAddress, let b_ = b_.baseAddress, let c = c.baseAddress else { return }
                        TiledProducts.gemm(transposeA, transposeB, m, n, k, alpha: -2, a_, a.rows, b_, b.rows, beta: 0.5, c, m)
                    }
                }
            }
            let product = Matrix.product(a, b, transposingFirst: transposeA, transposingSecond: transposeB)
            let bound = Double(k + 2) * Double.ulpOfOne * Double(k)
            var (worst, worstAccumulated) = (0.0, 0.0)
            for j in 0..<n {
                for i in 0..<m {
                    var sum = 0.0
                    for p in 0..<k { sum += (transposeA ? a[p, i] : a[i, p]) * (transposeB ? b[j, p] : b[p, j]) }
                    worst = Swift.max(worst, abs(product[i, j] - sum))
                    worstAccumulated = Swift.max(worstAccumulated, abs(c[i, j] - (0.5 * start[i, j] - 2 * sum)))
                }
            }
            #expect(worst <= bound)
            #expect(worstAccumulated <= 4 * bound)
        }
    }

    /// (order, inner dimension): on the calling thread, by slices of the sum, by tiles.
    static let grams = [(1, 5), (63, 130), (64, 130), (65, 130), (100, 1100), (135, 2000), (384, 1024), (385, 1024), (600, 33), (1037, 5)]

    @Test(arguments: grams) func gramsAreTheirDefinition(n: Int, k: Int) {
        var stream = TestStream(82)
        let a = stream.matrix(k, n)
        let bound = 2 * Double(k) * Double.ulpOfOne * Double(k)
        let (gram, reference) = (a.gram, Matrix.product(a, a, transposingFirst: true))
        #expect(gram == gram.transposed)
        #expect(difference(gram, reference).maximumNorm <= bound)
        let outer = a.transposed.outerGram
        #expect(outer == outer.transposed)
        #expect(difference(outer, reference).maximumNorm <= bound)
    }

    /// C ← β·C + α·AᵀA on the lower triangle; the rest of C stays.
    @Test(arguments: grams) func symmetricUpdatesLeaveTheUpperTriangle(n: Int, k: Int) {
        var stream = TestStream(83)
        let (a, start) = (stream.matrix(k, n), stream.matrix(n, n))
        let product = Matrix.product(a, a, transposingFirst: true)
        for β in [0.0, 1, -0.5] {
            var c = start
            if β == 0 { for j in 0..<n { for i in j..<n { c[i, j] = .nan } } }  // with β = 0 it may hold anything
            c.elements.withUnsafeMutableBufferPointer { c in
                a.elements.withUnsafeBufferPointer { a in
                    guard let a = a.baseAddress, let c = c.baseAddress else { return }
                    TiledProducts.syrkLower(transpose: true, n, k, alpha: 3, a, k, beta: β, c, n)
                }
            }
            var worst = 0.0
            for j in 0..<n {
                #expect(c.elements[(j * n)..<(j * n + j)] == start.elements[(j * n)..<(j * n + j)])
                for i in j..<n {
                    let error = abs(c[i, j] - (β == 0 ? 0 : β * start[i, j]) - 3 * product[i, j])
                    worst = error <= worst ? worst : error  // a NaN is kept
                }
            }
            #expect(worst <= 6 * Double(k + 2) * Double.ulpOfOne * Double(k))
        }
    }

    /// C ← β·C + α·A·Bᵀ on packed operands, around the borders of strips and of the columns that are held; both ways to pack agree.
    @Test(arguments: [(1, 1, 1), (8, 24, 5), (23, 25, 9), (24, 48, 17), (71, 30, 40), (49, 7, 130)])
    func packedProductsAreTheirDefinition(m: Int, n: Int, k: Int) {
        var stream = TestStream(85)
        let (a, b, start) = (stream.matrix(m, k), stream.matrix(n, k), stream.matrix(m, n))
        func packed(_ x: Matrix, byColumns: Bool) -> [Double] {
            let source = byColumns ? x.transposed.elements : x.elements
            return [Double](unsafeUninitializedCapacity: (x.rows + 7) / 8 * 8 * k) { buffer, count in
                if byColumns {
                    ck_pack_columns(x.rows, k, source, k, buffer.baseAddress)
                } else {
                    ck_pack_rows(x.rows, k, source, x.rows, buffer.baseAddress)
                }
                count = (x.rows + 7) / 8 * 8 * k
            }
        }
        let (left, right) = (packed(a, byColumns: false), packed(b, byColumns: false))
        #expect(left == packed(a, byColumns: true) && right == packed(b, byColumns: true))
        var c = start
        ck_packed_product(m, n, k, -2, left, right, 0.5, 0, &c.elements, m, left, right)
        var worst = 0.0
        for j in 0..<n {
            for i in 0..<m {
                let sum = (0..<k).reduce(0.0) { $0 + a[i, $1] * b[j, $1] }
                worst = Swift.max(worst, abs(c[i, j] - (0.5 * start[i, j] - 2 * sum)))
            }
        }
        #expect(worst <= 4 * Double(k + 2) * Double.ulpOfOne * Double(k))
    }

    @Test func bitsDoNotDependOnTheNumberOfThreads() {
        var stream = TestStream(84)
        let (a, b) = (stream.matrix(301, 420), stream.matrix(420, 213))
        let (tall, wide) = (stream.matrix(2100, 130), stream.matrix(60, 700))
        let results = onThreads {
            [Matrix.product(a, b), Matrix.product(b, a, transposingFirst: true, transposingSecond: true)] + [
                tall.gram, wide.gram, a.outerGram,
            ]
        }
        #expect(results.dropFirst().allSatisfy { $0 == results[0] })
    }

    @Test func emptyDimensionsGiveZeros() {
        #expect(Matrix.product(.zeros(3, 0), .zeros(0, 2)) == .zeros(3, 2))
        #expect(Matrix.zeros(0, 4).gram == .zeros(4, 4))
        #expect(Matrix.zeros(4, 0).gram == .zeros(0, 0))
    }

    @Test func columnsAreScaled() {
        let a = Matrix(rows: [[1, 2, 3], [4, 5, 6]])
        #expect(a.scalingColumns(by: [2, -1, 0.5]) == Matrix(rows: [[2, -2, 1.5], [8, -5, 3]]))
    }
}
