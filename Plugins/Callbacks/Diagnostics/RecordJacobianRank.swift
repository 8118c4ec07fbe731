import LinearAlgebra
import OptimizationCore

/// Measures the numerical rank of J ∈ ℝᴺˣᴾ every few steps, and what it leaves of the loss to Gauss–Newton's method in double precision.
///
/// With the singular values σ₁ ≥ σ₂ ≥ … of J at the point reached, and τ = max(N, P)·2⁻⁵²:
///
///     jacobian: rank                   #{σᵢ > τσ₁}
///     jacobian: rank by squares        #{σᵢ > √τ·σ₁}: the directions that JᵀJ and JJᵀ, whose eigenvalues are σᵢ², tell from rounding
///     jacobian: largest singular value σ₁
///     gauss-newton floor               ½‖(I − JJ⁺)r‖², over the directions of that rank: what the linear model r + J·s leaves of the loss
///     precision floor                  ½ Σⱼ (ulp(θⱼ)²/12)·‖J·eⱼ‖²: the loss that rounding θ to doubles makes by itself where r = 0
///
/// Towards the Gauss–Newton floor one step goes, if the model is right; below the precision floor none does. Rounding within the evaluation of
/// r comes on top of it. Cost: J, a copy of it and some 4·N·P·min(N, P) flops, as much as a step of `gauss-newton`; not counted as work.
public struct RecordJacobianRank: Callback, Configurable {
    public var cadence = 10

    public init() {}

    public init(every cadence: Int) {
        precondition(cadence > 0, "a rank cannot be measured every \(cadence) iterations")
        self.cadence = cadence
    }

    public static var identifier: String { "jacobian-rank" }
    public static var summary: String { "records the numerical rank of the Jacobian and the precision floor of Gauss–Newton steps" }
    public static var fields: [Field<RecordJacobianRank>] {
        [.integer("every", \.cadence, atLeast: 1, meaning: "iterations between measurements")]
    }

    public var name: String { Self.identifier }

    public func start(in observation: Observation) throws -> Stateless {
        guard let problem = observation.problem as? any LeastSquaresProblem else {
            throw ConfigurationError(
                path: Self.identifier,
                reason: "\(observation.problem.name) is no sum of squares and has no Jacobian; leave the callback out")
        }
        let (n, p) = (problem.residualCount, problem.layout.count)
        try requireMemory(
            forNumbers: 2 * Double(n) * Double(p), as: "the Jacobian, \(n) × \(p), and a copy of it", path: Self.identifier,
            advice: "leave the callback out, or take fewer points")
        return Stateless()
    }

    public func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) throws -> [RunRequest] {
        guard case .stepTaken = event, observation.totalIteration % cadence == 0 || observation.totalIteration == 1,
            let problem = observation.problem as? any LeastSquaresProblem,
            let floor = JacobianFloor(of: try problem.linearization(at: observation.parameters.values), at: observation.parameters.values)
        else { return [] }
        return floor.details.map { .record($0) }
    }
}

/// What ``RecordJacobianRank`` measures at one θ.
public struct JacobianFloor: Sendable, Hashable {
    public let rank: Int
    public let rankBySquares: Int
    public let largestSingularValue: Double
    public let gaussNewtonFloor: Double
    public let precisionFloor: Double

    /// Nil where J is not finite, or its singular values cannot be found.
    public init?(of model: any Linearization, at θ: Vector) {
        let (jacobian, r) = (model.jacobian(), model.residual)
        let τ = Double(max(jacobian.rows, jacobian.columns)) * 0x1p-52
        guard case .success(let solved) = TruncatedLeastSquares.solve(jacobian, r, relativeTolerance: τ) else { return nil }
        let σ = solved.singularValues
        let largest = σ.first ?? 0
        (rank, largestSingularValue) = (solved.rank, largest)
        rankBySquares = σ.prefix { $0 > τ.squareRoot() * largest }.count
        let left = (r - jacobian.times(solved.solution)).norm
        gaussNewtonFloor = 0.5 * left * left
        precisionFloor =
            0.5
            * (0..<θ.count).reduce(0) { sum, j in
                let moved = θ[j].ulp * jacobian.column(j).norm
                return sum + moved * moved / 12
            }
    }

    fileprivate var details: [StepReport.Detail] {
        [
            .init("jacobian: rank", Double(rank)), .init("jacobian: rank by squares", Double(rankBySquares)),
            .init("jacobian: largest singular value", largestSingularValue), .init("gauss-newton floor", gaussNewtonFloor),
            .init("precision floor", precisionFloor),
        ]
    }
}
