import Curvature

extension Registry {
    /// What `list --json` prints: an array of entries for each kind asked for, or one entry, each with all its settings.
    func report(on what: String?) throws -> JSONReport {
        let kinds: [(name: String, entries: [any RegistryEntry])] = [
            ("optimizers", optimizers), ("problems", problems), ("models", models), ("callbacks", callbacks),
        ]
        let asked = kinds.filter { what == nil || what == $0.name }
        if !asked.isEmpty { return .object(asked.map { .init($0.name, .list($0.entries.map { JSONReport($0) })) }) }
        guard let entry = kinds.flatMap(\.entries).first(where: { $0.name == what }) else {
            let known = nearest(to: what ?? "", among: kinds.flatMap(\.entries).map(\.name)).joined(separator: ", ")
            throw ConfigurationError(path: what ?? "", reason: "is not registered; there are: \(known)")
        }
        return JSONReport(entry)
    }
}

extension JSONReport {
    /// An entry of the registry with its settings.
    init(_ entry: any RegistryEntry) {
        let head: JSONReport = ["name": .text(entry.name), "summary": .text(entry.summary)]
        let need = (entry as? OptimizerEntry).map { JSONReport.object([.init("needs", .text($0.need))]) } ?? .object([])
        self = head.adding(need).adding(["settings": .list(entry.schema.map { JSONReport($0) })])
    }

    /// A setting; `parts` holds what it may be where it has settings of its own.
    private init(_ field: FieldDescription) {
        let parts = field.parts.map { part -> JSONReport in
            [
                "name": .text(part.name), "summary": .text(part.summary), "isDefault": .truth(part.isDefault),
                "settings": .list(part.fields.map { JSONReport($0) }),
            ]
        }
        let line: JSONReport = [
            "name": .text(field.name), "default": .text(field.defaultValue), "range": .text(field.range), "meaning": .text(field.meaning),
        ]
        self = parts.isEmpty ? line : line.adding(["parts": .list(parts)])
    }
}
