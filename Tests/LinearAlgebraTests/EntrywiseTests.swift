import LinearAlgebra
import Testing

/// Rules by entry against the same rules written out, on both sides of the length from which threads share them.
@Suite(.serialized) struct EntrywiseTests {
    static let counts = [0, 1, 7, 1_000, 65_535, 65_536, 100_003]

    /// Shares cover every entry once.
    @Test(arguments: counts)
    func shares(count: Int) {
        var visits = [Int](repeating: 0, count: count)
        visits.withUnsafeMutableBufferPointer { visits in
            let visits = visits
            forEachShare(of: count) { for i in $0 { visits[i] += 1 } }
        }
        #expect(visits.allSatisfy { $0 == 1 })
    }

    @Test(arguments: counts)
    func rules(count: Int) {
        var random = TestStream(7)
        let (x, y) = (random.vector(count), random.vector(count))
        var (mean, square, matrix) = (y, y, Matrix(rows: 1, columns: count, elements: y.elements))
        mean.average(in: x, keeping: 0.75)
        square.average(squaresOf: x, keeping: 0.75)
        matrix.accumulate(Matrix(rows: 1, columns: count, elements: x.elements), keeping: 0.5, adding: 3)
        var scaled = x
        scaled.scale(by: 2, overRootsOf: Vector(y.map { $0 * $0 }), times: 4, plus: 0.125)
        for i in 0..<count {
            guard abs(mean[i] - (0.75 * y[i] + 0.25 * x[i])) <= 1e-15, abs(square[i] - (0.75 * y[i] + 0.25 * x[i] * x[i])) <= 1e-15,
                abs(matrix.elements[i] - (0.5 * y[i] + 3 * x[i])) <= 1e-15, abs(scaled[i] - 2 * x[i] / (2 * abs(y[i]) + 0.125)) <= 1e-13
            else {
                Issue.record("entry \(i) of \(count): \(mean[i]), \(square[i]), \(matrix.elements[i]), \(scaled[i])")
                return
            }
        }
    }

    /// The moments' pass, and the same bits for any number of threads.
    @Test(arguments: counts)
    func moments(count: Int) {
        var random = TestStream(8)
        let (g, m) = (random.vector(count), random.vector(count))
        let v = Vector(random.vector(count).map { $0 * $0 })
        var results: [(step: Vector, mean: Vector, square: Vector)] = []
        for threads in [1, 3] {
            withThreads(threads) {
                var result = (step: g, mean: m, square: v)
                result.step.updateMoments(
                    mean: &result.mean, keeping: 0.9, meanSquare: &result.square, keeping: 0.99, 1.5, 0.25, rootOf: 1.25, plus: 1e-3)
                results.append(result)
            }
        }
        #expect(results[0].step == results[1].step && results[0].mean == results[1].mean && results[0].square == results[1].square)
        for i in 0..<count {
            let (mean, square) = (0.9 * m[i] + 0.1 * g[i], 0.99 * v[i] + 0.01 * g[i] * g[i])
            let step = (1.5 * mean + 0.25 * g[i]) / ((1.25 * square).squareRoot() + 1e-3)
            let result = (results[0].step[i], results[0].mean[i], results[0].square[i])
            guard abs(result.0 - step) <= 1e-12 * (1 + abs(step)), abs(result.1 - mean) <= 1e-15, abs(result.2 - square) <= 1e-15 else {
                Issue.record("entry \(i) of \(count): \(result) where \((step, mean, square)) belongs")
                return
            }
        }
    }

    /// An entry that the loss has never felt stays, with ε = 0 too; a gradient that is not a number shows in the memory.
    @Test func nothingOverNothing() {
        var (g, m, v) = (Vector([0, 1, .nan]), Vector.zeros(3), Vector.zeros(3))
        g.updateMoments(mean: &m, keeping: 0.5, meanSquare: &v, keeping: 0.5, 1, rootOf: 1, plus: 0)
        #expect(g[0] == 0 && g[1] == 0.5 / 0.5.squareRoot() && v[2].isNaN)
        var x = Vector([0, 3])
        x.scale(by: 2, overRootsOf: Vector([0, 4]), plus: 0)
        #expect(x == Vector([0, 3]))
    }
}
