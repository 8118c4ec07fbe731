import Globalization
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import QuasiNewton
import Testing

@Suite struct LBFGSBTests {
    /// ½(x − c)ᵀA(x − c) with A dense and positive definite: its minimiser in a box, by projected gradient steps to rounding.
    private struct Quadratic: DifferentiableProblem {
        var matrix: Matrix
        var centre: Vector
        var name: String { "quadratic" }
        var identity: Setting { .scalar(name) }
        var layout: ParameterLayout { ParameterLayout([("a", [centre.count / 2]), ("b", [centre.count - centre.count / 2])]) }
        func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(layout: layout, values: centre) }
        func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
        func lossAndGradient(at θ: Vector) -> Evaluation {
            let d = θ - centre
            let g = matrix.times(d)
            return Evaluation(loss: LossValue(0.5 * d.dot(g)), gradient: g)
        }
    }

    private func quadratic(_ n: Int, seed: UInt64) -> Quadratic {
        var random = RandomStream(seed: seed, name: "quadratic")
        var a = Matrix(rows: n, columns: n, elements: random.normalVector(n * n).elements).gram
        a.addDiagonal(Vector(repeating: 0.3, count: n))
        return Quadratic(matrix: a, centre: 2 * random.normalVector(n))
    }

    /// The Karush–Kuhn–Tucker conditions of a convex problem are its solution's certificate: θ in the box, g ≥ 0 at lower bounds, g ≤ 0 at
    /// upper ones, g = 0 between.
    @Test(arguments: 1...8 as ClosedRange<UInt64>) func quadraticsEndWhereTheConditionsHold(seed: UInt64) throws {
        let problem = quadratic(20, seed: seed)
        let optimizer = LBFGSB(bounds: ParameterBounds(["a": -0.5...0.5, "b": 0...1]), memory: 10)
        var state = try optimizer.start(on: problem, from: Parameters(layout: problem.layout, values: problem.centre))
        let first = state.standpoint.gradient.norm
        for _ in 0..<300 where try optimizer.step(&state, on: problem).verdict != .accepted { break }
        let (θ, g) = (state.parameters.values, state.standpoint.gradient)
        var active = 0
        for i in 0..<20 {
            let (lower, upper) = i < 10 ? (-0.5, 0.5) : (0.0, 1.0)
            #expect(θ[i] >= lower && θ[i] <= upper)
            if θ[i] == lower {
                #expect(g[i] >= -1e-9)
            } else if θ[i] == upper {
                #expect(g[i] <= 1e-9)
            } else {
                #expect(abs(g[i]) <= 1e-7 * first)
            }
            active += θ[i] == lower || θ[i] == upper ? 1 : 0
        }
        #expect(active > 0 && active < 20)
    }

    /// Rosenbrock's function for x₁ ≤ ½: the minimiser is (½, ¼), where L = ⅛.
    @Test func rosenbrockAtAWall() throws {
        let optimizer = LBFGSB(bounds: ParameterBounds(["all": -2...0.5]))
        let (state, reports) = try drive(optimizer, on: Rosenbrock(), from: [-1.2, 1], steps: 200)
        #expect((state.parameters.values - [0.5, 0.25]).norm <= 1e-9)
        #expect(abs(state.standpoint.loss.total - 0.125) <= 1e-14)
        // The reduced gradient vanishes, the gradient does not.
        #expect((reports.last?.gradientNorm ?? 1) <= 1e-6 && abs(state.standpoint.gradient[0]) > 0.4)
        #expect(reports.last?.verdict == .stationary)
        for report in reports { if case .brokeDown(let breakdown) = report.verdict { Issue.record("\(breakdown)") } }
    }

    /// Every iterate lies in the box, to the bit, and a start outside is moved into it.
    @Test(arguments: [ZooProblem.wood, .biggsExponential, .osborneSecond, .brownDennis]) func iteratesStayInside(problem: ZooProblem) throws
    {
        let optimizer = LBFGSB(bounds: ParameterBounds(["all": 0.1...2.5]))
        var state = try optimizer.start(on: problem, from: Parameters(problem.start))
        var last = Double.infinity
        for _ in 0..<100 {
            let report = try optimizer.step(&state, on: problem)
            #expect(state.parameters.values.allSatisfy { $0 >= 0.1 && $0 <= 2.5 })
            #expect(report.loss.total <= last * (1 + 1e-9))
            last = report.loss.total
            if report.verdict != .accepted { break }
        }
    }

    @Test func boundsAreSettings() throws {
        let text = Setting.map([
            .init("name", .scalar("l-bfgs-b")),
            .init(
                "bounds", .map([.init("a", .list([.scalar("0"), .scalar("inf")])), .init("all", .list([.scalar("-1"), .scalar("1")]))])),
        ])
        let optimizer = try LBFGSB(text, path: "optimizer")
        let problem = quadratic(4, seed: 1)
        let state = try optimizer.start(on: problem, from: Parameters(layout: problem.layout, values: [-3, 3, -3, 3]))
        #expect(state.parameters.values == [0, 3, -1, 1])
        #expect(try LBFGSB(optimizer.settings, path: "optimizer").bounds == optimizer.bounds)
        let unknown = LBFGSB(bounds: ParameterBounds(["c": 0...1]))
        #expect(throws: ConfigurationError.self) {
            try unknown.start(on: problem, from: Parameters(layout: problem.layout, values: .zeros(4)))
        }
        for wrong in ["[1, 0]", "[0]", "[0, nan]", "[inf, inf]"] {
            let pair = wrong.dropFirst().dropLast().split(separator: ",").map { Setting.scalar($0.filter { $0 != " " }) }
            let setting = text.setting(["bounds"], to: .map([.init("a", .list(pair))]))
            let error = #expect(throws: ConfigurationError.self) { try LBFGSB(setting, path: "optimizer") }
            #expect(error?.path == "optimizer.bounds.a")
        }
    }
}

@Suite struct TrustRegionQuasiNewtonTests {
    /// SR1 learns a quadratic's Hessian in n independent steps, which no search needs to make exact.
    @Test func symmetricRankOneLearnsAQuadraticExactly() throws {
        let problem = Bowl(count: 6, condition: 30)
        let (state, _) = try drive(TrustRegionQuasiNewton(), on: problem, from: [2, -1, 3, 0.5, -2, 4], steps: 60)
        #expect(state.standpoint.loss.total <= 1e-25)
    }

    @Test(arguments: HessianUpdate.allCases) func rosenbrockIsSolved(update: HessianUpdate) throws {
        var state = try TrustRegionQuasiNewton(update).start(on: Rosenbrock(), from: Parameters([-1.2, 1]))
        for _ in 0..<300 {
            let verdict = try TrustRegionQuasiNewton(update).step(&state, on: Rosenbrock()).verdict
            if case .brokeDown(let breakdown) = verdict { Issue.record("broke down: \(breakdown)") }
            if verdict == .stationary { break }
        }
        #expect((state.parameters.values - [1, 1]).norm <= 1e-10)
    }

    @Test func nonFiniteTrialsShrinkTheRadius() throws {
        var state = try TrustRegionQuasiNewton().start(on: Rosenbrock(wall: 0.5), from: Parameters([-1.2, 1]))
        for _ in 0..<300 {
            let report = try TrustRegionQuasiNewton().step(&state, on: Rosenbrock(wall: 0.5))
            #expect(report.loss.isFinite && state.standpoint.isFinite && state.parameters.values[0] <= 0.5)
            if report.verdict != .accepted, report.verdict != .rejected { break }
        }
        #expect(state.parameters.values[0] > 0.4)
    }
}
