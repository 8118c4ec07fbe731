import LinearAlgebra
import Testing

/// One matrix factorised for one diagonal after another where it lies.
@Suite struct DampedCholeskyTests {
    /// Symmetric, with eigenvalues from 0 up.
    private func matrix(_ n: Int) -> Matrix {
        var stream = TestStream(UInt64(n))
        return stream.matrix(n + 3, n).gram
    }

    /// The bits of the factorisation in a new matrix, for several diagonals, with sizes of one block, of few and of many.
    @Test(arguments: [1, 2, 47, 96, 193, 500, 1700]) func theBitsOfANewMatrix(n: Int) throws {
        let a = matrix(n)
        var damped = DampedCholesky(a)
        for shift in [1.0, 1e-3, 10, 1] {
            let d = Vector((0..<n).map { shift * Double(1 + $0 % 3) })
            let expected = try Cholesky.factorize(a, addingToDiagonal: d).get()
            let found = try damped.factorize(addingToDiagonal: d).get()
            #expect(found.lower == expected.lower, "d = \(shift)…")
            let b = Vector((0..<n).map { Double($0 % 7) })
            #expect(found.solve(b) == expected.solve(b))
        }
    }

    /// A diagonal that makes it indefinite comes back as the failure that it is, and leaves the matrix for the next.
    @Test(arguments: [3, 250, 600]) func aFailureLeavesTheMatrix(n: Int) throws {
        let a = matrix(n)
        var damped = DampedCholesky(a)
        var sinking = Vector(repeating: 1, count: n)
        sinking[n - 1] = -1e9
        #expect(throws: FactorizationFailure.notPositiveDefinite(pivot: n - 1)) { try damped.factorize(addingToDiagonal: sinking).get() }
        #expect(throws: FactorizationFailure.nonFinite) {
            try damped.factorize(addingToDiagonal: Vector(repeating: .nan, count: n)).get()
        }
        let d = Vector(repeating: 1, count: n)
        #expect(try damped.factorize(addingToDiagonal: d).get().lower == Cholesky.factorize(a, addingToDiagonal: d).get().lower)
        var spoilt = a
        spoilt.elements[n - 1] = .infinity
        var unusable = DampedCholesky(spoilt)
        #expect(throws: FactorizationFailure.nonFinite) { try unusable.factorize(addingToDiagonal: d).get() }
    }

    /// A factor that is still in use keeps its values; otherwise all factorisations share one memory.
    @Test func factorsInUseAreKept() throws {
        let (n, a) = (300, matrix(300))
        func d(_ shift: Double) -> Vector { Vector(repeating: shift, count: n) }
        var damped = DampedCholesky(a)
        let first = try damped.factorize(addingToDiagonal: d(1)).get()
        let lower = first.lower
        let second = try damped.factorize(addingToDiagonal: d(2)).get()
        #expect(first.lower == lower && second.lower != lower && first.storageAddress != second.storageAddress)
        var addresses: Set<UInt> = []
        var fresh = DampedCholesky(matrix(300))
        for shift in 1...4 { addresses.insert(try fresh.factorize(addingToDiagonal: d(Double(shift))).get().storageAddress) }
        #expect(addresses.count == 1)
    }
}
