import LinearAlgebra

/// Errors against a known answer.
public struct ReferenceErrors: Sendable, Hashable {
    /// ‖u_θ − u‖₂ / ‖u‖₂ over all samples.
    public var relativeL2: Double
    /// max |u_θ − u|.
    public var maximum: Double
    /// On what they were measured, in words: “90 × 301 points of t, x”.
    public var samples: String

    public init(relativeL2: Double, maximum: Double, samples: String) {
        (self.relativeL2, self.maximum, self.samples) = (relativeL2, maximum, samples)
    }
}

/// Offers errors against its known answer on samples that a run has not measured them on.
///
/// A run that stops, or is tuned, by ``ReferencedProblem/referenceError(at:)`` has seen its samples; these are others.
public protocol FreshlyReferencedProblem: ReferencedProblem {
    /// The errors on a grid with so many points along each axis (one number: along all), by default one that shares few points with the
    /// run's own. `nil` where the answer is not known; throws where the grid does not fit.
    func freshErrors(at θ: Vector, grid: [Int]?) throws -> ReferenceErrors?
}

/// How large a term's residuals are on some samples, unweighted.
public struct ResidualNorm: Sendable, Hashable {
    public var term: String
    /// √(mean of r²).
    public var rootMeanSquare: Double
    /// max |r|.
    public var maximum: Double

    public init(term: String, rootMeanSquare: Double, maximum: Double) {
        (self.term, self.rootMeanSquare, self.maximum) = (term, rootMeanSquare, maximum)
    }
}

/// Offers the residuals' norms, term by term, on samples that training does not see: what there is to go by without a known answer.
public protocol ResidualMonitoredProblem: MonitoredProblem {
    /// `nil` where no samples were set aside.
    func monitorResiduals(at θ: Vector) throws -> [ResidualNorm]?
}

extension FreshlyReferencedProblem {
    /// A grid for `axes` as asked for, or with half as many intervals again as `own`, and one more, so that few points coincide.
    public func freshGrid(_ asked: [Int]?, besides own: [Int]) throws -> [Int] {
        guard let asked else { return own.map { ($0 - 1) * 3 / 2 + 2 } }
        let grid = asked.count == 1 ? own.map { _ in asked[0] } : asked
        guard grid.count == own.count, grid.allSatisfy({ $0 >= 2 }) else {
            let axes = own.count == 1 ? "one axis" : "\(own.count) axes"
            throw ConfigurationError(
                path: "grid", reason: "“\(asked.map(String.init).joined(separator: "x"))” should give \(axes) two or more points each")
        }
        // Coordinates, fields, reference and differences.
        let numbers = grid.reduce(Double(8 * own.count)) { $0 * Double($1) }
        let sizes = grid.map(String.init).joined(separator: "x")
        try requireMemory(forNumbers: numbers, as: "a grid of \(sizes)", path: "grid", advice: "take a coarser one")
        return grid
    }
}
