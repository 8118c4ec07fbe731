import Differentiation

/// A box with named axes, one of which may be time: where a PDE is posed.
public struct Domain: Sendable, Hashable {
    public let axes: Axes
    /// The box [lower, upper] along each axis.
    public let ranges: [ClosedRange<Double>]

    /// A box from its axes in order; `time` names the axis of time, if there is one.
    public init(_ box: [(name: String, range: ClosedRange<Double>)], time: String? = nil) {
        axes = Axes(box.map(\.name), time: time)
        ranges = box.map(\.range)
    }

    public static func box(x: ClosedRange<Double>) -> Domain { Domain([("x", x)]) }

    public static func box(x: ClosedRange<Double>, y: ClosedRange<Double>) -> Domain { Domain([("x", x), ("y", y)]) }

    public static func box(x: ClosedRange<Double>, y: ClosedRange<Double>, z: ClosedRange<Double>) -> Domain {
        Domain([("x", x), ("y", y), ("z", z)])
    }

    public static func timeSpace(t: ClosedRange<Double>, x: ClosedRange<Double>) -> Domain {
        Domain([("t", t), ("x", x)], time: "t")
    }

    public static func timeSpace(t: ClosedRange<Double>, x: ClosedRange<Double>, y: ClosedRange<Double>) -> Domain {
        Domain([("t", t), ("x", x), ("y", y)], time: "t")
    }

    /// The cube `range`ᵈ with axes x1 … xd.
    public static func cube(dimension: Int, _ range: ClosedRange<Double> = 0...1) -> Domain {
        precondition(dimension > 0, "a cube of dimension \(dimension)")
        return Domain((1...dimension).map { ("x\($0)", range) })
    }

    public var dimension: Int { ranges.count }

    /// Both walls of every axis of space.
    public var walls: [Face] {
        axes.space.flatMap { axis in
            [Face(axis: axes.names[axis], value: ranges[axis].lowerBound), Face(axis: axes.names[axis], value: ranges[axis].upperBound)]
        }
    }

    /// Whether the point lies in the closed box.
    public func contains(_ point: [Double]) -> Bool {
        point.count == dimension && zip(point, ranges).allSatisfy { $1.contains($0) }
    }

    /// Throws where an axis is empty or unbounded.
    func validate() throws {
        for (name, range) in zip(axes.names, ranges) {
            let length = range.upperBound - range.lowerBound
            guard length > 0, length.isFinite else {
                throw PhysicsError(
                    "axis '\(name)' of the domain runs from \(range.lowerBound) to \(range.upperBound): it needs a positive, finite length")
            }
        }
    }

    /// The axis of a face and on which side of the box it lies (−1 or +1); throws where it is not a face of the box.
    func side(of face: Face) throws -> (axis: Int, normal: Double) {
        let axis = try axes.position(of: face.axis)
        if face.value == ranges[axis].lowerBound { return (axis, -1) }
        if face.value == ranges[axis].upperBound { return (axis, 1) }
        throw PhysicsError(
            "\(face) is no face of the domain: '\(face.axis)' runs from \(ranges[axis].lowerBound) to \(ranges[axis].upperBound)")
    }
}

/// A face of a box: where one coordinate has its lowest or highest value. `.x(-1)`, `.axis("theta", 0)`.
public struct Face: Sendable, Hashable, CustomStringConvertible {
    public let axis: String
    public let value: Double

    public init(axis: String, value: Double) { (self.axis, self.value) = (axis, value) }

    public static func x(_ value: Double) -> Face { Face(axis: "x", value: value) }
    public static func y(_ value: Double) -> Face { Face(axis: "y", value: value) }
    public static func z(_ value: Double) -> Face { Face(axis: "z", value: value) }
    public static func axis(_ name: String, _ value: Double) -> Face { Face(axis: name, value: value) }

    public var description: String { "\(axis) = \(value)" }
}

/// A physics-informed problem that cannot be set up or revised as asked.
public struct PhysicsError: Error, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
