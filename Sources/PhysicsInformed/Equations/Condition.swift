import Differentiation

/// What must hold on the boundary or at the start, imposed softly: a loss term with points of its own.
///
/// Periodic conditions tie two points to one residual: a point of the lower face and the one opposite.
/// Where the solution's symmetry allows it, conditions of single points say the same: Dirichlet's for odd data (Burgers), Neumann's for even
/// data (Allen–Cahn).
public struct Condition: Sendable {
    /// What of the field is prescribed.
    public enum Quantity: Sendable, Hashable {
        case value
        /// ∂u/∂n along the outward normal.
        case normalDerivative
        /// ∂u/∂t.
        case timeDerivative
        /// That the value and the first derivatives along an axis, up to an order, are the same at both ends of it.
        case periodicity(upTo: Int)
    }

    /// Where the condition holds.
    public enum Place: Sendable, Hashable {
        /// The beginning of time.
        case start
        case face(Face)
        /// All walls of space.
        case boundary
        /// Both faces of an axis at once, point against opposite point.
        case opposite(axis: String)
    }

    /// The name of its loss term.
    public var name: String
    public var place: Place
    public var quantity: Quantity
    public var field: Int
    /// The prescribed value at a point (its coordinates in the order of the axes).
    public var target: @Sendable ([Double]) -> Double
    /// Where the prescribed value is a function of the only coordinate of space: takes the place of `target`.
    private(set) var lineTarget: (@Sendable (Double) -> Double)?

    public init(
        _ name: String, at place: Place, _ quantity: Quantity = .value, field: Int = 0,
        target: @escaping @Sendable (_ point: [Double]) -> Double
    ) {
        (self.name, self.place, self.quantity, self.field, self.target) = (name, place, quantity, field, target)
    }

    /// u(t₀, x) = g(x) in one dimension of space.
    public static func initial(field: Int = 0, _ value: @escaping @Sendable (_ x: Double) -> Double) -> Condition {
        var condition = Condition("initial", at: .start, field: field) { _ in .nan }
        condition.lineTarget = value
        return condition
    }

    /// u(t₀, ·) = g in any number of dimensions, g being given the whole point.
    public static func initialState(field: Int = 0, values: @escaping @Sendable (_ point: [Double]) -> Double) -> Condition {
        Condition("initial", at: .start, field: field, target: values)
    }

    /// uₜ(t₀, ·) = g, given the whole point.
    public static func initialRate(field: Int = 0, values: @escaping @Sendable (_ point: [Double]) -> Double) -> Condition {
        Condition("initial-rate", at: .start, .timeDerivative, field: field, target: values)
    }

    /// u = a constant on one face.
    public static func dirichlet(at face: Face, field: Int = 0, _ value: Double) -> Condition {
        Condition("dirichlet(\(face))", at: .face(face), field: field) { _ in value }
    }

    /// u = g on one face.
    public static func dirichlet(
        at face: Face, field: Int = 0, values: @escaping @Sendable (_ point: [Double]) -> Double
    ) -> Condition {
        Condition("dirichlet(\(face))", at: .face(face), field: field, target: values)
    }

    /// u = a constant on all walls of space.
    public static func dirichlet(field: Int = 0, _ value: Double) -> Condition {
        Condition("dirichlet", at: .boundary, field: field) { _ in value }
    }

    /// u = g on all walls of space.
    public static func dirichlet(field: Int = 0, values: @escaping @Sendable (_ point: [Double]) -> Double) -> Condition {
        Condition("dirichlet", at: .boundary, field: field, target: values)
    }

    /// ∂u/∂n = a constant on one face, n pointing out of the domain.
    public static func neumann(at face: Face, field: Int = 0, _ flux: Double) -> Condition {
        Condition("neumann(\(face))", at: .face(face), .normalDerivative, field: field) { _ in flux }
    }

    /// ∂u/∂n = g on one face, n pointing out of the domain.
    public static func neumann(
        at face: Face, field: Int = 0, values: @escaping @Sendable (_ point: [Double]) -> Double
    ) -> Condition {
        Condition("neumann(\(face))", at: .face(face), .normalDerivative, field: field, target: values)
    }

    /// u, ∂u/∂x, … up to the order given are the same at both ends of an axis, at every point of the faces: as many residuals a pair of
    /// points as there are derivatives, and one.
    public static func periodic(along axis: String, field: Int = 0, derivativesUpTo order: Int = 1) -> Condition {
        precondition(order >= 0, "periodicity up to a derivative of order \(order)")
        return Condition("periodic(\(axis))", at: .opposite(axis: axis), .periodicity(upTo: order), field: field) { _ in 0 }
    }

    /// The same condition under another name: what weights and reports call its term.
    public func named(_ name: String) -> Condition {
        var copy = self
        copy.name = name
        return copy
    }

    /// How many points a residual ties together.
    var pointsTogether: Int { if case .periodicity = quantity { 2 } else { 1 } }

    /// The names of the columns of data that the residuals read beside the normals.
    var dataNames: [String] { pointsTogether == 1 ? ["target"] : [] }

    /// The residuals: what is prescribed less the target, which comes as the datum “target”; or the difference between both ends.
    func residuals(_ u: Fields, at p: Point, on axes: Axes) throws -> [Residual] {
        switch quantity {
        case .value: return [Residual(name, u[field] - p.data("target"))]
        case .timeDerivative: return [Residual(name, u[field].d(axes.time ?? 0) - p.data("target"))]
        case .normalDerivative:
            let normal = p.normal
            // Over all axes: the component along time is zero on a wall.
            let slope = normal.indices.dropFirst().reduce(normal[0] * u[field].d(0)) { $0 + normal[$1] * u[field].d($1) }
            return [Residual(name, slope - p.data("target"))]
        case .periodicity(let highest):
            guard case .opposite(let axis) = place else { preconditionFailure("periodicity holds between opposite faces") }
            let position = try axes.position(of: axis)
            var (lower, upper) = (u[field], u.at(1)[field])
            return (0...highest).map { order in
                defer { (lower, upper) = (lower.d(position), upper.d(position)) }
                return Residual("\(name), order \(order)", lower - upper)
            }
        }
    }
}
