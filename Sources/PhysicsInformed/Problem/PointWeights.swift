import LinearAlgebra
import OptimizationCore

/// Factors wᵢ ≥ 0 of a term's squared residuals, point by point: its loss is ½ (weight / points) Σᵢ wᵢ rᵢ².
public enum PointWeights: Sendable, Hashable {
    /// A weight for each of the term's points, in their order. New points have none: they weigh 1 again.
    case each([Double])
    /// A weight for each of so many equal slabs of the domain along an axis, from its lower end on: they belong to places, and
    /// points drawn anew weigh what their slab says.
    case slabs(axis: Int, [Double])

    /// The slab in which a coordinate lies, of `count` equal ones of a range; points outside belong to the nearest.
    public static func slab(of coordinate: Double, among count: Int, of range: ClosedRange<Double>) -> Int {
        let share = (coordinate - range.lowerBound) / (range.upperBound - range.lowerBound)
        return min(max(Int((share * Double(count)).rounded(.down)), 0), count - 1)
    }

    private var values: [Double] {
        switch self {
        case .each(let values), .slabs(_, let values): values
        }
    }

    /// √wᵢ at some points, a row each. Throws where the weights do not fit them.
    func factors(at points: Matrix, on domain: Domain, term: String) throws -> [Double] {
        if let bad = values.first(where: { !($0 >= 0 && $0.isFinite) }) {
            throw PhysicsError("a weight of \(bad) for points of term “\(term)”: it must be finite and not negative")
        }
        switch self {
        case .each(let weights):
            guard weights.count == points.rows else {
                throw PhysicsError("\(weights.count) weights for the \(points.rows) points of term “\(term)”: give one for each")
            }
            return weights.map { $0.squareRoot() }
        case .slabs(let axis, let weights):
            guard domain.ranges.indices.contains(axis), !weights.isEmpty else {
                throw PhysicsError(
                    "\(weights.count) slabs along axis \(axis) for term “\(term)”: at least one is needed, along one of the "
                        + "\(domain.dimension) axes (numbered from 0)")
            }
            let roots = weights.map { $0.squareRoot() }
            return (0..<points.rows).map { roots[Self.slab(of: points[$0, axis], among: weights.count, of: domain.ranges[axis])] }
        }
    }
}

extension PointWeights: Checkpointable {
    public func encode(into archive: inout Archive) {
        if case .slabs(let axis, _) = self { archive.set("axis", axis) }
        archive.set("weights", values)
    }

    public init(from archive: Archive) throws {
        let weights = try archive.doubles("weights")
        self = archive["axis"] == nil ? .each(weights) : .slabs(axis: try archive.count("axis"), weights)
    }
}

/// New weights for the points of one term of a physics-informed problem; without any, they weigh 1 again.
public struct PointWeightRevision: Revision {
    public var term: String
    public var weights: PointWeights?
    public var summary: String

    public init(term: String, weights: PointWeights?, reason: String = "new point weights") {
        (self.term, self.weights) = (term, weights)
        summary = "\(reason) for “\(term)”"
    }
}

/// A problem on a box whose residuals can be looked at anywhere and weighted point by point (``PointWeightRevision``).
public protocol PointWeightedProblem: ResampledProblem {
    var domain: Domain { get }

    /// The points of a term, a row each.
    func points(of term: String) throws -> Matrix
}

extension Transformed: PointWeightedProblem where Base: PointWeightedProblem {
    public var domain: Domain { base.domain }
    public func points(of term: String) throws -> Matrix { try base.points(of: term) }
}
