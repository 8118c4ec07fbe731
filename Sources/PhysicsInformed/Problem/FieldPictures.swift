import Differentiation
import LinearAlgebra
import OptimizationCore

extension PhysicsInformedProblem: PredictingProblem {
    public var coordinateNames: [String] { pde.domain.axes.names }

    /// The fields; their derivatives u_x for each axis x; the residuals of the equations, by the equations' names.
    public func prediction(at points: Matrix, parameters θ: Vector, including extras: PredictionExtras) throws -> Prediction {
        let names = pde.domain.axes.names
        let (columns, term) = try LossTerm.predictions(of: pde, at: points, including: extras) { field, axis in
            guard let axis else { return Prediction.Column(pde.fieldName(field), meaning: "the network's field") }
            let name = pde.fieldName(field)
            return Prediction.Column("\(name)_\(names[axis])", meaning: "∂\(name)/∂\(names[axis])")
        }
        return Prediction(columns, values: try Objective(model, unweighted: term).pointwise(at: θ))
    }
}

extension PhysicsInformedProblem: PicturedProblem {
    /// Problems in one and two coordinates whole; of others two axes of space, at the end of time and in the middle of the other axes.
    public func picture(at θ: Vector) throws -> SolutionPicture? {
        let (domain, axes) = (pde.domain, pde.domain.axes)
        let shown = domain.dimension <= 2 ? Array(0..<domain.dimension) : Array(axes.space.prefix(2))
        let (first, last) = (101, 201)
        let grid = shown.enumerated().map { position, axis in
            let range = domain.ranges[axis]
            // A field in time and space often has its layers in space: it gets the more points.
            let count = position == shown.count - 1 ? last : first
            return SolutionPicture.Axis(
                axes.names[axis], (0..<count).map { ReferenceError.coordinate($0, of: count, in: range) }, isTime: axes.time == axis)
        }
        var place = domain.ranges.map { 0.5 * ($0.lowerBound + $0.upperBound) }
        if let time = axes.time { place[time] = domain.ranges[time].upperBound }
        let fastest = grid[grid.count - 1].coordinates
        let rows = grid.count == 1 ? fastest.count : grid[0].coordinates.count * fastest.count
        let points = Matrix(rows, domain.dimension) { i, axis in
            guard let position = shown.firstIndex(of: axis) else { return place[axis] }
            return position == shown.count - 1 ? fastest[i % fastest.count] : grid[0].coordinates[i / fastest.count]
        }
        let reference = pde.reference.map { reference in
            let values = (0..<rows).map { reference.values(points.row($0)) }
            return Matrix(rows, pde.fieldCount) { values[$0][$1] }
        }
        return SolutionPicture(
            axes: grid, fixed: domain.ranges.indices.filter { !shown.contains($0) }.map { (axes.names[$0], place[$0]) },
            fields: (0..<pde.fieldCount).map(pde.fieldName), values: try fields(at: points, parameters: θ), reference: reference)
    }
}

extension PDEProblem {
    /// u where there is one field, else u1, u2, ….
    func fieldName(_ field: Int) -> String { fieldCount == 1 ? "u" : "u\(field + 1)" }
}
