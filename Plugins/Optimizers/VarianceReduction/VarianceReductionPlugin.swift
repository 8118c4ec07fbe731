import OptimizationCore

/// First-order methods on batches whose noise vanishes at the minimum: `svrg`, `l-svrg`, `sarah`, `saga`.
public enum VarianceReductionPlugin: Plugin {
    public static let identifier = "variance-reduction"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: SVRG.self)
        try registry.register(optimizer: LooplessSVRG.self)
        try registry.register(optimizer: SARAH.self)
        try registry.register(optimizer: SAGA.self)
    }
}
