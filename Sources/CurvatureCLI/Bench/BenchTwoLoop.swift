import ArgumentParser
import Curvature

/// `curvature bench two-loop`: the recursion that makes L-BFGS's direction, and the update of a dense quasi-Newton matrix.
struct BenchTwoLoop: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "two-loop", abstract: "Time L-BFGS's two-loop recursion and BFGS's update beside the machine's memory.",
        discussion: """
            The recursion over m pairs of n numbers reads each pair twice, 4mn doubles, and with every one of its 2m passes reads and writes \
            the running vector, 4mn more where that does not stay in a cache; 8mn operations. Its rate is given over both and over the pairs \
            alone. Beside every repetition the inner product of two vectors of 2mn doubles in all is measured, which does nothing but read \
            memory. The update of a dense matrix of order P reads and writes its triangle once, P(P + 1) doubles.
            """)

    @Option(help: "n, the numbers of a vector.")
    var size = 1_000_000

    @Option(help: "m, the pairs.")
    var memory = 20

    @Option(help: "P, the order of the dense matrix.")
    var order = 3_000

    @Option(help: "Timed repetitions of each.")
    var repeats = 9

    @Option(help: "Threads, the caller included; by default one a core.")
    var threads: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        try setThreads(threads)
        for (name, value) in [("size", size), ("memory", memory), ("order", order), ("repeats", repeats)] where value < 1 {
            throw ConfigurationError(path: "--\(name)", reason: "\(value) must be ≥ 1")
        }
        let report = measured()
        try print(json ? JSON.text(of: report) : report.text)
    }

    private func measured() -> TwoLoopReport {
        var random = RandomStream(seed: 0, name: "bench")
        let pairs = (0..<memory).map { _ in
            let s = random.normalVector(size)
            // A change with curvature between one and two.
            return SecantPair(step: s, change: Vector(s.map { (1.5 + 0.5 * random.uniform()) * $0 }))
        }
        let g = random.normalVector(size)
        let (left, right) = (Vector(repeating: 1, count: size * memory), Vector(repeating: 2, count: size * memory))
        var readings: [Double] = []
        func times(_ body: () -> Void) -> Seconds {
            body()
            return Seconds(
                (0..<repeats).map { _ in
                    readings.append(seconds(of: { precondition(left.pooledDot(right) > 0) }))
                    return seconds(of: body)
                })
        }
        let loop = times { precondition(pairs.direction(for: g, initialScale: 0.5).count == size) }
        var matrix = SymmetricMatrix.identity(order)
        let (s, q) = (random.normalVector(order), random.normalVector(order))
        let update = times { matrix.update(scaling: 1.001, s, q, ss: 1e-3, sq: -1e-3, qq: 1e-3) }
        let bandwidth = Double(2 * size * memory) * 8 / Seconds(readings).median
        let pairsRate = Double(4 * size * memory) * 8 / loop.median
        return TwoLoopReport(
            size: size, memory: memory, order: order, threads: ThreadPool.threadCount, repeats: repeats, readingGBs: bandwidth / 1e9,
            seconds: loop, GBs: 2 * pairsRate / 1e9, fractionOfReading: 2 * pairsRate / bandwidth,
            pairsFractionOfReading: pairsRate / bandwidth, updateSeconds: update,
            updateGBs: Double(order * (order + 1)) * 8 / update.median / 1e9, load: loadAverage())
    }
}

struct TwoLoopReport: Encodable {
    var size, memory, order, threads, repeats: Int
    /// What reading alone reaches, in 10⁹ bytes a second.
    var readingGBs: Double
    /// Of a recursion, its rate over 8mn doubles, and that as a fraction of reading, and the same of the pairs' 4mn alone.
    var seconds: Seconds
    var GBs, fractionOfReading, pairsFractionOfReading: Double
    /// Of an update, and its rate over the triangle read and written.
    var updateSeconds: Seconds
    var updateGBs: Double
    var load: Double?

    var text: String {
        """
        \(threads) threads, reading \(short(readingGBs)) GB/s
        two-loop recursion, n = \(size), m = \(memory): \(seconds.text), \(short(GBs)) GB/s (\(short(100 * fractionOfReading)) % of reading; \
        the pairs alone \(short(100 * pairsFractionOfReading)) %)
        update of a triangle, P = \(order): \(updateSeconds.text), \(short(updateGBs)) GB/s
        """
    }
}
