import Curvature

/// The settings of a registered type as text: a line each with default, range and meaning; what has settings of its own is followed by
/// them, further in.
package func schemaLines(of fields: [FieldDescription], indent: Int = 2) -> [String] {
    let margin = String(repeating: " ", count: indent)
    let (names, defaults, ranges) = (
        fields.map(\.name.count).max() ?? 0, fields.map(\.defaultValue.count).max() ?? 0, fields.map(\.range.count).max() ?? 0
    )
    return fields.flatMap { field in
        let line =
            "\(margin)\(field.name.padded(to: names))  \(field.defaultValue.padded(to: defaults))  \(field.range.padded(to: ranges))  "
            + field.meaning
        guard field.parts.count > 1 else {
            return [line] + field.parts.flatMap { schemaLines(of: $0.fields, indent: indent + 4) }
        }
        return [line]
            + field.parts.flatMap { part in
                let mark = part.isDefault ? " (default)" : ""
                return ["\(margin)    \(part.name)\(mark): \(part.summary)"] + schemaLines(of: part.fields, indent: indent + 8)
            }
    }
}
