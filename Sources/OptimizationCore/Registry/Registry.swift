/// The optimizers, problems and callbacks that can be chosen by name, and the models that problems are posed with.
///
/// A registry is a value: there is no global one, and nothing registers itself. A plugin is installed by a visible line.
public struct Registry: Sendable {
    public private(set) var optimizers: [OptimizerEntry] = []
    public private(set) var problems: [ProblemEntry] = []
    public private(set) var callbacks: [CallbackEntry] = []
    public private(set) var models: [ModelEntry] = []
    public private(set) var plugins: [String] = []

    public init() {}

    /// Registers everything of a plugin. Throws a ``RegistrationError`` where a name is taken.
    public mutating func install(_ plugin: any Plugin.Type) throws {
        guard !plugins.contains(plugin.identifier) else { throw RegistrationError(kind: "plugin", name: plugin.identifier) }
        var next = self
        next.plugins.append(plugin.identifier)
        try plugin.register(in: &next)
        self = next
    }

    public mutating func register<O: Optimizer & Configurable>(optimizer: O.Type) throws {
        let entry = OptimizerEntry(
            name: O.identifier, summary: O.summary, need: needed(by: O.self), schema: wrappedSchema(of: O.self),
            fits: { fits(O.self, $0) }, make: { try wrapped(O.self, $0, path: $1) })
        try add(entry, to: \.optimizers, kind: "optimizer")
    }

    public mutating func register<C: ProblemConfiguration>(problem: C.Type) throws {
        let entry = ProblemEntry(
            name: C.identifier, summary: C.summary, schema: wrappedSchema(of: C.self), make: { try wrapped(C.self, $0, path: $1) })
        try add(entry, to: \.problems, kind: "problem")
    }

    public mutating func register<C: Callback & Configurable>(callback: C.Type) throws {
        let entry = CallbackEntry(
            name: C.identifier, summary: C.summary, schema: schema(of: C.self), make: { try C($0, path: $1) })
        try add(entry, to: \.callbacks, kind: "callback")
    }

    public mutating func register<C: ModelConfiguration>(model: C.Type) throws {
        let entry = ModelEntry(name: C.identifier, summary: C.summary, schema: schema(of: C.self))
        try add(entry, to: \.models, kind: "model")
    }

    private mutating func add<Entry: RegistryEntry>(_ entry: Entry, to list: WritableKeyPath<Registry, [Entry]>, kind: String) throws {
        guard !self[keyPath: list].contains(where: { $0.name == entry.name }) else {
            throw RegistrationError(kind: kind, name: entry.name)
        }
        self[keyPath: list].append(entry)
    }
}

/// Whether a problem offers what an optimizer needs by its type and with its settings as they come.
private func fits<O: Optimizer & Configurable>(_ type: O.Type, _ problem: any Problem) -> Bool {
    guard let objective = problem as? O.Objective, O.Samples.admits(problem) else { return false }
    return (try? O().check(objective)) != nil
}

/// A target's contribution to a registry.
public protocol Plugin: SendableMetatype {
    /// The plugin's name in listings.
    static var identifier: String { get }
    static func register(in registry: inout Registry) throws
}

/// The settings of a problem, from which the problem is made.
public protocol ProblemConfiguration: Configurable {
    /// The problem; what it draws (points, data) comes from streams of `seed`. Throws where the settings cannot be met.
    func makeProblem(seed: UInt64) throws -> any Problem
}

/// The settings of a model. Which problems take it, and under which key, the problems say; the registry knows it for listings.
public protocol ModelConfiguration: Configurable {}

// MARK: Entries

public protocol RegistryEntry: Sendable {
    var name: String { get }
    var summary: String { get }
    var schema: [FieldDescription] { get }
}

public struct OptimizerEntry: RegistryEntry {
    public let name: String
    public let summary: String
    /// What the optimizer needs of a problem.
    public let need: String
    public let schema: [FieldDescription]
    let fits: @Sendable (any Problem) -> Bool
    let make: @Sendable (Setting, String) throws -> any Optimizer
}

public struct ProblemEntry: RegistryEntry {
    public let name: String
    public let summary: String
    public let schema: [FieldDescription]
    let make: @Sendable (Setting, String) throws -> any ProblemConfiguration
}

public struct CallbackEntry: RegistryEntry {
    public let name: String
    public let summary: String
    public let schema: [FieldDescription]
    let make: @Sendable (Setting, String) throws -> any Callback
}

public struct ModelEntry: RegistryEntry {
    public let name: String
    public let summary: String
    public let schema: [FieldDescription]
}

// MARK: Choosing by name

extension Registry {
    /// The optimizer that a setting names, `{name: adam, learningRate: 1e-3}` or `adam`, with its settings.
    public func optimizer(_ setting: Setting, path: String = "optimizer") throws -> any Optimizer {
        try find(setting, in: optimizers, kind: "optimizer", path: path).make(setting, path)
    }

    public func problem(_ setting: Setting, path: String = "problem") throws -> any ProblemConfiguration {
        try find(setting, in: problems, kind: "problem", path: path).make(setting, path)
    }

    public func callback(_ setting: Setting, path: String = "callbacks") throws -> any Callback {
        try find(setting, in: callbacks, kind: "callback", path: path).make(setting, path)
    }

    /// The names of the registered optimizers whose need a problem meets.
    public func optimizers(fitting problem: any Problem) -> [String] { optimizers.filter { $0.fits(problem) }.map(\.name) }

    private func find<Entry: RegistryEntry>(_ setting: Setting, in entries: [Entry], kind: String, path: String) throws -> Entry {
        guard let name = setting.text ?? setting["name"]?.text else {
            throw ConfigurationError(path: path, line: setting.line, reason: "needs the name of a registered \(kind)")
        }
        guard let entry = entries.first(where: { $0.name == name }) else {
            let known = nearest(to: name, among: entries.map(\.name)).joined(separator: ", ")
            throw ConfigurationError(
                path: path, line: setting["name"]?.line ?? setting.line, reason: "there is no \(kind) “\(name)”; there are: \(known)")
        }
        return entry
    }
}

/// A name is registered twice.
public struct RegistrationError: Error, CustomStringConvertible, Equatable {
    public var kind: String
    public var name: String

    public var description: String { "a \(kind) named “\(name)” is registered already; give one of the two another name" }
}
