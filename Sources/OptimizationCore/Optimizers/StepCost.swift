/// What one step of a method costs, as a rule: evaluations of the problem, and arithmetic of its own beside them.
public struct StepCost: Sendable, Hashable {
    /// How much work of a kind.
    public struct Item: Sendable, Hashable {
        public var work: Work
        public var count: Double

        public init(_ work: Work, _ count: Double) { (self.work, self.count) = (work, count) }
    }

    public var evaluations: [Item]
    /// Floating-point operations beside the evaluations.
    public var flops: Double
    /// Whether the evaluations are of a batch.
    public var isOnBatch: Bool

    public init(_ evaluations: [Item], flops: Double, isOnBatch: Bool = false) {
        (self.evaluations, self.flops, self.isOnBatch) = (evaluations, flops, isOnBatch)
    }

    /// Whether a step takes more than one product with J, Jᵀ or H, so that what an operator keeps between products is held.
    var reusesOperators: Bool {
        let products: Set<Work> = [.jacobianProduct, .transposedProduct, .hessianProduct]
        return evaluations.filter { products.contains($0.work) }.reduce(0) { $0 + $1.count } > 1
    }
}

extension StepCost: CustomStringConvertible {
    /// “1 gradient + 12 Mflop”.
    public var description: String {
        let items = evaluations.map { "\(short($0.count)) \($0.count == 1 ? $0.work.singular : $0.work.name)" }
        return items.joined(separator: " + ") + (isOnBatch ? " of a batch" : "") + " + \(operations(flops))"
    }

}

/// “12 Mflop”.
func operations(_ flops: Double) -> String {
    for (unit, size) in [("Tflop", 1e12), ("Gflop", 1e9), ("Mflop", 1e6), ("kflop", 1e3)] where flops >= size {
        return "\(short(flops / size)) \(unit)"
    }
    return "\(short(flops)) flop"
}

extension Work {
    /// The name of one of it.
    var singular: String {
        switch self {
        case .loss: "loss"
        case .gradient: "gradient"
        case .residual: "residual"
        case .linearization: "linearization"
        case .jacobianProduct: "J·v"
        case .transposedProduct: "Jᵀ·w"
        case .jacobianRow: "row of J"
        case .hessianProduct: "H·v"
        case .linearIteration: "linear iteration"
        }
    }
}
