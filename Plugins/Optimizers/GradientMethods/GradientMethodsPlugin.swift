import OptimizationCore

/// Methods that need no more than gradients: `gradient-descent`, `barzilai-borwein`, `heavy-ball`, `nesterov`, `nonlinear-cg`.
public enum GradientMethodsPlugin: Plugin {
    public static let identifier = "gradient-methods"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: GradientDescent.self)
        try registry.register(optimizer: BarzilaiBorwein.self)
        try registry.register(optimizer: HeavyBall.self)
        try registry.register(optimizer: Nesterov.self)
        try registry.register(optimizer: ConjugateGradient.self)
    }
}
