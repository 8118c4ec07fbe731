import OptimizationCore

/// Methods of second order on samples: `subsampled-newton-cg`, `subsampled-gauss-newton`, `online-l-bfgs`, `progressive-l-bfgs`,
/// `adahessian`, `sophia`, `sketchy-sgd` and `stochastic-trust-region`.
public enum StochasticCurvaturePlugin: Plugin {
    public static let identifier = "stochastic-curvature"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: SubsampledNewtonCG.self)
        try registry.register(optimizer: SubsampledGaussNewton.self)
        try registry.register(optimizer: OnlineLBFGS.self)
        try registry.register(optimizer: ProgressiveLBFGS.self)
        try registry.register(optimizer: AdaHessian.self)
        try registry.register(optimizer: Sophia.self)
        try registry.register(optimizer: SketchySGD.self)
        try registry.register(optimizer: StochasticTrustRegion.self)
    }
}
