/// The optimizer that a setting describes, in the wrappers that it names beside the method's own settings:
/// `{name: adam, learningRate: 1e-3, clipNorm: 1, batch: {size: 256}}` is `Batched(Clipped(Adam(…), norm: 1), size: 256)`.
///
/// From the inside out: ``PerBlock`` (`blocks`), ``Clipped`` (`clipNorm`), ``Accumulated`` (`accumulate`) and ``Plateau`` (`plateau`) of
/// first-order methods; ``Bounded`` (`bounds`), ``Averaged`` (`average`) and ``Batched`` (`batch`) of any. So the norm of the mean gradient
/// over all blocks is clipped, averages keep to bounds, and everything within a step is of one batch. A method that has a setting of a
/// wrapper's name keeps it for itself.
func wrapped<O: Optimizer & Configurable>(_ type: O.Type, _ setting: Setting, path: String) throws -> any Optimizer {
    func asks(for key: String) -> Bool { setting[key] != nil && !O.fields.contains { $0.name == key } }
    if let method = type as? any (FirstOrderMethod & Configurable).Type {
        func wrap<M: FirstOrderMethod & Configurable>(_ method: M.Type) throws -> (any Optimizer)? {
            if asks(for: PerBlockKey.blocks) { return try wrapped(PerBlock<M>.self, setting, path: path) }
            if asks(for: ClippedKey.norm) { return try wrapped(Clipped<M>.self, setting, path: path) }
            if asks(for: AccumulatedKey.batches) {
                guard setting[BatchSettings.identifier] != nil else {
                    throw ConfigurationError(
                        path: "\(path).\(AccumulatedKey.batches)", line: setting[AccumulatedKey.batches]?.line,
                        reason: "gradients are accumulated over batches, and there are none; give `batch` beside it")
                }
                return try wrapped(Accumulated<M>.self, setting, path: path)
            }
            if asks(for: PlateauSettings.identifier) { return try wrapped(Plateau<M>.self, setting, path: path) }
            return nil
        }
        if let optimizer = try wrap(method) { return optimizer }
    }
    if asks(for: ParameterBounds.key) { return try wrapped(Bounded<O>.self, setting, path: path) }
    if asks(for: AveragingSettings.identifier) { return try wrapped(Averaged<O>.self, setting, path: path) }
    if asks(for: BatchSettings.identifier) { return try wrapped(Batched<O>.self, setting, path: path) }
    return try O(setting, path: path)
}

/// The problem that a setting describes, robust where `robustLoss` stands beside its own settings, and its loss transformed where
/// `lossTransform` does: first the one, then the other.
func wrapped<C: ProblemConfiguration>(_ type: C.Type, _ setting: Setting, path: String) throws -> any ProblemConfiguration {
    func asks(for key: String) -> Bool { setting[key] != nil && !C.fields.contains { $0.name == key } }
    switch (asks(for: RobustConfiguration<C>.key), asks(for: TransformedConfiguration<C>.key)) {
    case (false, false): return try C(setting, path: path)
    case (false, true): return try TransformedConfiguration<C>(setting, path: path)
    case (true, false): return try RobustConfiguration<C>(setting, path: path)
    case (true, true): return try TransformedConfiguration<RobustConfiguration<C>>(setting, path: path)
    }
}
