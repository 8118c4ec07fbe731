import LinearAlgebra
import OptimizationCore
import Synchronization
import Testing

/// What a problem offers, by every capability of the core.
private func capabilities(of problem: any Problem) -> [String] {
    var names: [String] = []
    if problem is any DifferentiableProblem { names.append("differentiable") }
    if problem is any LeastSquaresProblem { names.append("least squares") }
    if problem is any TwiceDifferentiableProblem { names.append("twice differentiable") }
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
        #expect(capabilities(of: Bowl()) == ["differentiable", "least squares"])
        #expect(capabilities(of: Clouds()) == ["differentiable", "sampled"])
        #expect(capabilities(of: Everything()).count == 7)
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
        #expect(fits(Clipped(Steepest(), norm: 1), Bowl()))
    }
}

/// A problem that offers nothing beyond being one.
private struct Bare: Problem {
    var name: String { "bare" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([0]) }
}

/// ½ Σ (θ − aᵢ)² / n with every capability of the core.
private struct Everything: LeastSquaresProblem, TwiceDifferentiableProblem, SampledProblem, RevisableProblem, MonitoredProblem,
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
    func hessian(at θ: Vector) -> any HessianOperator { Unit() }
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

    struct Unit: HessianOperator {
        var parameterCount: Int { 1 }
        func product(_ v: Vector) -> Vector { v }
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
