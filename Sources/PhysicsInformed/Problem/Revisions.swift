import LinearAlgebra
import OptimizationCore

/// New points for one term of a physics-informed problem.
public struct PointRevision: Revision {
    public var term: String
    /// A row each.
    public var points: Matrix
    public var summary: String

    public init(term: String, points: Matrix, reason: String = "new points") {
        (self.term, self.points) = (term, points)
        summary = "\(reason): \(points.rows) points for “\(term)”"
    }
}

/// New weights for some terms of a physics-informed problem.
public struct WeightRevision: Revision {
    public var weights: [(term: String, weight: Double)]
    public var summary: String

    public init(_ weights: [(term: String, weight: Double)], reason: String = "new weights") {
        self.weights = weights
        summary = "\(reason): " + weights.map { "\($0.term) \($0.weight)" }.joined(separator: ", ")
    }
}

/// A problem whose residuals can be looked at anywhere, so that training points can be moved to where they are large.
public protocol ResampledProblem: RevisableProblem {
    /// The terms whose points may be chosen anew, and how many each has.
    var sampleSets: [SampleSet] { get }

    /// Fresh points where a term's residual may be taken, a row each.
    func candidates(_ count: Int, for term: String, sampling: PointSampling, random: inout RandomStream) throws -> Matrix

    /// |r| of a term at some points, unweighted; the norm over its equations where it has several.
    func residualMagnitudes(of term: String, at points: Matrix, parameters θ: Vector) throws -> Vector
}

extension RobustProblem: ResampledProblem where Base: ResampledProblem {
    public var sampleSets: [SampleSet] { base.sampleSets }

    public func candidates(_ count: Int, for term: String, sampling: PointSampling, random: inout RandomStream) throws -> Matrix {
        try base.candidates(count, for: term, sampling: sampling, random: &random)
    }

    public func residualMagnitudes(of term: String, at points: Matrix, parameters θ: Vector) throws -> Vector {
        try base.residualMagnitudes(of: term, at: points, parameters: θ)
    }
}

extension Transformed: ResampledProblem where Base: ResampledProblem {
    public var sampleSets: [SampleSet] { base.sampleSets }

    public func candidates(_ count: Int, for term: String, sampling: PointSampling, random: inout RandomStream) throws -> Matrix {
        try base.candidates(count, for: term, sampling: sampling, random: &random)
    }

    public func residualMagnitudes(of term: String, at points: Matrix, parameters θ: Vector) throws -> Vector {
        try base.residualMagnitudes(of: term, at: points, parameters: θ)
    }
}
