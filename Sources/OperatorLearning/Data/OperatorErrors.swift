/// The relative L2 errors ‖ŝ − s‖₂ / ‖s‖₂ of predicted output functions, one a function, both norms over the same points.
///
/// Reported as the median over functions, which a few nearly vanishing outputs cannot spoil, and as the mean, which
/// DeepXDE and the physics-informed DeepONet papers quote.
public struct OperatorErrors: Sendable, Hashable {
    /// The errors, in the order of the functions.
    public let values: [Double]

    public init(_ values: [Double]) { self.values = values }

    /// The errors of predictions for targets, both with `pointCount` numbers a function. A function whose target vanishes
    /// counts with the error 0 if its prediction vanishes too, else with infinity.
    public init(predictions: [Double], targets: [Double], pointCount: Int) {
        precondition(
            predictions.count == targets.count && pointCount > 0 && targets.count % pointCount == 0,
            "\(predictions.count) predictions for \(targets.count) targets at \(pointCount) points")
        values = (0..<(targets.count / pointCount)).map { f in
            var (difference, norm) = (0.0, 0.0)
            for i in (f * pointCount)..<((f + 1) * pointCount) {
                let d = predictions[i] - targets[i]
                difference += d * d
                norm += targets[i] * targets[i]
            }
            return difference == 0 ? 0 : (difference / norm).squareRoot()
        }
    }

    /// The middle error, or the mean of the two middle ones; NaN where an error is NaN, or there are none.
    public var median: Double {
        guard !values.isEmpty, !values.contains(where: \.isNaN) else { return .nan }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    public var mean: Double { values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count) }

    public var worst: Double { values.contains(where: \.isNaN) ? .nan : values.max() ?? .nan }
}
