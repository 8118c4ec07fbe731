import ArgumentParser
import Curvature
import Foundation

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// `curvature bench`: how fast the parts are on this machine.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure the speed of the parts on this machine.",
        subcommands: [BenchGradient.self, BenchFactorization.self])
}

/// `curvature bench gradient`: loss and gradient of a PDE problem, beside the machine's matrix product.
struct BenchGradient: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "gradient", abstract: "Time the loss and gradient of a PDE problem.",
        discussion: """
            Arithmetic is counted as Σ_terms 6·C·N·W²·(D−1) + 6·N·d·W + 6·C·N·W·m: N points, C derivative channels that the residual
            needs, D hidden layers of width W, d coordinates, m outputs; no padding, no element-wise work. The peak is the best product
            of two 2000 × 2000 matrices on the same threads in the same run.
            """)

    @Option(help: "The problem.")
    var problem = "burgers"

    @Option(help: "Units of each hidden layer.")
    var width = 20

    @Option(help: "Hidden layers.")
    var depth = 8

    @Option(help: "Points of the interior.")
    var points = 10_000

    @Option(help: "Timed evaluations.")
    var repeats = 20

    @Option(help: "Threads, the caller included; by default one a core.")
    var threads: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run(with registry: Registry) throws {
        try setThreads(threads)
        guard repeats > 0 else { throw ConfigurationError(path: "--repeats", reason: "\(repeats) must be ≥ 1") }
        let setting = Setting.map([
            .init("name", .scalar(problem)),
            .init("network", .map([.init("width", .integer(width)), .init("depth", .integer(depth))])),
            .init("points", .map([.init("interior", .integer(points))])),
        ])
        let made = try registry.problem(setting).makeProblem(seed: 0)
        guard let objective = made as? PhysicsInformedProblem else {
            throw ConfigurationError(path: "--problem", reason: "\(problem) is no PDE problem with a network")
        }
        var random = RandomStream(seed: 0, name: "initialization")
        let θ = objective.initialParameters(from: &random).values
        for _ in 0..<2 { _ = try objective.lossAndGradient(at: θ) }
        var (seconds, peak, loss) = ([Double](), 0.0, 0.0)
        for index in 0..<repeats {
            // The matrix product is measured between the evaluations, so that both meet the same machine.
            if index % max(1, repeats / 5) == 0 { peak = max(peak, matrixProductRate()) }
            let start = ContinuousClock.now
            loss = try objective.lossAndGradient(at: θ).loss.total
            seconds.append(start.duration(to: .now).inSeconds)
        }
        seconds.sort()
        let (flops, middle) = (flops(of: objective), median(seconds))
        let rate = flops / middle / 1e9
        let report = GradientReport(
            problem: problem, width: width, depth: depth, points: points, parameters: θ.count, threads: ThreadPool.threadCount,
            repeats: repeats, medianSeconds: middle, minSeconds: seconds[0], maxSeconds: seconds[repeats - 1], flops: flops, gflops: rate,
            dgemmGflops: peak, fractionOfDgemm: rate / peak, peakResidentMegabytes: peakResidentBytes() / 0x1p20, loss: loss)
        try print(json ? report.json() : report.text)
    }

    /// The arithmetic of one evaluation by the fixed count.
    private func flops(of problem: PhysicsInformedProblem) -> Double {
        let (W, D) = (Double(width), Double(depth))
        let (d, m) = (Double(problem.model.inputCount), Double(problem.model.outputCount))
        return problem.termSizes.reduce(0) { sum, term in
            let (N, C) = (Double(term.points), Double(term.channels))
            return sum + 6 * C * N * W * W * (D - 1) + 6 * N * d * W + 6 * C * N * W * m
        }
    }
}

struct GradientReport: Encodable {
    var problem: String
    var width, depth, points, parameters, threads, repeats: Int
    var medianSeconds, minSeconds, maxSeconds: Double
    /// The arithmetic of one evaluation by the fixed count, and its rate at the median.
    var flops, gflops: Double
    /// The machine's matrix product in the same run, and the rate as a fraction of it.
    var dgemmGflops, fractionOfDgemm: Double
    var peakResidentMegabytes: Double
    var loss: Double

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    var text: String {
        """
        \(problem), \(depth) hidden layers of \(width), \(points) points, P = \(parameters), \(threads) threads
        loss + gradient: median \(short(medianSeconds * 1e3)) ms, min \(short(minSeconds * 1e3)) ms, max \(short(maxSeconds * 1e3)) ms over \(repeats)
        \(short(gflops)) GFLOP/s of \(short(dgemmGflops)) (\(short(100 * fractionOfDgemm)) %)
        peak resident memory: \(short(peakResidentMegabytes)) MB
        """
    }
}

/// The rate, in GFLOP/s, of one 2000 × 2000 matrix product whose columns are shared among the threads.
private func matrixProductRate() -> Double {
    let n = 2000
    let shares = ThreadPool.threadCount
    let a = Matrix(rows: n, columns: n, elements: (0..<(n * n)).map { 1 / Double(1 + $0 % 97) })
    let parts = (0..<shares).map { share in
        let columns = n * share / shares..<n * (share + 1) / shares
        return Matrix(rows: n, columns: columns.count, elements: Array(a.elements[(columns.lowerBound * n)..<(columns.upperBound * n)]))
    }
    let start = ContinuousClock.now
    parallelFor(count: shares) { share, _ in
        let product = Matrix.product(a, parts[share])
        precondition(product.rows == n)
    }
    return 2 * Double(n * n * n) / start.duration(to: .now).inSeconds / 1e9
}

private func median(_ sorted: [Double]) -> Double {
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// The most memory that the process has held, in bytes.
private func peakResidentBytes() -> Double {
    var usage = rusage()
    #if canImport(Glibc)
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_maxrss) * 1024
    #else
        getrusage(RUSAGE_SELF, &usage)
        return Double(usage.ru_maxrss)
    #endif
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
