import OptimizationCore

extension Setting {
    /// The setting with `path=value` applied; the value is read as YAML.
    package func overridden(by text: String) throws -> Setting {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
            throw ConfigurationError(path: "--set", reason: "“\(text)” should be path=value")
        }
        let path = text[..<equals].split(separator: ".").map(String.init)
        let value = try YAML.setting(from: String(text[text.index(after: equals)...]), file: "--set \(text)")
        return try setting(path, to: value.withoutLines, within: "--set \(text)")
    }

    /// The configuration with the rule of its last stage replaced by one written in YAML.
    func endingLastStage(by rule: String) throws -> Setting {
        guard case .list(let stages)? = self["stages"]?.value, !stages.isEmpty else {
            throw ConfigurationError(path: "stages", reason: "should be a list of at least one stage")
        }
        let value: Setting
        do { value = try YAML.setting(from: rule, file: "--until").withoutLines } catch let error as ConfigurationError {
            throw ConfigurationError(path: "--until", reason: error.reason)
        }
        _ = try StoppingRule(value, path: "--until")
        return try setting(["stages", String(stages.count - 1), "until"], to: value, within: "--until \(rule)")
    }

    /// Like `setting(_:to:)`, with whole numbers indexing lists.
    private func setting(_ path: [String], to newValue: Setting, within place: String) throws -> Setting {
        guard let key = path.first else { return newValue }
        let rest = Array(path.dropFirst())
        guard case .list(var items) = value else {
            // A name alone stands for {name: …}: a setting within it keeps the name.
            if let name = self.text { return try Setting.map([.init("name", .scalar(name))]).setting(path, to: newValue, within: place) }
            let child = self[key] ?? Setting.map([])
            return setting([key], to: try child.setting(rest, to: newValue, within: place))
        }
        guard let index = Int(key), items.indices.contains(index) else {
            throw ConfigurationError(path: place, reason: "“\(key)” is not an index of a list of \(items.count)")
        }
        items[index] = try items[index].setting(rest, to: newValue, within: place)
        return Setting(.list(items), line: line)
    }

    /// The setting without lines: one that does not stand in the configuration file.
    private var withoutLines: Setting {
        switch value {
        case .scalar: Setting(value)
        case .list(let items): .list(items.map(\.withoutLines))
        case .map(let pairs): .map(pairs.map { .init($0.key, $0.value.withoutLines) })
        }
    }
}
