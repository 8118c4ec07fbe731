import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Synchronization
import Testing

/// What a problem offers, by every capability of the core.
private func capabilities(of problem: any Problem) -> [String] {
    var names: [String] = []
    if problem is any DifferentiableProblem { names.append("differentiable") }
    if problem is any GeneralizedGaussNewtonProblem { names.append("generalised Gauss–Newton") }
    if problem is any LeastSquaresProblem { names.append("least squares") }
    if problem is any TwiceDifferentiableProblem { names.append("twice differentiable") }
    if problem is any ResidualCurvatureProblem { names.append("residual curvature") }
    if problem is any SampledProblem { names.append("sampled") }
    if problem is any RevisableProblem { names.append("revisable") }
    if problem is any MonitoredProblem { names.append("monitored") }
    if problem is any ReferencedProblem { names.append("referenced") }
    return names
}

@Suite struct CastParityTests {
    @Test(arguments: [Bare(), Bowl(), Clouds(), Everything()] as [any Problem])
    func countedOffersExactlyWhatItsBaseOffers(problem: any Problem) {
        func counted<P: Problem>(_ problem: P) -> any Problem { Counted(problem) }
        #expect(capabilities(of: counted(problem)) == capabilities(of: problem))
        #expect(capabilities(of: counted(Counted(Everything()))) == capabilities(of: Everything()))
    }

    @Test func theWitnessesDifferInWhatTheyOffer() {
        #expect(capabilities(of: Bare()) == [])
        #expect(capabilities(of: Bowl()) == ["differentiable", "generalised Gauss–Newton", "least squares"])
        #expect(capabilities(of: Clouds()) == ["differentiable", "sampled"])
        #expect(capabilities(of: Everything()).count == 9)
    }

    @Test(arguments: [Clouds(), Everything()] as [any DifferentiableProblem & SampledProblem])
    func theViewOfABatchOffersWhatTheWholeOffers(problem: any DifferentiableProblem & SampledProblem) throws {
        func view<P: DifferentiableProblem & SampledProblem>(_ whole: P) throws {
            let seen = Witness.Record()
            let method = Batched(Witness(record: seen), size: 1)
            let problem = Counted(whole)
            var state = try method.start(on: problem, from: Parameters([0]))
            _ = try method.step(&state, on: problem)
            let offered = capabilities(of: whole)
            #expect(seen.offers == [offered, offered])
        }
        try view(problem)
    }

    @Test func aBatchedMethodNeedsItsBasesNeedAndSamples() {
        func fits<O: Optimizer>(_ optimizer: O, _ problem: any Problem) -> Bool {
            problem is O.Objective && O.Samples.admits(problem)
        }
        #expect(fits(Steepest(), Bowl()) && fits(Steepest(), Clouds()))
        #expect(!fits(Batched(Steepest(), size: 1), Bowl()) && fits(Batched(Steepest(), size: 1), Clouds()))
        #expect(!fits(Batched(Newton(), size: 1), Clouds()) && fits(Batched(Newton(), size: 1), Everything()))
    }

    /// A clipped method needs what its base needs, no more and no less, in batches too; a first-order method is all that can be clipped.
    @Test(arguments: [Bare(), Bowl(), Clouds(), Everything()] as [any Problem])
    func aClippedMethodFitsWhereItsBaseFits(problem: any Problem) {
        func fits<O: Optimizer>(_ optimizer: O) -> Bool { problem is O.Objective && O.Samples.admits(problem) }
        let isDifferentiable = problem is any DifferentiableProblem
        #expect(fits(Steepest()) == isDifferentiable)
        #expect(fits(Clipped(Steepest(), norm: 1)) == isDifferentiable)
        #expect(fits(Clipped(Clipped(Steepest(), norm: 2), norm: 1)) == isDifferentiable)
        let isSampled = isDifferentiable && problem is any SampledProblem
        #expect(fits(Batched(Clipped(Steepest(), norm: 1), size: 1)) == isSampled)
    }

    @Test func clippedMethodsAreRefusedByThePreflight() throws {
        func preflight<P: Problem>(_ problem: P, _ stage: (P) -> Stage<P>) throws {
            _ = try Pipeline(minimizing: problem, stages: [stage(problem)]).preflight()
        }
        try preflight(Bowl()) { _ in Stage(dynamic: "clipped", Clipped(Steepest(), norm: 1), until: .iterations(1)) }
        let need = #expect(throws: PairingError.self) {
            try preflight(Bare()) { _ in Stage(dynamic: "clipped", Clipped(Steepest(), norm: 1), until: .iterations(1)) }
        }
        #expect(need?.need == "DifferentiableProblem")
        let samples = #expect(throws: PairingError.self) {
            try preflight(Bowl()) { _ in
                Stage(dynamic: "clipped", Batched(Clipped(Steepest(), norm: 1), size: 1), until: .iterations(1))
            }
        }
        #expect(samples?.need.contains("SampledProblem") == true)
    }

    // MARK: Transformed losses

    /// √L is a sum of squares where L is one, log L never; all else is as the base has it.
    @Test(arguments: [Bare(), Bowl(), Clouds(), Everything()] as [any Problem])
    func transformedLossesOfferWhatTheirBasesOffer(problem: any Problem) {
        func root<P: Problem>(_ problem: P) -> any Problem { Transformed(problem, by: SquareRoot.self) }
        func logarithm<P: Problem>(_ problem: P) -> any Problem { Transformed(problem, by: Logarithm.self) }
        let offered = capabilities(of: problem).filter { $0 != "residual curvature" }
        #expect(capabilities(of: root(problem)) == offered)
        let squares = ["generalised Gauss–Newton", "least squares"]
        #expect(capabilities(of: logarithm(problem)) == offered.filter { !squares.contains($0) })
    }

    /// The Hessian of a robust loss takes more of the base than its own.
    @Test func robustProblemsOfferWhatTheirBasesOffer() {
        let robust = RobustProblem(Everything(), loss: .cauchy)
        #expect(capabilities(of: robust) == capabilities(of: Everything()).filter { $0 != "residual curvature" })
        #expect(capabilities(of: RobustProblem(Bowl(), loss: .huber)) == capabilities(of: Bowl()))
    }

    // MARK: The fault injector

    @Test(arguments: [Bare(), Bowl(), Clouds(), Everything()] as [any Problem])
    func theInjectorOffersExactlyWhatItsBaseOffers(problem: any Problem) throws {
        func injecting<P: Problem>(_ problem: P) -> any Problem { FaultInjecting(problem) }
        let faulty = injecting(problem)
        #expect(capabilities(of: faulty) == capabilities(of: problem))
        #expect(offers(of: faulty) == offers(of: problem))
        // And, unarmed, with the base's values.
        let θ = Vector(repeating: 0.25, count: problem.layout.count)
        #expect(try ProblemConformance.parityFailures(of: faulty, with: problem, at: θ) == [])
    }

    /// Every capability through which values flow delivers faulty ones while the injector is armed, views and revisions included.
    @Test func theInjectorActsThroughEveryCapability() throws {
        let faulty = FaultInjecting(Everything())
        let θ: Vector = [0.25]
        let view = try faulty.restricted(to: Batch([[0, 1]]))
        let revised = try faulty.revised(by: Nothing())
        #expect(revised.version == 1)
        var archive = Archive()
        revised.encodeRevisions(into: &archive)
        #expect(try faulty.restoringRevisions(from: archive).version == 1)
        #expect(try faulty.monitorLoss(at: θ) == Everything().monitorLoss(at: θ))
        #expect(try faulty.referenceError(at: θ) == Everything().referenceError(at: θ))
        for kind in FaultInjector.Kind.allCases {
            let spoilsValues = kind != .derivativesOnly
            for problem in [faulty, view, revised] {
                faulty.injector.arm(kind, after: 0)
                #expect(try problem.loss(at: θ).isFinite == !spoilsValues)
                #expect(try problem.residual(at: θ).isFinite == !spoilsValues)
                #expect(try !problem.lossAndGradient(at: θ).gradient.isFinite)
                let linearization = try problem.linearization(at: θ)
                #expect(linearization.residual.isFinite == !spoilsValues)
                #expect(!linearization.product([1]).isFinite && !linearization.transposedProduct(linearization.residual).isFinite)
                #expect(!Vector(linearization.jacobian().elements).isFinite)
                #expect(!Vector(linearization.gramian().elements).isFinite)
                #expect(!Vector(linearization.kernel().elements).isFinite)
                #expect(try !problem.hessian(at: θ).product([1]).isFinite)
                #expect(problem.locateFault(at: θ) == Fault(term: "loss", sample: "injected fault 5"))
                #expect(faulty.injector.disarm() == 5)
                #expect(problem.locateFault(at: θ) == nil)
                #expect(try problem.lossAndGradient(at: θ).isFinite)
            }
        }
    }
}

private struct Nothing: Revision {
    var summary: String { "changes nothing" }
}

/// A problem that offers nothing beyond being one.
private struct Bare: Problem {
    var name: String { "bare" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([0]) }
}

/// ½ Σ (θ − aᵢ)² / n with every capability of the core.
private struct Everything: ResidualCurvatureProblem, SampledProblem, RevisableProblem, MonitoredProblem,
    ReferencedProblem
{
    var samples = [1.0, 2, 3]
    var version = 0

    var name: String { "everything" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([0]) }
    var residualCount: Int { samples.count }
    private var weight: Double { (1 / Double(samples.count)).squareRoot() }
    func residual(at θ: Vector) -> Vector { Vector(samples.map { weight * (θ[0] - $0) }) }
    func loss(at θ: Vector) -> LossValue { LossValue(0.5 * residual(at: θ).dot(residual(at: θ))) }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        Evaluation(loss: loss(at: θ), gradient: [weight * residual(at: θ).reduce(0, +)])
    }
    func linearization(at θ: Vector) -> any Linearization { Line(residual: residual(at: θ), weight: weight) }
    func hessian(at θ: Vector) -> any HessianOperator { Line.Square(factor: 1) }
    func curvature(at θ: Vector, slopes w: Vector, bends h: Vector) -> any HessianOperator {
        Line.Square(factor: weight * weight * h.reduce(0, +))
    }
    var sampleSets: [SampleSet] { [SampleSet(name: "samples", count: samples.count)] }
    func restricted(to batch: Batch) -> Everything { Everything(samples: batch.indices[0].map { samples[$0] }, version: version) }
    func revised(by revision: any Revision) -> Everything { Everything(samples: samples, version: version + 1) }
    func encodeRevisions(into archive: inout Archive) { archive.set("version", version) }
    func restoringRevisions(from archive: Archive) throws -> Everything {
        Everything(samples: samples, version: try archive.integer("version"))
    }
    func monitorLoss(at θ: Vector) -> Double? { loss(at: θ).total }
    func referenceError(at θ: Vector) -> Double? { abs(θ[0] - 2) / 2 }

    struct Line: Linearization {
        let residual: Vector
        let weight: Double
        var residualCount: Int { residual.count }
        var parameterCount: Int { 1 }
        func product(_ v: Vector) -> Vector { Vector(repeating: weight * v[0], count: residual.count) }
        func transposedProduct(_ w: Vector) -> Vector { [weight * w.reduce(0, +)] }
        func jacobian(rows: Range<Int>) -> Matrix { Matrix(rows: rows.map { _ in [weight] }) }
    }

}

extension Everything.Line {
    struct Square: HessianOperator {
        let factor: Double
        var parameterCount: Int { 1 }
        func product(_ v: Vector) -> Vector { factor * v }
    }
}

/// An optimizer that notes what the problems it is given offer.
private struct Witness: Optimizer {
    final class Record: Sendable {
        private let entries = Mutex<[[String]]>([])
        var offers: [[String]] { entries.withLock { $0 } }
        func add(_ offer: [String]) { entries.withLock { $0.append(offer) } }
    }

    let record: Record

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> Descent.State {
        record.add(capabilities(of: problem))
        return Descent.State(parameters: parameters, gradient: [])
    }

    func step(_ state: inout Descent.State, on problem: any DifferentiableProblem) throws -> StepReport {
        record.add(capabilities(of: problem))
        return StepReport(loss: try problem.loss(at: state.parameters.values))
    }
}
