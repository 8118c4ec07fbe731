import LinearAlgebra
import OperatorLearning
import OptimizationCore

/// The Jacobian J ∈ ℝᶠᵠˣᴾ of a DeepONet's residuals at one θ, as products.
///
/// Row f·Q + q is (Σₖ T_{qk} ∇bₖ(a_f), Σₖ B_{fk} ∇tₖ(y_q), 1) / √(FQ). Keeps B, T and the values in every layer: about
/// 2(F·widths of the branch + Q·widths of the trunk) doubles; J·v and Jᵀ·w cost 4F·P_b + 4Q·P_t + 4FQK flops.
struct DeepONetLinearization: Linearization {
    let model: DeepONet
    let data: OperatorData
    let θ: Vector
    let scratch: ScratchPool
    let residual: Vector
    /// The trunk's states, then T.
    let trunk: [Double]
    let branchStates: [Double]

    init(model: DeepONet, data: OperatorData, θ: Vector, scratch: ScratchPool) throws {
        (self.model, self.data, self.θ, self.scratch) = (model, data, θ, scratch)
        let passes = DeepONetPasses(model: model, source: data, scratch: scratch)
        let trunkStates = model.trunk.stateCount(samples: passes.points)
        let total = trunkStates + passes.points * model.features
        trunk = passes.withTrunk(θ, derivatives: true) { _, _, states in
            Array(UnsafeBufferPointer(start: UnsafePointer(states), count: total))
        }
        var states = [Double](repeating: 0, count: model.branch.stateCount(samples: data.functionCount))
        residual = try states.withUnsafeMutableBufferPointer { states in
            guard let base = states.baseAddress else { preconditionFailure("no functions") }
            return try passes.residual(at: θ, derivatives: true, states: .kept(base))
        }
        branchStates = states
    }

    var residualCount: Int { residual.count }
    var parameterCount: Int { model.layout.count }
    var passes: DeepONetPasses { DeepONetPasses(model: model, source: data, scratch: scratch) }

    /// Calls `body` with θ, T, and the states of both networks.
    func withStates<R>(
        _ body: (
            _ θ: UnsafePointer<Double>, _ T: MatrixBlock, _ trunkStates: UnsafePointer<Double>, _ branchStates: UnsafePointer<Double>
        ) -> R
    ) -> R {
        θ.withUnsafeBufferPointer { θ in
            trunk.withUnsafeBufferPointer { trunk in
                branchStates.withUnsafeBufferPointer { branch in
                    guard let θ = θ.baseAddress, let states = trunk.baseAddress, let branch = branch.baseAddress else {
                        preconditionFailure("a linearisation without parameters")
                    }
                    let T = MatrixBlock(
                        reading: states + model.trunk.stateCount(samples: passes.points), rows: passes.points, columns: model.features)
                    return body(θ, T, states, branch)
                }
            }
        }
    }

    /// J·v: Ḃ and Ṫ by the networks' tangents, then (T·Ḃᵀ + Ṫ·Bᵀ + ḃ₀)/√(FQ).
    func product(_ v: Vector) -> Vector {
        precondition(v.count == parameterCount, "a direction of \(v.count) for \(parameterCount) parameters")
        let (passes, q, k, c) = (passes, passes.points, model.features, passes.weight)
        return Vector(count: residualCount) { out in
            guard let out = out.baseAddress else { return }
            withStates { θ, T, trunkStates, branchStates in
                v.withUnsafeBufferPointer { v in
                    guard let v = v.baseAddress else { return }
                    scratch.borrowing(q * k) { memory in
                        let tangents = MatrixBlock(memory, rows: q, columns: k)
                        passes.forPoints(UnsafeMutablePointer(mutating: trunkStates)) { _, range, points, state, work in
                            let block = model.trunk.tangent(
                                θ + model.trunkOffset, along: v + model.trunkOffset, samples: points, count: range.count, state: state,
                                work: work)
                            tangents[range, 0..<k].copy(block)
                        }
                        inMemory {
                            try passes.forBlocks(θ, derivatives: true, states: .known(branchStates)) { block in
                                let place = MatrixBlock(out + block.functions.lowerBound * q, rows: q, columns: block.count)
                                place.base.update(repeating: c * v[model.biasOffset], count: q * block.count)
                                place.set(toProductOf: tangents, and: block.features, transposingSecond: true, times: c, plus: 1)
                                let tangent = model.branch.tangent(
                                    θ, along: v, samples: block.inputs, count: block.count, state: block.state, work: block.work)
                                place.set(toProductOf: T, and: tangent, transposingSecond: true, times: c, plus: 1)
                            }
                        }
                    }
                }
            }
        }
    }

    /// Jᵀ·w: the gradient's own path with w in place of r.
    func transposedProduct(_ w: Vector) -> Vector {
        precondition(w.count == residualCount, "a vector of \(w.count) for \(residualCount) residuals")
        let (passes, q) = (passes, passes.points)
        return withStates { θ, T, trunkStates, branchStates in
            w.withUnsafeBufferPointer { w in
                guard let w = w.baseAddress else { preconditionFailure("no residuals") }
                return inMemory {
                    try passes.pullBack(θ, T, trunkStates: UnsafeMutablePointer(mutating: trunkStates)) { add in
                        try passes.forBlocks(θ, derivatives: true, states: .known(branchStates)) { block in
                            add(block, MatrixBlock(reading: w + block.functions.lowerBound * q, rows: q, columns: block.count))
                        }
                    }
                }
            }
        }
    }

    /// The data are in memory: what reads them cannot fail.
    private func inMemory<R>(_ body: () throws -> R) -> R {
        do { return try body() } catch { preconditionFailure("data in memory could not be read: \(error)") }
    }

    // MARK: Dense rows

    /// Rows by the networks' passes on repeated samples: 5P flops a row, on all threads.
    func jacobian(rows: Range<Int>) -> Matrix {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= residualCount, "rows \(rows) of \(residualCount)")
        let (q, k, c) = (passes.points, model.features, passes.weight)
        var matrix = Matrix.zeros(rows.count, parameterCount)
        guard !rows.isEmpty else { return matrix }
        let size = 64
        let blocks = (rows.count + size - 1) / size
        let workers = min(ThreadPool.threadCount, blocks)
        let stride = repeatedScratch(samples: size) + size * k
        matrix.elements.withUnsafeMutableBufferPointer { elements in
            guard let base = elements.baseAddress else { return }
            let all = MatrixBlock(base, rows: rows.count, columns: parameterCount)
            withStates { θ, T, trunkStates, branchStates in
                scratch.borrowing(workers * stride) { memory in
                    parallelFor(count: blocks, maximumWorkers: workers) { block, worker in
                        let own = (block * size)..<min(rows.count, (block + 1) * size)
                        let n = own.count
                        let work = memory + worker * stride
                        let cotangents = MatrixBlock(work, rows: n, columns: k)
                        let (functions, points) = (
                            own.map { (rows.lowerBound + $0) / q }, own.map { (rows.lowerBound + $0) % q }
                        )
                        for j in 0..<k { for i in 0..<n { cotangents.base[i + j * n] = c * T.base[points[i] + j * q] } }
                        self.rows(
                            of: model.branch, θ, repeating: functions, of: data.inputs, cotangents: cotangents,
                            into: all[own, 0..<model.trunkOffset], work: work + size * k)
                        for i in 0..<n {
                            let state = branchStates + model.branch.stateCount(samples: shardStart(of: functions[i]))
                            let (features, row) = features(of: functions[i], in: state)
                            for j in 0..<k { cotangents.base[i + j * n] = c * features.base[row + j * features.leading] }
                        }
                        self.rows(
                            of: model.trunk, θ + model.trunkOffset, repeating: points, of: data.grid.points, cotangents: cotangents,
                            into: all[own, model.trunkOffset..<model.biasOffset], work: work + size * k)
                        let bias = all[own, model.biasOffset..<parameterCount]
                        bias.base.update(repeating: c, count: n)
                    }
                }
            }
        }
        return matrix
    }

    /// Where the branch's block begins that holds a function, as `DeepONetPasses.forBlocks` divides them.
    func shardStart(of function: Int) -> Int {
        let shards = passes.shards
        let start = shards.range(function / shards.size).lowerBound
        let block = min(shards.blockSize, data.functionCount)
        return start + (function - start) / block * block
    }

    /// The features of the block that holds a function, and its row there.
    private func features(of function: Int, in state: UnsafePointer<Double>) -> (features: MatrixBlock, row: Int) {
        let (shards, start) = (passes.shards, shardStart(of: function))
        let end = min(start + min(shards.blockSize, data.functionCount), shards.range(function / shards.size).upperBound)
        return (model.branch.output(of: state, count: end - start), function - start)
    }

    /// Doubles that `rows(of:…)` needs.
    func repeatedScratch(samples n: Int) -> Int {
        [model.branch, model.trunk].map { $0.inputs * n + $0.stateCount(samples: n) + $0.workCount(samples: n) }.max() ?? 0
    }

    /// The gradient rows of a network on samples taken, with repetition, from a list.
    func rows(
        of map: DenseMap, _ θ: UnsafePointer<Double>, repeating indices: [Int], of samples: [Double], cotangents: MatrixBlock,
        into rows: MatrixBlock, work: UnsafeMutablePointer<Double>
    ) {
        let (n, width) = (indices.count, map.inputs)
        samples.withUnsafeBufferPointer { samples in
            guard let base = samples.baseAddress else { return }
            for (i, index) in indices.enumerated() { (work + i * width).update(from: base + index * width, count: width) }
        }
        let state = work + width * n
        let rest = state + map.stateCount(samples: n)
        map.forward(θ, samples: work, count: n, state: state, work: rest)
        map.rows(θ, samples: work, count: n, state: state, cotangents: cotangents, into: rows, work: rest)
    }
}
