import LinearAlgebra
import NeuralModels
import OptimizationCore

/// The network's fields and the reference at the reference's points, for plots and tables.
public struct ReferenceComparison: Sendable {
    /// The axes of the grid and their coordinates; the last axis runs fastest over the rows below. Scattered points have one axis,
    /// “point”, along which they are numbered.
    public let axes: [(name: String, coordinates: [Double])]
    /// u_θ: a row for each point, a column for each field.
    public let fields: Matrix
    /// u, in the same order.
    public let reference: Matrix
    /// ‖u_θ − u‖₂ / ‖u‖₂.
    public let relativeL2: Double
    /// max |u_θ − u|.
    public let maximumError: Double
}

/// How far the network's fields are from a reference at fixed points: a grid, both ends of every axis included, or scattered ones.
///
/// Relative L² error: ‖u_θ − u‖₂ / ‖u‖₂ over all points and fields; maximum error: max |u_θ − u|.
struct ReferenceError: Sendable {
    private let objective: Objective
    /// As the fields: a row for each point.
    private let values: Matrix
    private let norm: Double
    private let axes: [(name: String, coordinates: [Double])]

    /// Evaluates the reference at its points, once; scattered ones are drawn from a stream of this name. Throws where a value is not finite
    /// or all of them vanish.
    init(_ reference: Reference, of pde: any PDEProblem, model: any NetworkModel, stream: String = "reference points") throws {
        let points: Matrix
        switch reference.sample {
        case .grid(let counts):
            points = try Self.grid(counts, on: pde.domain)
            axes = zip(pde.domain.axes.names, pde.domain.ranges).enumerated().map { axis, named in
                (named.0, (0..<counts[axis]).map { Self.coordinate($0, of: counts[axis], in: named.1) })
            }
        case .scattered(let count):
            var random = RandomStream(seed: 0, name: stream)
            points = try PointSampling.uniform.points(count, in: pde.domain, random: &random)
            axes = [("point", (0..<count).map(Double.init))]
        }
        var rows: [[Double]] = Array(repeating: [], count: points.rows)
        rows.withUnsafeMutableBufferPointer { rows in
            // On all threads: a value may take a quadrature.
            let portion = 64
            parallelFor(count: (rows.count + portion - 1) / portion) { index, _ in
                for i in (index * portion)..<min(rows.count, (index + 1) * portion) { rows[i] = reference.values(points.row(i)) }
            }
        }
        for (i, row) in rows.enumerated() where row.count != pde.fieldCount || !row.allSatisfy(\.isFinite) {
            throw PhysicsError(
                "the reference of \(pde.name) gives \(row) at \(pde.domain.axes.place(points.row(i))): \(pde.fieldCount) finite numbers are needed"
            )
        }
        values = Matrix(points.rows, pde.fieldCount) { rows[$0][$1] }
        norm = Vector(values.elements).norm
        guard norm > 0 else { throw PhysicsError("the reference of \(pde.name) vanishes at all its points: relative errors mean nothing") }
        objective = try Objective(model, unweighted: try LossTerm.prediction(of: pde, at: points))
    }

    func comparison(at θ: Vector) -> ReferenceComparison {
        let fields = objective.pointwise(at: θ)
        var difference = Vector(fields.elements)
        difference.add(Vector(values.elements), scaledBy: -1)
        return ReferenceComparison(
            axes: axes, fields: fields, reference: values, relativeL2: difference.norm / norm, maximumError: difference.maximumNorm)
    }

    /// The points of a grid over the box, the last axis running fastest.
    static func grid(_ counts: [Int], on domain: Domain) throws -> Matrix {
        guard counts.count == domain.dimension, counts.allSatisfy({ $0 >= 2 }) else {
            throw PhysicsError("a reference grid of \(counts) points for \(domain.dimension) axes: each axis needs two or more")
        }
        let total = counts.reduce(1, *)
        return Matrix(total, counts.count) { i, j in
            let stride = counts[(j + 1)...].reduce(1, *)
            return coordinate(i / stride % counts[j], of: counts[j], in: domain.ranges[j])
        }
    }

    /// Coordinate k of `count` over a range, both ends included.
    static func coordinate(_ k: Int, of count: Int, in range: ClosedRange<Double>) -> Double {
        if k == count - 1 { return range.upperBound }
        return range.lowerBound + (range.upperBound - range.lowerBound) * (Double(k) / Double(count - 1))
    }
}
