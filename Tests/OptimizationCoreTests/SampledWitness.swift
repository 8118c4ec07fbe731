import LinearAlgebra
import OptimizationCore
import Synchronization

/// Two clouds of numbers: L(θ) = mean ½(θ − aᵢ)² + mean ½(θ − bⱼ)², with a record of the batches that were asked for.
struct Clouds: DifferentiableProblem, SampledProblem {
    final class Log: Sendable {
        private let entries = Mutex<[Batch]>([])
        var batches: [Batch] { entries.withLock { $0 } }
        func add(_ batch: Batch) { entries.withLock { $0.append(batch) } }
    }

    var a = (0..<10).map(Double.init)
    var b = [100.0, 101, 102]
    var log = Log()

    var name: String { "clouds" }
    var identity: Setting { .map([.init("name", .scalar(name)), .init("a", .integer(a.count)), .init("b", .integer(b.count))]) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    var terms: [String] { ["a", "b"] }
    var sampleSets: [SampleSet] { [SampleSet(name: "a", count: a.count), SampleSet(name: "b", count: b.count)] }

    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([0]) }

    func loss(at θ: Vector) -> LossValue {
        let terms = [a, b].map { set in
            let distances: [Double] = set.map { θ[0] - $0 }
            return distances.reduce(0.0) { $0 + 0.5 * $1 * $1 } / Double(set.count)
        }
        return LossValue(total: terms[0] + terms[1], terms: terms)
    }

    func lossAndGradient(at θ: Vector) -> Evaluation {
        let g = [a, b].map { set in
            let sum: Double = set.reduce(0.0) { $0 + (θ[0] - $1) }
            return sum / Double(set.count)
        }
        return Evaluation(loss: loss(at: θ), gradient: [g[0] + g[1]])
    }

    func restricted(to batch: Batch) throws -> Clouds {
        log.add(batch)
        return Clouds(a: batch.indices[0].map { a[$0] }, b: batch.indices[1].map { b[$0] }, log: log)
    }
}

/// Steepest descent with momentum: m ← βm + g, θ ← θ − ηm.
struct Steepest: FirstOrderMethod, Configurable {
    var rate = 0.1
    var momentum = 0.0

    init() {}
    init(rate: Double, momentum: Double = 0) { (self.rate, self.momentum) = (rate, momentum) }

    static let identifier = "steepest"
    static let summary = "Steepest descent with momentum."
    static var fields: [Field<Steepest>] {
        [
            .number("rate", \.rate, in: .positive, meaning: "η"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β"),
        ]
    }

    struct Memory: Checkpointable {
        var mean: Vector
        init(mean: Vector) { self.mean = mean }
        func encode(into archive: inout Archive) { archive.set("mean", mean) }
        init(from archive: Archive) throws { mean = try archive.vector("mean") }
    }

    func start(count n: Int) -> Memory { Memory(mean: .zeros(n)) }

    func update(_ g: inout Vector, at θ: Vector, step: Int, memory: inout Memory) {
        memory.mean.scale(by: momentum)
        memory.mean.add(g)
        g = rate * memory.mean
    }
}
