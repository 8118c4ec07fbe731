import OptimizationCore

/// First-order methods: `adam`.
public enum StochasticGradientPlugin: Plugin {
    public static let identifier = "stochastic-gradient"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: Adam.self)
    }
}
