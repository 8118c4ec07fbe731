import DeepRitz
import Globalization
import LeastSquares
import LinearAlgebra
import NaturalGradient
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import QuasiNewton
import StochasticGradient
import Testing

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

/// ∂u_θ′/∂θ of the same network at x.
private func slopeDerivatives(_ θ: Vector, width w: Int, at x: Double) -> Vector {
    var row = Vector.zeros(3 * w + 1)
    let (bubble, slope) = (x * (1 - x), 1 - 2 * x)
    for j in 0..<w {
        let (a, v) = (θ[j], θ[2 * w + j])
        let t = tanh(a * x + θ[w + j])
        let (d, dd) = (1 - t * t, -2 * t * (1 - t * t))
        row[j] = v * (slope * d * x + bubble * (dd * x * a + d))
        row[w + j] = v * (slope * d + bubble * dd * a)
        row[2 * w + j] = slope * t + bubble * d * a
    }
    row[3 * w] = slope
    return row
}

private func start(_ problem: PoissonEnergy, seed: UInt64) -> Vector {
    var random = RandomStream(seed: seed, name: "initialization")
    return problem.initialParameters(from: &random).values
}

@Suite struct PoissonEnergyTests {
    @Test func defaults() throws {
        let problem = try DeepRitzSetup().problem()
        #expect(problem.layout.count == 97)
        #expect(problem.sampleSets.map(\.count) == [256])
        #expect(
            offers(of: problem) == [
                "DifferentiableProblem", "GeneralizedGaussNewtonProblem", "TwiceDifferentiableProblem", "SampledProblem",
                "RevisableProblem",
            ])
        #expect(throws: QuadratureError.self) {
            var setup = DeepRitzSetup()
            setup.nodesPerElement = 1000
            _ = try setup.makeProblem(seed: 0)
        }
    }

    /// Slopes 2 of the gradient and of H·v, 3 of the Hessian, symmetry of H.
    @Test(arguments: [1, 3]) func derivatives(depth: Int) throws {
        var setup = DeepRitzSetup()
        setup.network.depth = depth
        setup.network.width = 12
        let check = try DerivativeCheck(of: try setup.problem())
        #expect(check.passed, "\(check)")
        #expect(check.rungs.contains { $0.name.hasPrefix("Hessian's Taylor remainder") })
    }

    /// The rule gives the solution's energy, −(kπ)²/4, to rounding.
    @Test(arguments: [1, 2, 4]) func theSolutionHasTheLeastEnergy(frequency: Int) throws {
        var setup = DeepRitzSetup()
        setup.frequency = frequency
        let problem = try setup.problem()
        let κ = Double(frequency) * .pi
        let energy = problem.quadrature.integral { x in
            let (u, slope) = (sin(κ * x), κ * cos(κ * x))
            return 0.5 * slope * slope - κ * κ * u * u
        }
        // The integrand is at most κ² in size; the quadrature's own error, below (κ/64)⁸κ², does not show.
        #expect(abs(energy - problem.leastEnergy) <= 320 * .ulpOfOne * κ * κ)
    }

    /// L(θ) − E(u*) = ½∫(u_θ′ − u*′)² for any θ, u_θ and its derivative being computed without the engine.
    @Test(arguments: [1, 2, 3] as [UInt64]) func theGapIsTheErrorInTheEnergyNorm(seed: UInt64) throws {
        var setup = DeepRitzSetup()
        (setup.elements, setup.nodesPerElement) = (300, 6)
        let problem = try setup.problem()
        let trained = try Pipeline(minimizing: problem) { Stage("descend", LBFGS(memory: 20), until: .iterations(60)) }
            .start(seed: seed).parameters.values
        let κ = 2 * Double.pi
        for θ in [start(problem, seed: seed), trained] {
            let gap = problem.quadrature.integral { x in
                let difference = trialFunction(θ, width: 32, at: x).slope - κ * cos(κ * x)
                return 0.5 * difference * difference
            }
            let size = problem.quadrature.integral { x in
                let (u, slope) = trialFunction(θ, width: 32, at: x)
                return 0.5 * slope * slope + abs(κ * κ * sin(κ * x) * u)
            }
            let measured = problem.loss(at: θ).total - problem.leastEnergy
            #expect(measured > 0)
            // 1 800 nodes, each of 32 units summed twice.
            #expect(abs(measured - gap) <= (1_800 + 64) * .ulpOfOne * (size + κ * κ), "\(measured) and \(gap)")
            let x = [0.0, 0.2, 0.7, 1]
            let u = problem.solution(at: x, parameters: θ)
            #expect(u[0] == 0 && u[3] == 0)
            for (x, u) in zip(x, u) {
                // Sums of 32 terms of either sign, bounded by the output weights.
                #expect(
                    abs(u - trialFunction(θ, width: 32, at: x).u) <= 64 * .ulpOfOne
                        * Vector(θ.elements[64...]).elements.reduce(0) { $0 + abs($1) })
            }
        }
    }

    @Test func theSameBitsForAnyNumberOfThreads() throws {
        let problem = try DeepRitzSetup().problem()
        let θ = start(problem, seed: 5)
        let v = start(problem, seed: 6)
        let before = ThreadPool.threadCount
        defer { ThreadPool.threadCount = before }
        let results = [1, 2].map { threads in
            ThreadPool.threadCount = threads
            let value = problem.lossAndGradient(at: θ)
            return [value.loss.terms, value.gradient.elements, problem.hessian(at: θ).product(v).elements, [problem.loss(at: θ).total]]
        }
        #expect(results[0] == results[1])
    }
}

@Suite struct DeepRitzTrainingTests {
    /// Trains, and checks that the energy certifies the error: |e|₁² = 2(L − E(u*)) and ‖e‖ ≤ |e|₁/π (Poincaré), so that with
    /// ‖u*‖ = 1/√2 the relative error is at most 2√(L − E(u*))/π.
    private func train<O: Optimizer>(_ optimizer: O, seed: UInt64, until rule: StoppingRule) throws -> (error: Double, gap: Double) {
        let problem = try DeepRitzSetup().problem()
        let result = try Pipeline(minimizing: problem, stages: [Stage(dynamic: "train", optimizer, until: rule)]).start(seed: seed)
        let θ = result.parameters.values
        let (error, gap) = (try #require(problem.referenceError(at: θ)), problem.loss(at: θ).total - problem.leastEnergy)
        // 256 terms of at most κ² in size, over an interval of length one.
        let noise = 320 * .ulpOfOne * 4 * Double.pi * .pi
        #expect(gap >= -noise)
        #expect(error <= 2 * (max(gap, 0) + noise).squareRoot() / .pi)
        return (error, gap)
    }

    /// 2.6e-7, 4.0e-7 and 1.1e-6 where it comes to rest, after 900 to 2 200 evaluations.
    @Test(arguments: [1, 2, 3] as [UInt64]) func lbfgsSolvesIt(seed: UInt64) throws {
        let (error, _) = try train(LBFGS(memory: 50), seed: seed, until: .evaluations(800))
        #expect(error <= 1e-4, "\(error)")
    }

    /// 1.2e-8 to 2.5e-8 where it comes to rest, after 530 to 620 evaluations: as the loss's rounding allows.
    @Test(arguments: [1, 2, 3] as [UInt64]) func broydenSolvesIt(seed: UInt64) throws {
        let (error, _) = try train(SelfScaledBroyden(), seed: seed, until: .evaluations(600))
        #expect(error <= 1e-6, "\(error)")
    }

    /// G = Σ wᵢ (∂u′/∂θ)ᵀ(∂u′/∂θ), the derivatives written out, on all nodes and on a batch; the same by products with the factor.
    @Test func theMetricByItsDefinition() throws {
        var setup = DeepRitzSetup()
        setup.network.width = 7
        let whole = try setup.problem()
        let θ = start(whole, seed: 2)
        let batch = Array(stride(from: 3, to: 60, by: 4))
        for (problem, nodes) in [(whole, Array(whole.quadrature.nodes.indices)), (try whole.restricted(to: Batch([batch])), batch)] {
            let share = Double(whole.quadrature.nodes.count) / Double(nodes.count)
            var expected = Matrix.zeros(θ.count, θ.count)
            for node in nodes {
                let row = slopeDerivatives(θ, width: 7, at: whole.quadrature.nodes[node])
                for i in θ.indices { for j in θ.indices { expected[i, j] += share * whole.quadrature.weights[node] * row[i] * row[j] } }
            }
            let factor = problem.gaussNewtonFactor(at: θ)
            #expect(factor.rowCount == nodes.count && problem.factorRowCount == nodes.count)
            let (metric, J) = (factor.gramian(), factor.jacobian())
            for (i, value) in expected.elements.enumerated() {
                #expect(abs(metric.elements[i] - value) <= 1e-13 * expected.maximumNorm)
            }
            var random = RandomStream(seed: 1, name: "direction")
            let v = random.normalVector(θ.count)
            let product = factor.transposedProduct(factor.product(v))
            #expect((product - expected.times(v)).norm <= 1e-12 * product.norm && (J.times(v) - factor.product(v)).norm <= 1e-12 * v.norm)
        }
    }

    /// u is linear in the parameters of the output layer, so that the energy's Hessian in them is the metric's block.
    @Test func theMetricIsTheHessianOfTheLinearLayer() throws {
        var setup = DeepRitzSetup()
        setup.network.width = 7
        let problem = try setup.problem()
        let θ = start(problem, seed: 2)
        let (metric, hessian) = (problem.gaussNewtonFactor(at: θ).gramian(), problem.hessian(at: θ))
        for j in 14..<22 {
            var unit = Vector.zeros(θ.count)
            unit[j] = 1
            let column = hessian.product(unit)
            for i in 14..<22 { #expect(abs(column[i] - metric[i, j]) <= 1e-12 * metric.maximumNorm) }
        }
    }

    /// To a relative error of 1e-6 in less than 200 steps from each of five seeds: 9 to 19, and 14 to 33 until rounding hides all that is left, at
    /// errors of 2e-9 to 9e-8.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func naturalGradientsSolveIt(seed: UInt64) throws {
        let (error, gap) = try train(NaturalGradient(), seed: seed, until: .iterations(199))
        #expect(error <= 1e-6 && gap <= 1e-9, "\(error), \(gap)")
    }

    /// The model of Gauss and Newton is the metric, which Newton's methods and trust regions take by products.
    @Test func theMetricIsTheModelOfGaussAndNewton() throws {
        let problem = try DeepRitzSetup().problem()
        let θ = start(problem, seed: 3)
        let (factor, B) = (problem.gaussNewtonFactor(at: θ), try CurvatureModel.gaussNewton.operator(at: θ, on: problem))
        let v = Vector((0..<θ.count).map { Double($0 % 5) - 2 })
        #expect(B.product(v) == factor.transposedProduct(factor.product(v)))
        #expect(try CurvatureModel.gaussNewton.matrix(at: θ, on: problem) == factor.gramian())
    }

    /// Without a residual there is no JJᵀ to invert; Hessian-free steps need none.
    @Test func onlyTheSpaceOfParametersHasTheMetric() throws {
        let problem = try DeepRitzSetup().problem()
        let pipeline = Pipeline(minimizing: problem) { Stage("solve", NaturalGradient(space: .samples), until: .iterations(1)) }
        let error = try #require(throws: ConfigurationError.self) { _ = try pipeline.preflight() }
        #expect(error.path.contains("space") && error.reason.contains("deep-ritz-1d") && error.reason.contains("parameters"))
        let plan = try Pipeline(minimizing: problem) { Stage("solve", NaturalGradient(), until: .iterations(1)) }.preflight()
        #expect(plan.residualCount == nil && plan.stages[0].square?.taken.plan.square == .gramian && plan.stages[0].square?.other == nil)
        let (free, _) = try train(HessianFree(), seed: 1, until: .iterations(100))
        #expect(free <= 1e-3, "\(free)")
        for method in [
            NaturalGradient(
                damping: ConstantDamping(1e-8), solver: .pcg(PreconditionedMetric(share: 0.2)),
                momentum: .spring(SPRINGMomentum(decay: 0.1))),
            NaturalGradient(damping: NielsenDamping(), momentum: .spring(SPRINGMomentum(decay: 0.1))),
        ] {
            let (error, _) = try train(method, seed: 1, until: .iterations(150))
            #expect(error <= 1e-4, "\(error)")
        }
    }

    /// A quarter of the nodes in each step: the gap falls to a few thousandths of the start's, the error to a per cent or so.
    @Test func adamTrainsOnBatches() throws {
        let problem = try DeepRitzSetup().problem()
        let before = problem.loss(at: start(problem, seed: 1)).total - problem.leastEnergy
        let (error, gap) = try train(Batched(Adam(learningRate: 3e-3), size: 64), seed: 1, until: .iterations(2_000))
        #expect(error <= 0.03 && gap <= 0.01 * before, "\(error), \(gap) of \(before)")
    }

    /// Methods for least squares are refused before the first step, with what is needed, what is offered, and what would fit.
    @Test func leastSquaresMethodsAreRefused() throws {
        var registry = Registry()
        try registry.install(StochasticGradientPlugin.self)
        try registry.install(QuasiNewtonPlugin.self)
        try registry.install(LeastSquaresPlugin.self)
        let problem = try DeepRitzSetup().problem()
        func refusal<O: Optimizer>(of optimizer: O) throws -> PairingError {
            let pipeline = Pipeline(minimizing: problem, stages: [Stage(dynamic: "solve", optimizer, until: .iterations(1))])
            return try #require(throws: PairingError.self) { _ = try pipeline.preflight(suggestingFrom: registry) }
        }
        for error in [try refusal(of: GaussNewton()), try refusal(of: LevenbergMarquardt())] {
            #expect(error.need == "LeastSquaresProblem")
            #expect(error.offers == offers(of: problem))
            let needing = Set(["gauss-newton", "levenberg-marquardt", "singular-value-trust-region", "variable-projection"])
            #expect(Set(error.fitting).isSuperset(of: ["adam", "bfgs", "l-bfgs", "self-scaled-broyden"]))
            #expect(Set(error.fitting).isDisjoint(with: needing) && needing.isSubset(of: registry.optimizers.map(\.name)))
            #expect(error.description.contains("deep-ritz-1d"))
        }
    }
}
