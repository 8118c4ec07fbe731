import OptimizationCore

public enum RunControlPlugin: Plugin {
    public static var identifier: String { "run-control" }
    public static func register(in registry: inout Registry) throws { try registry.register(callback: EarlyStop.self) }
}
