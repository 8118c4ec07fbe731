import OptimizationCore

/// Methods on the residual: `levenberg-marquardt`, `gauss-newton`, `dogleg`,
/// `singular-value-trust-region` and `variable-projection`.
public enum LeastSquaresPlugin: Plugin {
    public static let identifier = "least-squares"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: LevenbergMarquardt.self)
        try registry.register(optimizer: GaussNewton.self)
        try registry.register(optimizer: Dogleg.self)
        try registry.register(optimizer: SingularValueTrustRegion.self)
        try registry.register(optimizer: VariableProjection.self)
    }
}
