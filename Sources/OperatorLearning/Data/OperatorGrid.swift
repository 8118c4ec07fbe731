/// Where an operator's input functions are sampled (the sensors) and its output functions are asked for (the points).
public struct OperatorGrid: Sendable, Hashable {
    /// The coordinates of the S sensors, sensor after sensor.
    public let sensors: [Double]
    /// The number of coordinates of a sensor.
    public let sensorDimension: Int
    /// The coordinates of the Q query points, point after point.
    public let points: [Double]
    /// The number d of coordinates of a point.
    public let pointDimension: Int

    public init(sensors: [Double], sensorDimension: Int = 1, points: [Double], pointDimension: Int = 1) {
        precondition(sensorDimension > 0 && pointDimension > 0, "sensors in \(sensorDimension) and points in \(pointDimension) dimensions")
        precondition(
            sensors.count % sensorDimension == 0 && points.count % pointDimension == 0,
            "\(sensors.count) and \(points.count) coordinates are not whole sensors and points")
        (self.sensors, self.sensorDimension, self.points, self.pointDimension) = (sensors, sensorDimension, points, pointDimension)
    }

    /// `sensors` and `points` equidistant numbers from 0 to 1, ends included.
    public static func unitInterval(sensors: Int, points: Int) -> OperatorGrid {
        OperatorGrid(sensors: equidistant(sensors), points: equidistant(points))
    }

    /// S, the number of sensors.
    public var sensorCount: Int { sensors.count / sensorDimension }
    /// Q, the number of points.
    public var pointCount: Int { points.count / pointDimension }

    /// The coordinates of a point, for reports.
    public func describe(point: Int) -> String {
        let place = points[(point * pointDimension)..<((point + 1) * pointDimension)].map(\.description)
        return place.count == 1 ? place[0] : "(\(place.joined(separator: ", ")))"
    }
}

/// `count` equidistant numbers from 0 to 1; the middle for one.
func equidistant(_ count: Int) -> [Double] {
    precondition(count > 0, "\(count) points")
    return count == 1 ? [0.5] : (0..<count).map { Double($0) / Double(count - 1) }
}
