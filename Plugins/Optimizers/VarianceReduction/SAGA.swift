import LinearAlgebra
import OptimizationCore

/// SAGA: a batch's gradient, corrected by a table that holds the last gradient of every batch or every sample.
///
///     v = ∇L_b(θ) − t_b + Σₐ wₐtₐ;   then  t_b ← ∇L_b(θ)
///
/// E v = ∇L(θ), and v − ∇L(θ) vanishes as θ comes to rest. One gradient of a batch a step and never one of all samples, but for the start,
/// which fills the table; linear on a strongly convex loss for η up to 1/(3ℓ). Common settings and failure: ``VarianceReducedMethod``.
///
/// With `table: factors` the table holds every sample's gradient by its factors, n·K numbers for K a sample
/// (``FactoredGradientProblem``: one for a linear predictor, the inputs and cotangents of its layers for a network fitted to data), and a batch is any m of the samples. With `table: batches` the samples are divided once, at random, into B
/// batches, and the table holds B gradients, B·P numbers: a step takes one of them, weighted by B·w_b where they are not equally large
/// (w_b its share of the samples). Of several sample sets each must then be taken whole or give B batches of one size. `automatic` takes
/// factors where the problem offers them. Beside the table 4 P flops and 6P numbers. A table that does not fit in memory is refused
/// before the first step.
/// Variant: batches instead of samples; the table begins with the gradients at the start (as in the paper; others begin with zeros).
/// Source: Defazio, Bach & Lacoste-Julien, NeurIPS 2014, arXiv:1407.0202.
public struct SAGA: VarianceReducedMethod {
    /// What the table holds.
    public enum Table: String, CaseIterable, Sendable { case automatic, factors, batches }

    public var learningRate = 1e-2
    public var table = Table.automatic
    public var schedule: any Schedule = Constant()
    public var batch = RandomBatchSettings()

    public init() {}

    public init(
        learningRate: Double, table: Table = .automatic, schedule: any Schedule = Constant(), batch: RandomBatchSettings = .init()
    ) {
        (self.learningRate, self.table, self.schedule, self.batch) = (learningRate, table, schedule, batch)
    }

    public static let identifier = "saga"
    public static let summary = "Batch gradients corrected by a table of the last gradient of each batch or sample."
    public static var fields: [Field<Self>] {
        commonFields + [
            .choice("table", \.table, meaning: "what is remembered: factors of every sample's gradient, or gradients of fixed batches")
        ]
    }

    public func check(_ problem: SampledObjective) throws {
        let draws = try RandomBatches(batch, of: problem.sampleSets)
        if table == .factors, !(problem is any FactoredGradientProblem) {
            throw ConfigurationError(
                path: "table", reason: "\(problem.name) does not offer its samples' gradients in factors; take `batches` or `automatic`")
        }
        let numbers = try tableCount(problem, draws)
        let what = factored(problem) == nil ? "a table of gradients of \(problem.layout.count) parameters" : "a table of factors"
        try requireMemory(
            forNumbers: numbers, as: what, path: "batch.size",
            advice: "take larger batches, or svrg, l-svrg or sarah, which keep no table")
    }

    private func factored(_ problem: SampledObjective) -> (any FactoredGradientProblem)? {
        table == .batches ? nil : problem as? any FactoredGradientProblem
    }

    /// The numbers in the table.
    private func tableCount(_ problem: SampledObjective, _ draws: RandomBatches) throws -> Double {
        if let factored = factored(problem) { return Double(factored.factorCount) * Double(draws.sets[0].count) }
        return Double(try BatchPartition.count(draws)) * Double(problem.layout.count)
    }

    public func begin(at θ: Vector, on problem: SampledObjective, draws: inout RandomBatches) throws -> (GradientEstimate, SAGAMemory) {
        if let factored = factored(problem) {
            let value = try factored.lossAndFactors(at: θ)
            let mean = factored.gradient(ofFactors: value.factors)
            let gradient = mean + value.remainder
            let estimate = GradientEstimate(gradient, loss: value.loss, gradientNorm: gradient.norm, fraction: 1)
            return (estimate, SAGAMemory(table: value.factors, mean: mean, partition: nil))
        }
        let partition = try BatchPartition(seed: batch.seed, draws)
        let p = problem.layout.count
        var (table, mean, loss) = (Matrix.zeros(p, partition.count), Vector.zeros(p), LossValue(total: 0, terms: []))
        for b in 0..<partition.count {
            let (value, w) = (try problem.restricted(to: partition.batch(b)).lossAndGradient(at: θ), partition.weight(b))
            table.elements.replaceSubrange((b * p)..<((b + 1) * p), with: value.gradient.elements)
            mean.add(value.gradient, scaledBy: w)
            if b == 0 { loss.terms = value.loss.terms.map { _ in 0 } }
            loss.total += w * value.loss.total
            for k in loss.terms.indices { loss.terms[k] += w * value.loss.terms[k] }
        }
        let estimate = GradientEstimate(mean, loss: loss, gradientNorm: mean.norm, fraction: 1)
        return (estimate, SAGAMemory(table: table, mean: mean, partition: partition))
    }

    /// New columns of the table, and by how much its mean changes.
    public struct Change: Sendable {
        var columns: [Int]
        var values: Matrix
        var difference: Vector
    }

    public func estimate(
        at candidate: Vector, after state: VarianceReducedState<SAGAMemory>, on problem: SampledObjective, draws: inout RandomBatches
    ) throws -> (GradientEstimate, Change) {
        let memory = state.memory
        guard let partition = memory.partition else { return try estimateByFactors(at: candidate, memory, problem, &draws) }
        let b = draws.stream.index(below: partition.count)
        let value = try problem.restricted(to: partition.batch(b)).lossAndGradient(at: candidate)
        let difference = partition.weight(b) * (value.gradient - memory.table.column(b))
        let direction = memory.mean.adding(difference, scaledBy: Double(partition.count))
        let estimate = GradientEstimate(
            direction, loss: value.loss, gradientNorm: value.gradient.norm, fraction: partition.fraction(b))
        let column = Matrix(rows: value.gradient.count, columns: 1, elements: value.gradient.elements)
        return (estimate, Change(columns: [b], values: column, difference: difference))
    }

    private func estimateByFactors(
        at candidate: Vector, _ memory: SAGAMemory, _ problem: SampledObjective, _ draws: inout RandomBatches
    ) throws -> (GradientEstimate, Change) {
        let drawn = draws.draw()
        guard let view = try problem.restricted(to: drawn) as? any FactoredGradientProblem else {
            preconditionFailure("a view of \(problem.name) has other capabilities than the whole")
        }
        let (value, samples, rows) = (try view.lossAndFactors(at: candidate), drawn.indices[0], memory.table.rows)
        let old = Matrix(
            rows: rows, columns: samples.count, elements: samples.flatMap { memory.table.elements[($0 * rows)..<(($0 + 1) * rows)] })
        let correction = view.gradient(ofFactors: value.factors, minus: old)
        let direction = memory.mean.adding(correction).adding(value.remainder)
        let estimate = GradientEstimate(direction, loss: value.loss, gradientNorm: nil, fraction: draws.fraction)
        return (estimate, Change(columns: samples, values: value.factors, difference: draws.fraction * correction))
    }

    public func commit(_ change: Change, to memory: inout SAGAMemory) {
        let rows = memory.table.rows
        for (j, i) in change.columns.enumerated() {
            memory.table.elements.replaceSubrange(
                (i * rows)..<((i + 1) * rows), with: change.values.elements[(j * rows)..<((j + 1) * rows)])
        }
        memory.mean.add(change.difference)
    }

    /// What it holds beside the table, whose size only the problem knows.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 6 * Double(parameters)) }

    public func workingMemory(on problem: SampledObjective) -> Int? {
        guard let draws = try? RandomBatches(batch, of: problem.sampleSets), let table = try? tableCount(problem, draws) else { return nil }
        return bytes(ofNumbers: table + 6 * Double(problem.layout.count))
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 4 * Double(parameters), isOnBatch: true)
    }
}

/// What SAGA remembers.
public struct SAGAMemory: Checkpointable, Equatable {
    /// A column for each batch's gradient, or for each sample's factors.
    public var table: Matrix
    /// The gradient that the table gives: Σ w_b t_b, or (1/n) Σ Gᵢ(cᵢ).
    public var mean: Vector
    /// The batches of the table; nil where it holds factors.
    public var partition: BatchPartition?

    init(table: Matrix, mean: Vector, partition: BatchPartition?) { (self.table, self.mean, self.partition) = (table, mean, partition) }

    public func encode(into archive: inout Archive) {
        archive.set("table", table)
        archive.set("mean", mean)
        if let partition { archive.set("partition", partition) }
    }

    public init(from archive: Archive) throws {
        let partition = try archive.groupIfPresent("partition")?.decoded(as: BatchPartition.self)
        self.init(table: try archive.matrix("table"), mean: try archive.vector("mean"), partition: partition)
        if let partition, table.columns != partition.count || table.rows != mean.count {
            throw ArchiveError(
                entry: "table", reason: "\(table.rows) × \(table.columns) for \(partition.count) batches and \(mean.count) parameters")
        }
    }
}

/// The samples of a problem divided into B batches, once and at random; where a set is taken whole it is in all of them.
///
/// L = Σ w_b L_b. The order is a pure function of (seed, set), from the stream “partition” of the set: no permutation is stored.
public struct BatchPartition: Checkpointable, Equatable {
    public let seed: Int
    public let sets: [SampleSet]
    /// Whether a set is divided.
    public let isDivided: [Bool]
    /// B.
    public let count: Int
    private let orders: [[Int]]

    init(seed: Int, _ draws: RandomBatches) throws {
        self.init(
            seed: seed, sets: draws.sets, isDivided: zip(draws.sets, draws.sizes).map { $0.count > $1 }, count: try Self.count(draws))
    }

    private init(seed: Int, sets: [SampleSet], isDivided: [Bool], count: Int) {
        (self.seed, self.sets, self.isDivided, self.count) = (seed, sets, isDivided, count)
        orders = zip(sets, isDivided).map { set, isDivided in
            guard isDivided else { return Array(0..<set.count) }
            var random = RandomStream(seed: UInt64(seed), name: "partition/\(set.name)")
            return random.permutation(of: set.count)
        }
    }

    /// B for batches of the sizes of `draws`. Throws where the sets do not divide alike.
    static func count(_ draws: RandomBatches) throws -> Int {
        let divided = zip(draws.sets, draws.sizes).filter { $0.count > $1 }
        let counts = divided.map { ($0.count - 1) / $1 + 1 }
        guard let first = counts.first else { return 1 }
        guard divided.count == 1 || counts.allSatisfy({ $0 == first }) && divided.allSatisfy({ $0.0.count % first == 0 }) else {
            let list = zip(divided, counts).map { "\($0.0.name): \($0.0.count) samples in \($1)" }.joined(separator: ", ")
            throw ConfigurationError(
                path: "batch.sizes",
                reason: "a table of gradients wants every sample set whole or in equally many batches of one size, not \(list); give "
                    + "sizes that divide them alike, or take svrg, l-svrg or sarah")
        }
        return first
    }

    private func range(_ set: SampleSet, _ b: Int) -> Range<Int> { (b * set.count / count)..<((b + 1) * set.count / count) }

    /// The samples of batch b.
    func batch(_ b: Int) -> Batch {
        Batch(sets.indices.map { isDivided[$0] ? orders[$0][range(sets[$0], b)].sorted() : orders[$0] })
    }

    /// w_b: the share of its samples that the first divided set has in batch b.
    func weight(_ b: Int) -> Double {
        guard let set = zip(sets, isDivided).first(where: { $0.1 })?.0 else { return 1 }
        return Double(range(set, b).count) / Double(set.count)
    }

    /// The share of all samples in batch b.
    func fraction(_ b: Int) -> Double {
        let taken = zip(sets, isDivided).reduce(0) { $0 + ($1.1 ? range($1.0, b).count : $1.0.count) }
        return Double(taken) / Double(sets.reduce(0) { $0 + $1.count })
    }

    public func encode(into archive: inout Archive) {
        archive.set("seed", seed)
        archive.set("sets", sets.map(\.name))
        archive.set("counts", sets.map(\.count))
        archive.set("isDivided", isDivided.map { $0 ? 1 : 0 })
        archive.set("batches", count)
    }

    public init(from archive: Archive) throws {
        let (names, counts, divided) = (try archive.strings("sets"), try archive.counts("counts"), try archive.counts("isDivided"))
        let (seed, count) = (try archive.integer("seed"), try archive.count("batches"))
        guard counts.count == names.count, divided.count == names.count, seed >= 0, count > 0,
            zip(counts, divided).allSatisfy({ $0 > 0 && $0 <= Int(Int32.max) && ($1 == 0 || $0 >= count) })
        else { throw ArchiveError(entry: "batches", reason: "do not fit the sample sets stored with them") }
        self.init(
            seed: seed, sets: zip(names, counts).map { SampleSet(name: $0, count: $1) }, isDivided: divided.map { $0 != 0 }, count: count)
    }
}
