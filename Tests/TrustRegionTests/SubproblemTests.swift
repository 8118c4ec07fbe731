import Globalization
import LinearAlgebra
import NewtonFixtures
import OptimizationCore
import Testing
import TrustRegion

/// The subproblem's solvers on their own, against what does not know them: optimality conditions, sums, and points drawn at random.
@Suite struct SubproblemTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var eigenvalues: [Double]
        var seed: UInt64
    }

    static let definite = [
        Case(testDescription: "well conditioned", eigenvalues: (1...8).map(Double.init), seed: 1),
        Case(testDescription: "ill conditioned", eigenvalues: [1e-3, 1e-2, 0.1, 1, 10, 100, 1e3, 1e4], seed: 2),
    ]
    static let indefinite = [
        Case(testDescription: "indefinite", eigenvalues: [-3, -1, 0.5, 1, 2, 4, 8, 16], seed: 3),
        Case(testDescription: "negative", eigenvalues: [-8, -7, -6, -5, -4, -3, -2, -1], seed: 4),
        Case(testDescription: "singular", eigenvalues: [0, 0, 1, 2, 3, 4, 5, 6], seed: 5),
    ]
    static let radii = [1e-3, 0.1, 1, 5, 1e3]

    private func instance(_ example: Case) throws -> (B: Matrix, g: Vector) {
        var random = RandomStream(seed: example.seed, name: "gradient")
        return (try symmetric(eigenvalues: example.eigenvalues, seed: example.seed), random.normalVector(8))
    }

    private func model(_ B: Matrix, _ g: Vector, _ p: Vector) -> Double { g.dot(p) + 0.5 * p.dot(B.times(p)) }

    /// What every step must do: stay inside, say what it gains, and gain no less than the best step along −g.
    private func check(_ step: TrustRegionStep, _ B: Matrix, _ g: Vector, _ Δ: Double) {
        #expect(step.p.norm <= Δ * (1 + 1e-12))
        let gain = -model(B, g, step.p)
        #expect(abs(step.decrease - gain) <= 1e-9 * abs(gain) + 1e-14)
        if step.isOnBoundary { #expect(abs(step.p.norm - Δ) <= 1e-9 * Δ) }
        let curvature = g.dot(B.times(g))
        let α = curvature > 0 ? min(g.dot(g) / curvature, Δ / g.norm) : Δ / g.norm
        let cauchy = -model(B, g, -α * g)
        #expect(step.decrease >= cauchy * (1 - 1e-10), "\(step.decrease) below Cauchy's \(cauchy)")
    }

    /// A multiplier μ ≥ 0 with (B + μI)p = −g and B + μI ⪰ 0, zero inside.
    private func checkOptimal(_ step: TrustRegionStep, _ B: Matrix, _ g: Vector, _ Δ: Double, least: Double) {
        let p = step.p
        let image = B.times(p)
        // The μ that explains best what is left.
        let μ = -p.dot(g + image) / p.dot(p)
        #expect((g + image.adding(p, scaledBy: μ)).norm <= 1e-8 * max(g.norm, image.norm), "μ = \(μ)")
        #expect(μ >= -1e-8 && μ + least >= -1e-8)
        if p.norm < Δ * (1 - 1e-9) { #expect(abs(μ) <= 1e-8) }
    }

    @Test(arguments: definite + indefinite, radii) func exact(example: Case, Δ: Double) throws {
        let (B, g) = try instance(example)
        let step = try ExactSubproblem(g, matrix: B).step(within: Δ).get()
        check(step, B, g, Δ)
        checkOptimal(step, B, g, Δ, least: example.eigenvalues[0])
    }

    /// g orthogonal to the lowest eigenvector.
    @Test(arguments: [0.1, 1, 4, 100]) func exactInTheHardCase(Δ: Double) throws {
        let B = try symmetric(eigenvalues: [-2, 1, 2, 3, 4, 5, 6, 7], seed: 6)
        let lowest = try SymmetricEigen.factorize(B).get().vectors.column(0)
        var random = RandomStream(seed: 6, name: "gradient")
        var g = random.normalVector(8)
        for _ in 0..<2 { g.add(lowest, scaledBy: -lowest.dot(g)) }
        let step = try ExactSubproblem(g, matrix: B).step(within: Δ).get()
        check(step, B, g, Δ)
        checkOptimal(step, B, g, Δ, least: -2)
        for _ in 0..<500 {
            let v = random.normalVector(8)
            #expect(model(B, g, (Δ / v.norm) * v) >= -step.decrease * (1 + 1e-12))
        }
        // What the whole step gains beside that without its part along the eigenvector.
        if Δ >= 4 { #expect(abs(lowest.dot(step.p)) > 0.5 * Δ) }
    }

    @Test(arguments: definite + indefinite, radii) func generalisedLanczos(example: Case, Δ: Double) throws {
        let (B, g) = try instance(example)
        var solver = GLTR(g, forcing: 1e-11, maximumIterations: 8, product: { B.times($0) })
        let step = try solver.step(within: Δ).get()
        check(step, B, g, Δ)
        let best = try ExactSubproblem(g, matrix: B).step(within: Δ).get()
        #expect(abs(step.decrease - best.decrease) <= 1e-9 * best.decrease)
        checkOptimal(step, B, g, Δ, least: example.eigenvalues[0])
        #expect(solver.products <= 8)
    }

    /// Less accurate, it takes fewer products, and a smaller radius none more; the residual is the one it says.
    @Test func generalisedLanczosIsAsAccurateAsAsked() throws {
        let (B, g) = try instance(Self.definite[0])
        var counts: [Int] = []
        for η in [0.5, 1e-2, 1e-6] {
            var solver = GLTR(g, forcing: η, maximumIterations: 8, product: { B.times($0) })
            let step = try solver.step(within: 1e3).get()
            let p = step.p
            let μ = step.isOnBoundary ? -p.dot(g + B.times(p)) / p.dot(p) : 0
            let left = (g + B.times(p)).adding(p, scaledBy: μ).norm
            #expect(left <= η * g.norm * (1 + 1e-6) && step.residualNorm <= η * g.norm)
            let before = solver.products
            _ = try solver.step(within: 1e-6).get()
            #expect(solver.products == before)
            counts.append(before)
        }
        #expect(counts[0] < counts[2])
    }

    @Test(arguments: definite + indefinite, radii) func steihaugToint(example: Case, Δ: Double) throws {
        let (B, g) = try instance(example)
        var solver = SteihaugToint(g, forcing: 1e-10, maximumIterations: 30, product: { B.times($0) })
        let step = try solver.step(within: Δ).get()
        check(step, B, g, Δ)
        // Half of the best gain, where B is definite (Yuan 2000).
        let best = try ExactSubproblem(g, matrix: B).step(within: Δ).get()
        if example.eigenvalues[0] > 0 { #expect(step.decrease >= 0.5 * best.decrease) }
        #expect(step.decrease <= best.decrease * (1 + 1e-10))
        if example.eigenvalues[0] < 0 { #expect(step.isOnBoundary) }
    }

    /// One path for all radii: from a large one to a small one no product more, and the same steps as from the beginning.
    @Test(arguments: definite + indefinite) func steihaugTointKeepsItsPath(example: Case) throws {
        let (B, g) = try instance(example)
        var kept = SteihaugToint(g, forcing: 1e-10, maximumIterations: 30, product: { B.times($0) })
        _ = try kept.step(within: 1e3).get()
        let products = kept.products
        for Δ in [300, 10, 1, 0.3, 1e-2] {
            var fresh = SteihaugToint(g, forcing: 1e-10, maximumIterations: 30, product: { B.times($0) })
            let (one, other) = (try kept.step(within: Δ).get(), try fresh.step(within: Δ).get())
            #expect((one.p - other.p).norm <= 1e-12 * Δ && abs(one.decrease - other.decrease) <= 1e-12 * other.decrease)
        }
        #expect(kept.products == products)
    }

    @Test(arguments: definite + indefinite, radii) func doglegs(example: Case, Δ: Double) throws {
        let (B, g) = try instance(example)
        let best = try ExactSubproblem(g, matrix: B).step(within: Δ).get()
        for double in [false, true] {
            let step = try DoglegSubproblem(g, matrix: B, double: double).step(within: Δ).get()
            check(step, B, g, Δ)
            #expect(step.decrease <= best.decrease * (1 + 1e-10))
            if example.eigenvalues[0] > 0, !best.isOnBoundary { #expect((step.p - best.p).norm <= 1e-8 * best.p.norm) }
        }
    }

    /// B = σI + ΨCΨᵀ against the same B as a dense matrix: with fewer columns than parameters, as many, more, and dependent ones.
    @Test(arguments: [0, 2, 5, 8, 11], radii) func lowRank(columns: Int, Δ: Double) throws {
        var random = RandomStream(seed: UInt64(columns), name: "columns")
        var Ψ = Matrix(rows: 8, columns: columns, elements: random.normalVector(8 * columns).elements)
        if columns == 5 { for i in 0..<8 { Ψ[i, 4] = Ψ[i, 0] - 2 * Ψ[i, 1] } }
        var C = Matrix.zeros(columns, columns)
        for j in 0..<columns {
            for i in 0...j {
                C[i, j] = random.normalVector(1)[0]
                C[j, i] = C[i, j]
            }
        }
        let B = LowRankMatrix(scale: 0.7, columns: Ψ, middle: C)
        var dense = Matrix.zeros(8, 8)
        for j in 0..<8 {
            var unit = Vector.zeros(8)
            unit[j] = 1
            let image = B.times(unit)
            for i in 0..<8 { dense[i, j] = image[i] }
        }
        let g = random.normalVector(8)
        let step = try LowRankSubproblem(g, B).step(within: Δ).get()
        check(step, dense, g, Δ)
        let best = try ExactSubproblem(g, matrix: dense).step(within: Δ).get()
        #expect(abs(step.decrease - best.decrease) <= 1e-9 * best.decrease)
        checkOptimal(step, dense, g, Δ, least: try SymmetricEigen.factorize(dense).get().values[0])
    }

    /// The hard case with few columns: g orthogonal to the one direction along which the model curves down.
    @Test(arguments: [0.1, 1, 10]) func lowRankInTheHardCase(Δ: Double) throws {
        var Ψ = Matrix.zeros(6, 1)
        Ψ[2, 0] = 1
        let B = LowRankMatrix(scale: 1, columns: Ψ, middle: Matrix(rows: [[-3]]))
        let g: Vector = [1, -2, 0, 0.5, 0, 0]
        let step = try LowRankSubproblem(g, B).step(within: Δ).get()
        #expect(abs(step.p.norm - Δ) <= 1e-12 * Δ)
        if Δ == 10 { #expect(abs(step.p[2]) > 9) }
        var dense = Matrix.identity(6)
        dense[2, 2] = -2
        checkOptimal(step, dense, g, Δ, least: -2)
    }

    /// Between Cauchy's point and Newton's the two paths part: the double one lies nearer to Newton's direction.
    @Test func theDoubleDoglegTurnsEarlier() throws {
        let (B, g) = try instance(Self.definite[0])
        let newton = -(try Cholesky.factorize(B).get().solve(g))
        let cauchy = (g.dot(g) / g.dot(B.times(g))) * g.norm
        let Δ = 0.5 * (cauchy + newton.norm)
        let (single, double) = (
            try DoglegSubproblem(g, matrix: B, double: false).step(within: Δ).get(),
            try DoglegSubproblem(g, matrix: B, double: true).step(within: Δ).get()
        )
        func cosine(_ p: Vector) -> Double { p.dot(newton) / (p.norm * newton.norm) }
        #expect(cosine(double.p) > cosine(single.p))
        for (step, end) in [(single, newton)] {
            // On the segment from Cauchy's point to Newton's.
            let start = -(g.dot(g) / g.dot(B.times(g))) * g
            let (leg, part) = (end - start, step.p - start)
            #expect((part - (part.dot(leg) / leg.dot(leg)) * leg).norm <= 1e-12 * leg.norm)
        }
    }

    @Test func whatIsNotFiniteIsAFailure() {
        let g: Vector = [1, 2]
        let nan = Matrix(rows: [[.nan, 0], [0, 1]])
        var path = SteihaugToint(g, forcing: 0.1, maximumIterations: 4, product: { nan.times($0) })
        var space = GLTR(g, forcing: 0.1, maximumIterations: 4, product: { nan.times($0) })
        for result in [
            path.step(within: 1), space.step(within: 1), ExactSubproblem(g, matrix: nan).step(within: 1),
            DoglegSubproblem(g, matrix: nan, double: false).step(within: 1),
            LowRankSubproblem(g, LowRankMatrix(scale: 1, columns: nan, middle: .identity(2))).step(within: 1),
        ] {
            guard case .failure(.nonFinite) = result else {
                Issue.record("\(result)")
                continue
            }
        }
    }
}
