/// A field of a registered type, for listings; what has settings of its own lists them in turn.
public struct FieldDescription: Sendable, Hashable, Encodable {
    public let name: String
    public let range: String
    /// As a configuration writes it; “none” where the setting is absent unless it is given.
    public let defaultValue: String
    public let meaning: String
    /// What the value may be, where it has settings of its own: one part, or the kinds to choose from by name.
    public let parts: [PartDescription]

    public init(name: String, range: String, defaultValue: String, meaning: String, parts: [PartDescription] = []) {
        (self.name, self.range, self.defaultValue, self.meaning, self.parts) = (name, range, defaultValue, meaning, parts)
    }
}

/// One of the kinds of a value with settings of its own.
public struct PartDescription: Sendable, Hashable, Encodable {
    public let name: String
    public let summary: String
    /// Whether it is what stands there by default.
    public let isDefault: Bool
    /// Empty where the kind has no settings, and where it stands inside one of its own kind, which lists them already.
    public let fields: [FieldDescription]
}

/// The fields of a type, with the values that they have in `C()`.
func schema<C: Configurable>(of type: C.Type) -> [FieldDescription] { describe(C(), within: [C.identifier]) }

/// The fields of an optimizer and of the wrappers that may be asked for beside them: see ``wrapped(_:_:path:)``.
func wrappedSchema<O: Optimizer & Configurable>(of type: O.Type) -> [FieldDescription] {
    func optional(_ field: FieldDescription?) -> [FieldDescription] {
        guard let field, !O.fields.contains(where: { $0.name == field.name }) else { return [] }
        return [FieldDescription(name: field.name, range: field.range, defaultValue: "none", meaning: field.meaning, parts: field.parts)]
    }
    /// The last field of each wrapper of first-order methods.
    func wrappers<M: FirstOrderMethod & Configurable>(_ method: M.Type) -> [FieldDescription?] {
        [
            schema(of: PerBlock<M>.self).last, schema(of: Clipped<M>.self).last, schema(of: Accumulated<M>.self).last,
            schema(of: Plateau<M>.self).last,
        ]
    }
    let ofFirstOrder = (type as? any (FirstOrderMethod & Configurable).Type).map { wrappers($0) } ?? []
    let ofAll = [schema(of: Bounded<O>.self).last, schema(of: Averaged<O>.self).last, schema(of: Batched<O>.self).last]
    return schema(of: type) + (ofFirstOrder + ofAll).flatMap(optional)
}

/// The fields of a problem and what may be asked for beside them: a robust loss, a transform.
func wrappedSchema<C: ProblemConfiguration>(of type: C.Type) -> [FieldDescription] {
    let offered = [schema(of: RobustConfiguration<C>.self).last, schema(of: TransformedConfiguration<C>.self).last]
    let free = offered.compactMap { $0 }.filter { field in !C.fields.contains { $0.name == field.name } }
    return schema(of: type)
        + free.map {
            FieldDescription(name: $0.name, range: $0.range, defaultValue: "none", meaning: $0.meaning, parts: $0.parts)
        }
}

/// `kinds` are the identifiers of what the value lies in, itself included: a schedule after a schedule is not described again.
private func describe<C: Configurable>(_ value: C, within kinds: [String]) -> [FieldDescription] {
    C.fields.map { field in
        let present = field.value(in: value)
        let parts = field.parts(value)
        return FieldDescription(
            name: field.name, range: field.range, defaultValue: parts.isEmpty ? present.description : present["name"]?.text ?? "",
            meaning: field.meaning,
            parts: parts.map { describe($0, isDefault: parts.count == 1 || present["name"]?.text == identifier(of: $0), within: kinds) })
    }
}

private func describe<C: Configurable>(_ part: C, isDefault: Bool, within kinds: [String]) -> PartDescription {
    PartDescription(
        name: C.identifier, summary: C.summary, isDefault: isDefault,
        fields: kinds.contains(C.identifier) ? [] : describe(part, within: kinds + [C.identifier]))
}

private func identifier<C: Configurable>(of part: C) -> String { C.identifier }
