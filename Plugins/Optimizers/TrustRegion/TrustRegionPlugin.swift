import OptimizationCore

/// Trust regions on the exact curvature: `trust-region`.
public enum TrustRegionPlugin: Plugin {
    public static let identifier = "trust-region"

    public static func register(in registry: inout Registry) throws { try registry.register(optimizer: TrustRegion.self) }
}
