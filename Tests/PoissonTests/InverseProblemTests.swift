import Differentiation
import LeastSquares
import LinearAlgebra
import NeuralModels
import OptimizationTesting
import OptimizationCore
import PhysicsInformed
import StochasticGradient
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// −κu″ = π² sin πx on (0, 1), u = 0 at both ends, −u′(0) = −π/2, κ unknown: u = sin(πx)/κ, so that κ = 2.
private struct UnknownConductivity: PDEProblem {
    var isLinear = false
    var name: String { "unknown-conductivity" }
    var domain: Domain { .box(x: 0...1) }
    var conditions: [Condition] { [.dirichlet(at: .x(0), 0), .dirichlet(at: .x(1), 0), .neumann(at: .x(0), -.pi / 2)] }
    var unknowns: [UnknownCoefficient] { [UnknownCoefficient("conductivity", initial: 1)] }
    func residuals(_ u: Fields, at p: Point) -> [Residual] {
        [Residual("poisson", p.trainable("conductivity") * u[0].xx + .pi * .pi * sin(.pi * p.x))]
    }
    var reference: Reference? { .closedForm(grid: [51]) { sin(.pi * $0[0]) / 2 } }
}

/// A problem that calls all of its parameters linear.
private struct Overstated: PartiallyLinearProblem {
    var base: PhysicsInformedProblem
    var name: String { base.name }
    var identity: Setting { base.identity }
    var layout: ParameterLayout { base.layout }
    var terms: [String] { base.terms }
    var residualCount: Int { base.residualCount }
    var linearParameters: [Int] { Array(0..<layout.count) }
    func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
    func loss(at θ: Vector) throws -> LossValue { try base.loss(at: θ) }
    func lossAndGradient(at θ: Vector) throws -> Evaluation { try base.lossAndGradient(at: θ) }
    func residual(at θ: Vector) throws -> Vector { try base.residual(at: θ) }
    func linearization(at θ: Vector) throws -> any Linearization { try base.linearization(at: θ) }
}

@Suite struct InverseProblemTests {
    /// Levenberg–Marquardt finds coefficient and solution together, starting from half the coefficient.
    @Test func conductivityIsFound() throws {
        let model = try MultilayerPerceptron(inputs: 1, hidden: [12, 12], outputs: 1)
        let problem = try PhysicsInformedProblem(
            UnknownConductivity(), model: model, points: PointPlan(interior: 60, boundary: 3, monitor: 20), seed: 2,
            identity: .scalar("unknown-conductivity"))
        let result = try Pipeline(minimizing: problem) {
            Stage("solve", LevenbergMarquardt(), until: .iterations(150))
        }.start(seed: 3)
        let θ = result.parameters
        let (κ, error) = (θ.block("coefficients.conductivity")?[0] ?? .nan, try problem.referenceError(at: θ.values) ?? .nan)
        #expect(abs(κ - 2) < 1e-5 && error < 1e-4, "κ = \(κ), relative error \(error)")
    }

    /// The same between bounds: within wide ones it is found, and narrow ones hold it at their end.
    @Test(arguments: [(0.0, 10.0, 2.0), (0.0, 1.5, 1.5)]) func theCoefficientKeepsItsBounds(least: Double, greatest: Double, found: Double)
        throws
    {
        let model = try MultilayerPerceptron(inputs: 1, hidden: [12, 12], outputs: 1)
        let problem = try PhysicsInformedProblem(
            UnknownConductivity(), model: model, points: PointPlan(interior: 60, boundary: 3, monitor: 20), seed: 2,
            identity: .scalar("unknown-conductivity"))
        let bounds = ParameterBounds(["coefficients.conductivity": least...greatest])
        let run = try Pipeline(minimizing: problem) {
            Stage("solve", Bounded(LevenbergMarquardt(), bounds), until: .iterations(150))
        }.begin(seed: 3)
        while run.outcome == nil {
            try run.advance()
            let κ = run.parameters.block("coefficients.conductivity")?[0] ?? .nan
            #expect(least <= κ && κ <= greatest)
        }
        let κ = run.parameters.block("coefficients.conductivity")?[0] ?? .nan
        #expect(abs(κ - found) < 1e-4, "κ = \(κ)")
    }

    /// κ after every step of Adam, with a rate and bounds of its own beside the network's, as a configuration names them.
    private func paths(rate: Double, bounds: ClosedRange<Double>, steps: Int) throws -> (κ: [Double], network: Double) {
        var registry = Registry()
        try registry.install(StochasticGradientPlugin.self)
        let place = "coefficients.conductivity"
        let setting = Setting.map([
            .init("name", .scalar("adam")), .init("learningRate", .number(5e-3)),
            .init("schedule", .map([.init("name", .scalar("cosine")), .init("steps", .integer(3000))])),
            .init("blocks", .map([.init(place, .map([.init("rate", .number(rate))]))])),
            .init("bounds", .map([.init(place, .list([.number(bounds.lowerBound), .number(bounds.upperBound)]))])),
        ])
        let model = try MultilayerPerceptron(inputs: 1, hidden: [12], outputs: 1)
        let problem = try PhysicsInformedProblem(
            UnknownConductivity(), model: model, points: PointPlan(interior: 40, boundary: 3, monitor: 20), seed: 2,
            identity: .scalar("unknown-conductivity"))
        func run<O: Optimizer>(_ optimizer: O) throws -> (κ: [Double], network: Double) {
            let stage = Stage<PhysicsInformedProblem>(dynamic: "solve", optimizer, until: .iterations(steps))
            let run = try Pipeline(minimizing: problem, stages: [stage]).begin(seed: 3)
            let start = run.parameters
            var κ: [Double] = []
            while run.outcome == nil {
                try run.advance()
                κ.append(try #require(run.parameters.block(place)?[0]))
            }
            let weights = Vector(try #require(run.parameters.block("layer1.weights")))
            return (κ, (weights - Vector(try #require(start.block("layer1.weights")))).norm)
        }
        return try run(try registry.optimizer(setting))
    }

    /// A coefficient's own rate and bounds hold together, beside a network that has neither: its first step is as many times longer, it is
    /// found, at rate zero it stays, and it never leaves its bounds.
    @Test func theCoefficientHasARateAndBoundsOfItsOwn() throws {
        let (fast, slow) = (try paths(rate: 4, bounds: 0...10, steps: 3000), try paths(rate: 1, bounds: 0...10, steps: 5))
        let (frozen, held) = (try paths(rate: 0, bounds: 0...10, steps: 20), try paths(rate: 4, bounds: 0...1.5, steps: 1500))
        // Adam's first step is its rate; the map between the bounds bends by less than that.
        let ratio = (fast.κ[0] - 1) / (slow.κ[0] - 1)
        #expect(abs(ratio - 4) < 0.1, "\(ratio)")
        let found = try #require(fast.κ.last)
        #expect(abs(found - 2) < 0.1 && fast.κ.allSatisfy { (0...10).contains($0) }, "\(found)")
        // A start that a map between the bounds carries over is good to rounding.
        #expect(frozen.κ.allSatisfy { abs($0 - 1) < 1e-14 && $0 == frozen.κ[0] } && frozen.network > 1e-3)
        #expect(held.κ.allSatisfy { (0...1.5).contains($0) } && abs((held.κ.last ?? 0) - 1.5) < 1e-2, "\(held.κ.last ?? 0)")
        for run in [fast, held] { #expect(run.network > 1e-2) }
    }

    /// Linear in the network's last layer, whatever κ is; not in κ, nor in anything before.
    @Test func theLastLayerEntersLinearly() throws {
        var linear = UnknownConductivity()
        linear.isLinear = true
        let model = try MultilayerPerceptron(inputs: 1, hidden: [5, 4], outputs: 1)
        func problem(_ pde: UnknownConductivity) throws -> PhysicsInformedProblem {
            try PhysicsInformedProblem(
                pde, model: model, points: PointPlan(interior: 20, boundary: 3, monitor: 20), seed: 2, identity: .scalar(pde.name))
        }
        let (said, unsaid) = (try problem(linear), try problem(UnknownConductivity()))
        #expect(unsaid.linearParameters.isEmpty)
        let last = try #require(said.layout["layer3.weights"]?.range.lowerBound)
        #expect(said.linearParameters == Array(last..<(last + 5)))
        try ProblemConformance.check(said, revisions: [WeightRevision([(term: said.terms[0], weight: 3)])])
        // The suite tells where a problem only says so.
        let wrong = ProblemConformance.report(Overstated(base: said))
        #expect(wrong.failures.map(\.name) == ["its linear parameters enter linearly"])
    }
}
