import LinearAlgebra
import OptimizationCore

/// Where a descent method stands: θ, L(θ) and ∇L(θ), evaluated once and carried from step to step.
public struct Standpoint: Checkpointable, Equatable {
    public var parameters: Parameters
    public var loss: LossValue
    /// ∇L(θ) ∈ ℝᴾ.
    public var gradient: Vector

    public init(at parameters: Parameters, _ evaluation: Evaluation) {
        (self.parameters, loss, gradient) = (parameters, evaluation.loss, evaluation.gradient)
    }

    public var isFinite: Bool { loss.isFinite && gradient.isFinite }

    /// Whether the gradient is zero, or so small that its square underflows: there is no slope left to follow.
    public var hasVanishingGradient: Bool { gradient.dot(gradient) == 0 }

    /// The loss's last bits, 4ε|L|: a quadratic model that promises no more than this promises nothing that can be seen.
    public var lastBits: Double { 4 * Double.ulpOfOne * abs(loss.total) }

    public func encode(into archive: inout Archive) {
        archive.set("parameters", parameters)
        archive.set("loss", loss.total)
        archive.set("terms", loss.terms)
        archive.set("gradient", gradient)
    }

    public init(from archive: Archive) throws {
        parameters = try archive.value("parameters")
        loss = LossValue(total: try archive.double("loss"), terms: try archive.doubles("terms"))
        gradient = try archive.vector("gradient")
        guard gradient.count == parameters.count else {
            throw ArchiveError(entry: "gradient", reason: "\(gradient.count) values for \(parameters.count) parameters")
        }
    }
}

/// What a trial on a ray from a standpoint computes, for whoever accepts it.
public struct Trial: Sendable {
    public let parameters: Vector
    public let loss: LossValue
    /// ∇L there, if the search asked for a slope.
    public let gradient: Vector?

    public init(parameters: Vector, loss: LossValue, gradient: Vector?) {
        (self.parameters, self.loss, self.gradient) = (parameters, loss, gradient)
    }
}

extension Standpoint {
    /// The ray φ(α) = L(θ + α·p) from here. A slope costs a gradient, a value alone a loss.
    public func ray(along p: Vector, on problem: any DifferentiableProblem, reference: Double? = nil) -> Ray<Trial> {
        let θ = parameters.values
        return Ray(value: loss.total, slope: gradient.dot(p), reference: reference) { α, needsSlope in
            let candidate = θ.adding(p, scaledBy: α)
            if !needsSlope {
                let loss = try problem.loss(at: candidate)
                return RaySample(
                    stepLength: α, value: loss.total, slope: nil, point: Trial(parameters: candidate, loss: loss, gradient: nil))
            }
            let value = try problem.lossAndGradient(at: candidate)
            return RaySample(
                stepLength: α, value: value.loss.total, slope: value.gradient.isFinite ? value.gradient.dot(p) : .nan,
                point: Trial(parameters: candidate, loss: value.loss, gradient: value.gradient))
        }
    }

    /// The standpoint at an accepted sample: its values are reused; only a search by values leaves the gradient to be computed.
    public func accepting(_ sample: RaySample<Trial>, on problem: any DifferentiableProblem) throws -> Standpoint {
        let trial = sample.point
        let there = parameters.with(trial.parameters)
        guard let gradient = trial.gradient else { return Standpoint(at: there, try problem.lossAndGradient(at: trial.parameters)) }
        return Standpoint(at: there, Evaluation(loss: trial.loss, gradient: gradient))
    }
}
