import OptimizationCore
import Yams

/// Reads and writes settings as YAML.
package enum YAML {
    /// The setting that a YAML text says, each part with its line. Throws a ``ConfigurationError`` with the line where the text is
    /// not YAML, holds a key twice, or has too many parts.
    package static func setting(from text: String, file: String) throws -> Setting {
        let node: Node?
        do {
            node = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw ConfigurationError(path: file, reason: "is not YAML: \(error)")
        }
        guard let node else { throw ConfigurationError(path: file, reason: "is empty; it needs at least “problem” and “stages”") }
        var left = 100_000
        return try setting(from: node, file: file, depth: 0, left: &left)
    }

    private static func setting(from node: Node, file: String, depth: Int, left: inout Int) throws -> Setting {
        let line = node.mark?.line
        left -= 1
        // An alias stands for all that its anchor holds: a few lines of them can stand for more than fits in memory.
        guard left >= 0 else { throw ConfigurationError(path: file, line: line, reason: "has more than 100000 parts, aliases written out") }
        guard depth < 64 else { throw ConfigurationError(path: file, line: line, reason: "is nested more than 64 deep") }
        switch node {
        case .scalar(let scalar): return Setting(.scalar(scalar.string), line: line)
        case .sequence(let items):
            return Setting(.list(try items.map { try setting(from: $0, file: file, depth: depth + 1, left: &left) }), line: line)
        case .mapping(let pairs):
            var seen: [Setting.Pair] = []
            for (key, value) in pairs {
                guard case .scalar(let name) = key else {
                    throw ConfigurationError(path: file, line: key.mark?.line, reason: "a key must be a word")
                }
                guard !seen.contains(where: { $0.key == name.string }) else {
                    throw ConfigurationError(path: name.string, line: key.mark?.line, reason: "is given twice")
                }
                var part = try setting(from: value, file: file, depth: depth + 1, left: &left)
                part.line = key.mark?.line ?? part.line
                seen.append(Setting.Pair(name.string, part))
            }
            return Setting(.map(seen), line: line)
        case .alias: throw ConfigurationError(path: file, line: line, reason: "anchors and aliases are not supported")
        }
    }

    /// A setting as a YAML document.
    package static func text(of setting: Setting) throws -> String { try Yams.serialize(node: node(of: setting)) }

    private static func node(of setting: Setting) -> Node {
        switch setting.value {
        case .scalar(let text): .scalar(Node.Scalar(text, Tag.implicit, .any))
        case .list(let items): .sequence(Node.Sequence(items.map(node)))
        case .map(let pairs): .mapping(Node.Mapping(pairs.map { (Node($0.key), node(of: $0.value)) }))
        }
    }
}
