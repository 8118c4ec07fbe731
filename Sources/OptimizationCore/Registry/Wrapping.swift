/// The optimizer that a setting describes, in the wrappers that it names beside the method's own settings:
/// `{name: adam, learningRate: 1e-3, clipNorm: 1, batch: {size: 256}}` is `Batched(Clipped(Adam(…), norm: 1), size: 256)`, with `bounds` a
/// ``Bounded`` one inside of the batches.
///
/// A method that has a setting of a wrapper's name keeps it for itself.
func wrapped<O: Optimizer & Configurable>(_ type: O.Type, _ setting: Setting, path: String) throws -> any Optimizer {
    func asks(for key: String) -> Bool { setting[key] != nil && !O.fields.contains { $0.name == key } }
    if asks(for: ClippedKey.norm), let method = type as? any (FirstOrderMethod & Configurable).Type {
        return try clipped(method, setting, path: path)
    }
    if asks(for: ParameterBounds.key) { return try wrapped(Bounded<O>.self, setting, path: path) }
    if asks(for: BatchSettings.identifier) { return try wrapped(Batched<O>.self, setting, path: path) }
    return try O(setting, path: path)
}

private func clipped<M: FirstOrderMethod & Configurable>(_ type: M.Type, _ setting: Setting, path: String) throws -> any Optimizer {
    try wrapped(Clipped<M>.self, setting, path: path)
}

/// The problem that a setting describes, its loss transformed where `lossTransform` stands beside its own settings.
func wrapped<C: ProblemConfiguration>(_ type: C.Type, _ setting: Setting, path: String) throws -> any ProblemConfiguration {
    let key = TransformedConfiguration<C>.key
    guard setting[key] != nil, !C.fields.contains(where: { $0.name == key }) else { return try C(setting, path: path) }
    return try TransformedConfiguration<C>(setting, path: path)
}
