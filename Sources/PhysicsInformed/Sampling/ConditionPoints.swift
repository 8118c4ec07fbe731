import LinearAlgebra
import OptimizationCore

extension Condition {
    /// The faces of the box on which the condition holds: an axis and the side (−1 or +1). Throws where there are none.
    func sides(of domain: Domain) throws -> [(axis: Int, normal: Double)] {
        switch place {
        case .start:
            guard let time = domain.axes.time else {
                throw PhysicsError("condition “\(name)” holds at the start, but no axis of the domain is time")
            }
            return [(time, -1)]
        case .face(let face): return [try domain.side(of: face)]
        case .boundary:
            let walls = try domain.walls.map(domain.side(of:))
            guard !walls.isEmpty else { throw PhysicsError("condition “\(name)” holds on the walls of space, but the domain has none") }
            return walls
        case .opposite(let axis): return [(try domain.axes.position(of: axis), -1)]
        }
    }

    /// The axis along which the second point of each pair lies opposite; nil where points stand alone.
    func oppositeAxis(of domain: Domain) throws -> Int? {
        guard case .opposite(let axis) = place else { return nil }
        return try domain.axes.position(of: axis)
    }

    /// About `count` points where the condition holds, a row each: on each face as many as its share of the area says, at least
    /// one. A face of a one-dimensional domain is a single point.
    func points(_ count: Int, on domain: Domain, sampling: PointSampling, random: inout RandomStream) throws -> Matrix {
        let sides = try sides(of: domain)
        let areas = sides.map { side in
            domain.ranges.indices.filter { $0 != side.axis }.reduce(1.0) { area, axis in
                area * (domain.ranges[axis].upperBound - domain.ranges[axis].lowerBound)
            }
        }
        let whole = areas.reduce(0, +)
        var rows: [[Double]] = []
        var taken = 0
        var reached = 0.0
        for (side, area) in zip(sides, areas) {
            reached += area
            let upTo = Int((Double(count) * reached / whole).rounded())
            let share = max(1, upTo - taken)
            taken += share
            let unit = try sampling.points(share, dimension: domain.dimension - 1, random: &random)
            for i in 0..<unit.rows {
                var free = 0
                rows.append(
                    domain.ranges.indices.map { axis in
                        let range = domain.ranges[axis]
                        if axis == side.axis { return side.normal < 0 ? range.lowerBound : range.upperBound }
                        free += 1
                        return range.lowerBound + (range.upperBound - range.lowerBound) * unit[i, free - 1]
                    })
            }
        }
        return Matrix(rows.count, domain.dimension) { rows[$0][$1] }
    }

    /// The columns of data that the condition's residual reads at these points: the targets, and the normals where it needs them.
    /// Throws where a point does not lie where the condition holds, or a target is not finite.
    func data(at points: Matrix, on domain: Domain) throws -> [[Double]] {
        let (sides, space) = (try sides(of: domain), domain.axes.space)
        if lineTarget != nil, space.count != 1 {
            throw PhysicsError(
                "condition “\(name)” is a function of one coordinate of space, but there are \(space.count): use initialState { point in … }"
            )
        }
        var targets: [Double] = []
        var normals = Array(repeating: [Double](), count: quantity == .normalDerivative ? domain.dimension : 0)
        for i in 0..<points.rows {
            let point = points.row(i)
            let side = sides.first { side in
                let range = domain.ranges[side.axis]
                return point[side.axis] == (side.normal < 0 ? range.lowerBound : range.upperBound)
            }
            guard let side else {
                throw PhysicsError("condition “\(name)” does not hold at \(domain.axes.place(point)): points must lie on its faces")
            }
            let value = lineTarget.map { $0(point[space[0]]) } ?? target(point)
            guard value.isFinite else {
                throw PhysicsError("condition “\(name)” prescribes \(value) at \(domain.axes.place(point)): it must be finite")
            }
            targets.append(value)
            for axis in normals.indices { normals[axis].append(axis == side.axis ? side.normal : 0) }
        }
        return (pointsTogether == 1 ? [targets] : []) + normals
    }
}
