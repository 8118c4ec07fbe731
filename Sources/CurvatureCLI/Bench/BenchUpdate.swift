import ArgumentParser
import Curvature

/// `curvature bench update`: what a first-order method does with a gradient, beside the machine's memory and its matrix product.
struct BenchUpdate: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Time the update that a first-order method makes of a gradient.",
        discussion: """
            One block of parameters, a matrix, or a vector where it has one column; the evaluation is left out. Ten updates a repetition, so \
            that what is done every tenth step is in it once. Before each three things are timed: the inner product of two vectors, which does \
            nothing but read memory; a vector multiplied by a number where it lies, which reads and writes as much, as an update does; and a \
            product of two 2000 × 2000 matrices. Traffic is counted as gradient and memory read and written once each, arithmetic as the method \
            states it; all are given as the median of paired ratios.
            """)

    @Argument(help: "The optimizer, with its defaults.")
    var optimizer: String

    @Option(help: "Rows of the block.")
    var rows = 10_000_000

    @Option(help: "Columns of the block.")
    var columns = 1

    @OptionGroup var timing: TimingOptions

    func run(with registry: Registry) throws {
        for (name, value) in [("rows", rows), ("columns", columns)] where value < 1 {
            throw ConfigurationError(path: "--\(name)", reason: "\(value) must be ≥ 1")
        }
        guard let method = try registry.optimizer(.scalar(optimizer), path: "optimizer") as? any FirstOrderMethod else {
            throw ConfigurationError(
                path: "optimizer", reason: "“\(optimizer)” makes no update of a gradient alone; take a first-order method, as adam")
        }
        guard let report = try measured(method) else { return }
        try print(timing.json ? JSON.text(of: report) : report.text)
    }

    private func measured<Method: FirstOrderMethod>(_ method: Method) throws -> UpdateReport? {
        let count = rows * columns
        var random = RandomStream(seed: 0, name: "bench")
        let (parameters, gradient) = (random.normalVector(count), random.normalVector(count))
        let shape = columns == 1 ? [rows] : [rows, columns]
        var memory = method.start(layout: ParameterLayout([("weights", shape)]))
        var update = gradient
        var step = 0
        let steps = 10
        let cost = method.stepCost(parameters: count, residuals: nil)
        var report = UpdateReport(optimizer: optimizer, rows: rows, columns: columns, flops: cost?.flops)
        var archive = Archive()
        memory.encode(into: &archive)
        report.bytes = 16 * count + 2 * 8 * archive.numberCount
        let (left, right) = (Vector(repeating: 1, count: 1 << 24), Vector(repeating: 2, count: 1 << 24))
        let product = ReferenceProduct()
        var scaled = left.elements
        var (readings, updatings, products): ([Double], [Double], [Double]) = ([], [], [])
        func between(_ index: Int) {
            readings.append(Double(16 * left.count) / seconds(of: { precondition(left.pooledDot(right) > 0) }) / 1e9)
            updatings.append(Double(16 * scaled.count) / seconds(of: { rescale(&scaled, by: index % 2 == 0 ? 2 : 0.5) }) / 1e9)
            products.append(product.measure())
        }
        let times = try timing.measure(repeats: 9, between: between, report: { report }) {
            for _ in 0..<steps {
                step += 1
                method.update(&update, at: parameters, step: step, memory: &memory)
            }
        }
        guard let times else { return nil }
        precondition(update.isFinite, "the update is not finite")
        report.complete(times.map { $0 / Double(steps) }, readings: readings, updatings: updatings, products: products)
        return report
    }
}

struct UpdateReport: Encodable {
    var optimizer: String
    var rows, columns: Int
    /// Of one update: gradient and memory read and written, and the arithmetic that the method states.
    var bytes = 0
    var flops: Double?
    var threads = ThreadPool.threadCount
    var repeats = 0
    /// Of one update.
    var seconds: Seconds?
    /// What reading alone, reading and writing in place, and the matrix product reach, in 10⁹ a second.
    var readingGBs, updatingGBs, dgemmGflops: Double?
    /// Medians of the paired ratios to them.
    var fractionOfReading, fractionOfUpdating, fractionOfDgemm: Double?
    var load: Double?

    init(optimizer: String, rows: Int, columns: Int, flops: Double?) {
        (self.optimizer, self.rows, self.columns, self.flops) = (optimizer, rows, columns, flops)
    }

    mutating func complete(_ times: [Double], readings: [Double], updatings: [Double], products: [Double]) {
        (seconds, repeats, threads, load) = (Seconds(times), times.count, ThreadPool.threadCount, loadAverage())
        (readingGBs, updatingGBs, dgemmGflops) = (Seconds(readings).median, Seconds(updatings).median, Seconds(products).median)
        let bytes = Double(bytes)
        fractionOfReading = Seconds(zip(times, readings).map { bytes / $0 / 1e9 / $1 }).median
        fractionOfUpdating = Seconds(zip(times, updatings).map { bytes / $0 / 1e9 / $1 }).median
        fractionOfDgemm = flops.map { flops in Seconds(zip(times, products).map { flops / $0 / 1e9 / $1 }).median }
    }

    var text: String {
        let rates = (seconds?.median).map { (Double(bytes) / $0 / 1e9, (flops ?? 0) / $0 / 1e9) } ?? (0, 0)
        return """
            \(optimizer), \(rows) × \(columns), \(threads) threads
            update: \(seconds?.text ?? "") over \(repeats)
            \(short(rates.0)) GB/s of \(short(updatingGBs ?? 0)) read and written in place (\(short(100 * (fractionOfUpdating ?? 0))) %), of \
            \(short(readingGBs ?? 0)) read (\(short(100 * (fractionOfReading ?? 0))) %), \(short(rates.1)) GFLOP/s of \
            \(short(dgemmGflops ?? 0)) (\(short(100 * (fractionOfDgemm ?? 0))) %)
            """
    }
}

/// Every number times a factor, in place, over the pool.
private func rescale(_ numbers: inout [Double], by factor: Double) {
    let share = (numbers.count + ThreadPool.threadCount - 1) / ThreadPool.threadCount
    numbers.withUnsafeMutableBufferPointer { numbers in
        let numbers = numbers
        parallelFor(count: ThreadPool.threadCount) { index, _ in
            for i in Swift.min(numbers.count, index * share)..<Swift.min(numbers.count, (index + 1) * share) { numbers[i] *= factor }
        }
    }
}

extension Archive {
    /// The doubles in it and in its groups.
    fileprivate var numberCount: Int {
        entries.reduce(0) { sum, entry in
            switch entry.content {
            case .doubles(let numbers): sum + numbers.count
            case .group(let archive): sum + archive.numberCount
            case .integers, .strings: sum
            }
        }
    }
}
