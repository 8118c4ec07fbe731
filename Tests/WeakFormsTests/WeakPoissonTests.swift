import LeastSquares
import LinearAlgebra
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Testing
import WeakForms

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// u_θ = x(1 − x)N_θ and its derivative for a network of one hidden layer of tanh units, written out.
private func trialFunction(_ θ: Vector, width w: Int, at x: Double) -> (u: Double, slope: Double) {
    var (n, dn) = (θ[3 * w], 0.0)
    for j in 0..<w {
        let t = tanh(θ[j] * x + θ[w + j])
        n += θ[2 * w + j] * t
        dn += θ[2 * w + j] * (1 - t * t) * θ[j]
    }
    return (x * (1 - x) * n, (1 - 2 * x) * n + x * (1 - x) * dn)
}

/// Simpson's rule on [a, b]: not Gauss and Legendre's.
private func simpson(_ a: Double, _ b: Double, panels n: Int = 2000, _ f: (Double) -> Double) -> Double {
    let h = (b - a) / Double(n)
    return (0..<n).reduce(0.0) { sum, i in
        let x = a + Double(i) * h
        return sum + h / 6 * (f(x) + 4 * f(x + 0.5 * h) + f(x + h))
    }
}

/// P₀ … P₄ in powers of x.
private let legendre: [@Sendable (Double) -> Double] = [
    { _ in 1 }, { $0 }, { 1.5 * $0 * $0 - 0.5 }, { (2.5 * $0 * $0 - 1.5) * $0 }, { (4.375 * $0 * $0 - 3.75) * $0 * $0 + 0.375 },
]

private func start(_ problem: WeakPoisson, seed: UInt64) -> Vector {
    var random = RandomStream(seed: seed, name: "initialization")
    return problem.initialParameters(from: &random).values
}

private func problem(mesh: [Double], nodes: Int, bubbles: Int, width: Int = 32, frequency: Int = 2, depth: Int = 1) throws -> WeakPoisson {
    var setup = WeakPoissonSetup()
    (setup.network.width, setup.network.depth) = (width, depth)
    return try WeakPoisson(
        frequency: frequency, model: try setup.network.model(over: [0...1], outputs: 1),
        space: try TestSpace(rule: try CompositeGaussLegendre(mesh: mesh, nodesPerElement: nodes), bubbles: bubbles),
        identity: .scalar("test"))
}

private let uneven = [0, 0.2, 0.5, 0.6, 1]

@Suite struct WeakPoissonTests {
    @Test func defaults() throws {
        let p = try WeakPoissonSetup().problem()
        #expect(p.layout.count == 97)
        #expect(p.terms == ["bubbles", "hats"])
        #expect(p.sampleSets.map(\.count) == [40, 39])
        #expect(p.residualCount == 40 * 2 + 39)
        #expect(offers(of: p).contains("LeastSquaresProblem") && offers(of: p).contains("PartiallyLinearProblem"))
        #expect(try problem(mesh: [0, 1], nodes: 8, bubbles: 5).terms == ["bubbles"])
        #expect(try problem(mesh: uneven, nodes: 8, bubbles: 0).terms == ["hats"])
    }

    /// Every residual ∫u′φ′ − fφ against Simpson's rule, with test functions and network written out, on elements of uneven size.
    @Test func residualsAgainstAnotherQuadrature() throws {
        let (bubbles, κ) = (3, 2 * Double.pi)
        let p = try problem(mesh: uneven, nodes: 14, bubbles: bubbles)
        let θ = start(p, seed: 3)
        let r = p.residual(at: θ)
        func functional(_ a: Double, _ b: Double, _ φ: (Double) -> Double, _ slope: (Double) -> Double) -> Double {
            simpson(a, b) { x in
                trialFunction(θ, width: 32, at: x).slope * slope(x) - κ * κ * sin(κ * x) * φ(x)
            }
        }
        // Simpson's error is below h⁴/2880·max|f⁗| with h = 2e-4 and derivatives below 1e6: 1e-12. Gauss and Legendre's with 14 nodes is smaller.
        for e in 0..<4 {
            let (a, b) = (uneven[e], uneven[e + 1])
            let h = b - a
            for k in 1...bubbles {
                let norm = Double(2 * k + 1).squareRoot()
                let ξ = { (x: Double) in (2 * x - a - b) / h }
                let value = functional(
                    a, b, { h.squareRoot() * (legendre[k + 1](ξ($0)) - legendre[k - 1](ξ($0))) / (2 * norm) },
                    { norm / h.squareRoot() * legendre[k](ξ($0)) })
                #expect(abs(r[(k - 1) * 4 + e] - value) <= 1e-11 * (1 + abs(value)), "element \(e), bubble \(k)")
            }
        }
        for i in 1...3 {
            let (a, b, c) = (uneven[i - 1], uneven[i], uneven[i + 1])
            let height = 1 / (1 / (b - a) + 1 / (c - b)).squareRoot()
            let value =
                functional(a, b, { height * ($0 - a) / (b - a) }, { _ in height / (b - a) })
                + functional(b, c, { height * (c - $0) / (c - b) }, { _ in -height / (c - b) })
            #expect(abs(r[4 * bubbles + i - 1] - value) <= 1e-11 * (1 + abs(value)), "hat \(i)")
        }
    }

    /// With one element the test functions are orthonormal in ∫φ′ψ′, so that L = ½∫(u_θ′ − u*′)² but for degrees above K.
    @Test(arguments: [1, 2] as [UInt64]) func theLossIsTheErrorInTheEnergyNorm(seed: UInt64) throws {
        let p = try problem(mesh: [0, 1], nodes: 44, bubbles: 36)
        let (θ, κ) = (start(p, seed: seed), 2 * Double.pi)
        let error = simpson(0, 1, panels: 20_000) { x in
            let difference = trialFunction(θ, width: 32, at: x).slope - κ * cos(κ * x)
            return difference * difference
        }
        // u_θ′ is analytic in a strip of 0.4 or so around the interval (units of slope 4): coefficients above degree 36 are below 1e-12 of it.
        #expect(abs(2 * p.loss(at: θ).total - error) <= 1e-10 * error, "\(2 * p.loss(at: θ).total) and \(error)")
        // A test space of lower degree sees less of it.
        let coarse = try problem(mesh: [0, 1], nodes: 44, bubbles: 3)
        #expect(2 * coarse.loss(at: θ).total < error)
    }

    /// On several elements the error in the energy's norm bounds the loss: small residuals are asked of any good solution.
    @Test func theErrorBoundsTheLoss() throws {
        let p = try WeakPoissonSetup().problem()
        let trained = try Pipeline(minimizing: p) { Stage("train", LevenbergMarquardt(), until: .iterations(200)) }.start(seed: 1)
        let θ = trained.parameters.values
        let κ = 2 * Double.pi
        let error = simpson(0, 1, panels: 20_000) { x in
            let difference = trialFunction(θ, width: 32, at: x).slope - κ * cos(κ * x)
            return difference * difference
        }
        // Bubbles are orthonormal and a hat meets its two neighbours only, with ∫φ′ψ′ = −½: their Gram matrix is at most 2 (Gershgorin).
        #expect(2 * p.loss(at: θ).total <= 2 * error)
        #expect(p.loss(at: θ).total < 1e-8)
    }

    /// Two bubbles: rows of J are compared entry by entry within the rounding of their own size, and those of higher bubbles are small
    /// differences (see ``TestSpace``).
    @Test(arguments: [1, 2]) func derivatives(depth: Int) throws {
        let check = try DerivativeCheck(of: try problem(mesh: uneven, nodes: 9, bubbles: 2, width: 10, depth: depth))
        #expect(check.passed, "\(check)")
        #expect(check.rungs.contains { $0.name.hasPrefix("Hessian's Taylor remainder") })
    }

    /// JᵀJ and JJᵀ as the engine forms them against J.
    @Test func squares() throws {
        let p = try problem(mesh: uneven, nodes: 9, bubbles: 4, width: 10)
        let linear = p.linearization(at: start(p, seed: 2))
        let j = linear.jacobian()
        for (square, expected) in [(linear.gramian(), j.gram), (linear.kernel(), j.outerGram)] {
            let largest = expected.maximumNorm
            #expect(zip(square.elements, expected.elements).allSatisfy { abs($0 - $1) <= 1e-12 * largest })
        }
    }

    @Test(arguments: [(mesh: [0.0, 1], bubbles: 5), (mesh: uneven, bubbles: 0), (mesh: uneven, bubbles: 2)])
    func contract(mesh: [Double], bubbles: Int) throws {
        try ProblemConformance.check(try problem(mesh: mesh, nodes: 8, bubbles: bubbles, width: 7))
    }

    @Test func settings() { #expect(SettingsConformance.failures(of: WeakPoissonSetup()) == []) }

    @Test func whatDoesNotFitIsRefused() throws {
        func message(_ make: () throws -> Any) -> String {
            do {
                _ = try make()
                return "nothing was thrown"
            } catch {
                return "\(error)"
            }
        }
        #expect(message { try problem(mesh: [0, 1], nodes: 5, bubbles: 5) }.contains("5 bubbles in an element of 5 nodes"))
        #expect(message { try problem(mesh: [0, 1], nodes: 5, bubbles: 0) }.contains("no test function"))
        #expect(message { try problem(mesh: [0, 0.5, 2], nodes: 5, bubbles: 2) }.contains("runs from 0.0 to 2.0"))
        #expect(message { try problem(mesh: [0, 1, 0.5], nodes: 5, bubbles: 2) }.contains("a mesh must have"))
        var setup = WeakPoissonSetup()
        setup.bubbles = 6
        #expect(message { try setup.makeProblem(seed: 0) }.contains("6 bubbles in an element of 6 nodes"))
        let p = try WeakPoissonSetup().problem()
        #expect(message { try p.restricted(to: Batch([[0]])) }.contains("bubbles, hats"))
        #expect(message { try p.restricted(to: Batch([[0], [39]])) }.contains("place 39 of the 39 of “hats”"))
        let outside = Matrix(rows: [[1.5]])
        #expect(message { try p.prediction(at: outside, parameters: start(p, seed: 1), including: []) }.contains("x = 1.5"))
    }

    @Test func aFaultNamesElementOrNode() throws {
        let p = try problem(mesh: uneven, nodes: 8, bubbles: 2, width: 7)
        var θ = start(p, seed: 1)
        θ[0] = .nan
        #expect(p.locateFault(at: θ) == Fault(term: "bubbles", sample: "element 0, [0.0, 0.2]"))
        #expect(p.locateFault(at: start(p, seed: 1)) == nil)
    }
}

@Suite struct WeakTrainingTests {
    private func error<O: Optimizer>(_ optimizer: O, frequency: Int, seed: UInt64, iterations: Int) throws -> Double {
        var setup = WeakPoissonSetup()
        setup.frequency = frequency
        let problem = try setup.problem()
        let result = try Pipeline(minimizing: problem, stages: [Stage(dynamic: "train", optimizer, until: .iterations(iterations))])
            .start(seed: seed)
        return try #require(problem.referenceError(at: result.parameters.values))
    }

    /// 2.7e-10, 2.0e-10 and 4.2e-10; after 100 steps 2e-8.
    @Test(arguments: [1, 2, 3] as [UInt64]) func levenbergMarquardtSolvesIt(seed: UInt64) throws {
        let error = try error(LevenbergMarquardt(), frequency: 2, seed: seed, iterations: 300)
        #expect(error <= 1e-8, "\(error)")
    }

    /// 5.1e-14, 9.1e-14 and 1.1e-13, where it comes to rest after 20 to 26 steps.
    @Test(arguments: [1, 2, 3] as [UInt64]) func gaussNewtonSolvesIt(seed: UInt64) throws {
        let error = try error(GaussNewton(), frequency: 2, seed: seed, iterations: 100)
        #expect(error <= 1e-11, "\(error)")
    }
}
