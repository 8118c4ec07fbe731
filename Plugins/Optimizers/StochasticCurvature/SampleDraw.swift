import OptimizationCore

/// A sequence of random samples of a problem's sets, each drawn without replacement and independently of those before it.
///
/// Sample i of a set is the beginning of a random order of it, which is a pure function of (seed, stream, set, i): a larger sample of the
/// same number begins with the smaller one, and what is stored are integers. A set of no more than the size asked for is taken whole, in
/// its own order. Where ``BatchSchedule`` goes through epochs, this may change its size at any sample, and its samples are those of which
/// the tests of the sample size speak (``SampleSizeRule``). Size m costs m draws.
public struct SampleDraw: Checkpointable, Equatable {
    /// What the stream is called; two of a method differ in it.
    public let stream: String
    public let seed: Int
    public let sets: [SampleSet]
    /// The samples of each set, at most all of it.
    public private(set) var sizes: [Int]
    /// Those of the next sample.
    public private(set) var nextSizes: [Int]
    /// How many samples were drawn before this one.
    public private(set) var number = 0
    /// Steps taken on this sample.
    public private(set) var age = 0

    /// The first sample. Sizes are rounded up to multiples of `groups`. Throws as ``BatchSchedule`` does, in the name of `path`.
    package init(_ settings: BatchSettings, of sets: [SampleSet], stream: String, path: String, groups: Int = 1) throws {
        (self.stream, self.sets, seed) = (stream, sets, settings.seed)
        sizes = zip(sets, try settings.counts(of: sets, path: path)).map { fitting($1, in: $0, groups: groups) }
        nextSizes = sizes
    }

    /// Whether the sample is the whole problem.
    public var isWhole: Bool { zip(sets, sizes).allSatisfy { $0.count == $1 } }

    /// The share of all samples.
    public var fraction: Double { isWhole ? 1 : Double(sizes.reduce(0, +)) / Double(sets.reduce(0) { $0 + $1.count }) }

    /// The share of the samples of those sets that are not taken whole; 1 where all are.
    package var openFraction: Double {
        let open = zip(sets, sizes).filter { $0.count > $1 }
        return open.isEmpty ? 1 : Double(open.reduce(0) { $0 + $1.1 }) / Double(open.reduce(0) { $0 + $1.0.count })
    }

    /// The sample, random in its order where a set is not taken whole.
    public var batch: Batch { Batch(zip(sets, sizes).map { indices(of: $0, $1) }) }

    /// The first `size` samples in the order of this number.
    package func indices(of set: SampleSet, _ size: Int) -> [Int] {
        guard size < set.count else { return Array(0..<set.count) }
        var random = RandomStream(seed: UInt64(seed), name: "\(stream)/\(set.name)/\(number)")
        // Fisher and Yates from the front; of the order only what has been moved is kept.
        var moved: [Int: Int] = [:]
        return (0..<size).map { i in
            let j = i + random.index(below: set.count - i)
            let chosen = moved[j] ?? j
            moved[j] = moved[i] ?? i
            return chosen
        }
    }

    /// Counts a step, and goes on to the next sample where this one has had `holding` of them; says whether it did.
    package mutating func step(holding: Int) -> Bool {
        age += 1
        guard age >= holding, !isWhole || nextSizes != sizes else { return false }
        leave()
        return true
    }

    /// Goes on to the next sample, which may be of another size.
    package mutating func leave() {
        sizes = nextSizes
        (number, age) = (number + 1, 0)
    }

    /// Makes the next sample `factor` times as large in every set that is not taken whole.
    package mutating func grow(by factor: Double, groups: Int) {
        nextSizes = zip(sets, sizes).map { set, size in
            let wish = Swift.min((factor * Double(size)).rounded(.up), Double(set.count))
            return size < set.count && wish > Double(size) ? fitting(Int(wish), in: set, groups: groups) : size
        }
    }

    /// Makes the next sample `factor` times what the settings ask for, which may be less than this one.
    mutating func resize(_ settings: BatchSettings, by factor: Double, path: String, groups: Int = 1) throws {
        nextSizes = zip(sets, try settings.counts(of: sets, path: path)).map { set, size in
            fitting(Int(Swift.min((factor * Double(size)).rounded(.up), Double(set.count))), in: set, groups: groups)
        }
    }

    /// The draw after a revision: on to the next number where the sets are others, with the sizes that had been reached.
    package func revised(_ settings: BatchSettings, of sets: [SampleSet], path: String, groups: Int = 1) throws -> SampleDraw {
        if sets == self.sets { return self }
        var next = try SampleDraw(settings, of: sets, stream: stream, path: path, groups: groups)
        for (i, set) in sets.enumerated() {
            guard let old = self.sets.firstIndex(where: { $0.name == set.name }), nextSizes[old] > next.sizes[i] else { continue }
            next.sizes[i] = fitting(nextSizes[old], in: set, groups: groups)
        }
        (next.nextSizes, next.number) = (next.sizes, number + 1)
        return next
    }
}

/// A size rounded up to a multiple of `groups`, or the whole set.
private func fitting(_ size: Int, in set: SampleSet, groups: Int) -> Int { Swift.min((size + groups - 1) / groups * groups, set.count) }

extension SampleDraw {
    public func encode(into archive: inout Archive) {
        archive.set("stream", stream)
        archive.set("seed", seed)
        archive.set("sets", sets.map(\.name))
        archive.set("counts", sets.map(\.count))
        archive.set("sizes", sizes)
        archive.set("nextSizes", nextSizes)
        archive.set("number", number)
        archive.set("age", age)
    }

    public init(from archive: Archive) throws {
        (stream, seed) = (try archive.string("stream"), try archive.integer("seed"))
        let (names, counts) = (try archive.strings("sets"), try archive.counts("counts"))
        (sizes, nextSizes) = (try archive.integers("sizes"), try archive.integers("nextSizes"))
        (number, age) = (try archive.count("number"), try archive.count("age"))
        guard seed >= 0, [counts.count, sizes.count, nextSizes.count].allSatisfy({ $0 == names.count }),
            zip(counts, zip(sizes, nextSizes)).allSatisfy({ n, m in n > 0 && (1...n).contains(m.0) && (1...n).contains(m.1) })
        else { throw ArchiveError(entry: "sizes", reason: "do not fit the sample sets stored with them") }
        sets = zip(names, counts).map { SampleSet(name: $0, count: $1) }
    }
}

// MARK: Views

extension SampleDraw {
    /// The problem on this sample; the problem itself where that is all of it.
    func view(of problem: any SampledObjective) throws -> any SampledObjective {
        isWhole ? problem : try problem.restricted(to: batch)
    }
}

/// A loss with a gradient, on samples.
package typealias SampledObjective = DifferentiableProblem & SampledProblem
