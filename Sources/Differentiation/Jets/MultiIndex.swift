/// The order of a derivative along each coordinate: for (t, x), `[1, 0]` is ∂ₜ, `[0, 2]` is ∂ₓₓ, `[0, 0]` the value.
///
/// Ordered by total order, then with the earlier coordinates first: u, uₜ, uₓ, uₜₜ, uₜₓ, uₓₓ, ….
public struct MultiIndex: Hashable, Comparable, Sendable {
    /// The derivative's order along each coordinate.
    public let orders: [UInt8]

    public init(_ orders: [UInt8]) { self.orders = orders }

    /// The index of the value itself in `dimension` coordinates.
    public static func value(dimension: Int) -> MultiIndex { MultiIndex(Array(repeating: 0, count: dimension)) }

    /// The derivative of order `order` along one coordinate.
    public static func along(_ coordinate: Int, order: Int = 1, dimension: Int) -> MultiIndex {
        precondition(coordinate >= 0 && coordinate < dimension, "coordinate \(coordinate) of \(dimension)")
        precondition(order >= 0 && order <= 255, "a derivative of order \(order)")
        var orders = [UInt8](repeating: 0, count: dimension)
        orders[coordinate] = UInt8(order)
        return MultiIndex(orders)
    }

    /// The number of coordinates.
    public var dimension: Int { orders.count }

    /// The total order |α| = Σ αᵢ.
    public var order: Int { orders.reduce(0) { $0 + Int($1) } }

    /// The derivative taken one order further along a coordinate.
    public func raised(along coordinate: Int) -> MultiIndex {
        var raised = orders
        raised[coordinate] += 1
        return MultiIndex(raised)
    }

    /// The derivative taken one order less along a coordinate; nil where it has none.
    public func lowered(along coordinate: Int) -> MultiIndex? {
        guard orders[coordinate] > 0 else { return nil }
        var lowered = orders
        lowered[coordinate] -= 1
        return MultiIndex(lowered)
    }

    public static func < (a: MultiIndex, b: MultiIndex) -> Bool {
        precondition(a.dimension == b.dimension, "derivatives in \(a.dimension) and in \(b.dimension) coordinates")
        if a.order != b.order { return a.order < b.order }
        return b.orders.lexicographicallyPrecedes(a.orders)
    }
}
