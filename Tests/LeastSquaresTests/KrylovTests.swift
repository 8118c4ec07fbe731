import Globalization
import LeastSquares
import LinearAlgebra
import OptimizationCore
import Testing

/// LSMR and CGLS against the dense QR of [J; √λ·I].
@Suite struct KrylovTests {
    enum Solver: CaseIterable {
        case lsmr, cgls

        func solve(_ J: any Linearization, _ b: Vector, damping λ: Double, _ settings: KrylovSettings) -> KrylovSolution {
            switch self {
            case .lsmr: LSMR.solve(J, b, damping: λ, settings)
            case .cgls: CGLS.solve(J, b, damping: λ, settings)
            }
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var rows: Int
        var columns: Int
        /// σ₁/σₙ of J, with σ₁ = 1.
        var condition: Double
        var λ: Double
        var testDescription: String { "\(rows)×\(columns), condition \(condition), λ = \(λ)" }
    }

    static let cases = [(30, 12), (12, 30), (20, 20), (60, 5)].flatMap { shape in
        [(10.0, 1e-2), (1e3, 1e-8), (1e6, 1e-6), (1e8, 1e-10), (1e10, 1e-4), (1e2, 0)].map { spectrum in
            Case(rows: shape.0, columns: shape.1, condition: spectrum.0, λ: spectrum.1)
        }
    }

    /// U·diag(σ)·Vᵀ with geometric σ and random orthonormal U and V.
    private func matrix(_ c: Case, _ random: inout RandomStream) throws -> Matrix {
        let k = min(c.rows, c.columns)
        func orthonormal(_ n: Int) throws -> Matrix {
            try QR.factorize(Matrix(rows: n, columns: k, elements: random.normalVector(n * k).elements)).get().thinQ
        }
        let σ = Vector((0..<k).map { i in exponential(-Double(i) / Double(max(k - 1, 1)), base: c.condition) })
        return Matrix.product(try orthonormal(c.rows).scalingColumns(by: σ), try orthonormal(c.columns), transposingSecond: true)
    }

    /// base^x by squarings of square roots: good to some units in the last place.
    private func exponential(_ x: Double, base: Double) -> Double {
        var (result, root, left) = (1.0, x < 0 ? 1 / base : base, abs(x))
        for _ in 0..<60 {
            if left >= 1 { (result, left) = (result * root, left - 1) }
            (root, left) = (root.squareRoot(), 2 * left)
        }
        return result
    }

    /// The normal equations' residual is below the tolerance, or at rounding: ‖Jᵀ(b − Jx) − λx‖ ≤ η‖Jᵀb‖ + c·ε·(‖b‖ + ‖x‖), ‖J‖ = 1; and
    /// so the solution is QR's to that over the least eigenvalue, σₙ² + λ.
    @Test(arguments: Solver.allCases, cases) func solutionsAreThoseOfQR(solver: Solver, c: Case) throws {
        var random = RandomStream(seed: 11, name: c.testDescription)
        let a = try matrix(c, &random)
        let b = random.normalVector(c.rows)
        let η = 1e-12
        let J = Residuals.Dense(residual: .zeros(c.rows), matrix: a)
        let found = solver.solve(J, b, damping: c.λ, KrylovSettings(tolerance: η, maximumIterations: 5000))
        #expect(found.iterations > 0 && found.solution.isFinite)
        let root = c.λ.squareRoot()
        let gradient = a.transposedTimes(b)
        var normal = a.transposedTimes(b - a.times(found.solution))
        normal.add(found.solution, scaledBy: -c.λ)
        let rounding = 200 * Double.ulpOfOne * (b.norm + found.solution.norm)
        #expect(normal.norm <= 10 * η * gradient.norm + rounding, "\(normal.norm) of \(gradient.norm)")
        // Without damping a wide J has no unique solution for QR to find.
        guard c.λ > 0 || c.rows >= c.columns else { return }
        let expected = try QR.factorize(a, overDiagonal: Vector(repeating: root, count: c.columns)).get()
            .solveLeastSquares(Vector(b.elements + [Double](repeating: 0, count: c.columns))).get()
        let least = c.rows >= c.columns ? 1 / (c.condition * c.condition) + c.λ : c.λ
        let allowed = (10 * η * gradient.norm + rounding) / least + 1e3 * Double.ulpOfOne / least.squareRoot() * expected.norm
        #expect((found.solution - expected).norm <= allowed, "\((found.solution - expected).norm), allowed \(allowed)")
    }

    /// Few distinct singular values take as many iterations, whatever the size; and a loose tolerance ends earlier.
    @Test(arguments: Solver.allCases) func iterationsFollowTheSpectrumAndTheTolerance(solver: Solver) throws {
        var random = RandomStream(seed: 12, name: "clusters")
        let (n, p) = (80, 40)
        let q = try QR.factorize(Matrix(rows: n, columns: p, elements: random.normalVector(n * p).elements)).get().thinQ
        let a = q.scalingColumns(by: Vector((0..<p).map { [1, 0.1, 0.01][$0 % 3] }))
        let J = Residuals.Dense(residual: .zeros(n), matrix: a)
        let b = random.normalVector(n)
        let tight = solver.solve(J, b, damping: 1e-6, KrylovSettings(tolerance: 1e-10))
        #expect(tight.iterations <= 5)
        let loose = solver.solve(J, b, damping: 1e-6, KrylovSettings(tolerance: 0.5))
        #expect(loose.iterations < tight.iterations)
        #expect(solver.solve(J, b, damping: 1e-6, KrylovSettings(tolerance: 1e-15, maximumIterations: 2)).iterations == 2)
        #expect(solver.solve(J, .zeros(n), damping: 1e-6, KrylovSettings()).solution == .zeros(p))
    }

    /// LSMR's norm of the normal equations' residual falls with every iteration, so that an early end is safe.
    @Test func lsmrFallsMonotonically() throws {
        var random = RandomStream(seed: 13, name: "monotone")
        let c = Case(rows: 30, columns: 12, condition: 1e3, λ: 1e-6)
        let a = try matrix(c, &random)
        let (J, b) = (Residuals.Dense(residual: .zeros(30), matrix: a), random.normalVector(30))
        let norms = (1...10).map { k in
            let x = LSMR.solve(J, b, damping: c.λ, KrylovSettings(tolerance: 1e-15, maximumIterations: k)).solution
            return a.transposedTimes(b - a.times(x)).adding(x, scaledBy: -c.λ).norm
        }
        for (before, after) in zip(norms, norms.dropFirst()) { #expect(after < before) }
    }
}

@Suite struct DelayedGratificationTests {
    /// λ/5 after a step taken, 1.5·λ after one refused, whatever the gain ratio's size is.
    @Test func itFollowsItsFormula() {
        let rule = DelayedGratification()
        let start = rule.start(scale: 50)
        #expect(start.value == 1e-3 * 50)
        for ρ in [1e-3, 0.5, 1, 1e9] { #expect(rule.updated(start, gainRatio: ρ).value == start.value / 5) }
        for ρ in [0, -1e-9, -1, -.infinity, .nan] { #expect(rule.updated(start, gainRatio: ρ).value == 1.5 * start.value) }
        // Refusals do not accelerate, and a step taken more than makes up for three of them.
        let thrice = (0..<3).reduce(start) { damping, _ in rule.updated(damping, gainRatio: -1) }
        #expect(thrice.value == 1.5 * (1.5 * (1.5 * start.value)))
        #expect(rule.updated(thrice, gainRatio: 1).value < start.value)
    }

    @Test func itsSettingsAct() {
        var rule = DelayedGratification()
        (rule.decrease, rule.increase, rule.acceptance, rule.initial) = (10, 2, 0.1, 0.5)
        let start = rule.start(scale: 4)
        #expect(start.value == 2)
        #expect(rule.updated(start, gainRatio: 0.1).value == 4 && rule.updated(start, gainRatio: 0.11).value == 0.2)
        (rule.minimum, rule.maximum) = (0.25, 1)
        let bounded = rule.start(scale: 4)
        #expect(rule.updated(bounded, gainRatio: -1).value == 4 && rule.updated(bounded, gainRatio: 1).value == 1)
        #expect(rule.isGreatest(rule.updated(bounded, gainRatio: -1)))
    }
}
