import OptimizationCore

/// Methods on the residual: `levenberg-marquardt`, `gauss-newton`, `dogleg` and `singular-value-trust-region`.
public enum LeastSquaresPlugin: Plugin {
    public static let identifier = "least-squares"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: LevenbergMarquardt.self)
        try registry.register(optimizer: GaussNewton.self)
        try registry.register(optimizer: Dogleg.self)
        try registry.register(optimizer: SingularValueTrustRegion.self)
    }
}
