import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

/// Serialized: one of the faults is to look at the number of threads, which the suite changes.
@Suite(.serialized) struct ProblemConformanceTests {
    static let revisions: [any Revision] = [Reweighting(weight: 2.7), Reweighting(weight: 0.3)]

    @Test func aRightProblemConforms() throws {
        let report = try ProblemConformance.check(Fitting(), revisions: Self.revisions)
        #expect(report.checks.count == 14)
    }

    @Test(arguments: ZooProblem.smooth) func theZooConforms(problem: ZooProblem) throws {
        let report = try ProblemConformance.check(problem)
        #expect(report.checks.count == 7)
    }

    /// Which check must fall for which fault.
    static let expected: [(Fitting.Wrong, String)] = [
        (.termWithoutName, "counts agree"), (.residualCount, "counts agree"), (.startWanders, "starts where its stream says"),
        (.gradientEntry, "has right derivatives"), (.hessianWithoutResiduals, "has right derivatives"),
        (.remembersEvaluations, "is a pure function of θ"), (.countsThreads, "has the same bits for any number of threads"),
        (.finiteAtNaN, "answers what is not finite with values"), (.throwsAtNaN, "answers what is not finite with values"),
        (.strangeFault, "answers what is not finite with values"), (.losesASample, "a batch of everything is the whole"),
        (.viewLosesVersion, "a batch of everything is the whole"), (.viewLosesVersion, "a batch has right derivatives"),
        (.weighsByTheWhole, "batches average to their union"), (.ignoresTheBatch, "batches average to their union"),
        (.wrongInViews, "a batch has right derivatives"), (.clampsIndices, "refuses a batch that does not fit"),
        (.acceptsEmptyBatches, "refuses a batch that does not fit"), (.acceptsOtherSets, "refuses a batch that does not fit"),
        (.keepsItsVersion, "a revision raises the version and acts"), (.revisesNothing, "a revision raises the version and acts"),
        (.revisesInPlace, "a revision raises the version and acts"), (.storesNoWeight, "comes back from a stored revision"),
        (.storesRounded, "comes back from a stored revision"), (.acceptsForeignRevisions, "refuses a foreign revision"),
        (.acceptsForeignArchives, "refuses a foreign revision"),
    ]

    @Test(arguments: expected) func aFaultIsFound(wrong: Fitting.Wrong, check: String) throws {
        let report = ProblemConformance.report(Fitting(wrong), revisions: Self.revisions)
        #expect(report.failures.contains { $0.name == check }, "\(report)")
        #expect(throws: ConformanceFailure.self) { try ProblemConformance.check(Fitting(wrong), revisions: Self.revisions) }
    }

    @Test func everyFaultIsTried() { #expect(Set(Self.expected.map(\.0)).union([.none]) == Set(Fitting.Wrong.allCases)) }

    @Test func aRevisableProblemIsNotPassedUntried() {
        let failures = ProblemConformance.report(Fitting()).failures.map(\.name)
        #expect(failures == ["a revision raises the version and acts", "comes back from a stored revision"])
    }

    // MARK: Wrappers

    /// A wrapper that forgets a capability, or spoils a value.
    private struct Poorer: DifferentiableProblem, SampledProblem {
        var base = Fitting()
        var name: String { base.name }
        var identity: Setting { base.identity }
        var layout: ParameterLayout { base.layout }
        func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
        func loss(at θ: Vector) throws -> LossValue { try base.loss(at: θ) }
        func lossAndGradient(at θ: Vector) throws -> Evaluation { try base.lossAndGradient(at: θ) }
        var sampleSets: [SampleSet] { base.sampleSets }
        func restricted(to batch: Batch) throws -> Poorer { Poorer(base: try base.restricted(to: batch)) }
    }

    @Test func parityOfWrappers() throws {
        let (base, θ) = (Fitting(), Vector([0.4, 0.1]))
        #expect(try ProblemConformance.parityFailures(of: Counted(base), with: base, at: θ) == [])
        #expect(try ProblemConformance.parityFailures(of: Counted(Counted(base)), with: base, at: θ) == [])
        let poorer = try ProblemConformance.parityFailures(of: Poorer(), with: base, at: θ)
        #expect(poorer.count == 1 && poorer[0].contains("not DifferentiableProblem, GeneralizedGaussNewtonProblem, LeastSquaresProblem"))
        var heavier = base
        heavier.weight = 1 + .ulpOfOne
        #expect(try ProblemConformance.parityFailures(of: heavier, with: base, at: θ).isEmpty == false)
        // Reference error and monitor loss count as capabilities too.
        #expect(try !ProblemConformance.parityFailures(of: ZooProblem.beale, with: base, at: [1, 1]).isEmpty)
    }
}
