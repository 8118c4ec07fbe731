import ArgumentParser
import Curvature

/// `curvature list`: what can be chosen by name, and the settings of each.
struct ListCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the optimizers, problems, models and callbacks, or the settings of one.")

    @Argument(help: "optimizers, problems, models, callbacks, or the name of one of them.")
    var what: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run(with registry: Registry) throws {
        if json { return try registry.report(on: what).show() }
        switch what {
        case nil:
            show("optimizers", registry.optimizers)
            show("problems", registry.problems)
            show("models", registry.models)
            show("callbacks", registry.callbacks)
        case "optimizers": show("optimizers", registry.optimizers)
        case "problems": show("problems", registry.problems)
        case "models": show("models", registry.models)
        case "callbacks": show("callbacks", registry.callbacks)
        case .some(let name): try describe(name, in: registry)
        }
    }

    private func show(_ title: String, _ entries: [any RegistryEntry]) {
        print("\(title):")
        let width = entries.map(\.name.count).max() ?? 0
        for entry in entries { print("  \(entry.name.padded(to: width))  \(entry.summary)") }
    }

    private func describe(_ name: String, in registry: Registry) throws {
        let entries: [any RegistryEntry] = registry.optimizers + registry.problems + registry.models + registry.callbacks
        guard let entry = entries.first(where: { $0.name == name }) else {
            let known = nearest(to: name, among: entries.map(\.name)).joined(separator: ", ")
            throw ConfigurationError(path: name, reason: "is not registered; there are: \(known)")
        }
        print("\(entry.name): \(entry.summary)")
        if let optimizer = entry as? OptimizerEntry { print("needs: \(optimizer.need)") }
        for line in schemaLines(of: entry.schema) { print(line) }
    }
}

extension String {
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
