import LinearAlgebra
import OptimizationCore
import PhysicsInformed
import Sampling
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// ½θ², and beside it points on [0, 1] with the residual exp(−50 (x − 0.7)²): a problem whose answer to resampling is known.
private struct Bump: DifferentiableProblem, ResampledProblem {
    var version = 0
    var points: Matrix

    init(count: Int = 500) throws {
        var random = RandomStream(seed: 0, name: "points")
        points = try PointSampling.uniform.points(count, dimension: 1, random: &random)
    }

    var name: String { "bump" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    var sampleSets: [SampleSet] { [SampleSet(name: "bump", count: points.rows)] }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([1]) }
    func loss(at θ: Vector) -> LossValue { LossValue(θ[0] * θ[0] / 2) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: θ) }

    static func residual(_ x: Double) -> Double { exp(-50 * (x - 0.7) * (x - 0.7)) }
    func residualMagnitudes(of term: String, at points: Matrix, parameters θ: Vector) -> Vector {
        Vector(points.elements.map(Bump.residual))
    }
    func candidates(_ count: Int, for term: String, sampling: PointSampling, random: inout RandomStream) throws -> Matrix {
        try sampling.points(count, dimension: 1, random: &random)
    }

    func revised(by revision: any Revision) throws -> Bump {
        guard let revision = revision as? PointRevision else { throw PhysicsError("not points") }
        var copy = self
        (copy.points, copy.version) = (revision.points, version + 1)
        return copy
    }
    func encodeRevisions(into archive: inout Archive) {
        archive.set("version", version)
        archive.set("points", points)
    }
    func restoringRevisions(from archive: Archive) throws -> Bump {
        var copy = self
        (copy.version, copy.points) = (try archive.integer("version"), try archive.matrix("points"))
        return copy
    }
    var meanResidual: Double { points.elements.reduce(0) { $0 + Bump.residual($1) } / Double(points.rows) }
}

/// θ ← 0.99 θ.
private struct Shrink: Optimizer {
    struct State: OptimizerState {
        var parameters: Parameters
        init(_ parameters: Parameters) { self.parameters = parameters }
        func encode(into archive: inout Archive) { archive.set("parameters", parameters) }
        init(from archive: Archive) throws { parameters = try archive.value("parameters") }
    }
    func start(on problem: any DifferentiableProblem, from parameters: Parameters) -> State { State(parameters) }
    func step(_ state: inout State, on problem: any DifferentiableProblem) throws -> StepReport {
        state.parameters.values.scale(by: 0.99)
        return StepReport(loss: try problem.loss(at: state.parameters.values))
    }
}

@Suite struct ResidualAdaptiveResamplingTests {
    private func run(_ callback: ResidualAdaptiveResampling, iterations: Int, problem: Bump) throws -> Run<Bump> {
        let pipeline = Pipeline(minimizing: problem) { Stage("shrink", Shrink(), until: .iterations(iterations)) }
        let run = try pipeline.begin(seed: 11, callbacks: [callback])
        _ = try run.finish()
        return run
    }

    /// Under p ∝ |r|/mean|r| + c, the mean of |r| is (mean(r²)/mean(r) + c·mean(r))/(1 + c); over [0, 1] mean(r) = √(π/50) Φ and
    /// mean(r²) = √(π/100) Φ′ up to the tails beyond the interval, below 1e-3. 500 points have the standard deviation 0.36/√500 = 0.016
    /// at most; five of them are 0.08. Uniform points have 0.25.
    @Test(arguments: [0.0, 1, 4]) func pointsMoveTowardsLargeResiduals(floor: Double) throws {
        let uniform = try Bump()
        let run = try run(ResidualAdaptiveResampling(every: 10, pool: 20_000, floor: floor), iterations: 10, problem: uniform)
        let (mean, square) = ((Double.pi / 50).squareRoot(), (Double.pi / 100).squareRoot())
        let expected = (square / mean + floor * mean) / (1 + floor)
        #expect(run.currentProblem.version == 1)
        #expect(run.currentProblem.points.rows == 500)
        #expect(abs(uniform.meanResidual - mean) < 0.08)
        #expect(abs(run.currentProblem.meanResidual - expected) < 0.08)
    }

    @Test func sharpnessGathersThePoints() throws {
        func mean(_ k: Double) throws -> Double {
            try run(ResidualAdaptiveResampling(every: 5, pool: 20_000, sharpness: k, floor: 0), iterations: 5, problem: Bump())
                .currentProblem.meanResidual
        }
        // mean(r^(k+1))/mean(r^k) = √(k/(k+1)) for a Gaussian bump; 0.08 as above.
        #expect(abs(try mean(1) - (1.0 / 2).squareRoot()) < 0.08)
        #expect(abs(try mean(4) - (4.0 / 5).squareRoot()) < 0.08)
        #expect(abs(try mean(0) - (Double.pi / 50).squareRoot()) < 0.08)
    }

    @Test func theCadenceIsKept() throws {
        func version(_ callback: ResidualAdaptiveResampling) throws -> Int {
            try run(callback, iterations: 35, problem: Bump()).currentProblem.version
        }
        var late = ResidualAdaptiveResampling(every: 10, pool: 1000)
        #expect(try version(late) == 3)
        late.from = 20
        #expect(try version(late) == 2)
    }

    /// Every draw is of different points, and a resumed run draws the same ones.
    @Test func drawsDifferAndAResumedRunDrawsTheSame() throws {
        let callback = ResidualAdaptiveResampling(every: 10, pool: 1000)
        let pipeline = Pipeline(minimizing: try Bump(count: 50)) { Stage("shrink", Shrink(), until: .iterations(40)) }
        let whole = try pipeline.begin(seed: 3, callbacks: [callback])
        for _ in 0..<15 { try whole.advance() }
        let (snapshot, early) = (whole.snapshot(), whole.currentProblem.points)
        _ = try whole.finish()
        #expect(whole.currentProblem.points != early)
        let resumed = try pipeline.restore(from: snapshot, callbacks: [callback])
        #expect(resumed.currentProblem.points == early)
        _ = try resumed.finish()
        #expect(resumed.currentProblem.version == 4)
        #expect(resumed.currentProblem.points == whole.currentProblem.points)
    }

    @Test func whatCannotBeResampledIsRefused() throws {
        #expect(throws: PhysicsError.self) {
            try run(ResidualAdaptiveResampling(every: 10, term: "nowhere"), iterations: 10, problem: Bump())
        }
        #expect(throws: PhysicsError.self) {
            try run(ResidualAdaptiveResampling(every: 10, pool: 20), iterations: 10, problem: Bump())
        }
        #expect(throws: ConfigurationError.self) { try ResidualAdaptiveResampling(every: 0).validated() }
        #expect(throws: ConfigurationError.self) { try ResidualAdaptiveResampling(every: 5, sharpness: -1).validated() }
    }
}
