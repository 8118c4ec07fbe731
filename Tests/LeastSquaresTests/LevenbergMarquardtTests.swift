import Globalization
import LeastSquares
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

@Suite struct LevenbergMarquardtTests {
    static let solvers = DampedSolver.allCases
    /// Those whose solutions are exact to rounding.
    static let directSolvers = solvers.filter(\.isDirect)
    static let scalings = LevenbergMarquardt.Scaling.allCases

    private func optimizer(_ solver: DampedSolver, _ scaling: LevenbergMarquardt.Scaling) -> LevenbergMarquardt {
        LevenbergMarquardt(damping: NielsenDamping(), scaling: scaling, solver: solver)
    }

    private func norms(_ gram: Matrix, _ scaling: LevenbergMarquardt.Scaling) -> Vector {
        scaling == .identity ? Vector(repeating: 1, count: gram.rows) : gram.diagonal
    }

    @Test(arguments: solvers, scalings) func rosenbrockIsSolved(solver: DampedSolver, scaling: LevenbergMarquardt.Scaling) throws {
        let (state, reports) = try drive(optimizer(solver, scaling), on: Residuals.rosenbrock(), from: [-1.2, 1], steps: 200)
        #expect((state.parameters.values - [1, 1]).norm <= 1e-10)
        for (before, after) in zip(reports, reports.dropFirst()) { #expect(after.loss.total <= before.loss.total) }
        if case .brokeDown(let breakdown)? = reports.last?.verdict { Issue.record("broke down: \(breakdown)") }
    }

    /// At the singular solution convergence is linear: each step a quarter of the last's loss, at best a sixteenth.
    @Test(arguments: solvers) func singularSolutionsAreApproached(solver: DampedSolver) throws {
        let (state, _) = try drive(optimizer(solver, .identity), on: Residuals.powellSingular, from: [3, -1, 0, 1], steps: 100)
        #expect(state.standpoint.loss.total <= 1e-16)
    }

    @Test(arguments: solvers, scalings) func residualsThatDoNotVanish(solver: DampedSolver, scaling: LevenbergMarquardt.Scaling) throws {
        let (state, _) = try drive(optimizer(solver, scaling), on: Residuals.circle, from: [1.5, -0.5, 0.5], steps: 200)
        // Stationary to the accuracy at which decreases of a loss of about 0.02 are seen: ‖g‖ ≤ √(8ε·L·‖JᵀJ‖), ‖JᵀJ‖ ≤ 24.
        let bound = (8 * Double.ulpOfOne * state.standpoint.loss.total * 24).squareRoot()
        #expect(state.standpoint.gradient.norm <= bound)
        #expect(state.standpoint.loss.total > 1e-4)
    }

    /// On a linear residual the step has a closed form and the model is exact: ρ = 1 up to rounding.
    @Test(arguments: directSolvers, [(30, 8), (8, 30)]) func firstStepIsTheDampedSolution(solver: DampedSolver, shape: (Int, Int)) throws {
        for scaling in LevenbergMarquardtTests.scalings { try checkFirstStep(solver, scaling, shape) }
    }

    /// A start at zero has no length that an undamped step could exceed: Watson's function, nearly linear and of rank nearly deficient, takes
    /// the undamped step there.
    @Test func aStartAtZeroBeginsUndamped() throws {
        var random = RandomStream(seed: 4, name: "lm zero")
        let a = Matrix(rows: 20, columns: 6, elements: random.normalVector(120).elements)
        let b = random.normalVector(20)
        let (_, reports) = try drive(LevenbergMarquardt(), on: Residuals.linear(a, b), from: .zeros(6), steps: 1)
        let damping = try #require(reports.first?.details.first { $0.name == "damping" }).value
        #expect(damping <= 1e-11 * a.gram.diagonal.maximumNorm)
    }

    private func checkFirstStep(_ solver: DampedSolver, _ scaling: LevenbergMarquardt.Scaling, _ shape: (Int, Int)) throws {
        var random = RandomStream(seed: 2, name: "lm")
        let (m, n) = shape
        let a = Matrix(rows: m, columns: n, elements: random.normalVector(m * n).elements)
        let b = random.normalVector(m)
        var method = optimizer(solver, scaling)
        method.beginsUndamped = false
        let (state, reports) = try drive(method, on: Residuals.linear(a, b), from: .zeros(n), steps: 1)
        let gram = a.gram
        let D = norms(gram, scaling)
        // λ₀ is relative to the largest diagonal entry of the matrix that is damped: of JJᵀ for the kernel with D = I, else of JᵀJ.
        let damped = solver.resolved(parameters: n, residuals: m) == .kernel ? a.outerGram : gram
        let λ = 1e-3 * (scaling == .identity ? damped.diagonal.maximumNorm : 1)
        var left = gram
        left.addDiagonal(λ * D)
        let expected = try Cholesky.factorize(left).get().solve(a.transposedTimes(b))
        // The worst conditioned of the matrices factorised: JᵀJ + λD (or its square root), or J·D⁻¹·Jᵀ + λI with eigenvalues down to λ.
        let spectrum = try SymmetricEigen.factorize(left).get().values
        let largest = spectrum.last ?? 1
        let condition = largest / Swift.min(spectrum.first ?? 1, λ)
        #expect((state.parameters.values - expected).norm <= 100 * Double.ulpOfOne * condition * expected.norm)
        let report = try #require(reports.first)
        #expect(report.details.contains(.init("damping", λ)))
        let ratio = try #require(report.details.first { $0.name == "gainRatio" }).value
        #expect(abs(ratio - 1) <= 1e-10)
    }

    /// Iterative solvers damp D too, whose entries they sum over panels of rows: with a tight tolerance their first step is that of QR.
    @Test(arguments: [DampedSolver.lsmr, .cgls], [LevenbergMarquardt.Scaling.marquardt, .local])
    func iterativeSolversDampWhatDirectOnesDo(solver: DampedSolver, scaling: LevenbergMarquardt.Scaling) throws {
        var random = RandomStream(seed: 5, name: "columns")
        let (m, n) = (40, 12)
        // Columns whose norms differ by 1e4: D = I is another problem.
        let units = Vector((0..<n).map { i in (0..<(i % 5)).reduce(1.0) { product, _ in 10 * product } })
        let a = Matrix(rows: m, columns: n, elements: random.normalVector(m * n).elements).scalingColumns(by: units)
        let problem = Residuals.linear(a, random.normalVector(m))
        func firstStep(_ solver: DampedSolver, _ scaling: LevenbergMarquardt.Scaling) throws -> Vector {
            var method = optimizer(solver, scaling)
            method.krylov = KrylovSettings(tolerance: 1e-14, maximumIterations: 500)
            var damping = NielsenDamping()
            (damping.initial, damping.minimum, damping.maximum) = (1e-2, 1e-2, 1e-2)
            if scaling != .identity { method.damping = damping }
            return try drive(method, on: problem, from: .zeros(n), steps: 1).state.parameters.values
        }
        let (expected, found) = (try firstStep(.jacobian, scaling), try firstStep(solver, scaling))
        let root = Vector(a.gram.diagonal.map { $0.squareRoot() })
        func norm(_ v: Vector) -> Double { Vector(zip(v, root).map { $0 * $1 }).norm }
        #expect(norm(found - expected) <= 1e-10 * norm(expected))
        #expect(norm(try firstStep(solver, .identity) - expected) > 1e-3 * norm(expected))
    }

    /// A linear residual is solved by the first step, which nothing has to be learnt for; by the damping rule alone it is not.
    @Test(arguments: directSolvers) func linearResidualsTakeOneUndampedStep(solver: DampedSolver) throws {
        var random = RandomStream(seed: 4, name: "undamped")
        let (a, solution) = (Matrix(rows: 20, columns: 6, elements: random.normalVector(120).elements), random.normalVector(6))
        let problem = Residuals.linear(a, a.times(solution))
        func firstStep(undamped: Bool) throws -> (error: Double, hasRefused: Bool) {
            var method = optimizer(solver, .identity)
            method.beginsUndamped = undamped
            let state = try drive(method, on: problem, from: 1.5 * solution, steps: 1).state
            return ((state.parameters.values - solution).norm / solution.norm, state.hasRefused)
        }
        let (undamped, damped) = (try firstStep(undamped: true), try firstStep(undamped: false))
        #expect(undamped.error <= 1e-8 && !undamped.hasRefused)
        #expect(damped.error >= 1e-5 && damped.hasRefused)
    }

    /// From (1.5, 3) Gauss–Newton's steps lead to (1, 0.75) and (1, 1), neither longer than where it begins; from (−1.2, 1) the first is, and from then
    /// on the run is that of the damping rule.
    @Test func theRuleBeginsWhereAStepIsTooLong() throws {
        var (undamped, ruled) = (LevenbergMarquardt(), LevenbergMarquardt())
        (undamped.geodesicAcceleration, ruled.geodesicAcceleration, ruled.beginsUndamped) = (0, 0, false)
        let near = try drive(undamped, on: Residuals.rosenbrock(), from: [1.5, 3], steps: 2).state
        #expect((near.parameters.values - [1, 1]).norm <= 1e-8 && !near.hasRefused)
        for steps in 1...10 {
            let far = try drive(undamped, on: Residuals.rosenbrock(), from: [-1.2, 1], steps: steps).state
            let expected = try drive(ruled, on: Residuals.rosenbrock(), from: [-1.2, 1], steps: steps).state
            #expect(far == expected && far.hasRefused)
        }
    }

    /// A step that raises the loss is refused, and the rule begins with its own first damping: arctan(x − 10) from 11.5, where Gauss–Newton goes
    /// to 8.31.
    @Test func theRuleBeginsWhereAStepIsRefused() throws {
        var method = LevenbergMarquardt()
        method.geodesicAcceleration = 0
        let (state, reports) = try drive(method, on: Residuals.arctangent, from: [11.5], steps: 1)
        func detail(_ name: String) throws -> Double { try #require(reports.first?.details.first { $0.name == name }).value }
        // The undamped trial, and one for λ₀ and each time that it has grown: 2, 4, 8, … times.
        let trials = Int(try detail("trials"))
        let expected = (1..<trials - 1).reduce(1e-3) { λ, k in λ * Double(1 << k) }
        let λ = try detail("damping")
        #expect(trials > 2 && abs(λ * 3.25 * 3.25 / expected - 1) <= 1e-12)
        #expect(state.hasRefused && abs(state.parameters.values[0] - 10) < 1.5)
    }

    @Test func automaticTakesTheSmallerSquare() {
        let optimizer = LevenbergMarquardt()
        let tall = optimizer.workingMemory(parameters: 10, residuals: 10_000) ?? 0
        let wide = optimizer.workingMemory(parameters: 10_000, residuals: 10) ?? 0
        #expect(tall < 2_000_000)
        #expect(wide < 4_000_000)
    }

    @Test func storedAndContinuedIsUninterrupted() throws {
        let optimizer = LevenbergMarquardt(damping: ClassicalDamping(), scaling: .marquardt)
        let problem = Residuals.rosenbrock()
        // The second begins undamped.
        for start: Vector in [[-1.2, 1], [1.5, 3]] {
            var whole = try optimizer.start(on: problem, from: Parameters(start))
            for _ in 0..<20 {
                var resumed: LevenbergMarquardtState = try Archive(of: whole).decoded()
                #expect(resumed == whole)
                let verdict = try optimizer.step(&whole, on: problem).verdict
                _ = try optimizer.step(&resumed, on: problem)
                #expect(resumed == whole)
                if verdict != .accepted { break }
            }
        }
    }

    @Test func nonFiniteTrialsRaiseTheDampingOnly() throws {
        // From −1.2 the first steps leap over x₁ = −1: refused until λ is large enough, or no step at all; never a NaN.
        let (state, reports) = try drive(LevenbergMarquardt(), on: Residuals.rosenbrock(wall: -1), from: [-1.2, 1], steps: 50)
        #expect(state.standpoint.isFinite && state.parameters.values[0] <= -1)
        #expect(reports.allSatisfy { $0.loss.isFinite })
        #expect(reports.contains { ($0.details.first { $0.name == "trials" }?.value ?? 0) > 1 })

        var beyond = try LevenbergMarquardt().start(on: Residuals.rosenbrock(wall: -2), from: Parameters([-1.2, 1]))
        let before = Archive(of: beyond)
        let report = try LevenbergMarquardt().step(&beyond, on: Residuals.rosenbrock(wall: -2))
        guard case .brokeDown(let breakdown) = report.verdict, breakdown.reason == .nonFinite else {
            Issue.record("a start without a value gave \(report.verdict)")
            return
        }
        #expect(Archive(of: beyond) == before)
    }

    /// After a breakdown: ten times the damping, a tenth of the radius, until nothing is left to shorten; before a step has set them only where a
    /// method knows what its first step will be. The next step is shorter.
    @Test func stepsCanBeShortened() throws {
        let (problem, start) = (ZooProblem.wood, Parameters(ZooProblem.wood.start))
        func check<O: Optimizer>(
            _ method: O, first: Bool, isFelt: Bool = true, _ measure: (O.State) -> Double?, factor: Double
        ) throws
        where O.Objective == any LeastSquaresProblem {
            let fresh = try method.start(on: problem, from: start)
            var (state, untouched) = (fresh, fresh)
            #expect(method.shortenSteps(&state) == first, "\(O.self)")
            for _ in 0..<3 { _ = try method.step(&untouched, on: problem) }
            state = untouched
            let before = try #require(measure(state))
            #expect(method.shortenSteps(&state) && abs((measure(state) ?? 0) / before - factor) <= 1e-12 * factor, "\(O.self)")
            let (θ, shorter) = (untouched.parameters.values, state)
            // A hundred thousand times less is felt.
            for _ in 0..<5 { #expect(method.shortenSteps(&state)) }
            var (free, held) = (untouched, state)
            _ = try method.step(&free, on: problem)
            _ = try method.step(&held, on: problem)
            if isFelt { #expect((held.parameters.values - θ).norm < 0.5 * (free.parameters.values - θ).norm, "\(O.self)") }
            #expect(shorter.parameters == untouched.parameters)
        }
        try check(
            LevenbergMarquardt(damping: NielsenDamping(), beginsUndamped: false), first: false, { $0.damping?.value }, factor: 10)
        var projection = VariableProjection()
        projection.linearParameters = [1]
        // Its next step moves the linear parameter, which is not damped.
        try check(projection, first: false, isFelt: false, { $0.damping?.value }, factor: 10)
        try check(Dogleg(), first: false, { $0.radius }, factor: 0.1)
        try check(SingularValueTrustRegion(), first: true, { $0.radius }, factor: 0.1)
        // Steps that were undamped so far are damped as the rule begins.
        let method = LevenbergMarquardt()
        var state = try method.start(on: problem, from: start)
        #expect(method.shortenSteps(&state) && state.damping == nil && state.hasRefused && !method.shortenSteps(&state))
        state = try method.start(on: problem, from: start)
        _ = try method.step(&state, on: problem)
        let undamped = try #require(state.damping)
        #expect(!state.hasRefused && method.shortenSteps(&state) && state.hasRefused)
        #expect(state.damping == NielsenDamping().start(scale: undamped.scales.upperBound))
        #expect(undamped.value < 1e-6 * (state.damping?.value ?? 0))
        // At the bound there is nothing to raise.
        var calls = 0
        while method.shortenSteps(&state), calls < 100 { calls += 1 }
        #expect(calls > 10 && calls < 100)
    }

    @Test func settingsRoundTrip() throws {
        let optimizer = LevenbergMarquardt(damping: ClassicalDamping(), scaling: .marquardt, solver: .jacobian, maximumTrials: 7)
        let read = try LevenbergMarquardt(optimizer.settings, path: "optimizer")
        #expect(read.settings == optimizer.settings)
        #expect(read.damping is ClassicalDamping)
        var registry = Registry()
        try registry.install(LeastSquaresPlugin.self)
        let names = ["levenberg-marquardt", "gauss-newton", "dogleg", "singular-value-trust-region", "variable-projection"]
        #expect(registry.optimizers.map(\.name) == names)
        #expect(registry.optimizers.allSatisfy { $0.need == "LeastSquaresProblem" })
    }

    @Test func thePreflightAsksForTheSquareThatIsFormed() {
        var method = LevenbergMarquardt()
        #expect(method.square(parameters: 900, residuals: 500) == .kernel && method.square(parameters: 500, residuals: 900) == .gramian)
        #expect(method.square(parameters: 9, residuals: 5) == nil)  // few parameters: J itself is factorised
        method.scaling = .marquardt
        #expect(method.square(parameters: 900, residuals: 500) == nil)
        method.solver = .gramian
        #expect(method.square(parameters: 900, residuals: 500) == .gramian)
        method.solver = .jacobian
        #expect(method.square(parameters: 500, residuals: 900) == nil)
    }
}
