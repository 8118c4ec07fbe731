import OptimizationCore

/// Newton's method with the exact curvature, by products or whole: `newton-cg`, `newton-minres`, `nystrom-newton-cg`, `newton`,
/// `saddle-free-newton` and `cubic-regularization`.
public enum NewtonKrylovPlugin: Plugin {
    public static let identifier = "newton-krylov"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: NewtonCG.self)
        try registry.register(optimizer: NewtonMINRES.self)
        try registry.register(optimizer: NystromNewtonCG.self)
        try registry.register(optimizer: Newton.self)
        try registry.register(optimizer: SaddleFreeNewton.self)
        try registry.register(optimizer: CubicRegularization.self)
    }
}
