import OptimizationCore

/// Ends the run when the held-out loss, or the error against the reference, no longer improves.
///
/// Measured every `cadence` iterations; after `patience` measurements without a new minimum by the factor
/// 1 − `minimumImprovement`, the run stops with outcome `stopped`. A new version of the problem begins a new count of the
/// monitor loss, whose values at different versions are not compared.
public struct EarlyStop: Callback, Configurable {
    public enum Quantity: String, CaseIterable, Sendable { case monitorLoss, referenceError }

    public var quantity = Quantity.monitorLoss
    public var cadence = 100
    public var patience = 10
    public var minimumImprovement = 1e-3

    public init() {}

    public init(_ quantity: Quantity, every cadence: Int = 100, patience: Int = 10, minimumImprovement: Double = 1e-3) {
        precondition(cadence > 0 && patience > 0, "cadence and patience must be positive")
        (self.quantity, self.cadence, self.patience) = (quantity, cadence, patience)
        self.minimumImprovement = minimumImprovement
    }

    public static var identifier: String { "early-stop" }
    public static var summary: String { "ends the run when the held-out loss or the error no longer improves" }
    public static var fields: [Field<EarlyStop>] {
        [
            .choice("quantity", \.quantity, meaning: "what must improve"),
            .integer("every", \.cadence, atLeast: 1, meaning: "iterations between measurements"),
            .integer("patience", \.patience, atLeast: 1, meaning: "measurements without a new minimum"),
            .number("minimumImprovement", \.minimumImprovement, in: .fraction, meaning: "relative improvement that counts"),
        ]
    }

    public var name: String { Self.identifier }

    public struct State: Checkpointable, Equatable {
        var version = 0
        var minimum = Double.infinity
        var sinceMinimum = 0

        public func encode(into archive: inout Archive) {
            archive.set("version", version)
            archive.set("minimum", minimum)
            archive.set("sinceMinimum", sinceMinimum)
        }

        init() {}

        public init(from archive: Archive) throws {
            version = try archive.count("version")
            minimum = try archive.double("minimum")
            sinceMinimum = try archive.count("sinceMinimum")
        }
    }

    public func start(in observation: Observation) -> State { State() }

    public func handle(_ event: RunEvent, state: inout State, in observation: Observation) throws -> [RunRequest] {
        guard case .stepTaken = event, observation.totalIteration % cadence == 0 else { return [] }
        let measured = quantity == .monitorLoss ? try observation.monitorLoss() : try observation.referenceError()
        guard let measured else { return [] }
        if quantity == .monitorLoss, state.version != observation.version {
            state = State()
            state.version = observation.version
        }
        if measured < state.minimum * (1 - minimumImprovement) {
            (state.minimum, state.sinceMinimum) = (measured, 0)
            return []
        }
        state.sinceMinimum += 1
        guard state.sinceMinimum >= patience else { return [] }
        return [.stop(.stopped("\(quantity.rawValue) had its minimum, \(state.minimum), \(state.sinceMinimum) measurements ago"))]
    }
}
