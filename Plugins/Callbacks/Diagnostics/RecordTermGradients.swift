import LinearAlgebra
import OptimizationCore

/// Measures the gradients gₖ = ∇Lₖ of the loss's terms every few iterations: their norms, and the cosines between them.
///
/// Recorded as `gradient norm: TERM` and `gradient cosine: TERM, TERM`. Norms apart by orders of magnitude say that one term decides the
/// direction; a cosine near −1 that two terms undo each other's steps. A cosine with a vanishing gradient is left out. Cost: a gradient of
/// each term, about one of the whole; not counted as work.
/// S. Wang, Y. Teng, P. Perdikaris, SIAM J. Sci. Comput. 43 (2021) A3055, doi:10.1137/20M1318043.
public struct RecordTermGradients: Callback, Configurable {
    public var cadence = 100

    public init() {}

    public init(every cadence: Int) {
        precondition(cadence > 0, "gradients cannot be measured every \(cadence) iterations")
        self.cadence = cadence
    }

    public static var identifier: String { "term-gradients" }
    public static var summary: String { "records the gradient norm of each loss term and the cosines between them" }
    public static var fields: [Field<RecordTermGradients>] {
        [.integer("every", \.cadence, atLeast: 1, meaning: "iterations between measurements")]
    }

    public var name: String { Self.identifier }

    public func start(in observation: Observation) throws -> Stateless {
        guard observation.problem is any TermwiseProblem else {
            throw ConfigurationError(
                path: Self.identifier, reason: "\(observation.problem.name) does not offer its loss term by term; leave the callback out")
        }
        return Stateless()
    }

    public func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) throws -> [RunRequest] {
        guard case .stepTaken = event, observation.totalIteration % cadence == 0 || observation.totalIteration == 1,
            let problem = observation.problem as? any TermwiseProblem
        else { return [] }
        let terms = problem.terms
        let gradients = try terms.indices.map { index in
            try problem.restricted(toTerm: index).lossAndGradient(at: observation.parameters.values).gradient
        }
        let norms = gradients.map(\.norm)
        var details = zip(terms, norms).map { StepReport.Detail("gradient norm: \($0)", $1) }
        for i in terms.indices {
            for j in terms.indices where j > i && norms[i] > 0 && norms[j] > 0 {
                // Scaled first: gradients of late training are small.
                let cosine = ((1 / norms[i]) * gradients[i]).dot((1 / norms[j]) * gradients[j])
                details.append(.init("gradient cosine: \(terms[i]), \(terms[j])", cosine))
            }
        }
        return details.map { .record($0) }
    }
}
