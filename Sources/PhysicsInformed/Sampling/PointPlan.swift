import OptimizationCore

/// How many points each loss term has, how they are spread, and what each term weighs.
///
/// L = ½ Σ over the terms of (weight / points) · Σ over the points of r². Counts and weights of `initial` and `boundary` are for
/// conditions at the start of time and on walls: the points of a kind are shared out evenly among the conditions of that kind, the
/// weight is that of each of them.
public struct PointPlan: Sendable, Hashable {
    public var interior: Int
    public var initial: Int
    public var boundary: Int
    /// Points of the interior that training never sees, on which the monitor loss is measured; 0 for none. The conditions are
    /// monitored on as many fresh points as they are trained on.
    public var monitor: Int
    public var sampling: PointSampling
    public var interiorWeight: Double
    public var initialWeight: Double
    public var boundaryWeight: Double

    public init(
        interior: Int, initial: Int = 100, boundary: Int = 200, monitor: Int = 1000, sampling: PointSampling = .sobol,
        interiorWeight: Double = 1, initialWeight: Double = 1, boundaryWeight: Double = 1
    ) {
        (self.interior, self.initial, self.boundary, self.monitor) = (interior, initial, boundary, monitor)
        self.sampling = sampling
        (self.interiorWeight, self.initialWeight, self.boundaryWeight) = (interiorWeight, initialWeight, boundaryWeight)
    }

    public init() { self.init(interior: 1000) }

    func validate(for conditions: [Condition]) throws {
        guard interior > 0 else { throw PhysicsError("\(interior) interior points were asked for: at least one is needed") }
        guard monitor >= 0 else { throw PhysicsError("\(monitor) monitor points were asked for: 0 stands for none") }
        for (kind, weight) in [("interior", interiorWeight), ("initial", initialWeight), ("boundary", boundaryWeight)] {
            guard weight >= 0, weight.isFinite else {
                throw PhysicsError("the \(kind) weight is \(weight): it must be finite and not negative")
            }
        }
        for condition in conditions {
            let (points, _) = share(of: condition, among: conditions)
            let kind = condition.place == .start ? "initial" : "boundary"
            guard points > 0 else {
                throw PhysicsError("condition “\(condition.name)” gets no points: give more \(kind) points (now \(total(of: kind)))")
            }
        }
    }

    /// Throws where the points would not fit in memory: coordinates as drawn, as programs hold them, and the data beside them.
    func requireMemory(dimension: Int) throws {
        let count = [interior, initial, boundary, monitor].reduce(0.0) { $0 + Double($1) }
        try OptimizationCore.requireMemory(
            forNumbers: count * Double(4 * dimension + 4), as: "\(Int(count)) points in \(dimension) dimensions", path: "points",
            advice: "take fewer points")
    }

    private func total(of kind: String) -> Int { kind == "initial" ? initial : boundary }

    /// The points and the weight of one condition.
    func share(of condition: Condition, among conditions: [Condition]) -> (points: Int, weight: Double) {
        let isInitial = condition.place == .start
        let peers = conditions.filter { ($0.place == .start) == isInitial }
        let position = peers.firstIndex { $0.name == condition.name } ?? 0
        let total = max(0, isInitial ? initial : boundary)
        // The remainder goes to the first ones, a point each.
        let points = total / peers.count + (position < total % peers.count ? 1 : 0)
        return (points, isInitial ? initialWeight : boundaryWeight)
    }
}

extension PointPlan: Configurable {
    public static let identifier = "points"
    public static let summary = "how many points each loss term has, how they are spread, and what each term weighs"
    public static var fields: [Field<Self>] {
        [
            .integer("interior", \.interior, atLeast: 1, meaning: "points where the equation is imposed"),
            .integer("initial", \.initial, meaning: "points of all initial conditions together"),
            .integer("boundary", \.boundary, meaning: "points of all boundary conditions together"),
            .integer(
                "monitor", \.monitor,
                meaning: "points of the interior kept out of training, on which the monitor loss is measured; 0 for none"),
            .choice("sampling", \.sampling, meaning: "how points are spread"),
            .number("interiorWeight", \.interiorWeight, in: .nonNegative, meaning: "weight of the equation"),
            .number("initialWeight", \.initialWeight, in: .nonNegative, meaning: "weight of each initial condition"),
            .number("boundaryWeight", \.boundaryWeight, in: .nonNegative, meaning: "weight of each boundary condition"),
        ]
    }
}
