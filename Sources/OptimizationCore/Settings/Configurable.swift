/// Something with a name and settings: an optimizer, a schedule, a line search, a problem, a callback.
///
/// One schema, ``fields``, feeds the command line's `list`, YAML, `--set`, checkpoints and the check at resume.
public protocol Configurable: Sendable {
    /// The value with every setting at its default.
    init()
    /// The kebab-case name in configurations.
    static var identifier: String { get }
    /// One sentence for listings.
    static var summary: String { get }
    static var fields: [Field<Self>] { get }
    /// Checks settings against each other, beyond each one's own range.
    func validate() throws
}

extension Configurable {
    public func validate() throws {}

    /// The settings as written in a configuration: `{name: …, field: …}`.
    public var settings: Setting {
        .map([Setting.Pair("name", .scalar(Self.identifier))] + Self.fields.map { Setting.Pair($0.name, $0.read(self)) })
    }

    /// A value with the settings of a map; keys that are not fields are refused, missing ones keep their defaults.
    public init(_ setting: Setting, path: String) throws {
        self.init()
        if case .scalar(let text) = setting.value, text == Self.identifier { return }
        guard case .map(let pairs) = setting.value else {
            throw ConfigurationError(path: path, line: setting.line, reason: "should be a map of the settings of \(Self.identifier)")
        }
        for pair in pairs where pair.key != "name" {
            guard let field = Self.fields.first(where: { $0.name == pair.key }) else {
                let known = nearest(to: pair.key, among: Self.fields.map(\.name))
                throw ConfigurationError(
                    path: "\(path).\(pair.key)", line: pair.value.line,
                    reason: "is not a setting of \(Self.identifier); it has: \(known.joined(separator: ", "))")
            }
            try field.write(&self, pair.value, "\(path).\(pair.key)")
        }
        do {
            try validate()
        } catch let error as ConfigurationError {
            throw ConfigurationError(
                path: error.path.isEmpty ? path : "\(path).\(error.path)", line: error.line ?? setting.line, reason: error.reason)
        }
    }

    /// Writes every field back through its own check: what a value made in code must pass before a run.
    public func validated(path: String = Self.identifier) throws -> Self { try Self(settings, path: path) }
}

/// One setting: its name, where it lies, its range, unit and meaning.
public struct Field<Root>: Sendable {
    public let name: String
    public let meaning: String
    /// The unit or the inequality that the value must satisfy, e.g. "> 0".
    public let range: String
    /// What the field may hold where it holds something with settings of its own: one kind, or several to choose from by name.
    public let kinds: [any Configurable.Type]
    let read: @Sendable (Root) -> Setting
    let write: @Sendable (inout Root, Setting, String) throws -> Void
    let parts: @Sendable (Root) -> [any Configurable]

    /// A field of a form of its own. `range` is a promise that the conformance suite tries, where it can read it: `> 0`, `≥ 1, ≤ 9`,
    /// `in [0, 1)`, `true or false`, `a | b`, `a list, each …`. `parts` gives, where the value has settings of its own, what it may be: one
    /// part, or one of each kind to choose from, that of the root's kind with the root's settings.
    public init(
        _ name: String, range: String, meaning: String, kinds: [any Configurable.Type] = [],
        read: @escaping @Sendable (Root) -> Setting,
        write: @escaping @Sendable (inout Root, Setting, _ path: String) throws -> Void,
        parts: @escaping @Sendable (Root) -> [any Configurable] = { _ in [] }
    ) {
        (self.name, self.range, self.meaning, self.kinds) = (name, range, meaning, kinds)
        (self.read, self.write, self.parts) = (read, write, parts)
    }

    /// The field's value in `root`, as written.
    public func value(in root: Root) -> Setting { read(root) }

    /// The field as one of something that holds a `Root`: what a wrapper shows of the value that it wraps.
    public func lifted<Outer>(to path: WritableKeyPath<Outer, Root> & Sendable) -> Field<Outer> {
        let (read, write, parts) = (read, write, parts)
        return Field<Outer>(
            name, range: range, meaning: meaning, kinds: kinds, read: { read($0[keyPath: path]) },
            write: { try write(&$0[keyPath: path], $1, $2) }, parts: { parts($0[keyPath: path]) })
    }
}

/// The set in which a number must lie, with its text.
public struct Bounds: Sendable {
    public let text: String
    /// Whether a number lies in the set.
    public let contains: @Sendable (Double) -> Bool

    public init(_ text: String, contains: @escaping @Sendable (Double) -> Bool) { (self.text, self.contains) = (text, contains) }

    public static let any = Bounds("any number") { $0.isFinite }
    public static let positive = Bounds("> 0") { $0 > 0 && $0.isFinite }
    public static let nonNegative = Bounds("≥ 0") { $0 >= 0 && $0.isFinite }
    /// 0 < x < 1.
    public static let openUnit = Bounds("in (0, 1)") { $0 > 0 && $0 < 1 }
    /// 0 ≤ x < 1.
    public static let fraction = Bounds("in [0, 1)") { $0 >= 0 && $0 < 1 }
    public static func atLeast(_ minimum: Double) -> Bounds { Bounds("≥ \(minimum)") { $0 >= minimum && $0.isFinite } }
    public static func within(_ range: ClosedRange<Double>) -> Bounds {
        Bounds("in [\(range.lowerBound), \(range.upperBound)]") { range.contains($0) }
    }
}

extension Field {
    public typealias Path<Value> = WritableKeyPath<Root, Value> & Sendable

    public static func number(_ name: String, _ path: Path<Double>, in bounds: Bounds = .any, meaning: String) -> Field {
        Field(name, range: bounds.text, meaning: meaning, read: { .number($0[keyPath: path]) }) { root, setting, place in
            guard let text = setting.text, let value = Double(text) else {
                throw ConfigurationError(path: place, line: setting.line, reason: "“\(setting)” is not a number")
            }
            guard bounds.contains(value) else {
                throw ConfigurationError(path: place, line: setting.line, reason: "\(value) must be \(bounds.text)")
            }
            root[keyPath: path] = value
        }
    }

    /// A whole number. Without an upper bound of its own it is at most 2³¹ − 1, so that sums and products of two sizes are integers.
    public static func integer(
        _ name: String, _ path: Path<Int>, atLeast minimum: Int = 0, atMost maximum: Int = Int(Int32.max), meaning: String
    ) -> Field {
        let top = maximum == Int(Int32.max) ? "" : maximum == .max ? ", < 2⁶³" : ", ≤ \(maximum)"
        return Field(name, range: "≥ \(minimum)\(top)", meaning: meaning, read: { .integer($0[keyPath: path]) }) { root, setting, place in
            guard let text = setting.text, let value = Int(text.replacing("_", with: "")) else {
                throw ConfigurationError(path: place, line: setting.line, reason: "“\(setting)” is not a whole number")
            }
            guard value >= minimum else {
                throw ConfigurationError(path: place, line: setting.line, reason: "\(value) must be ≥ \(minimum)")
            }
            guard value <= maximum else {
                throw ConfigurationError(path: place, line: setting.line, reason: "\(value) must be ≤ \(maximum)")
            }
            root[keyPath: path] = value
        }
    }

    public static func flag(_ name: String, _ path: Path<Bool>, meaning: String) -> Field {
        Field(name, range: "true or false", meaning: meaning, read: { .flag($0[keyPath: path]) }) { root, setting, place in
            guard let text = setting.text, let value = Bool(text) else {
                throw ConfigurationError(path: place, line: setting.line, reason: "“\(setting)” must be true or false")
            }
            root[keyPath: path] = value
        }
    }

    public static func text(_ name: String, _ path: Path<String>, meaning: String) -> Field {
        Field(name, range: "text", meaning: meaning, read: { .scalar($0[keyPath: path]) }) { root, setting, place in
            guard let text = setting.text else {
                throw ConfigurationError(path: place, line: setting.line, reason: "“\(setting)” must be text")
            }
            root[keyPath: path] = text
        }
    }

    /// A list of numbers.
    public static func numbers(_ name: String, _ path: Path<[Double]>, in bounds: Bounds = .any, meaning: String) -> Field {
        Field(name, range: "a list, each \(bounds.text)", meaning: meaning, read: { .list($0[keyPath: path].map(Setting.number)) }) {
            root, setting, place in
            guard case .list(let items) = setting.value else {
                throw ConfigurationError(path: place, line: setting.line, reason: "“\(setting)” must be a list of numbers")
            }
            root[keyPath: path] = try items.map { item in
                guard let text = item.text, let value = Double(text), bounds.contains(value) else {
                    throw ConfigurationError(path: place, line: item.line, reason: "“\(item)” must be a number \(bounds.text)")
                }
                return value
            }
        }
    }

    /// One of an enumeration's cases, by its raw value.
    public static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ name: String, _ path: Path<Value>, meaning: String
    ) -> Field {
        let known = Value.allCases.map(\.rawValue)
        return Field(name, range: known.joined(separator: " | "), meaning: meaning, read: { .scalar($0[keyPath: path].rawValue) }) {
            root, setting, place in
            guard let text = setting.text, let value = Value(rawValue: text) else {
                let names = nearest(to: setting.text ?? "", among: known).joined(separator: ", ")
                throw ConfigurationError(path: place, line: setting.line, reason: "“\(setting)” must be one of: \(names)")
            }
            root[keyPath: path] = value
        }
    }

    /// A part with settings of its own.
    public static func part<Value: Configurable>(_ name: String, _ path: Path<Value>, meaning: String) -> Field {
        Field(
            name, range: Value.identifier, meaning: meaning, kinds: [Value.self], read: { $0[keyPath: path].settings.removing("name") },
            write: { root, setting, place in root[keyPath: path] = try Value(setting, path: place) },
            parts: { [$0[keyPath: path]] })
    }

    /// A part chosen by its name among several kinds: `{name: strong-wolfe, curvature: 0.9}`, or the name alone.
    ///
    /// `describe` gives the settings of what the root holds; `assign` puts a value of one of the `kinds` there.
    public static func variant(
        _ name: String, among kinds: [any Configurable.Type], meaning: String,
        describe: @escaping @Sendable (Root) -> Setting,
        assign: @escaping @Sendable (inout Root, any Configurable) throws -> Void
    ) -> Field {
        let known = kinds.map { $0.identifier }
        @Sendable func write(_ root: inout Root, _ setting: Setting, _ place: String) throws {
            guard let chosen = setting.text ?? setting["name"]?.text else {
                throw ConfigurationError(path: place, line: setting.line, reason: "needs a name: one of \(known.joined(separator: ", "))")
            }
            guard let kind = kinds.first(where: { $0.identifier == chosen }) else {
                let names = nearest(to: chosen, among: known).joined(separator: ", ")
                throw ConfigurationError(path: place, line: setting.line, reason: "“\(chosen)” must be one of: \(names)")
            }
            try assign(&root, try kind.init(setting, path: place))
        }
        return Field(
            name, range: known.joined(separator: " | "), meaning: meaning, kinds: kinds, read: describe, write: { try write(&$0, $1, $2) },
            parts: { root in
                let present = describe(root)
                return kinds.map { kind in
                    guard present["name"]?.text == kind.identifier else { return kind.init() }
                    return (try? kind.init(present, path: name)) ?? kind.init()
                }
            })
    }
}
