import LinearAlgebra

/// How batches are drawn at random, each for itself, from the sample sets of a problem.
public struct RandomBatchSettings: Configurable, Hashable {
    /// Samples drawn from each set that `sizes` does not name. A set that holds no more is taken whole.
    public var size = 32
    /// Samples drawn from the sets named here.
    public var sizes: [SampleSet] = []
    /// Seeds the draws.
    public var seed = 0

    public init() {}

    public init(size: Int, sizes: [SampleSet] = [], seed: Int = 0) {
        precondition(size > 0 && sizes.allSatisfy { $0.count > 0 }, "a batch needs at least one sample of each set")
        precondition(seed >= 0, "the seed \(seed) is negative")
        (self.size, self.sizes, self.seed) = (size, sizes, seed)
    }

    public static let identifier = BatchSettings.identifier
    public static let summary = "Batches of the samples, each drawn at random."
    public static var fields: [Field<Self>] {
        [
            .integer("size", \.size, atLeast: 1, meaning: "samples of each set in a batch, at most"),
            .sampleSizes("sizes", \.sizes, meaning: "samples of the sets named here, instead of `size`"),
            .integer("seed", \.seed, atLeast: 0, atMost: .max, meaning: "seeds the draws"),
        ]
    }
}

/// Batches drawn at random: of each set m of its n samples, every subset of m as likely as any other and each draw independent of
/// those before.
///
/// So the mean of a batch's loss or gradient over all draws is the whole problem's, whatever n and m are, for losses that average over
/// their samples: what the estimates of variance-reduced methods stand on. (``BatchSchedule`` goes through the samples in epochs; its
/// batches are independent of the past only at an epoch's start.) The draws come from the stream “random batches” of the seed, of
/// which two integers are stored. A draw takes O(m) by Floyd's method, its samples in ascending order.
/// Source: Bentley & Floyd, Commun. ACM 30 (1987) 754, doi:10.1145/30401.315746.
public struct RandomBatches: Checkpointable, Equatable {
    public let sets: [SampleSet]
    /// m of each set, at most n.
    public let sizes: [Int]
    /// Where the draws come from; what else of a method is random may be drawn from it between batches.
    public var stream: RandomStream

    /// Throws where a set is empty or a size names no set.
    public init(_ settings: RandomBatchSettings, of sets: [SampleSet]) throws {
        self.init(
            sets, try batchSizes(settings.size, settings.sizes, of: sets), RandomStream(seed: UInt64(settings.seed), name: "random batches")
        )
    }

    private init(_ sets: [SampleSet], _ sizes: [Int], _ stream: RandomStream) {
        self.sets = sets
        self.sizes = zip(sets, sizes).map { min($0.count, $1) }
        self.stream = stream
    }

    /// The same stream on the sets that a revision has left.
    public func revised(_ settings: RandomBatchSettings, of sets: [SampleSet]) throws -> RandomBatches {
        RandomBatches(sets, try batchSizes(settings.size, settings.sizes, of: sets), stream)
    }

    /// The share of all samples that a batch holds.
    public var fraction: Double {
        Double(sizes.reduce(0, +)) / Double(sets.reduce(0) { $0 + $1.count })
    }

    /// B = max n/m: how many batches hold as many samples as the set with the most batches.
    public var perEpoch: Double { zip(sets, sizes).reduce(1) { max($0, Double($1.0.count) / Double($1.1)) } }

    /// The next batch.
    public mutating func draw() -> Batch {
        Batch(zip(sets, sizes).map { set, m in set.count <= m ? Array(0..<set.count) : subset(of: m, from: set.count) })
    }

    private mutating func subset(of m: Int, from n: Int) -> [Int] {
        var chosen = Set<Int>(minimumCapacity: m)
        for last in (n - m)..<n {
            let index = stream.index(below: last + 1)
            chosen.insert(chosen.contains(index) ? last : index)
        }
        return chosen.sorted()
    }
}

extension RandomBatches {
    public func encode(into archive: inout Archive) {
        archive.set("sets", sets.map(\.name))
        archive.set("counts", sets.map(\.count))
        archive.set("sizes", sizes)
        archive.set("stream", stream)
    }

    public init(from archive: Archive) throws {
        let (names, counts, sizes) = (try archive.strings("sets"), try archive.counts("counts"), try archive.counts("sizes"))
        guard counts.count == names.count, sizes.count == names.count, !names.isEmpty,
            zip(counts, sizes).allSatisfy({ $0 <= Int(Int32.max) && (1...max(1, $0)).contains($1) && $0 > 0 })
        else { throw ArchiveError(entry: "sizes", reason: "do not fit the sample sets stored with them") }
        self.init(zip(names, counts).map { SampleSet(name: $0, count: $1) }, sizes, try archive.value("stream"))
    }
}

/// The samples of each set in a batch: `size`, or what `named` has for it; `path` is where the setting stands. Throws where a set is empty or a
/// name is none of them.
func batchSizes(_ size: Int, _ named: [SampleSet], of sets: [SampleSet], path: String = BatchSettings.identifier) throws -> [Int] {
    for entry in named where !sets.contains(where: { $0.name == entry.name }) {
        let known = nearest(to: entry.name, among: sets.map(\.name)).joined(separator: ", ")
        throw ConfigurationError(path: "\(path).sizes.\(entry.name)", reason: "is no sample set of the problem; it has: \(known)")
    }
    return try sets.map { set in
        guard set.count > 0 else {
            throw ConfigurationError(path: path, reason: "the sample set “\(set.name)” is empty; no batch can be taken from it")
        }
        return named.first { $0.name == set.name }?.count ?? size
    }
}

extension Field {
    /// A map from sample sets to sizes: `{interior: 512}`.
    public static func sampleSizes(_ name: String, _ path: Path<[SampleSet]>, meaning: String) -> Field {
        Field(
            name, range: "a map of whole numbers ≥ 1", meaning: meaning,
            read: { .map($0[keyPath: path].map { Setting.Pair($0.name, .integer($0.count)) }) }
        ) { root, setting, place in
            guard case .map(let pairs) = setting.value else {
                throw ConfigurationError(
                    path: place, line: setting.line, reason: "should be a map from sample sets to sizes, such as {interior: 512}")
            }
            root[keyPath: path] = try pairs.map { pair in
                guard let text = pair.value.text, let count = Int(text.replacing("_", with: "")), (1...Int(Int32.max)).contains(count)
                else {
                    throw ConfigurationError(
                        path: "\(place).\(pair.key)", line: pair.value.line,
                        reason: "“\(pair.value)” is not a whole number from 1 to \(Int32.max)")
                }
                return SampleSet(name: pair.key, count: count)
            }
        }
    }
}
