import OptimizationCore

/// Methods that precondition a residual's gradient with the metric of its tangent space: `natural-gradient` and `hessian-free`.
public enum NaturalGradientPlugin: Plugin {
    public static let identifier = "natural-gradient"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: NaturalGradient.self)
        try registry.register(optimizer: HessianFree.self)
    }
}
