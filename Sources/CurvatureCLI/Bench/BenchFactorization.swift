import ArgumentParser
import Curvature
import Foundation

/// `curvature bench factorization`: dense products and factorisations, beside the machine's matrix product.
struct BenchFactorization: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "factorization", abstract: "Time dense products and factorisations.",
        discussion: """
            For a random matrix A with m rows and n columns: AᵀA (n²m operations), AAᵀ (m²n), the Cholesky factorisation of AᵀA + I (n³/3) and
            a solve with it (2n²), QR of A (2k²(max(m, n) − k/3), k = min(m, n)), and QR of R over a diagonal (2k³/3). A product of two
            2000 × 2000 matrices, its columns shared among as many single-threaded dgemm as there are threads, is timed before each repetition:
            “of dgemm” is the median of the paired ratios of rates, in brackets the best repetition's rate to the best product's.
            """)

    @Option(help: "Rows of A.")
    var rows = 2600

    @Option(help: "Columns of A.")
    var columns = 1200

    @Option(help: "Timed repetitions of each.")
    var repeats = 5

    @Option(help: "Threads, the caller included; by default one a core.")
    var threads: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        try setThreads(threads)
        for (name, value) in [("rows", rows), ("columns", columns), ("repeats", repeats)] where value < 1 {
            throw ConfigurationError(path: "--\(name)", reason: "\(value) must be ≥ 1")
        }
        let report = try measured()
        try print(json ? JSON.text(of: report) : report.text)
    }

    private func measured() throws -> FactorizationReport {
        var random = RandomStream(seed: 0, name: "bench")
        let a = Matrix(rows: rows, columns: columns, elements: random.normalVector(rows * columns).elements)
        let (m, n, k) = (Double(rows), Double(columns), Double(min(rows, columns)))
        let ones = Vector(repeating: 1, count: columns)
        let gram = a.gram
        let cholesky = try Cholesky.factorize(gram, addingToDiagonal: ones).get()
        var square = try QR.factorize(a).get().r
        if square.columns > square.rows {
            square = Matrix(rows: square.rows, columns: square.rows, elements: Array(square.elements.prefix(square.rows * square.rows)))
        }
        let diagonal = Vector(repeating: 1, count: square.columns)

        let product = ReferenceProduct()
        var rows: [FactorizationReport.Row] = []
        func time(_ name: String, flops: Double, _ body: () throws -> Void) rethrows {
            try body()
            var times: [Double] = []
            var shares: [Double] = []
            for _ in 0..<repeats {
                // The product is measured beside every repetition, so that both meet the same machine.
                let rate = product.measure()
                times.append(try seconds(of: body))
                shares.append(flops / times[times.count - 1] / 1e9 / rate)
            }
            let (seconds, share) = (Seconds(times), Seconds(shares).median)
            rows.append(.init(name: name, flops: flops, medianSeconds: seconds.median, minSeconds: seconds.min, fractionOfDgemm: share))
        }
        time("gram", flops: n * n * m) { _ = a.gram }
        time("outerGram", flops: m * m * n) { _ = a.outerGram }
        try time("cholesky", flops: n * n * n / 3) { _ = try Cholesky.factorize(gram, addingToDiagonal: ones).get() }
        time("choleskySolve", flops: 2 * n * n) { _ = cholesky.solve(ones) }
        try time("qr", flops: 2 * k * k * (max(m, n) - k / 3)) { _ = try QR.factorize(a).get() }
        try time("qrOverDiagonal", flops: 2 * k * k * k / 3) {
            _ = try QR.factorize(square, overDiagonal: diagonal, upperTriangular: true).get()
        }
        for index in rows.indices {
            rows[index].gflops = rows[index].flops / rows[index].minSeconds / 1e9
            rows[index].bestFractionOfDgemm = rows[index].gflops / product.best
        }
        return FactorizationReport(
            rows: self.rows, columns: columns, threads: ThreadPool.threadCount, repeats: repeats, openBLAS: KernelIdentity.openBLAS,
            dgemmGflops: product.best, measurements: rows)
    }
}

struct FactorizationReport: Encodable {
    struct Row: Encodable {
        var name: String
        var flops, medianSeconds, minSeconds: Double
        /// The median of the rates as fractions of that of the matrix product just before.
        var fractionOfDgemm: Double
        /// The rate of the best repetition, and its fraction of the best matrix product.
        var gflops = 0.0
        var bestFractionOfDgemm = 0.0
    }

    var rows, columns, threads, repeats: Int
    var openBLAS: String
    var dgemmGflops: Double
    var measurements: [Row]

    var text: String {
        let head = "\(rows) × \(columns), \(threads) threads, dgemm \(short(dgemmGflops)) GFLOP/s (\(openBLAS))"
        return
            ([head]
            + measurements.map {
                "\($0.name.padding(toLength: 16, withPad: " ", startingAt: 0))median \(short($0.medianSeconds * 1e3)) ms, min "
                    + "\(short($0.minSeconds * 1e3)) ms, \(short($0.gflops)) GFLOP/s, \(short(100 * $0.fractionOfDgemm)) % of dgemm "
                    + "[\(short(100 * $0.bestFractionOfDgemm)) %]"
            }).joined(separator: "\n")
    }
}

/// The best rate, in GFLOP/s, of one product of 2000 × 2000 matrices whose columns are shared among the threads.
final class ReferenceProduct {
    private let n = 2000
    private let a: Matrix
    private var c: Matrix
    private(set) var best = 0.0

    init() {
        a = Matrix(rows: n, columns: n, elements: (0..<(n * n)).map { 1 / Double(1 + $0 % 97) })
        c = .zeros(n, n)
    }

    /// Times one product and returns its rate.
    func measure() -> Double {
        let (n, shares) = (n, ThreadPool.threadCount)
        let start = ContinuousClock.now
        a.elements.withUnsafeBufferPointer { a in
            c.elements.withUnsafeMutableBufferPointer { c in
                guard let a = a.baseAddress, let c = c.baseAddress else { return }
                parallelFor(count: shares) { share, _ in
                    let columns = (n * share / shares)..<(n * (share + 1) / shares)
                    let offset = columns.lowerBound * n
                    RawProducts.gemm(false, false, n, columns.count, n, a, n, a + offset, n, beta: 0, c + offset, n)
                }
            }
        }
        let rate = 2 * Double(n * n * n) / start.duration(to: .now).inSeconds / 1e9
        best = max(best, rate)
        return rate
    }
}
