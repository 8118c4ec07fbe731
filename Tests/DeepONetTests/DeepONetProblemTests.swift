import DeepONet
import LinearAlgebra
import OperatorLearning
import OptimizationCore
import OptimizationTesting
import Testing

@Suite(.serialized) struct DeepONetProblemTests {
    /// Small, with odd sizes, more than one block and shard of functions, and more than one shard of points.
    static func problem(functions: Int = 75, points: Int = 5, features: Int = 4) throws -> DeepONetProblem {
        let data = AntiderivativeData(
            field: try GaussianRandomField(nodeCount: 32), functions: functions + 20, sensors: 6, points: points, seed: 5)
        let model = DeepONet(sensors: 6, branch: [7, 5], trunk: [6], features: features)
        return try DeepONetProblem(
            model: model, training: data.functions(0..<functions), validation: data.functions(functions..<(functions + 8)),
            test: data.functions((functions + 8)..<(functions + 20)))
    }

    static func start(_ problem: DeepONetProblem) -> Vector {
        var random = RandomStream(seed: 9, name: "start")
        let initial = problem.initialParameters(from: &random).values
        return initial.adding(random.normalVector(initial.count), scaledBy: 0.1)
    }

    @Test(arguments: [(75, 5), (3, 140), (1, 1)]) func derivatives(functions: Int, points: Int) throws {
        let problem = try Self.problem(functions: functions, points: points)
        let check = try DerivativeCheck(of: problem, at: Self.start(problem))
        #expect(check.passed, "\(check)")
    }

    /// The product structure's JᵀJ against the dense rows' (also on many functions, with several chunks and shards).
    @Test(arguments: [(75, 5), (300, 9), (2, 150)]) func gramianIsThatOfTheRows(functions: Int, points: Int) throws {
        let problem = try Self.problem(functions: functions, points: points)
        let model = try problem.linearization(at: Self.start(problem))
        let (fast, j) = (model.gramian(), model.jacobian())
        let dense = Matrix.product(j, j, transposingFirst: true)
        let scale = dense.elements.reduce(0) { max($0, abs($1)) }
        // Entries are sums of N products of entries of J, at most √scale in norm; the two orders of summation differ by at most 2Nε·scale.
        let tolerance = 2 * scale * Double(problem.residualCount) * Double.ulpOfOne
        for i in fast.elements.indices { #expect(abs(fast.elements[i] - dense.elements[i]) <= tolerance) }
        #expect(fast == fast.transposed)
    }

    @Test func aFormulaPairByPair() throws {
        let problem = try Self.problem(functions: 40, points: 3)
        let θ = Self.start(problem)
        let data = try problem.training.loaded()
        let r = try problem.residual(at: θ)
        func value(_ map: DenseMap, _ offset: Int, _ x: [Double]) -> [Double] {
            map.layers.reduce(x) { h, layer in
                (0..<layer.outputs).map { j in
                    var z = θ[offset + layer.biasOffset + j]
                    for m in h.indices { z += h[m] * θ[offset + layer.offset + m * layer.outputs + j] }
                    return layer.isActivated ? map.activation.derivatives(upTo: 0, at: [z])[0][0] : z
                }
            }
        }
        let model = problem.model
        for f in [0, 31, 32, 39] {
            let b = value(model.branch, 0, Array(data.inputs[(6 * f)..<(6 * f + 6)]))
            for q in 0..<3 {
                let t = value(model.trunk, model.branch.parameterCount, [data.grid.points[q]])
                var g = θ[θ.count - 1]
                for k in b.indices { g += b[k] * t[k] }
                let expected = (g - data.outputs[3 * f + q]) / 120.0.squareRoot()
                #expect(abs(r[3 * f + q] - expected) < 1e-14)
            }
        }
    }

    @Test func bitsDoNotDependOnTheThreads() throws {
        let problem = try Self.problem(functions: 700, points: 140)
        let θ = Self.start(problem)
        let threads = ThreadPool.threadCount
        defer { ThreadPool.threadCount = threads }
        var random = RandomStream(seed: 1, name: "w")
        let (v, w) = (random.normalVector(θ.count), random.normalVector(problem.residualCount))
        func all() throws -> [[Double]] {
            let linear = try problem.linearization(at: θ)
            let evaluation = try problem.lossAndGradient(at: θ)
            return [
                evaluation.gradient.elements + [evaluation.loss.total], linear.residual.elements, linear.product(v).elements,
                linear.transposedProduct(w).elements, linear.jacobian(rows: 150..<700).elements, linear.gramian().elements,
            ]
        }
        ThreadPool.threadCount = 1
        let one = try all()
        for count in [2, 3, 5] {
            ThreadPool.threadCount = count
            #expect(try all() == one, "\(count) threads")
        }
    }

    /// The data read block by block give the very bits of the data in memory.
    @Test func streamedDataGiveTheSameBits() throws {
        struct Streamed: OperatorDataSource {
            var base: OperatorData
            var grid: OperatorGrid { base.grid }
            var functionCount: Int { base.functionCount }
            var provenance: Setting { base.provenance }
            var blockCount: Int { 100 }
            func functions(_ range: Range<Int>) throws -> OperatorData { base.functions(range) }
        }
        let problem = try Self.problem(functions: 700)
        let streamed = try DeepONetProblem(model: problem.model, training: Streamed(base: try problem.training.loaded()))
        let θ = Self.start(problem)
        #expect(try problem.lossAndGradient(at: θ) == streamed.lossAndGradient(at: θ))
        #expect(try problem.residual(at: θ) == streamed.residual(at: θ))
        #expect(try problem.loss(at: θ) == streamed.loss(at: θ))
    }

    /// The mean over a partition into equal batches is the full gradient, and every batch differs from it.
    @Test func batchesAreUnbiasedParts() throws {
        let problem = try Self.problem(functions: 80)
        let θ = Self.start(problem)
        let full = try problem.lossAndGradient(at: θ)
        var random = RandomStream(seed: 3, name: "batches")
        let order = random.permutation(of: 80)
        var (loss, gradient) = (0.0, Vector.zeros(θ.count))
        for b in 0..<4 {
            let batch = try problem.restricted(to: Batch([Array(order[(20 * b)..<(20 * b + 20)])]))
            let part = try batch.lossAndGradient(at: θ)
            #expect(batch.residualCount == 100)
            #expect(abs(part.loss.total - full.loss.total) > 1e-6 * full.loss.total)
            loss += part.loss.total / 4
            gradient.add(part.gradient, scaledBy: 0.25)
        }
        #expect(abs(loss - full.loss.total) < 1e-14 * full.loss.total)
        #expect((gradient - full.gradient).norm < 1e-13 * full.gradient.norm)
        let check = try DerivativeCheck(of: try problem.restricted(to: Batch([[3, 70, 4]])), at: θ)
        #expect(check.passed, "\(check)")
        for wrong in [[[Int]](), [[]], [[80]], [[-1]], [[0], [1]]] {
            #expect(throws: OperatorProblemError.self) { try problem.restricted(to: Batch(wrong)) }
        }
    }

    @Test func validationAndTestAreTheirOwnFunctions() throws {
        let problem = try Self.problem()
        let θ = Self.start(problem)
        let validation = try #require(problem.validation)
        let alone = try DeepONetProblem(model: problem.model, training: validation)
        #expect(try problem.monitorLoss(at: θ) == alone.loss(at: θ).total)
        #expect(try problem.monitorLoss(at: θ) != problem.loss(at: θ).total)
        let errors = try #require(try problem.testErrors(at: θ))
        #expect(errors.values.count == 12)
        #expect(try problem.referenceError(at: θ) == errors.median)
        #expect(try alone.referenceError(at: θ) == nil)
    }

    @Test func namesTheFunctionAndPointOfAFault() throws {
        let problem = try Self.problem(functions: 40, points: 3)
        let data = try problem.training.loaded()
        var outputs = data.outputs
        outputs[3 * 33 + 1] = .nan
        let broken = try DeepONetProblem(
            model: problem.model, training: OperatorData(grid: data.grid, inputs: data.inputs, outputs: outputs))
        let θ = Self.start(problem)
        #expect(try broken.loss(at: θ).isFinite == false)
        #expect(broken.locateFault(at: θ) == Fault(term: "data", sample: "function 33, point 0.5"))
        #expect(problem.locateFault(at: θ) == nil)
    }

    @Test func refusesDataThatDoNotFit() throws {
        let data = try Self.problem().training
        #expect(throws: OperatorProblemError.self) {
            try DeepONetProblem(model: DeepONet(sensors: 7, branch: [4], trunk: [4], features: 2), training: data)
        }
        #expect(throws: OperatorProblemError.self) {
            try DeepONetProblem(model: DeepONet(sensors: 6, branch: [4], pointDimension: 2, trunk: [4], features: 2), training: data)
        }
    }
}
