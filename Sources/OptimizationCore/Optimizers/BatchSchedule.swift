/// How batches are taken from the sample sets of a problem.
public struct BatchSettings: Configurable, Hashable {
    /// Samples taken from each set that `sizes` does not name. A set that holds no more is taken whole.
    public var size = 256
    /// Samples taken from the sets named here.
    public var sizes: [SampleSet] = []
    /// Steps taken on a batch before the next one.
    public var holding = 1
    /// Seeds the order of the samples.
    public var seed = 0

    public init() {}

    public init(size: Int, sizes: [SampleSet] = [], holding: Int = 1, seed: Int = 0) {
        precondition(size > 0 && sizes.allSatisfy { $0.count > 0 }, "a batch needs at least one sample of each set")
        precondition(holding > 0, "a batch must be held for at least one step, not \(holding)")
        precondition(seed >= 0, "the seed \(seed) is negative")
        (self.size, self.sizes, self.holding, self.seed) = (size, sizes, holding, seed)
    }

    public static let identifier = "batch"
    public static let summary = "Steps on batches of the samples, without replacement."
    public static var fields: [Field<Self>] {
        [
            .integer("size", \.size, atLeast: 1, meaning: "samples of each set in a batch, at most"),
            .sampleSizes("sizes", \.sizes, meaning: "samples of the sets named here, instead of `size`"),
            .integer("holding", \.holding, atLeast: 1, meaning: "steps on a batch before the next one"),
            .integer("seed", \.seed, atLeast: 0, atMost: .max, meaning: "seeds the order of the samples"),
        ]
    }

    /// The samples asked for from each set, which may be more than it holds; `path` is where these settings stand. Throws where a set is
    /// empty or a size names no set.
    package func counts(of sets: [SampleSet], path: String = identifier) throws -> [Int] {
        try batchSizes(size, sizes, of: sets, path: path)
    }
}

/// Which batch of a problem's samples is in use: each set is gone through in a random order, epoch after epoch.
///
/// An epoch of a set of n samples has B = ⌈n/size⌉ batches, batch b the samples at ⌊bn/B⌋ ..< ⌊(b+1)n/B⌋ of the epoch's order, so
/// sizes differ by one at most and every sample is taken exactly once. Sets of different B go through their epochs apart from
/// each other. The order is a pure function of (seed, set, epoch): three integers a set are stored, no permutation.
public struct BatchSchedule: Checkpointable, Equatable {
    /// Where one sample set stands.
    public struct Place: Sendable, Equatable {
        public let set: SampleSet
        /// B, the batches of an epoch.
        public let batches: Int
        public fileprivate(set) var epoch = 0
        /// b, from 0.
        public fileprivate(set) var batch = 0
        /// The order of the samples in this epoch, recomputed when read back.
        fileprivate var order: [Int] = []

        fileprivate init(_ set: SampleSet, batches: Int) { (self.set, self.batches) = (set, batches) }
    }

    public let seed: Int
    public private(set) var places: [Place]
    /// Steps taken on the present batch; where its values have been evaluated before the first of them, one more.
    public internal(set) var steps = 0

    /// The first batch of the first epoch. Throws where a set is empty or a size names no set.
    public init(_ settings: BatchSettings, of sets: [SampleSet]) throws {
        let sizes = try settings.counts(of: sets)
        seed = settings.seed
        places = zip(sets, sizes).map { Place($0, batches: max(1, ($0.count - 1) / $1 + 1)) }
        shuffle()
    }

    /// Whether the batch is the whole problem, and always will be.
    public var isWhole: Bool { places.allSatisfy { $0.batches == 1 } }

    /// The share of all samples that the present batch holds.
    public var fraction: Double {
        if isWhole { return 1 }
        let (taken, total) = places.reduce((0, 0)) { ($0.0 + $1.range.count, $0.1 + $1.set.count) }
        return Double(taken) / Double(total)
    }

    public var batch: Batch { Batch(places.map { Array($0.order[$0.range]) }) }

    /// The same for a method whose steps end by evaluating what the next is made from: the start has done as a step does.
    func ahead() -> BatchSchedule {
        var schedule = self
        schedule.steps = 1
        return schedule
    }

    /// Goes on to the next batch of every set.
    public mutating func advance() {
        steps = 0
        for i in places.indices {
            places[i].batch += 1
            guard places[i].batch == places[i].batches else { continue }
            places[i].batch = 0
            places[i].epoch += 1
            places[i].reshuffle(seed: seed)
        }
    }

    /// The schedule after a revision: a set of another size begins its next epoch, the others stay where they are.
    func revised(_ settings: BatchSettings, of sets: [SampleSet]) throws -> BatchSchedule {
        var next = try BatchSchedule(settings, of: sets)
        for i in next.places.indices {
            guard let old = places.first(where: { $0.set.name == next.places[i].set.name }) else { continue }
            if old.set == next.places[i].set, old.batches == next.places[i].batches {
                next.places[i] = old
            } else {
                next.places[i].epoch = old.epoch + 1
                next.places[i].reshuffle(seed: seed)
            }
        }
        next.steps = steps
        return next
    }

    private mutating func shuffle() { for i in places.indices { places[i].reshuffle(seed: seed) } }
}

extension BatchSchedule.Place {
    /// The positions of the present batch in the epoch's order.
    fileprivate var range: Range<Int> { (batch * set.count / batches)..<((batch + 1) * set.count / batches) }

    fileprivate mutating func reshuffle(seed: Int) {
        guard batches > 1 else {
            order = Array(0..<set.count)
            return
        }
        var random = RandomStream(seed: UInt64(seed), name: "batches/\(set.name)/\(epoch)")
        order = random.permutation(of: set.count)
    }
}

extension BatchSchedule {
    public func encode(into archive: inout Archive) {
        archive.set("seed", seed)
        archive.set("sets", places.map(\.set.name))
        archive.set("counts", places.map(\.set.count))
        archive.set("batchesPerEpoch", places.map(\.batches))
        archive.set("epochs", places.map(\.epoch))
        archive.set("batch", places.map(\.batch))
        archive.set("steps", steps)
    }

    public init(from archive: Archive) throws {
        seed = try archive.integer("seed")
        steps = try archive.count("steps")
        let (names, counts, batches) = (
            try archive.strings("sets"), try archive.integers("counts"), try archive.integers("batchesPerEpoch")
        )
        let (epochs, present) = (try archive.counts("epochs"), try archive.integers("batch"))
        guard seed >= 0, [counts.count, batches.count, epochs.count, present.count].allSatisfy({ $0 == names.count }),
            names.indices.allSatisfy({
                (1...Int(Int32.max)).contains(counts[$0]) && (1...counts[$0]).contains(batches[$0])
                    && (0..<batches[$0]).contains(present[$0])
            }
            )
        else { throw ArchiveError(entry: "sets", reason: "do not fit the batches stored with them") }
        places = names.indices.map { i in
            var place = Place(SampleSet(name: names[i], count: counts[i]), batches: batches[i])
            (place.epoch, place.batch) = (epochs[i], present[i])
            return place
        }
        shuffle()
    }
}
