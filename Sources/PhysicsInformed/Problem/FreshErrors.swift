import LinearAlgebra
import OptimizationCore

extension PhysicsInformedProblem: FreshlyReferencedProblem {
    /// On a grid other than the reference's own, both ends of every axis included.
    public func freshErrors(at θ: Vector, grid: [Int]?) throws -> ReferenceErrors? {
        guard var reference = pde.reference else { return nil }
        reference.grid = try freshGrid(grid, besides: reference.grid)
        let comparison = try ReferenceError(reference, of: pde, model: model).comparison(at: θ)
        let counts = reference.grid.map(String.init).joined(separator: " × ")
        return ReferenceErrors(
            relativeL2: comparison.relativeL2, maximum: comparison.maximumError,
            samples: "\(counts) points of \(pde.domain.axes.names.joined(separator: ", "))")
    }
}

extension PhysicsInformedProblem: ResidualMonitoredProblem {
    public func monitorResiduals(at θ: Vector) throws -> [ResidualNorm]? {
        guard !monitorTerms.isEmpty else { return nil }
        return try monitorTerms.map { term in
            let r = Vector(try Objective(model, unweighted: term).pointwise(at: θ).elements)
            return ResidualNorm(term: term.name, rootMeanSquare: r.norm / Double(r.count).squareRoot(), maximum: r.maximumNorm)
        }
    }
}
