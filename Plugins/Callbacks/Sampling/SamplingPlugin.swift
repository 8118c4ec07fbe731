import OptimizationCore

/// Registers the callbacks that draw training points anew or weight them.
public enum SamplingPlugin: Plugin {
    public static let identifier = "sampling"

    public static func register(in registry: inout Registry) throws {
        try registry.register(callback: ResidualAdaptiveResampling.self)
        try registry.register(callback: CausalWeights.self)
    }
}
