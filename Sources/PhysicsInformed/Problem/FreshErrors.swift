import LinearAlgebra
import OptimizationCore

extension PhysicsInformedProblem: FreshlyReferencedProblem {
    /// On a grid other than the reference's own, both ends of every axis included; for a reference at scattered points, at as many others.
    public func freshErrors(at θ: Vector, grid: [Int]?) throws -> ReferenceErrors? {
        guard var reference = pde.reference else { return nil }
        let axes = pde.domain.axes.names.joined(separator: ", ")
        let samples: String
        switch reference.sample {
        case .grid(let own):
            let counts = try freshGrid(grid, besides: own)
            reference.sample = .grid(counts)
            samples = "\(counts.map(String.init).joined(separator: " × ")) points of \(axes)"
        case .scattered(let count):
            guard grid == nil else {
                throw PhysicsError("the errors of \(name) are measured at \(count) scattered points, not on a grid: leave the grid out")
            }
            samples = "\(count) scattered points of \(axes)"
        }
        let comparison = try ReferenceError(reference, of: pde, model: model, stream: "fresh reference points").comparison(at: θ)
        return ReferenceErrors(relativeL2: comparison.relativeL2, maximum: comparison.maximumError, samples: samples)
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
