import LinearAlgebra

/// A tree of named, typed arrays: what a checkpoint holds, before it becomes a file.
///
/// Entries keep the order in which they were set. Values are compared bit by bit, so two archives are equal exactly
/// when the runs they describe go on identically. `RunStorage` maps an archive to HDF5, one data set an entry.
public struct Archive: Sendable, Equatable {
    public enum Content: Sendable {
        case doubles([Double])
        case integers([Int64])
        case strings([String])
        case group(Archive)
    }

    public struct Entry: Sendable {
        public let name: String
        public let content: Content
        /// The shape of the array, the last index running fastest; empty for a scalar.
        public let shape: [Int]
        /// The unit of the values, where they have one: "s", "bytes", …
        public let unit: String?

        public init(name: String, content: Content, shape: [Int], unit: String? = nil) {
            (self.name, self.content, self.shape, self.unit) = (name, content, shape, unit)
        }
    }

    public private(set) var entries: [Entry] = []

    public init() {}

    public subscript(name: String) -> Entry? { entries.first { $0.name == name } }

    /// Sets an entry, replacing one of the same name.
    public mutating func set(_ entry: Entry) {
        precondition(!entry.name.isEmpty && !entry.name.contains("/"), "an archive's entry cannot be named “\(entry.name)”")
        if let index = entries.firstIndex(where: { $0.name == entry.name }) {
            entries[index] = entry
        } else {
            entries.append(entry)
        }
    }

    public mutating func remove(_ name: String) { entries.removeAll { $0.name == name } }
}

// MARK: Writing

extension Archive {
    public mutating func set(_ name: String, _ value: Double, unit: String? = nil) {
        set(Entry(name: name, content: .doubles([value]), shape: [], unit: unit))
    }

    public mutating func set(_ name: String, _ value: Int, unit: String? = nil) {
        set(Entry(name: name, content: .integers([Int64(value)]), shape: [], unit: unit))
    }

    public mutating func set(_ name: String, _ value: UInt64) {
        set(Entry(name: name, content: .integers([Int64(bitPattern: value)]), shape: []))
    }

    public mutating func set(_ name: String, _ value: Bool) { set(name, value ? 1 : 0) }

    public mutating func set(_ name: String, _ value: String) {
        set(Entry(name: name, content: .strings([value]), shape: []))
    }

    public mutating func set(_ name: String, _ values: [Double], unit: String? = nil) {
        set(Entry(name: name, content: .doubles(values), shape: [values.count], unit: unit))
    }

    public mutating func set(_ name: String, _ values: [Int]) {
        set(Entry(name: name, content: .integers(values.map(Int64.init)), shape: [values.count]))
    }

    public mutating func set(_ name: String, _ values: [String]) {
        set(Entry(name: name, content: .strings(values), shape: [values.count]))
    }

    public mutating func set(_ name: String, _ vector: Vector, unit: String? = nil) { set(name, vector.elements, unit: unit) }

    /// A matrix, stored as the array of shape [columns, rows] that its column-major memory is.
    public mutating func set(_ name: String, _ matrix: Matrix, unit: String? = nil) {
        set(Entry(name: name, content: .doubles(matrix.elements), shape: [matrix.columns, matrix.rows], unit: unit))
    }

    /// Vectors of one length, stored as the array of shape [number of vectors, length].
    public mutating func set(_ name: String, _ vectors: [Vector]) {
        let length = vectors.first?.count ?? 0
        precondition(vectors.allSatisfy { $0.count == length }, "vectors of different lengths under “\(name)”")
        set(Entry(name: name, content: .doubles(vectors.flatMap(\.elements)), shape: [vectors.count, length]))
    }

    public mutating func set(_ name: String, _ group: Archive) {
        set(Entry(name: name, content: .group(group), shape: []))
    }

    /// A value that knows how to store itself, as a group with its format version beside its entries.
    public mutating func set(_ name: String, _ value: some Checkpointable) { set(name, Archive(of: value)) }

    /// The group that `value` stores itself as.
    public init<Value: Checkpointable>(of value: Value) {
        self.init()
        set("formatVersion", Value.formatVersion)
        value.encode(into: &self)
    }
}

// MARK: Reading

extension Archive {
    public func doubles(_ name: String) throws -> [Double] {
        guard case .doubles(let values) = try entry(name).content else { throw mismatch(name, "an array of doubles") }
        return values
    }

    public func double(_ name: String) throws -> Double { try only(name, try doubles(name)) }

    public func integers(_ name: String) throws -> [Int] {
        guard case .integers(let values) = try entry(name).content else { throw mismatch(name, "an array of integers") }
        return values.map(Int.init)
    }

    /// Counts: integers in 0 ..< 2⁶², so that counting on from them cannot overflow.
    public func counts(_ name: String) throws -> [Int] {
        let values = try integers(name)
        if let bad = values.first(where: { !(0..<(1 << 62)).contains($0) }) {
            throw ArchiveError(entry: name, reason: "\(bad) is no count")
        }
        return values
    }

    public func count(_ name: String) throws -> Int { try only(name, try counts(name)) }

    public func integer(_ name: String) throws -> Int { try only(name, try integers(name)) }

    public func unsigned(_ name: String) throws -> UInt64 { UInt64(bitPattern: Int64(try integer(name))) }

    public func bool(_ name: String) throws -> Bool { try integer(name) != 0 }

    public func strings(_ name: String) throws -> [String] {
        guard case .strings(let values) = try entry(name).content else { throw mismatch(name, "text") }
        return values
    }

    public func string(_ name: String) throws -> String { try only(name, try strings(name)) }

    public func vector(_ name: String) throws -> Vector { Vector(try doubles(name)) }

    public func matrix(_ name: String) throws -> Matrix {
        let (values, shape) = (try doubles(name), try entry(name).shape)
        guard shape.count == 2, shape[0] * shape[1] == values.count else { throw mismatch(name, "a matrix") }
        return Matrix(rows: shape[1], columns: shape[0], elements: values)
    }

    public func vectors(_ name: String) throws -> [Vector] {
        let (values, shape) = (try doubles(name), try entry(name).shape)
        guard shape.count == 2, shape[0] * shape[1] == values.count else { throw mismatch(name, "a list of vectors") }
        return (0..<shape[0]).map { Vector(values[($0 * shape[1])..<(($0 + 1) * shape[1])]) }
    }

    public func group(_ name: String) throws -> Archive {
        guard case .group(let group) = try entry(name).content else { throw mismatch(name, "a group") }
        return group
    }

    public func groupIfPresent(_ name: String) throws -> Archive? { self[name] == nil ? nil : try group(name) }

    /// The value of type `Value` stored under `name`.
    public func value<Value: Checkpointable>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
        try group(name).decoded(as: type)
    }

    /// The value of type `Value` that this group holds.
    public func decoded<Value: Checkpointable>(as type: Value.Type = Value.self) throws -> Value {
        let version = try integer("formatVersion")
        guard version == Value.formatVersion else {
            throw ArchiveError(
                entry: "formatVersion",
                reason: "\(Value.self) is stored in format \(version); this program reads format \(Value.formatVersion)")
        }
        return try Value(from: self)
    }

    private func entry(_ name: String) throws -> Entry {
        guard let entry = self[name] else {
            throw ArchiveError(entry: name, reason: "is missing; there are: \(entries.map(\.name).joined(separator: ", "))")
        }
        return entry
    }

    private func only<T>(_ name: String, _ values: [T]) throws -> T {
        guard let value = values.first, values.count == 1 else { throw mismatch(name, "a single value") }
        return value
    }

    private func mismatch(_ name: String, _ expected: String) -> ArchiveError {
        let found = self[name].map { "an entry of shape \($0.shape)" } ?? "nothing"
        return ArchiveError(entry: name, reason: "should be \(expected), but \(found) was found")
    }
}

// MARK: Bitwise equality

extension Archive.Entry: Equatable {
    public static func == (a: Self, b: Self) -> Bool {
        a.name == b.name && a.shape == b.shape && a.unit == b.unit && a.content == b.content
    }
}

extension Archive.Content: Equatable {
    public static func == (a: Self, b: Self) -> Bool {
        switch (a, b) {
        case (.doubles(let x), .doubles(let y)): x.count == y.count && zip(x, y).allSatisfy { $0.bitPattern == $1.bitPattern }
        case (.integers(let x), .integers(let y)): x == y
        case (.strings(let x), .strings(let y)): x == y
        case (.group(let x), .group(let y)): x == y
        default: false
        }
    }
}

extension Archive {
    /// The paths of the entries in which two archives differ, for reports and tests.
    public func differences(from other: Archive, below path: String = "") -> [String] {
        var found: [String] = []
        for entry in entries {
            guard let counterpart = other[entry.name] else {
                found.append("\(path)\(entry.name)")
                continue
            }
            if case .group(let a) = entry.content, case .group(let b) = counterpart.content {
                found += a.differences(from: b, below: "\(path)\(entry.name)/")
            } else if entry != counterpart {
                found.append("\(path)\(entry.name)")
            }
        }
        return found + other.entries.filter { self[$0.name] == nil }.map { "\(path)\($0.name)" }
    }
}

/// An archive lacks an entry, or holds something else than what is asked for.
public struct ArchiveError: Error, CustomStringConvertible, Equatable {
    public let entry: String
    public let reason: String

    public init(entry: String, reason: String) { (self.entry, self.reason) = (entry, reason) }

    public var description: String { "stored entry “\(entry)”: \(reason)" }
}
