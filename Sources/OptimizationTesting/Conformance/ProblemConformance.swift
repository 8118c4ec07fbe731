import LinearAlgebra
import OptimizationCore

/// The problem's contract, as a runnable suite.
///
///     @Test func contract() throws {
///         try ProblemConformance.check(MyProblem(), revisions: [MyRevision()])
///     }
///
/// A problem that conforms
/// - counts its parameters, terms, residuals and samples as it delivers them, and starts where its stream says;
/// - has right derivatives, by the ladder of ``DerivativeCheck``;
/// - is a pure function of θ: the same bits again, after other evaluations, and for any number of threads;
/// - answers a θ that is not finite with values that are not, and never with an error;
/// - has a J whose columns of the parameters that it calls linear do not change when those do (`PartiallyLinearProblem`);
/// - has factors that make its gradient, each sample's its own (`FactoredGradientProblem`);
/// - is offered by ``Counted`` with exactly its capabilities and its values.
///
/// Where it is a `SampledProblem`: a batch of everything is the whole, bit for bit; the mean of two equal batches' losses is their
/// union's, term by term; a batch's derivatives are right, its version and layout are the whole's; what does not fit is refused.
///
/// Where it is a `RevisableProblem`, by each of `revisions` in turn: the version rises by one, the objective changes, the value that
/// was revised does not; a stored revision comes back bit for bit; a revision that it does not know, and an archive that is none of
/// its own, are refused.
///
/// Cost: some hundred evaluations, and J where N·P is at most ``DerivativeCheck/denseLimit``. The number of the pool's threads is
/// changed meanwhile, on which no result may depend.
public enum ProblemConformance {
    /// Checks the contract; throws a ``ConformanceFailure`` that lists what is broken.
    ///
    /// At θ, by default the initial parameters from `seed`. `revisions` must act on the problem and suit one another in turn.
    @discardableResult
    public static func check<P: Problem>(
        _ problem: P, at θ: Vector? = nil, revisions: [any Revision] = [], seed: UInt64 = 0
    ) throws -> ConformanceReport {
        let report = report(problem, at: θ, revisions: revisions, seed: seed)
        guard report.passed else { throw ConformanceFailure(report: report) }
        return report
    }

    /// The suite's result as a value.
    public static func report<P: Problem>(
        _ problem: P, at θ: Vector? = nil, revisions: [any Revision] = [], seed: UInt64 = 0
    ) -> ConformanceReport {
        var random = RandomStream(seed: seed, name: "initialization")
        let trial = ProblemTrial(
            problem: problem, point: θ ?? problem.initialParameters(from: &random).values, revisions: revisions, seed: seed)
        var report = ConformanceReport(subject: "\(P.self), \(problem.name)")
        report.add("counts agree") { try trial.countsAgree() }
        // Vectors of wrong lengths can be put into no product.
        guard report.passed else { return report }
        report.add("starts where its stream says") { trial.startsAlike() }
        report.add("has right derivatives") { try trial.hasRightDerivatives() }
        report.add("is a pure function of θ") { try trial.isPure() }
        report.add("has the same bits for any number of threads") { try trial.ignoresThreads() }
        report.add("answers what is not finite with values") { trial.answersNonFinite() }
        if let problem = problem as? any PartiallyLinearProblem, !problem.linearParameters.isEmpty {
            report.add("its linear parameters enter linearly") { try trial.linearParametersAreLinear(problem) }
        }
        report.add("is offered by Counted as it is") { try parityFailures(of: Counted(problem), with: problem, at: trial.point) }
        if let problem = problem as? any SampledProblem {
            report.add("a batch of everything is the whole") { try trial.everythingIsTheWhole(problem) }
            report.add("batches average to their union") { try trial.batchesAverage(problem) }
            report.add("a batch has right derivatives") { try trial.viewsAreRight(problem) }
            report.add("refuses a batch that does not fit") { trial.refusesBatches(problem) }
        }
        if let problem = problem as? any FactoredGradientProblem {
            report.add("its factors make its gradient, sample by sample") { try trial.factorsMakeTheGradient(problem) }
        }
        if let problem = problem as? any RevisableProblem {
            report.add("a revision raises the version and acts") { try trial.revisionsAct(problem) }
            report.add("comes back from a stored revision") { try trial.revisionsAreStored(problem) }
            report.add("refuses a foreign revision") { trial.refusesForeignRevisions(problem) }
        }
        return report
    }

    /// How a wrapper that should offer exactly what its base offers, with the same values at θ, differs from it.
    public static func parityFailures(of wrapper: any Problem, with base: any Problem, at θ: Vector) throws -> [String] {
        let (offered, expected) = (capabilities(of: wrapper), capabilities(of: base))
        guard offered == expected else { return ["offers \(offered.joined(separator: ", ")), not \(expected.joined(separator: ", "))"] }
        let differences = try Archive(evaluating: wrapper, at: θ).differences(from: Archive(evaluating: base, at: θ))
        return differences.isEmpty ? [] : ["these values differ: \(differences.joined(separator: ", "))"]
    }

    /// Every capability of the core that a problem offers, those that no optimizer asks for included.
    static func capabilities(of problem: any Problem) -> [String] {
        func core(_ problem: some Problem) -> [String] { offers(of: problem) }
        return core(problem) + (problem is any MonitoredProblem ? ["MonitoredProblem"] : [])
            + (problem is any ReferencedProblem ? ["ReferencedProblem"] : [])
            + (problem is any FactoredGradientProblem ? ["FactoredGradientProblem"] : [])
    }
}

extension Archive {
    /// Everything that a problem says at θ, comparable bit by bit. Products are taken with vectors that depend on their lengths only.
    init(evaluating problem: any Problem, at θ: Vector) throws {
        self.init()
        func direction(_ name: String, _ count: Int) -> Vector {
            var random = RandomStream(seed: 0, name: name)
            return random.normalVector(count)
        }
        set("parameters", problem.layout.count)
        if let problem = problem as? any DifferentiableProblem {
            let (loss, value) = (try problem.loss(at: θ), try problem.lossAndGradient(at: θ))
            set("loss", [loss.total] + loss.terms)
            set("loss with the gradient", [value.loss.total] + value.loss.terms)
            set("gradient", value.gradient)
        }
        if let problem = problem as? any LeastSquaresProblem {
            let (n, p) = (problem.residualCount, θ.count)
            let linearization = try problem.linearization(at: θ)
            set("residual", try problem.residual(at: θ))
            set("residual with J", linearization.residual)
            set("J·v", linearization.product(direction("v", p)))
            set("Jᵀ·w", linearization.transposedProduct(direction("w", n)))
            if n * p <= DerivativeCheck.denseLimit { set("J", linearization.jacobian().elements) }
            if n * p * p <= 16 * DerivativeCheck.denseLimit { set("JᵀJ", linearization.gramian().elements) }
            if n * n * p <= 16 * DerivativeCheck.denseLimit { set("JJᵀ", linearization.kernel().elements) }
        }
        if let problem = problem as? any TwiceDifferentiableProblem {
            set("H·v", try problem.hessian(at: θ).product(direction("v", θ.count)))
        }
        if let problem = problem as? any ResidualCurvatureProblem {
            let (w, h) = (direction("slopes", problem.residualCount), direction("bends", problem.residualCount))
            set("separable H·v", try problem.curvature(at: θ, slopes: w, bends: h).product(direction("v", θ.count)))
        }
        if let problem = problem as? any MonitoredProblem { set("monitor loss", try problem.monitorLoss(at: θ).map { [$0] } ?? []) }
        if let problem = problem as? any ReferencedProblem {
            set("reference error", try problem.referenceError(at: θ).map { [$0] } ?? [])
        }
    }
}
