import OptimizationCore

/// First-order methods that see a layer's weights as a matrix: `shampoo`, `soap`, `muon`, `psgd-kron`.
public enum MatrixPreconditionersPlugin: Plugin {
    public static let identifier = "matrix-preconditioners"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: Shampoo.self)
        try registry.register(optimizer: SOAP.self)
        try registry.register(optimizer: Muon.self)
        try registry.register(optimizer: PSGDKron.self)
    }
}
