/// A configuration value as written: a scalar, a list or a map, with the line it stands on.
///
/// The core knows no file format; the command line decodes YAML into this, optimizers describe themselves in it, and run
/// files store its text. Two settings are equal if they say the same, wherever they stand.
public struct Setting: Sendable, Hashable {
    public indirect enum Value: Sendable, Hashable {
        case scalar(String)
        case list([Setting])
        case map([Pair])
    }

    public struct Pair: Sendable, Hashable {
        public var key: String
        public var value: Setting

        public init(_ key: String, _ value: Setting) { (self.key, self.value) = (key, value) }
    }

    public var value: Value
    /// The line of the configuration file, from 1; not part of the value.
    public var line: Int?

    public init(_ value: Value, line: Int? = nil) { (self.value, self.line) = (value, line) }

    public static func scalar(_ text: String) -> Setting { Setting(.scalar(text)) }
    public static func number(_ value: Double) -> Setting { .scalar(value.description) }
    public static func integer(_ value: Int) -> Setting { .scalar(String(value)) }
    public static func flag(_ value: Bool) -> Setting { .scalar(value ? "true" : "false") }
    public static func list(_ items: [Setting]) -> Setting { Setting(.list(items)) }
    public static func map(_ pairs: [Pair]) -> Setting { Setting(.map(pairs)) }

    public static func == (a: Setting, b: Setting) -> Bool { a.value == b.value }
    public func hash(into hasher: inout Hasher) { hasher.combine(value) }
}

extension Setting {
    public subscript(key: String) -> Setting? {
        guard case .map(let pairs) = value else { return nil }
        return pairs.first { $0.key == key }?.value
    }

    public var text: String? {
        guard case .scalar(let text) = value else { return nil }
        return text
    }

    /// The map without a key.
    public func removing(_ key: String) -> Setting {
        guard case .map(let pairs) = value else { return self }
        return Setting(.map(pairs.filter { $0.key != key }), line: line)
    }

    /// The map with `value` at a dotted path, made where it is missing: what `--set a.b=c` does.
    public func setting(_ path: [String], to newValue: Setting) -> Setting {
        guard let key = path.first else { return newValue }
        var pairs: [Pair] = []
        if case .map(let existing) = value { pairs = existing }
        let rest = Array(path.dropFirst())
        if let index = pairs.firstIndex(where: { $0.key == key }) {
            pairs[index].value = pairs[index].value.setting(rest, to: newValue)
        } else {
            pairs.append(Pair(key, Setting.map([]).setting(rest, to: newValue)))
        }
        return Setting(.map(pairs), line: line)
    }
}

extension Setting: CustomStringConvertible {
    /// The value in YAML's flow style, on one line.
    public var description: String {
        switch value {
        case .scalar(let text): text
        case .list(let items): "[\(items.map(\.description).joined(separator: ", "))]"
        case .map(let pairs): "{\(pairs.map { "\($0.key): \($0.value)" }.joined(separator: ", "))}"
        }
    }

    /// Every scalar with its dotted path, in order: for comparing two settings line by line.
    public func flattened(below path: String = "") -> [(path: String, text: String)] {
        func joined(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
        switch value {
        case .scalar(let text): return [(path, text)]
        case .list(let items): return items.enumerated().flatMap { $1.flattened(below: joined(String($0))) }
        case .map(let pairs): return pairs.flatMap { $0.value.flattened(below: joined($0.key)) }
        }
    }

    /// What two settings say differently, a line each.
    public func differences(from other: Setting) -> [String] {
        let (mine, theirs) = (flattened(), other.flattened())
        var lines: [String] = []
        for (path, text) in mine {
            if let found = theirs.first(where: { $0.path == path }) {
                if found.text != text { lines.append("\(path): \(text) here, \(found.text) there") }
            } else {
                lines.append("\(path): \(text) here, missing there")
            }
        }
        for (path, text) in theirs where !mine.contains(where: { $0.path == path }) {
            lines.append("\(path): missing here, \(text) there")
        }
        return lines
    }
}

/// A setting is unknown, malformed or out of range.
public struct ConfigurationError: Error, CustomStringConvertible, Equatable {
    /// Where: the dotted path of the setting.
    public var path: String
    public var line: Int?
    /// What is wrong and what to do.
    public var reason: String

    public init(path: String, line: Int? = nil, reason: String) {
        (self.path, self.line, self.reason) = (path, line, reason)
    }

    public var description: String {
        let place = line.map { "line \($0): " } ?? ""
        return path.isEmpty ? "\(place)\(reason)" : "\(place)\(path): \(reason)"
    }
}

/// The names of `known` by increasing edit distance to `name`: what an error about an unknown name lists.
public func nearest(to name: String, among known: [String]) -> [String] {
    func distance(_ a: [Character], _ b: [Character]) -> Int {
        var row = Array(0...b.count)
        for i in a.indices {
            var diagonal = row[0]
            row[0] = i + 1
            for j in b.indices {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1))
                diagonal = above
            }
        }
        return row[b.count]
    }
    let letters = Array(name.lowercased())
    return known.map { ($0, distance(letters, Array($0.lowercased()))) }.sorted { ($0.1, $0.0) < ($1.1, $1.0) }.map(\.0)
}
