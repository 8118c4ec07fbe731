import OptimizationCore

/// Quasi-Newton methods: `l-bfgs`, `l-bfgs-b`, `bfgs`, `self-scaled-broyden` and `trust-region-quasi-newton`.
public enum QuasiNewtonPlugin: Plugin {
    public static let identifier = "quasi-newton"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: LBFGS.self)
        try registry.register(optimizer: LBFGSB.self)
        try registry.register(optimizer: BFGS.self)
        try registry.register(optimizer: SelfScaledBroyden.self)
        try registry.register(optimizer: TrustRegionQuasiNewton.self)
    }
}
