import ArgumentParser
import Curvature
import Foundation

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How a measurement is made and told.
struct TimingOptions: ParsableArguments {
    @Option(help: "Timed repetitions.")
    var repeats: Int?

    @Option(help: "Threads, the caller included; by default one a core.")
    var threads: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(
        help: """
            Print the report without times, then read lines: for each number k do the work k times and print the seconds it took. For \
            measuring in turn with another program.
            """)
    var serve = false

    /// Does `work` twice, then times it: the seconds of each repetition, or nil after serving. `report` describes what was done once
    /// the work has been warmed up.
    func measure(
        repeats standard: Int, between: (Int) throws -> Void = { _ in }, report: () throws -> some Encodable, _ work: () throws -> Void
    ) throws -> [Double]? {
        try setThreads(threads)
        let count = repeats ?? standard
        guard count > 0 else { throw ConfigurationError(path: "--repeats", reason: "\(count) must be ≥ 1") }
        for _ in 0..<min(2, count) { try work() }
        if serve {
            try Self.answer(JSON.text(of: report()))
            while let line = readLine() {
                guard let times = Int(line), times > 0 else {
                    throw ConfigurationError(path: "--serve", reason: "“\(line)” is no number of repetitions")
                }
                try Self.answer("\(seconds(of: { for _ in 0..<times { try work() } }))")
            }
            return nil
        }
        return try (0..<count).map { index in
            try between(index)
            return try seconds(of: work)
        }
    }

    /// A line that the reader gets at once, though it is a pipe.
    private static func answer(_ line: String) throws { try FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8)) }
}

/// The median and the ends of some times, in seconds.
struct Seconds: Encodable, Sendable {
    var median, min, max: Double

    init(_ samples: [Double]) {
        let sorted = samples.sorted()
        let middle = sorted.count / 2
        median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        (min, max) = (sorted[0], sorted[sorted.count - 1])
    }

    var text: String { "median \(short(median * 1e3)) ms, min \(short(min * 1e3)) ms, max \(short(max * 1e3)) ms" }
}

enum JSON {
    /// One object on one line; a number that is not finite is null.
    static func text(of value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let mark = "not a finite number"
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: mark, negativeInfinity: mark, nan: mark)
        return String(decoding: try encoder.encode(value), as: UTF8.self).replacingOccurrences(of: "\"\(mark)\"", with: "null")
    }
}

func seconds(of work: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try work()
    return start.duration(to: .now).inSeconds
}

// MARK: The machine

/// The rate, in GFLOP/s, of one 2000 × 2000 matrix product whose columns are shared among the threads.
func matrixProductRate() -> Double {
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

/// The most memory that the process has held, in MB of 2²⁰ bytes.
func residentPeak() -> Double {
    var usage = rusage()
    #if canImport(Glibc)
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_maxrss) / 1024
    #else
        getrusage(RUSAGE_SELF, &usage)
        return Double(usage.ru_maxrss) / 0x1p20
    #endif
}

/// The mean number of processes that were running or ready to over the last minute.
func loadAverage() -> Double {
    var load = 0.0
    return getloadavg(&load, 1) == 1 ? load : .nan
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
