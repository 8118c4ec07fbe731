import LinearAlgebra
import MatrixPreconditioners
import NeuralModels
import NewtonFixtures
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Poisson
import StochasticGradient
import Testing

/// L = ½‖W − T‖²_F + ½‖b‖² with a weight on each column of W.
private struct Quadratic: DifferentiableProblem {
    var target: Matrix
    var weights: Vector

    var name: String { "quadratic" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout([("w", [target.rows, target.columns]), ("b", [2])]) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(layout: layout, values: .zeros(layout.count)) }
    func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        var (loss, g) = (0.0, Vector.zeros(θ.count))
        for i in 0..<target.rows {
            for j in 0..<target.columns {
                let p = i * target.columns + j
                g[p] = weights[j] * (θ[p] - target[i, j])
                loss += 0.5 * g[p] * (θ[p] - target[i, j])
            }
        }
        for p in (θ.count - 2)..<θ.count { (g[p], loss) = (θ[p], loss + 0.5 * θ[p] * θ[p]) }
        return Evaluation(loss: LossValue(loss), gradient: g)
    }
}

@Suite struct MatrixPreconditionersTests {
    private let problem = Quadratic(target: Matrix(rows: [[1, 2, -1], [0.5, -1, 3]]), weights: [1, 10, 100])

    private func firstStep<M: BlockwiseMethod>(_ method: M, steps: Int = 1) throws -> (update: Matrix, state: M.State) {
        var random = RandomStream(seed: 0, name: "start")
        var state = try method.start(on: problem, from: problem.initialParameters(from: &random))
        var before = state.parameters.values
        for _ in 0..<steps {
            before = state.parameters.values
            _ = try method.step(&state, on: problem)
        }
        let Δ = before - state.parameters.values
        return (Matrix(rows: 3, columns: 2, elements: Array(Δ.elements.prefix(6))).transposed, state)
    }

    /// The first step of Muon has the gradient's singular vectors, and singular values that the iteration brings near one.
    @Test func muonKeepsSingularVectors() throws {
        let (update, _) = try firstStep(Muon(learningRate: 0.5))
        var gradient = Matrix.zeros(2, 3)
        for i in 0..<2 { for j in 0..<3 { gradient[i, j] = -problem.weights[j] * problem.target[i, j] } }
        let (exact, found) = (try SVD.factorize(gradient).get(), try SVD.factorize(update).get())
        for σ in found.singularValues { #expect(σ / (0.5 * 1.5.squareRoot()) > 0.65 && σ / (0.5 * 1.5.squareRoot()) < 1.25, "\(σ)") }
        // Uᵀ·Δ·V is diagonal in the gradient's bases.
        let turned = Matrix.product(.product(exact.u, update, transposingFirst: true), exact.vTransposed, transposingSecond: true)
        #expect(abs(turned[0, 1]) + abs(turned[1, 0]) < 1e-12 * abs(turned[0, 0]))
    }

    /// From one gradient and no diagonal, Shampoo's direction is the same orthogonal matrix: (GGᵀ)^(−¼)G(GᵀG)^(−¼) = UVᵀ on the range of G.
    @Test func shampooOfOneGradientIsOrthogonal() throws {
        var method = Shampoo(learningRate: 1, momentum: 0, squareMomentum: 1, grafting: .none)
        (method.warmUp, method.epsilon) = (1, 1e-14)
        let (update, _) = try firstStep(method)
        for σ in try SVD.factorize(update).get().singularValues { #expect(abs(σ - 1) < 1e-6, "\(σ)") }
    }

    @Test func graftingTakesTheLength() throws {
        var method = Shampoo(learningRate: 0.1, momentum: 0, grafting: .sgd)
        method.warmUp = 1
        let (update, _) = try firstStep(method)
        let g = problem.lossAndGradient(at: .zeros(8)).gradient
        #expect(abs(update.frobeniusNorm - 0.1 * g.norm) < 1e-12 * g.norm)
    }

    /// With both sides left as they are, SOAP is Adam, a step later.
    @Test func soapWithoutBasesIsAdam() throws {
        var soap = SOAP(learningRate: 0.01, momentum: 0.9, squareMomentum: 0.99)
        soap.maximumDimension = 1
        let (_, state) = try firstStep(soap, steps: 11)
        let adam = Adam(learningRate: 0.01, momentum: 0.9, squareMomentum: 0.99)
        var random = RandomStream(seed: 0, name: "start")
        var other = try adam.start(on: problem, from: problem.initialParameters(from: &random))
        for _ in 0..<10 { _ = try adam.step(&other, on: problem) }
        // Adam's ε is added after the correction of v.
        #expect((state.parameters.values - other.parameters.values).maximumNorm < 1e-8)
        #expect(state.parameters.values.norm > 0.01)
    }

    /// The bases stay orthogonal, and V's entries follow their columns: with a fixed gradient's statistics, Q turns them diagonal.
    @Test func soapTurnsStatisticsDiagonal() throws {
        let (_, state) = try firstStep(SOAP(learningRate: 1e-3, refresh: 1), steps: 30)
        for side in [state.memory.blocks[0].columnSide, state.memory.blocks[0].rowSide] {
            let side = try #require(side)
            let n = side.basis.rows
            let square = side.basis.gram
            let turned = Matrix.product(.product(side.basis, side.statistic, transposingFirst: true), side.basis)
            for i in 0..<n {
                for j in 0..<n {
                    #expect(abs(square[i, j] - (i == j ? 1 : 0)) < 1e-12)
                    if i != j { #expect(abs(turned[i, j]) < 1e-6 * turned[0, 0]) }
                }
                if i > 0 { #expect(turned[i, i] <= turned[i - 1, i - 1] * (1 + 1e-6)) }
            }
        }
    }

    @Test func innerMatricesOnly() {
        let layout = ParameterLayout([("a", [2, 4]), ("b", [4]), ("c", [4, 4]), ("d", [4, 1])])
        let blocks = Muon(learningRate: 0.1, matrices: .inner).start(layout: layout).blocks
        #expect(blocks.map { $0.meanSquare == nil } == [false, false, true, false])
        #expect(Muon().start(layout: layout).blocks.map { $0.meanSquare == nil } == [true, false, true, true])
    }

    /// Gradients CZD of a badly conditioned covariance, Z of independent entries: what comes out of P has the covariance I.
    @Test(arguments: [KronWhitening.gradient, .momentum]) func kronWhitens(whitens: KronWhitening) throws {
        var method = PSGDKron(learningRate: 1, momentum: 0, factorRate: 0.1)
        (method.clipping, method.whitens) = (1e9, whitens)
        let shape = BlockShape(ParameterLayout([("w", [4, 3])]).blocks[0])
        var block = method.start(shape, isInner: false)
        let (C, D) = (
            Matrix(rows: [[30, 2, 0, 1], [0, 5, 1, 0], [0, 0, 1, 0.2], [0, 0, 0, 0.1]]),
            Matrix(rows: [[1, 0, 0], [3, 0.5, 0], [0, 1, 0.05]])
        )
        var random = RandomStream(seed: 4, name: "gradients")
        var (raw, white) = (Matrix.zeros(12, 12), Matrix.zeros(12, 12))
        func add(_ v: Vector, to sum: inout Matrix) { for i in 0..<12 { for j in 0..<12 { sum[i, j] += v[i] * v[j] / 4000 } } }
        // Long steps of the factors, short ones, and none.
        for step in 1...12_000 {
            if step == 3000 { method.factorRate = 0.01 }
            if step == 8000 { method.factorRate = 0 }
            let Z = Matrix(rows: 4, columns: 3, elements: random.normalVector(12).elements)
            var g = Vector(Matrix.product(.product(C, Z), D).transposed.elements)
            if step > 8000 { add(g, to: &raw) }
            method.update(&g, at: .zeros(12), step: 1, block: &block)
            if step > 8000 { add(g, to: &white) }
        }
        func condition(_ matrix: Matrix) throws -> Double {
            let values = try SymmetricEigen.factorize(matrix).get().values
            return values[11] / values[0]
        }
        let (before, after) = (try condition(raw), try condition(white))
        #expect(before > 1e6 && after < 4, "\(before), \(after)")
        let mean = white.diagonal.reduce(0, +) / 12
        #expect(mean > 0.7 && mean < 1.4, "\(mean)")
    }

    /// With factors that stay as they are, a long gradient is cut to a root mean square of κ, and a short one is left.
    @Test(arguments: [1e3, 0.25]) func kronClips(length: Double) throws {
        let method = PSGDKron(learningRate: 0.5, momentum: 0.9, factorRate: 0)
        let shape = BlockShape(ParameterLayout([("w", [2, 2])]).blocks[0])
        var (block, g) = (method.start(shape, isInner: false), Vector([length, -length, length, length]))
        let before = g
        method.update(&g, at: .zeros(4), step: 1, block: &block)
        let expected = length > 1.1 ? 0.5 * 1.1 / length : 0.5
        #expect((g - expected * before).maximumNorm < 1e-6 * g.norm && g.norm > 0.1)
    }

    /// Which sides are triangular: neither a vector's, nor those of one or of too many, nor the longer where so asked.
    @Test func kronsTriangles() {
        let layout = ParameterLayout([("a", [2, 4]), ("b", [4]), ("c", [4, 1]), ("d", [3, 3])])
        func orders(_ method: PSGDKron) -> [[Int]] {
            method.start(layout: layout).blocks.map { block in
                [block.rowSide.values.columns] + (block.columnSide.map { [$0.values.columns] } ?? [])
            }
        }
        #expect(orders(PSGDKron()) == [[2, 4], [1], [4, 1], [3, 3]])
        #expect(orders(PSGDKron(learningRate: 1, triangles: .shorter)) == [[2, 1], [1], [1, 1], [1, 3]])
        #expect(orders(PSGDKron(learningRate: 1, triangles: .none)) == [[1, 1], [1], [1, 1], [1, 1]])
        var short = PSGDKron()
        short.maximumDimension = 3
        #expect(orders(short) == [[2, 1], [1], [1, 1], [3, 3]])
    }

    /// Where gradients vanish the factors grow, up to a bound: nothing overflows.
    @Test func kronsFactorsStayFinite() {
        var method = PSGDKron(learningRate: 1, factorRate: 0.5)
        method.flatSteps = 1_000_000
        let shape = BlockShape(ParameterLayout([("w", [2, 2])]).blocks[0])
        var block = method.start(shape, isInner: false)
        for step in 1...2000 {
            var g = Vector.zeros(4)
            method.update(&g, at: .zeros(4), step: step, block: &block)
            #expect(g == .zeros(4))
        }
        #expect(block.rowSide.values.maximumNorm > 1e6 && block.preconditioned(Matrix(rows: [[1, 1], [1, 1]])).isFinite)
    }

    /// On a network for −Δu = f SOAP is below a tenth of Adam's loss in as many gradients, each at the better of two rates; Muon
    /// and PSGD-Kron settle where their rates fall.
    @Test func layersArePreconditioned() throws {
        var setup = PoissonOnSquareSetup()
        setup.network = PerceptronSettings(width: 24, depth: 1)
        setup.points = PointPlan(interior: 200, boundary: 60)
        let problem = try #require(try setup.makeProblem(seed: 1) as? PhysicsInformedProblem)
        let start = startingPoint(of: problem, seed: 1)
        func loss<M: FirstOrderMethod>(_ method: M) throws -> Double {
            try drive(method, on: problem, from: start, steps: 2000).state.loss.total
        }
        let adam = try min(loss(Adam(learningRate: 3e-3)), loss(Adam(learningRate: 1e-2)))
        let soap = try min(loss(SOAP(learningRate: 3e-3)), loss(SOAP(learningRate: 1e-2)))
        let muon = try loss(Muon(learningRate: 3e-3, vectorLearningRate: 3e-3, schedule: CosineDecay(steps: 2000)))
        let kron = try loss(PSGDKron(learningRate: 3e-3, schedule: CosineDecay(steps: 2000)))
        let shampoo = try loss(Shampoo(learningRate: 3e-4))
        #expect(soap < 0.1 * adam, "adam \(adam), soap \(soap), shampoo \(shampoo), muon \(muon), psgd-kron \(kron)")
        let first = try problem.loss(at: start.values).total
        #expect(muon < 0.01 * first && shampoo < 0.01 * first, "shampoo \(shampoo), muon \(muon) from \(first)")
        #expect(kron < 0.01 * first, "psgd-kron \(kron) from \(first)")
    }
}
