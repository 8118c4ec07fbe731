import LinearAlgebra

/// SplitMix64: a small fixed stream for test matrices.
struct TestStream {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }

    /// Uniform on [−1, 1).
    mutating func next() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1
    }

    mutating func vector(_ n: Int) -> Vector { Vector((0..<n).map { _ in next() }) }
    mutating func matrix(_ m: Int, _ n: Int) -> Matrix { Matrix(rows: m, columns: n, elements: (0..<(m * n)).map { _ in next() }) }
}

/// The Hilbert matrix 1/(i + j + 1): symmetric positive definite with a condition number of about e^{3.5n}.
func hilbert(_ n: Int) -> Matrix {
    Matrix(rows: (0..<n).map { i in (0..<n).map { j in 1 / Double(i + j + 1) } })
}

func difference(_ a: Matrix, _ b: Matrix) -> Matrix {
    Matrix(rows: a.rows, columns: a.columns, elements: zip(a.elements, b.elements).map { $0 - $1 })
}

/// Random, tall, wide, square, a single row, a single column, rank-deficient and ill-conditioned matrices.
let factorizationSamples: [Matrix] = {
    var stream = TestStream(11)
    let thin = stream.matrix(12, 3)
    return [
        stream.matrix(7, 7), stream.matrix(40, 13), stream.matrix(13, 40), stream.matrix(1, 5), stream.matrix(5, 1),
        stream.matrix(130, 120), Matrix.product(thin, thin, transposingSecond: true), hilbert(14), .zeros(4, 3),
    ]
}()

/// The constant of Householder factorisations' backward error: γ̃ₘₙ = c·m·n·ε with a modest c (Higham, thm 19.4), here c = 1,
/// and the norm taken over whole matrices; random rounding leaves a large margin, wrong code none.
func backwardBound(_ a: Matrix) -> Double { Double(a.rows * a.columns) * Double.ulpOfOne * a.frobeniusNorm }

/// Runs `body` with so many threads in the pool; one test at a time, since the number is the process's.
func withThreads<R>(_ count: Int, _ body: () throws -> R) rethrows -> R {
    try threadCountInUse.withLock { _ in
        let before = ThreadPool.threadCount
        ThreadPool.threadCount = count
        defer { ThreadPool.threadCount = before }
        return try body()
    }
}

private let threadCountInUse = Locked(false)

/// What `body` computes on 1, 2, 3 and 8 threads.
func onThreads<R>(_ body: () throws -> R) rethrows -> [R] { try [1, 2, 3, 8].map { try withThreads($0, body) } }
