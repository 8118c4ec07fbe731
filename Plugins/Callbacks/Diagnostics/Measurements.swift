import OptimizationCore

/// Measures the error against the reference, ‖u_θ − u‖₂ / ‖u‖₂, every few iterations and records it as `referenceError`.
public struct RecordReferenceError: Callback, Configurable {
    public var cadence = 100

    public init() {}

    public init(every cadence: Int) {
        precondition(cadence > 0, "an error cannot be measured every \(cadence) iterations")
        self.cadence = cadence
    }

    public static var identifier: String { "reference-error" }
    public static var summary: String { "records the relative error against the reference solution" }
    public static var fields: [Field<RecordReferenceError>] {
        [.integer("every", \.cadence, atLeast: 1, meaning: "iterations between measurements")]
    }

    public var name: String { Self.identifier }

    public func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) throws -> [RunRequest] {
        guard case .stepTaken = event, observation.totalIteration % cadence == 0 || observation.totalIteration == 1 else { return [] }
        return try observation.referenceError().map { [.record(.init("referenceError", $0))] } ?? []
    }
}

/// Measures the loss on held-out samples every few iterations and records it as `monitorLoss`.
public struct RecordMonitorLoss: Callback, Configurable {
    public var cadence = 100

    public init() {}

    public init(every cadence: Int) {
        precondition(cadence > 0, "a loss cannot be measured every \(cadence) iterations")
        self.cadence = cadence
    }

    public static var identifier: String { "monitor-loss" }
    public static var summary: String { "records the loss on held-out samples" }
    public static var fields: [Field<RecordMonitorLoss>] {
        [.integer("every", \.cadence, atLeast: 1, meaning: "iterations between measurements")]
    }

    public var name: String { Self.identifier }

    public func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) throws -> [RunRequest] {
        guard case .stepTaken = event, observation.totalIteration % cadence == 0 else { return [] }
        return try observation.monitorLoss().map { [.record(.init("monitorLoss", $0))] } ?? []
    }
}

public enum DiagnosticsPlugin: Plugin {
    public static var identifier: String { "diagnostics" }
    public static func register(in registry: inout Registry) throws {
        try registry.register(callback: RecordReferenceError.self)
        try registry.register(callback: RecordMonitorLoss.self)
        try registry.register(callback: RecordSpectrum.self)
        try registry.register(callback: RecordTermGradients.self)
        try registry.register(callback: RecordJacobianRank.self)
    }
}
