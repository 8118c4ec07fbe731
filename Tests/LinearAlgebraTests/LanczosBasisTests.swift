import LinearAlgebra
import Testing

@Suite struct LanczosBasisTests {
    /// diag(1, 4, 9, …) turned by a reflection, so that it is full.
    private func matrix(_ n: Int) -> Matrix {
        let w = Vector((0..<n).map { 1 / Double($0 + 2) })
        var reflection = Matrix.identity(n)
        for j in 0..<n { for i in 0..<n { reflection[i, j] -= 2 * w[i] * w[j] / w.dot(w) } }
        let scaled = reflection.scalingColumns(by: Vector((1...n).map { Double($0 * $0) }))
        return Matrix.product(scaled, reflection, transposingSecond: true)
    }

    @Test(arguments: [1, 5, 12]) func theBasisIsOrthonormalAndTheMatrixTridiagonalInIt(k: Int) {
        let (n, A) = (12, matrix(12))
        let start = Vector((0..<n).map { Double($0 % 3) - 0.7 })
        var basis = LanczosBasis(from: start)
        for _ in 0..<k { #expect(basis.extend { A.times($0) }) }
        #expect(basis.count == k && basis.isInvariant == (k == n))
        #expect((basis.combining(Vector([basis.startNorm] + Array(repeating: 0.0, count: k - 1))) - start).norm <= 1e-14 * start.norm)
        let T = basis.tridiagonal
        for i in 0..<k {
            for j in 0..<k {
                #expect(abs(basis.vectors[i].dot(basis.vectors[j]) - (i == j ? 1 : 0)) <= 1e-14)
                #expect(abs(basis.vectors[i].dot(A.times(basis.vectors[j])) - T[i, j]) <= 1e-11)
            }
        }
        // What leaves the space is β, along the next vector only.
        let last = A.times(basis.vectors[k - 1])
        var outside = last
        for v in basis.vectors { outside.add(v, scaledBy: -v.dot(last)) }
        #expect(abs(outside.norm - (basis.offDiagonal.last ?? 0)) <= 1e-11)
    }

    @Test func aWholeSpaceHasTheMatrixEigenvalues() throws {
        let A = matrix(9)
        var basis = LanczosBasis(from: Vector(repeating: 1, count: 9))
        while !basis.isInvariant { #expect(basis.extend { A.times($0) }) }
        let values = try SymmetricEigen.factorize(basis.tridiagonal).get().values
        for (value, exact) in zip(values, (1...9).map { Double($0 * $0) }) { #expect(abs(value - exact) <= 1e-11 * 81) }
    }

    @Test func aStartInAnInvariantSpaceEndsThere() {
        let A = Matrix(rows: [[2, 0, 0], [0, 3, 0], [0, 0, 5]])
        var basis = LanczosBasis(from: [1, 1, 0])
        while !basis.isInvariant { #expect(basis.extend { A.times($0) }) }
        #expect(basis.count == 2)
        #expect(basis.extend { _ in [.nan, .nan, .nan] } && basis.count == 2)
    }

    @Test func aProductThatIsNotFiniteChangesNothing() {
        var basis = LanczosBasis(from: [1, 2])
        #expect(!basis.extend { _ in [.nan, 0] })
        #expect(basis.count == 0)
    }
}
