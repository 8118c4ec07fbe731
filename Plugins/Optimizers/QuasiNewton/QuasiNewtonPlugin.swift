import OptimizationCore

/// Quasi-Newton methods: `l-bfgs` and `self-scaled-broyden`.
public enum QuasiNewtonPlugin: Plugin {
    public static let identifier = "quasi-newton"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: LBFGS.self)
        try registry.register(optimizer: SelfScaledBroyden.self)
    }
}
