import OptimizationCore

/// Methods that know JᵀJ by the Kronecker factors of its layers: `kfac` and `ekfac`.
public enum KroneckerCurvaturePlugin: Plugin {
    public static let identifier = "kronecker-curvature"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: KFAC.self)
        try registry.register(optimizer: EKFAC.self)
    }
}
