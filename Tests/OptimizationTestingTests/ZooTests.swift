import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

@Suite struct ZooTests {
    /// The table gives ten significant digits (a few answers fewer): half a unit of the last, relative.
    private func agrees(_ value: Double, _ published: Double, digits: Double = 5e-10) -> Bool {
        abs(value - published) <= digits * abs(published)
    }

    @Test(arguments: ZooProblem.all) func startsWithThePublishedLoss(problem: ZooProblem) throws {
        // Chebyquad's start value is not in the table.
        guard let published = problem.lossAtStart else { return #expect(problem.name == "chebyquad") }
        #expect(agrees(problem.loss(at: problem.start).total, published))
    }

    @Test(arguments: ZooProblem.all) func minimisersAttainTheMinimum(problem: ZooProblem) throws {
        for minimizer in problem.minimizers {
            let minimum = try #require(problem.minimum)
            let value = problem.lossAndGradient(at: minimizer)
            // At a minimiser rounded to double the residual is at most the rounding of the terms that cancel in it, ε‖|J||x|‖.
            let linearization = problem.linearization(at: minimizer)
            let j = linearization.jacobian()
            let moved = Matrix(rows: j.rows, columns: j.columns, elements: j.elements.map(abs)).times(Vector(minimizer.map(abs)))
            let rounding = 16 * .ulpOfOne * (moved.norm + Double(problem.residualCount))
            #expect(value.loss.total - minimum <= 0.5 * rounding * rounding + 1e-14 * minimum)
            #expect(problem.referenceError(at: minimizer) == 0)
        }
    }

    @Test(arguments: ZooProblem.all) func theMinimumIsReached(problem: ZooProblem) throws {
        let minimum = try #require(problem.minimum)
        let found = ReferenceSolver.minimize(problem)
        let answers = [minimum] + problem.localMinima
        let reached = answers.contains { answer in
            // A zero is reached when ‖r‖ has fallen to rounding of its start.
            return abs(found - answer) <= 1e-9 * answer + 1e-24 * max(1, problem.loss(at: problem.start).total)
        }
        #expect(reached, "\(2 * found) is none of \(answers.map { 2 * $0 })")
    }

    @Test func theZooListsEachFunctionOnce() {
        let names = ZooFamily.all.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(ZooFamily.all.map(\.standard.number) == Array(1...35))
        #expect(Set(ZooProblem.all.map(\.description)).count == ZooProblem.all.count)
        #expect(ZooProblem.smooth.count >= 20)
        #expect(ZooProblem.named("extended-rosenbrock", dimension: 4)?.start.elements == [-1.2, 1, -1.2, 1])
        #expect(ZooProblem.named("extended-rosenbrock", dimension: 5) == nil)
        #expect(ZooProblem.named("rosenbrok") == nil)
    }

    @Test(arguments: ZooProblem.all) func derivativesClimbTheLadder(problem: ZooProblem) throws {
        var random = RandomStream(seed: 1, name: "points")
        let nearby = Vector(problem.start.map { $0 + 0.1 * random.normal() * max(abs($0), 0.1) })
        for point in [problem.start, nearby] {
            let check = try DerivativeCheck(of: problem, at: point)
            #expect(check.passed, "\(check)")
        }
    }
}

/// Levenberg and Marquardt's method on dense normal equations: plain, and independent of the plugins.
enum ReferenceSolver {
    /// The lower of what Marquardt's scaling (for the badly scaled) and Levenberg's (for penalty functions) reach.
    static func minimize(_ problem: ZooProblem) -> Double {
        min(minimize(problem, scaled: true), minimize(problem, scaled: false))
    }

    private static func minimize(_ problem: ZooProblem, scaled: Bool, iterations: Int = 10_000) -> Double {
        var (x, damping) = (problem.start, 1e-3)
        var loss = problem.loss(at: x).total
        for _ in 0..<iterations {
            let linearization = problem.linearization(at: x)
            let (a, g) = (linearization.gramian(), linearization.transposedProduct(linearization.residual))
            if g.norm == 0 { break }
            var accepted = false
            while !accepted, damping < 1e18 {
                var system = a
                for i in 0..<a.rows { system[i, i] += damping * (scaled ? max(a[i, i], 1e-12) : 1) }
                let candidate = x - solve(system, g)
                let value = problem.loss(at: candidate).total
                accepted = value < loss
                if accepted { (x, loss) = (candidate, value) }
                damping = accepted ? max(damping / 3, 1e-15) : damping * 4
            }
            if !accepted { break }
        }
        return loss
    }

    /// Gaussian elimination with partial pivoting.
    private static func solve(_ matrix: Matrix, _ rhs: Vector) -> Vector {
        var (a, b) = (matrix, rhs)
        let n = b.count
        for k in 0..<n {
            let pivot = (k..<n).max { abs(a[$0, k]) < abs(a[$1, k]) } ?? k
            for j in 0..<n { (a[k, j], a[pivot, j]) = (a[pivot, j], a[k, j]) }
            b.elements.swapAt(k, pivot)
            for i in (k + 1)..<max(n, k + 1) {
                let factor = a[i, k] / a[k, k]
                for j in k..<n { a[i, j] -= factor * a[k, j] }
                b[i] -= factor * b[k]
            }
        }
        for k in stride(from: n - 1, through: 0, by: -1) {
            for j in (k + 1)..<max(n, k + 1) { b[k] -= a[k, j] * b[j] }
            b[k] /= a[k, k]
        }
        return b
    }
}
