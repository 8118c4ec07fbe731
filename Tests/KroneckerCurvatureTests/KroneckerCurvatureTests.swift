import Differentiation
import Globalization
import Heat
import KroneckerCurvature
import LinearAlgebra
import NeuralModels
import NewtonFixtures
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Poisson
import Regression
import StochasticGradient
import Testing

/// A symmetric matrix XXᵀ of rank `rank`.
private func semidefinite(_ n: Int, rank: Int, from random: inout RandomStream) -> Matrix {
    Matrix(rows: n, columns: rank, elements: random.normalVector(n * rank).elements).outerGram
}

/// A ⊗ B as a matrix in the order of θ: entry (i, j) of a layer at i·b + j.
private func dense(_ a: Matrix, _ b: Matrix) -> Matrix {
    let n = b.rows
    var product = Matrix.zeros(a.rows * n, a.rows * n)
    for i in 0..<a.rows { for k in 0..<a.rows { for j in 0..<n { for l in 0..<n { product[i * n + j, k * n + l] = a[i, k] * b[j, l] } } } }
    return product
}

/// Σ X·⊗Y over pairs as a matrix in the order of θ, every factor damped.
private func denseSum(_ pairs: [(a: Matrix, b: Matrix)], _ damping: (Int) -> (a: Double, b: Double)) -> Matrix {
    let products = pairs.enumerated().map { dense(damped($1.a, damping($0).a), damped($1.b, damping($0).b)) }
    var sum = products[0]
    for product in products.dropFirst() { for i in sum.elements.indices { sum.elements[i] += product.elements[i] } }
    return sum
}

/// Solves a system for each layer's share of g.
private func layerwise(_ g: Vector, _ blocks: [(range: Range<Int>, matrix: Matrix)]) throws -> Vector {
    var solution = g
    for block in blocks {
        let solved = try Cholesky.factorize(block.matrix).get().solve(Vector(g.elements[block.range]))
        for (i, value) in zip(block.range, solved) { solution[i] = value }
    }
    return solution
}

private func damped(_ matrix: Matrix, _ λ: Double) -> Matrix {
    var matrix = matrix
    for i in 0..<matrix.rows { matrix[i, i] += λ }
    return matrix
}

@Suite struct KroneckerSumTests {
    /// By the whole matrix, with factors that are singular without their damping.
    @Test(arguments: [1e-1, 1e-4, 1e-8]) func theInverseOfASum(λ: Double) throws {
        var random = RandomStream(seed: 3, name: "factors")
        let pairs = [
            KroneckerPair(input: semidefinite(5, rank: 4, from: &random), output: semidefinite(3, rank: 3, from: &random)),
            KroneckerPair(input: semidefinite(5, rank: 2, from: &random), output: semidefinite(3, rank: 2, from: &random)),
        ]
        for count in 1...2 {
            var whole = Matrix.zeros(15, 15)
            for pair in pairs.prefix(count) {
                let product = dense(damped(pair.input, λ), damped(pair.output, λ))
                for i in product.elements.indices { whole.elements[i] += product.elements[i] }
            }
            let inverse = try KroneckerSumInverse.of(Array(pairs.prefix(count)), damping: Array(repeating: (λ, λ), count: count)).get()
            for _ in 0..<3 {
                let v = random.normalVector(15)
                let found = Vector(inverse.times(Matrix(rows: 3, columns: 5, elements: v.elements)).elements)
                // The residual, which does not grow with the condition number as the error does.
                #expect((whole.times(found) - v).norm <= 1e-13 * (whole.frobeniusNorm * found.norm + v.norm))
            }
        }
    }

    /// Three products, and five: no basis makes them diagonal, the residual is small all the same.
    @Test(arguments: [3, 5]) func theInverseOfMore(count: Int) throws {
        var random = RandomStream(seed: 4, name: "factors")
        let pairs = (0..<count).map { _ in
            KroneckerPair(input: semidefinite(5, rank: 3, from: &random), output: semidefinite(3, rank: 2, from: &random))
        }
        for λ in [1e-1, 1e-3] {
            let whole = denseSum(pairs.map { ($0.input, $0.output) }) { _ in (λ, λ) }
            let inverse = try KroneckerSumSolver.of(pairs, damping: Array(repeating: (λ, λ), count: count)).get()
            let v = random.normalVector(15)
            let (found, products) = inverse.times(Matrix(rows: 3, columns: 5, elements: v.elements))
            #expect((whole.times(Vector(found.elements)) - v).norm <= 1e-9 * v.norm && (2..<200).contains(products))
            // Cut off early, it is still on the right side.
            let cut = try KroneckerSumSolver.of(pairs, damping: Array(repeating: (λ, λ), count: count), limit: 2).get()
            #expect(Vector(cut.times(Matrix(rows: 3, columns: 5, elements: v.elements)).solution.elements).dot(v) > 0)
        }
    }

    @Test func damaged() {
        let (zero, nan) = (Matrix.zeros(2, 2), Matrix(rows: [[.nan, 0], [0, 1]]))
        let identity = KroneckerPair(input: .identity(2), output: .identity(2))
        func failure(_ pair: KroneckerPair) -> FactorizationFailure? {
            if case .failure(let failure) = KroneckerSumInverse.of([pair, identity], damping: [(0, 0), (0, 0)]) { failure } else { nil }
        }
        #expect(failure(KroneckerPair(input: nan, output: zero)) == .nonFinite)
        #expect(failure(KroneckerPair(input: zero, output: zero)) == nil)
        let alone = KroneckerSumInverse.of([KroneckerPair(input: zero, output: zero)], damping: [(0, 0)])
        guard case .failure(.notPositiveDefinite) = alone else {
            Issue.record("zero was inverted")
            return
        }
    }
}

@Suite struct KroneckerCurvatureTests {
    static func network(width: Int = 7, depth: Int = 1, interior: Int = 60, boundary: Int = 20, seed: UInt64 = 1) throws
        -> PhysicsInformedProblem
    {
        var setup = PoissonOnSquareSetup()
        setup.network = PerceptronSettings(width: width, depth: depth)
        setup.points = PointPlan(interior: interior, boundary: boundary)
        guard let problem = try setup.makeProblem(seed: seed) as? PhysicsInformedProblem else { throw PhysicsError("no network") }
        return problem
    }

    static func regression(width: Int = 6, depth: Int = 1, samples: Int = 24) throws -> NetworkRegression {
        var setup = MultiFrequencyRegression()
        (setup.fit.frequencies, setup.fit.amplitudes, setup.fit.samples) = ([1, 2], [1, 0.5], samples)
        setup.fit.network.width = width
        setup.fit.network.depth = depth
        return try setup.problem(seed: 0)
    }

    static func heat() throws -> PhysicsInformedProblem {
        var setup = HeatSetup()
        setup.network = PerceptronSettings(width: 4, depth: 2)
        setup.points = PointPlan(interior: 60, initial: 15, boundary: 20)
        guard let problem = try setup.makeProblem(seed: 1) as? PhysicsInformedProblem else { throw PhysicsError("no network") }
        return problem
    }

    /// u = wᵀx + b to be fitted to values: one vector a point, so that the block is exactly one Kronecker product.
    private struct Values: PDEProblem {
        var name: String { "values" }
        var domain: Domain { .box(x: 0...1, y: 0...1) }
        var conditions: [Condition] { [] }
        func residuals(_ u: Fields, at p: Point) -> [Residual] { [Residual("fit", u[0] - (1 + 2 * p.x - p.y))] }
    }

    private func linear() throws -> PhysicsInformedProblem {
        try PhysicsInformedProblem(
            Values(), model: try MultilayerPerceptron(inputs: 2, hidden: [], outputs: 1, scaling: [-1...2, 0...3]),
            points: PointPlan(interior: 40, boundary: 0, monitor: 0), seed: 1, identity: .scalar("values"))
    }

    /// For a linear network the factor is JᵀJ, the scaled coordinates' layer included.
    @Test func theFactorOfALinearNetworkIsTheGaussNewtonBlock() throws {
        let problem = try linear()
        let θ = Vector([0.3, -0.2, 0.7])
        let curvatures = try problem.layerCurvatures(at: θ)
        #expect(curvatures.count == 1 && curvatures[0].range == 0..<3 && curvatures[0].terms.count == 1)
        let product = try #require(curvatures.first?.terms.first)
        let (block, normal) = (dense(product.input, product.output), try problem.linearization(at: θ).gramian())
        for i in block.elements.indices { #expect(abs(block.elements[i] - normal.elements[i]) <= 1e-14 * normal.maximumNorm) }
    }

    /// So one undamped step without averages is Gauss–Newton's, to the minimum of the quadratic loss.
    @Test func aLinearNetworkIsFittedInOneStep() throws {
        let problem = try linear()
        let start = Parameters(layout: problem.layout, values: [0.3, -0.2, 0.7])
        for method in [KFAC(damping: 0, averaging: 0), KFAC(damping: 0, factorStart: .zero)] {
            let (state, reports) = try drive(method, on: problem, from: start, steps: 1)
            #expect(reports.last?.stepLength == 1 && state.standpoint.loss.total < 1e-28, "\(state.standpoint.loss.total)")
        }
        let (state, _) = try drive(EKFAC(damping: 0), on: problem, from: start, steps: 1)
        #expect(state.standpoint.loss.total < 0.5 * (try problem.loss(at: start.values).total))
    }

    /// The first layer's factors by their definition: for −Δu on a coordinate layer the vectors are (x, 1), (e₁, 0), (e₂, 0) and a zero.
    @Test func factorsOfTheCoordinateLayer() throws {
        let problem = try Self.network()
        var random = RandomStream(seed: 2, name: "point")
        let θ = problem.initialParameters(from: &random).values
        let layer = try problem.layerCurvatures(at: θ)[0]
        #expect(layer.offset == 0 && layer.inputs == 3 && layer.outputs == 7)
        for product in layer.terms {
            let points = try problem.points(of: problem.terms[product.term])
            var a = Matrix.zeros(3, 3)
            for n in 0..<points.rows {
                let x = [points[n, 0], points[n, 1], 1]
                for i in 0..<3 { for k in 0..<3 { a[i, k] += x[i] * x[k] } }
            }
            if product.channels > 1 { for e in 0..<2 { a[e, e] += Double(points.rows) } }
            for i in a.elements.indices {
                #expect(abs(product.input.elements[i] - a.elements[i] / Double(product.vectors)) <= 1e-13)
            }
            #expect(product.vectors == points.rows * product.channels)
        }
        #expect(layer.terms.map(\.channels) == [4, 1])
    }

    /// For one output and one vector a sample, a row of J is x̃ ⊗ g layer by layer, x̃ ending in 1: A and B from J's own entries.
    @Test(arguments: [1, 2]) func factorsOfARegressionFromRowsOfJ(depth: Int) throws {
        let problem = try Self.regression(width: 5, depth: depth)
        let θ = startingPoint(of: problem, seed: 3).values
        let J = problem.linearization(at: θ).jacobian(rows: 0..<problem.residualCount)
        let curvatures = problem.layerCurvatures(at: θ)
        #expect(curvatures.count == depth + 1 && curvatures.last?.range.upperBound == problem.layout.count)
        for layer in curvatures {
            let product = try #require(layer.terms.first)
            let (a, b, n) = (layer.inputs, layer.outputs, J.rows)
            #expect(layer.terms.count == 1 && product.channels == 1 && product.vectors == n)
            var (A, B) = (Matrix.zeros(a, a), Matrix.zeros(b, b))
            for row in 0..<n {
                let g = (0..<b).map { J[row, layer.offset + (a - 1) * b + $0] }
                let largest = try #require(g.indices.max { abs(g[$0]) < abs(g[$1]) })
                let x = (0..<a).map { J[row, layer.offset + $0 * b + largest] / g[largest] }
                for i in 0..<a { for k in 0..<a { A[i, k] += x[i] * x[k] / Double(n) } }
                for i in 0..<b { for k in 0..<b { B[i, k] += g[i] * g[k] } }
            }
            for i in A.elements.indices { #expect(abs(product.input.elements[i] - A.elements[i]) <= 1e-12 * A.maximumNorm) }
            for i in B.elements.indices { #expect(abs(product.output.elements[i] - B.elements[i]) <= 1e-12 * B.maximumNorm) }
        }
        // The last layer's product is JᵀJ's block.
        let last = try #require(curvatures.last), normal = problem.linearization(at: θ).gramian()
        let product = dense(last.terms[0].input, last.terms[0].output)
        for (i, p) in last.range.enumerated() {
            for (k, q) in last.range.enumerated() { #expect(abs(product[i, k] - normal[p, q]) <= 1e-13 * normal.maximumNorm) }
        }
    }

    /// K-FAC's direction by explicit matrices: [Σ (A + λI) ⊗ (B + λI)]⁻¹g of each layer, over two groups, one, and one a term.
    @Test(arguments: [1e-3, 1e-6]) func theDirectionByExplicitMatrices(λ: Double) throws {
        func check(_ problem: some LayeredCurvatureProblem, terms: Int, _ groups: KroneckerGroups = .equationAndConditions) throws -> Vector
        {
            let start = startingPoint(of: problem)
            let blocks = try problem.layerCurvatures(at: start.values).map { layer in
                #expect(layer.terms.count == terms)
                return (range: layer.range, matrix: denseSum(layer.terms.map { ($0.input, $0.output) }) { _ in (λ, λ) })
            }
            let g = try problem.lossAndGradient(at: start.values).gradient
            let expected = try layerwise(g, blocks)
            let method = KFAC(damping: λ, averaging: 0, groups: groups)
            var (state, _) = try drive(method, on: problem, from: start, steps: 0)
            let report = try method.step(&state, on: problem)
            let step = state.parameters.values - start.values
            let α = try #require(report.stepLength)
            #expect(α > 0 && step.norm > 0)
            #expect(report.details.contains { $0.name == "products" } == (terms > 2))
            // What conjugate gradients promise is the residual, which does not grow with the condition number as the error does.
            for block in blocks where terms > 2 {
                let (own, slope) = (Vector(step.elements[block.range]), Vector(g.elements[block.range]))
                let residual = (slope + (1 / α) * block.matrix.times(own)).norm
                #expect(residual <= 1e-9 * slope.norm, "\(residual / slope.norm)")
            }
            if terms <= 2 { #expect((step + α * expected).norm <= 1e-7 * step.norm, "\((step + α * expected).norm / step.norm)") }
            return (1 / step.norm) * step
        }
        _ = try check(try Self.network(width: 4, depth: 2), terms: 2)
        _ = try check(try Self.regression(width: 4, depth: 2), terms: 1)
        let apart = try check(try Self.heat(), terms: 3, .terms)
        let merged = try drive(KFAC(damping: λ, averaging: 0), on: try Self.heat(), from: startingPoint(of: try Self.heat()), steps: 1)
        let step = merged.state.parameters.values - startingPoint(of: try Self.heat()).values
        #expect(abs(apart.dot((1 / step.norm) * step)) < 0.999, "\(apart.dot((1 / step.norm) * step))")
    }

    /// What the running means are of, and how they begin.
    struct Averages: Sendable, CustomTestStringConvertible {
        var start: FactorStart
        var split: DampingSplit
        var refresh: Int
        var testDescription: String { "\(start), \(split), every \(refresh)" }
    }

    static let averages = [
        Averages(start: .zero, split: .same, refresh: 1), Averages(start: .identity, split: .same, refresh: 1),
        Averages(start: .zero, split: .traceNorm, refresh: 3), Averages(start: .identity, split: .traceNorm, refresh: 2),
    ]

    /// Seven steps whose factors are running means, by explicit matrices: Ā ← βĀ + (1 − β)A at every `refresh`-th, from I or made up for
    /// what they lack, and λ shared out to both factors.
    @Test(arguments: averages) func theMeansByExplicitMatrices(_ example: Averages) throws {
        let (problem, λ, β) = (try Self.network(width: 4, depth: 2), 1e-4, 0.8)
        let method = KFAC(damping: λ, dampingSplit: example.split, averaging: β, factorStart: example.start, refresh: example.refresh)
        var (state, _) = try drive(method, on: problem, from: startingPoint(of: problem), steps: 0)
        var (means, count) = ([[(a: Matrix, b: Matrix)]](), 0)
        for k in 0..<7 {
            let θ = state.parameters.values
            let layers = try problem.layerCurvatures(at: θ)
            if k % example.refresh == 0 {
                func begun(_ n: Int) -> Matrix { example.start == .identity ? .identity(n) : .zeros(n, n) }
                if k == 0 { means = layers.map { $0.terms.map { (a: begun($0.input.rows), b: begun($0.output.rows)) } } }
                for (l, layer) in layers.enumerated() {
                    for (t, term) in layer.terms.enumerated() {
                        for i in term.input.elements.indices {
                            means[l][t].a.elements[i] = β * means[l][t].a.elements[i] + (1 - β) * term.input.elements[i]
                        }
                        for i in term.output.elements.indices {
                            means[l][t].b.elements[i] = β * means[l][t].b.elements[i] + (1 - β) * term.output.elements[i]
                        }
                    }
                }
                count += 1
            }
            let share = example.start == .zero ? 1 / (1 - (0..<count).reduce(1.0) { product, _ in product * β }) : 1
            let blocks = zip(layers, means).map { layer, pairs in
                let pairs = pairs.map { pair in
                    var pair = pair
                    for i in pair.a.elements.indices { pair.a.elements[i] *= share }
                    for i in pair.b.elements.indices { pair.b.elements[i] *= share }
                    return pair
                }
                let sum = denseSum(pairs) { t in
                    guard example.split == .traceNorm else { return (λ, λ) }
                    func mean(_ matrix: Matrix) -> Double { matrix.diagonal.reduce(0, +) / Double(matrix.rows) }
                    let π = (mean(pairs[t].a) / mean(pairs[t].b)).squareRoot()
                    return (π * λ.squareRoot(), λ.squareRoot() / π)
                }
                return (range: layer.range, matrix: sum)
            }
            let expected = try layerwise(state.standpoint.gradient, blocks)
            let report = try method.step(&state, on: problem)
            #expect(report.verdict == .accepted && report.details.first { $0.name == "damping" }?.value == λ)
            let (step, α) = (state.parameters.values - θ, try #require(report.stepLength))
            #expect((step + α * expected).norm <= 1e-8 * step.norm, "step \(k): \((step + α * expected).norm / step.norm)")
        }
    }

    /// The scalings are the diagonal of UᵀJᵀJU, U = U_A ⊗ U_B.
    @Test func scalingsByExplicitMatrices() throws {
        try checkScalings(on: try Self.network(width: 4, depth: 2))
        try checkScalings(on: try Self.regression(width: 4, depth: 2))
    }

    private func checkScalings(on problem: some LayeredCurvatureProblem) throws {
        let start = startingPoint(of: problem)
        let (g, λ) = (try problem.lossAndGradient(at: start.values).gradient, 1e-6)
        let normal = try problem.linearization(at: start.values).gramian()
        var expected = g
        for layer in try problem.layerCurvatures(at: start.values) {
            let vectors = Double(layer.terms.reduce(0) { $0 + $1.vectors })
            var (a, b) = (Matrix.zeros(layer.inputs, layer.inputs), Matrix.zeros(layer.outputs, layer.outputs))
            for term in layer.terms {
                for i in a.elements.indices { a.elements[i] += term.input.elements[i] * Double(term.vectors) / vectors }
                for i in b.elements.indices { b.elements[i] += term.output.elements[i] }
            }
            let U = dense(try SymmetricEigen.factorize(a).get().vectors, try SymmetricEigen.factorize(b).get().vectors)
            var block = Matrix.zeros(layer.range.count, layer.range.count)
            for (i, p) in layer.range.enumerated() { for (k, q) in layer.range.enumerated() { block[i, k] = normal[p, q] } }
            let turned = Matrix.product(.product(U, block, transposingFirst: true), U)
            let c = U.transposedTimes(Vector(g.elements[layer.range]))
            let solved = U.times(Vector(c.indices.map { c[$0] / (turned[$0, $0] + λ) }))
            for (i, value) in zip(layer.range, solved) { expected[i] = value }
        }
        var (state, _) = try drive(EKFAC(damping: λ), on: problem, from: start, steps: 0)
        let report = try EKFAC(damping: λ).step(&state, on: problem)
        let step = state.parameters.values - start.values
        let α = try #require(report.stepLength)
        #expect(α > 0 && (step + α * expected).norm <= 1e-8 * step.norm)
    }

    /// Rate and momentum at the quadratic model's minimum: no others near them give it a lower value.
    @Test func theModelsMinimum() throws {
        let problem = try Self.network()
        let method = KFAC(damping: 1e-8, stepLength: .automatic(QuadraticModelStep(isMonotone: false)))
        var (state, _) = try drive(method, on: problem, from: startingPoint(of: problem), steps: 3)
        let (before, δ) = (state.standpoint, try #require(state.memory))
        let report = try method.step(&state, on: problem)
        let s = state.parameters.values - before.parameters.values
        let (α, μ) = (try #require(report.stepLength), try #require(report.details.first { $0.name == "momentum" }?.value))
        let Δ = (1 / α) * s.adding(δ, scaledBy: -μ)
        let model = try problem.linearization(at: before.parameters.values)
        func value(_ α: Double, _ μ: Double) -> Double {
            let s = (α * Δ).adding(δ, scaledBy: μ)
            let Js = model.product(s)
            return before.gradient.dot(s) + 0.5 * Js.dot(Js) + 0.5e-8 * s.dot(s)
        }
        let least = value(α, μ)
        #expect(least < 0)
        for (a, m) in [(1.01, 1.0), (0.99, 1), (1, 1.01), (1, 0.99), (1.01, 1.01), (0.99, 0.99)] { #expect(value(a * α, m * μ) >= least) }
    }

    /// Where an affine layer is no part of the network, or not all of it, the method says so before the first step.
    @Test func otherParametersAreRefused() throws {
        var setup = PoissonOnSquareSetup()
        setup.network = PerceptronSettings(width: 6, depth: 2)
        setup.network.trainsSlopes = true
        let problem = try #require(try setup.makeProblem(seed: 1) as? PhysicsInformedProblem)
        for method in [KFAC(), KFAC(stepLength: .automatic(QuadraticModelStep()))] {
            let error = #expect(throws: (any Error).self) { _ = try method.start(on: problem, from: startingPoint(of: problem)) }
            #expect(error.map { "\($0)" }?.contains("no affine layer") == true, "\(String(describing: error))")
        }
    }

    /// Momentum and the automatic step are two answers to one question.
    @Test func settingsThatExcludeEachOther() {
        #expect(throws: ConfigurationError.self) {
            _ = try KFAC(stepLength: .automatic(QuadraticModelStep()), momentum: 0.5).validated()
        }
    }

    /// With the quadratic model's steps, a tenth as many go below a quarter of Adam's loss at the best of three rates; with the grid's they go
    /// below a tenth of what Adam has after as many.
    @Test func adamIsLeftBehind() throws {
        let problem = try Self.network(width: 24, interior: 200, boundary: 60)
        let start = startingPoint(of: problem)
        func loss<O: Optimizer>(_ optimizer: O) throws -> Double where O.Objective == any LayeredCurvatureProblem {
            try problem.loss(at: try drive(optimizer, on: problem, from: start, steps: 200).state.parameters.values).total
        }
        func adam(_ steps: Int) throws -> Double {
            try [1e-3, 3e-3, 1e-2].map { try drive(Adam(learningRate: $0), on: problem, from: start, steps: steps).state.loss.total }.min()
                ?? 0
        }
        let (long, short) = (try adam(2000), try adam(200))
        let automatic = KroneckerStepLength.automatic(QuadraticModelStep())
        for (name, found) in [("kfac", try loss(KFAC(momentum: 0.6))), ("ekfac", try loss(EKFAC(momentum: 0.6)))] {
            #expect(found < 0.1 * short, "\(name) \(found), adam \(short)")
        }
        for (name, found) in [("kfac", try loss(KFAC(stepLength: automatic))), ("ekfac", try loss(EKFAC(stepLength: automatic)))] {
            #expect(found < 0.25 * long, "\(name) \(found), adam \(long)")
        }
    }

    /// On a sum of sines that Adam's best of three rates learns in some thousands of steps, K-FAC and E-KFAC need a tenth of them.
    @Test func adamIsLeftBehindOnARegression() throws {
        let problem = try MultiFrequencyRegression().problem(seed: 1)
        let (start, target) = (startingPoint(of: problem, seed: 1), 1e-2)
        func steps<O: Optimizer>(_ optimizer: O, atMost limit: Int) throws -> Int {
            var state = try optimizer.start(on: try objective(of: optimizer), from: start)
            for step in 1...limit {
                _ = try optimizer.step(&state, on: try objective(of: optimizer))
                if problem.loss(at: state.parameters.values).total < target { return step }
            }
            return limit + 1
        }
        func objective<O: Optimizer>(of _: O) throws -> O.Objective { try #require(problem as? O.Objective) }
        let adam = try [3e-3, 1e-2, 3e-2].map { try steps(Adam(learningRate: $0), atMost: 6000) }
        let best = try #require(adam.min())
        let automatic = KroneckerStepLength.automatic(QuadraticModelStep())
        for (name, found) in [
            ("kfac", try steps(KFAC(damping: 1e-6, stepLength: automatic), atMost: 600)),
            ("ekfac", try steps(EKFAC(damping: 1e-6, stepLength: automatic), atMost: 600)),
        ] { #expect(10 * found < best, "\(name) \(found), adam \(adam)") }
    }
}
