import Curvature
import Foundation

/// Changes checkpoints as archives: entries missing, of another type, shape or size, with numbers that no run has.
struct CheckpointFuzzer {
    /// A run with a snapshot of its middle, and how it goes on from one.
    struct Subject: Sendable {
        var name: String
        var snapshot: Archive
        /// Restores the run and takes two steps.
        var goOn: @Sendable (Archive) throws -> Void
    }

    static func subjects() throws -> [Subject] {
        let problem = try TestFunction("extended-rosenbrock", dimension: 4).problem()
        func subject(_ name: String, _ optimizer: some Optimizer) throws -> Subject {
            let rule = StoppingRule.iterations(50) || .stalled(over: 20, relativeDecrease: 1e-9)
            let pipeline = Pipeline(
                minimizing: problem,
                stages: [
                    Stage(dynamic: "warm", Adam(), until: .iterations(2)), Stage(dynamic: name, optimizer, until: rule),
                ])
            let run = try pipeline.begin(seed: 3, callbacks: [EarlyStop()])
            for _ in 0..<8 { try run.advance() }
            return Subject(name: name, snapshot: run.snapshot()) { archive in
                let run = try pipeline.restore(from: archive, callbacks: [EarlyStop()])
                for _ in 0..<2 { try run.advance() }
                _ = run.snapshot()
            }
        }
        return [
            try subject("adam", Adam()), try subject("l-bfgs", LBFGS()), try subject("ssb", SelfScaledBroyden()),
            try subject("lm", LevenbergMarquardt()), try subject("gn", GaussNewton()), try subject("clipped", Clipped(Adam(), norm: 1)),
        ]
    }

    private var random: RandomStream

    init(number: Int, seed: Int) { random = Fuzzing.random("checkpoint", number, seed: seed) }

    mutating func changed(_ archive: Archive) -> Archive {
        var archive = archive
        for _ in 0...random.index(below: 3) { archive = once(archive) }
        return archive
    }

    private static let integers: [Int64] = [0, 1, -1, 2, 7, 1 << 31, 1 << 40, .max, .min, .max - 1]
    private static let reals = [0.0, -0.0, 1, -1, .nan, .infinity, -.infinity, 1e308, .leastNonzeroMagnitude]
    private static let texts = ["", "0", "4", "-4", "2×2", "99999999999×99999999999", "×", "adam", "x", "naïve 🙂", "converged", "nan"]

    private mutating func once(_ archive: Archive) -> Archive {
        guard !archive.entries.isEmpty else { return archive }
        var result = archive
        let entry = random.element(of: archive.entries)
        if case .group(let group) = entry.content, !random.chance(0.1) {
            result.set(.init(name: entry.name, content: .group(once(group)), shape: []))
            return result
        }
        switch random.index(below: 8) {
        case 0: result.remove(entry.name)
        case 1: result.set(.init(name: entry.name, content: .doubles([random.element(of: Self.reals)]), shape: []))
        case 2: result.set(.init(name: entry.name, content: .integers([random.element(of: Self.integers)]), shape: []))
        case 3: result.set(.init(name: entry.name, content: .strings([random.element(of: Self.texts)]), shape: []))
        case 4: result.set(.init(name: entry.name, content: .group(random.chance(0.5) ? Archive() : archive), shape: []))
        default: result.set(sameType(entry))
        }
        return result
    }

    /// The entry with one value changed, or shorter, or longer.
    private mutating func sameType(_ entry: Archive.Entry) -> Archive.Entry {
        func resized<T>(_ values: [T], _ value: T) -> [T] {
            var values = values
            switch random.index(below: 4) {
            case 0: values.append(value)
            case 1: if !values.isEmpty { values.removeLast() }
            default: if !values.isEmpty { values[random.index(below: values.count)] = value }
            }
            return values
        }
        let content: Archive.Content
        let count: Int
        switch entry.content {
        case .doubles(let values):
            let new = resized(values, random.element(of: Self.reals))
            (content, count) = (.doubles(new), new.count)
        case .integers(let values):
            let new = resized(values, random.element(of: Self.integers))
            (content, count) = (.integers(new), new.count)
        case .strings(let values):
            let new = resized(values, random.element(of: Self.texts))
            (content, count) = (.strings(new), new.count)
        case .group: return entry
        }
        let keeps = entry.shape.reduce(1, *) == count
        return .init(name: entry.name, content: content, shape: keeps ? entry.shape : [count], unit: entry.unit)
    }
}

/// Changes the bytes of a run file whose seal is off, as a killed run leaves it: most of them in the parts that hold its structure.
struct FileFuzzer {
    private var random: RandomStream

    init(number: Int, seed: Int) { random = Fuzzing.random("file", number, seed: seed) }

    static func soundRunFile(in scratch: ScratchFolder) throws -> [UInt8] {
        let problem = try TestFunction("rosenbrock").problem()
        let folder = try RunFolder.create("\(scratch.path)/sound")
        let pipeline = Pipeline(minimizing: problem) { Stage("only", LBFGS(), until: .iterations(20)) }
        _ = try pipeline.start(seed: 1, callbacks: [RecordTrajectory(in: folder)])
        try folder.close()
        return Array(try Data(contentsOf: URL(fileURLWithPath: folder.runFilePath)))
    }

    /// The bytes changed, and what was done to them.
    mutating func changed(_ sound: [UInt8]) -> (bytes: [UInt8], what: String) {
        // The seal is the last 64 bytes; one in ten files keeps it.
        var bytes = random.chance(0.1) ? sound : Array(sound.dropLast(64))
        var what = ["\(bytes.count) bytes"]
        let signatures = Self.places(in: bytes)
        for _ in 0...random.index(below: 4) {
            // Behind a signature of HDF5's (TREE, HEAP, SNOD, …) lie addresses and sizes.
            let place =
                random.chance(0.6)
                ? min(bytes.count - 8, random.element(of: signatures) + random.index(below: 64)) : random.index(below: bytes.count - 8)
            switch random.index(below: 5) {
            case 0: bytes[place] ^= 1 << UInt8(random.index(below: 8))
            case 1: bytes[place] = UInt8(random.index(below: 256))
            case 2: bytes.replaceSubrange(place..<(place + 8), with: Array(repeating: random.element(of: [0, 255, 127, 128]), count: 8))
            case 3:
                let from = random.index(below: bytes.count - 8)
                bytes.replaceSubrange(place..<(place + 8), with: Array(bytes[from..<(from + 8)]))
            default: if random.chance(0.2) { bytes.removeSubrange(max(96, place)...) } else { bytes[place] &+= 1 }
            }
            what.append("at \(place)")
            guard bytes.count > 200 else { break }
        }
        return (bytes, what.joined(separator: ", "))
    }

    private static func places(in bytes: [UInt8]) -> [Int] {
        let signatures = ["TREE", "HEAP", "SNOD", "GCOL", "BTHD", "FRHP", "FHDB", "BTLF", "OHDR", "\u{89}HDF"].map { Array($0.utf8) }
        var places = [0, 8, 96]
        for start in 0..<(bytes.count - 4) where signatures.contains(where: { bytes[start..<(start + 4)].elementsEqual($0) }) {
            places.append(start)
        }
        return places
    }

    /// Reads all that the readers of this package would.
    static func readEverything(_ path: String) throws {
        let run = try RunFile.open(path)
        defer { try? run.close() }
        for table in [TableName.trajectory, .events, .snapshots] {
            for column in run.columns(in: table) {
                switch column.kind {
                case .real: _ = try run.reals(column.name, in: table)
                case .integer: _ = try run.integers(column.name, in: table)
                case .text: _ = try run.texts(column.name, in: table)
                case .vector: if run.rows(in: table) > 0 { _ = try run.vector(column.name, row: 0, in: table) }
                }
            }
        }
        for name in try run.fields() { _ = try run.field(name) }
        for path in ["/", "/layout", "/result", "/stages/0", "/sessions/0"] where run.file.exists(path) {
            for name in try run.file.attributes(of: path) { _ = try? run.file.text(name, at: path) }
        }
    }
}
