import LinearAlgebra
import OptimizationCore

/// Measures the spectra of H, JᵀJ and JJᵀ, of the whole loss and of each of its terms, every few iterations.
///
/// Extreme eigenvalues go into the trajectory (`hessian: largest eigenvalue`, `kernel of initial: smallest eigenvalue`), densities into the
/// table `spectra`, which `curvature spectrum` draws; see ``SpectralDensity`` for what they are. What a problem has no products for is left out.
/// Probes come from a stream of the run's seed that is kept in checkpoints. Cost: see ``CurvatureSpectra``; nothing is counted as work.
public struct RecordSpectrum: Callback, Configurable {
    public var cadence = 500
    public var probes = 4
    public var steps = 64
    public var hessian = true
    public var gramian = true
    public var kernel = true
    public var perTerm = true

    public init() {}

    public init(every cadence: Int, probes: Int = 4, steps: Int = 64) {
        precondition(cadence > 0, "a spectrum cannot be measured every \(cadence) iterations")
        precondition(probes > 0 && steps > 0, "\(probes) probes of \(steps) steps")
        (self.cadence, self.probes, self.steps) = (cadence, probes, steps)
    }

    public static var identifier: String { "spectrum" }
    public static var summary: String { "records the spectra of H, JᵀJ and JJᵀ, per loss term, by Lanczos quadrature" }
    public static var fields: [Field<RecordSpectrum>] {
        [
            .integer("every", \.cadence, atLeast: 1, meaning: "iterations between measurements"),
            .integer("probes", \.probes, atLeast: 1, meaning: "random vectors that each spectrum is seen from"),
            .integer("steps", \.steps, atLeast: 1, meaning: "Lanczos steps, and products, of a probe"),
            .flag("hessian", \.hessian, meaning: "whether H is measured"),
            .flag("gramian", \.gramian, meaning: "whether JᵀJ is measured"),
            .flag("kernel", \.kernel, meaning: "whether JJᵀ, the neural tangent kernel of the residuals, is measured"),
            .flag("perTerm", \.perTerm, meaning: "whether each term of the loss is measured beside the whole"),
        ]
    }

    public var name: String { Self.identifier }

    private var spectra: CurvatureSpectra {
        let chosen = [(CurvatureOperator.hessian, hessian), (.gramian, gramian), (.kernel, kernel)].filter(\.1).map(\.0)
        return CurvatureSpectra(probes: probes, steps: steps, operators: chosen, perTerm: perTerm)
    }

    /// The stream that probes are drawn from.
    public struct State: Checkpointable, Equatable {
        var random: RandomStream

        init(random: RandomStream) { self.random = random }

        public func encode(into archive: inout Archive) { archive.set("random", random) }

        public init(from archive: Archive) throws { random = try archive.value("random") }
    }

    public func start(in observation: Observation) throws -> State {
        let problem = observation.problem
        let offered = spectra.operators(offeredBy: problem)
        guard !offered.isEmpty else {
            let asked = spectra.operators.map(\.symbol).joined(separator: ", ")
            throw ConfigurationError(
                path: Self.identifier,
                reason:
                    "\(problem.name) has no products with \(asked.isEmpty ? "any matrix that is asked for" : asked); leave the callback out"
            )
        }
        let residuals = (problem as? any LeastSquaresProblem)?.residualCount ?? 0
        let order = offered.contains(.kernel) ? max(problem.layout.count, residuals) : problem.layout.count
        try requireMemory(
            forNumbers: Double(order) * Double(min(steps, order) + 3), as: "\(steps) Lanczos vectors of length \(order)",
            path: "\(Self.identifier).steps", advice: "take fewer steps")
        return State(random: RandomStream(seed: observation.seed, name: name))
    }

    public func handle(_ event: RunEvent, state: inout State, in observation: Observation) throws -> [RunRequest] {
        guard case .stepTaken = event, observation.totalIteration % cadence == 0 || observation.totalIteration == 1 else { return [] }
        let found = try spectra.spectra(of: observation.problem, at: observation.parameters.values, random: &state.random)
        guard !found.isEmpty else { return [] }
        let extremes = found.flatMap { spectrum -> [RunRequest] in
            [
                .record(.init("\(spectrum.name): largest eigenvalue", spectrum.density.largest)),
                .record(.init("\(spectrum.name): smallest eigenvalue", spectrum.density.smallest)),
            ]
        }
        return extremes + [.recordRows(MeasuredSpectrum.rows(of: found))]
    }
}
