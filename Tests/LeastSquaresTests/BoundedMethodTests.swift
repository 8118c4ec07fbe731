import LeastSquares
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import QuasiNewton
import StochasticGradient
import Testing

/// Bounds beside any method's own settings.
@Suite struct BoundedMethodTests {
    private func optimizer(_ name: String, _ bounds: [Setting]) throws -> any Optimizer {
        var registry = Registry()
        try registry.install(LeastSquaresPlugin.self)
        try registry.install(QuasiNewtonPlugin.self)
        return try registry.optimizer(.map([.init("name", .scalar(name)), .init("bounds", .map([.init("x", .list(bounds))]))]))
    }

    private func run(_ optimizer: any Optimizer, on problem: ZooProblem, steps: Int = 400) throws -> (points: [Vector], result: RunResult) {
        func stage<O: Optimizer>(_ optimizer: O) -> Stage<ZooProblem> { Stage(dynamic: "only", optimizer, until: .iterations(steps)) }
        let run = try Pipeline(minimizing: problem, stages: [stage(optimizer)]).begin()
        var points = [run.parameters.values]
        while run.outcome == nil {
            try run.advance()
            points.append(run.parameters.values)
        }
        return (points, run.result)
    }

    /// Rosenbrock's function in x ≤ ½ has its least value at (½, ¼), on the bound; in x ≤ 2 inside. No point on the way is outside, and the
    /// loss that is reported is the problem's there.
    @Test(arguments: ["levenberg-marquardt", "dogleg", "l-bfgs", "bfgs"], [(0.5, 0.5, 0.25), (2.0, 1.0, 1.0)])
    func minimaOnAndWithinBounds(name: String, end: (bound: Double, first: Double, second: Double)) throws {
        let (points, result) = try run(try optimizer(name, [.number(-2), .number(end.bound)]), on: .rosenbrock)
        #expect(points.allSatisfy { x in x.allSatisfy { (-2...end.bound).contains($0) } })
        let x = result.parameters.values
        #expect(abs(x[0] - end.first) <= 1e-5 && abs(x[1] - end.second) <= 1e-5, "\(x), \(result.outcome)")
        #expect(result.stages.last?.loss == ZooProblem.rosenbrock.loss(at: x).total)
    }

    @Test func withoutBoundsTheStepsAreTheBases() throws {
        let (plain, bounded) = (LevenbergMarquardt(), Bounded(LevenbergMarquardt(), ParameterBounds()))
        let start = Parameters(ZooProblem.wood.start)
        var (one, other) = (try plain.start(on: ZooProblem.wood, from: start), try bounded.start(on: ZooProblem.wood, from: start))
        for _ in 0..<30 {
            _ = try plain.step(&one, on: ZooProblem.wood)
            _ = try bounded.step(&other, on: ZooProblem.wood)
            #expect(one.parameters == other.parameters)
        }
    }

    @Test func storedAndContinuedIsUninterrupted() throws {
        let optimizer = Bounded(Adam(learningRate: 0.05), ParameterBounds(["x": -2...0.7]))
        let pipeline = Pipeline(minimizing: ZooProblem.rosenbrock) { Stage("only", optimizer, until: .iterations(30)) }
        let expected = try pipeline.start()
        for cut in [1, 7, 20] {
            let first = try pipeline.begin()
            for _ in 0..<cut { try first.advance() }
            #expect(try pipeline.restore(from: first.snapshot()).finish().parameters == expected.parameters)
        }
        #expect(expected.parameters.values[0] > -1.2 + 0.05)
    }

    @Test func whatCannotBeBoundedIsRefusedBeforeTheFirstStep() throws {
        func refusal(_ bounds: ParameterBounds) -> ConfigurationError? {
            let pipeline = Pipeline(minimizing: ZooProblem.rosenbrock) {
                Stage("fit", Bounded(LevenbergMarquardt(), bounds), until: .iterations(1))
            }
            return #expect(throws: ConfigurationError.self) { try pipeline.preflight() }
        }
        let unknown = refusal(ParameterBounds(["y": 0...1]))
        #expect(unknown?.path == "stage “fit”: bounds.y" && unknown?.reason.contains("there are: x, all") == true)
        #expect(refusal(ParameterBounds(["x": 1...1]))?.path == "stage “fit”: bounds")
    }

    /// A bounded problem's linear parameters are those of its base that have no bounds.
    @Test func boundsBendLinearParameters() throws {
        let base = NISTProblem(try #require(NISTDataSet.named("thurber")))
        #expect(base.linearParameters == [0, 1, 2, 3])
        let (lower, upper) = (Vector(repeating: -.infinity, count: 7), Vector(repeating: .infinity, count: 7))
        var bounded = lower
        bounded[1] = 0
        #expect(BoundedProblem(base, lower: bounded, upper: upper).linearParameters == [0, 2, 3])
        #expect(BoundedProblem(base, lower: lower, upper: upper).linearParameters == [0, 1, 2, 3])
    }
}
