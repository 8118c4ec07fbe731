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
    /// A `TrunkEvaluation`, and the branch's states.
    private let trunkMemory: AlignedMemory
    private let branchMemory: AlignedMemory

    init(model: DeepONet, data: OperatorData, θ: Vector, scratch: ScratchPool) throws {
        (self.model, self.data, self.θ, self.scratch) = (model, data, θ, scratch)
        let passes = DeepONetPasses(model: model, source: data, scratch: scratch)
        trunkMemory = AlignedMemory(count: TrunkEvaluation.count(model, points: passes.points))
        branchMemory = AlignedMemory(count: model.branch.stateCount(samples: data.functionCount))
        let trunk = passes.evaluateTrunk(θ, derivatives: true, in: trunkMemory.base)
        residual = try passes.residual(trunk, derivatives: true, states: .kept(branchMemory.base))
    }

    var residualCount: Int { residual.count }
    var parameterCount: Int { model.layout.count }
    var passes: DeepONetPasses { DeepONetPasses(model: model, source: data, scratch: scratch) }
    var trunk: TrunkEvaluation {
        TrunkEvaluation(model, points: passes.points, bias: θ[model.biasOffset], memory: trunkMemory.base)
    }
    var branchStates: UnsafePointer<Double> { UnsafePointer(branchMemory.base) }

    /// J·v: Ḃ and Ṫ by the networks' tangents, then (T·Ḃᵀ + Ṫ·Bᵀ + ḃ₀)/√(FQ).
    func product(_ v: Vector) -> Vector {
        precondition(v.count == parameterCount, "a direction of \(v.count) for \(parameterCount) parameters")
        let (passes, trunk, q, k, c) = (passes, trunk, passes.points, model.features, passes.weight)
        return Vector(count: residualCount) { out in
            guard let out = out.baseAddress else { return }
            let direction = (model.branch.packedCount + 7) / 8 * 8
            scratch.borrowing(direction + model.trunk.packedCount + k * MatrixBlock.paddedLeading(q)) { memory in
                let (along, tangents) = (memory, MatrixBlock(padded: memory, rows: q, columns: k))
                let branch = along + k * tangents.leading
                let points = branch + direction
                v.withUnsafeBufferPointer { v in
                    guard let v = v.baseAddress else { return }
                    model.branch.pack(v, into: branch, transposes: false)
                    model.trunk.pack(v + model.trunkOffset, into: points, transposes: false)
                }
                passes.forPoints(trunk) { _, range, samples, state, work in
                    let block = model.trunk.tangent(
                        trunk.trunk, along: points, samples: samples, count: range.count, state: state, work: work)
                    tangents[range, 0..<k].setToTranspose(of: block)
                }
                inMemory {
                    try passes.forBlocks(trunk, derivatives: true, states: .known(branchStates)) { block in
                        block.values.multiply(tangents, block.features)
                        let tangent = model.branch.tangent(
                            trunk.branch, along: branch, samples: block.inputs, count: block.count, state: block.state, work: block.work)
                        block.values.multiply(trunk.features, tangent, accumulating: true)
                        let place = MatrixBlock(out + block.functions.lowerBound * q, rows: q, columns: block.count)
                        for j in 0..<block.count {
                            let (column, values) = (place.base + j * q, block.values.base + j * block.values.leading)
                            for i in 0..<q { column[i] = c * (values[i] + v[model.biasOffset]) }
                        }
                    }
                }
            }
        }
    }

    /// Jᵀ·w: the gradient's own path with w in place of r.
    func transposedProduct(_ w: Vector) -> Vector {
        precondition(w.count == residualCount, "a vector of \(w.count) for \(residualCount) residuals")
        let (passes, trunk, q) = (passes, trunk, passes.points)
        return w.withUnsafeBufferPointer { w in
            guard let w = w.baseAddress else { preconditionFailure("no residuals") }
            return inMemory {
                try passes.pullBack(trunk) { add in
                    try passes.forBlocks(trunk, derivatives: true, states: .known(branchStates)) { block in
                        let own = MatrixBlock(reading: w + block.functions.lowerBound * q, rows: q, columns: block.count)
                        add(block, own, own.sum)
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
        let featureLeading = MatrixBlock.paddedLeading(k)
        let stride = repeatedScratch(samples: size) + size * featureLeading
        let trunk = trunk
        matrix.elements.withUnsafeMutableBufferPointer { elements in
            guard let base = elements.baseAddress else { return }
            let all = MatrixBlock(base, rows: rows.count, columns: parameterCount)
            scratch.borrowing(workers * stride) { memory in
                parallelFor(count: blocks, maximumWorkers: workers) { block, worker in
                    let own = (block * size)..<min(rows.count, (block + 1) * size)
                    let work = memory + worker * stride
                    let cotangents = MatrixBlock(padded: work, rows: k, columns: own.count)
                    let (functions, points) = (
                        own.map { (rows.lowerBound + $0) / q }, own.map { (rows.lowerBound + $0) % q }
                    )
                    func set(_ i: Int, to source: UnsafePointer<Double>) {
                        for j in 0..<k { cotangents.base[j + i * cotangents.leading] = c * source[j] }
                    }
                    for (i, point) in points.enumerated() { set(i, to: trunk.transposed.base + point * trunk.transposed.leading) }
                    self.rows(
                        of: model.branch, trunk.branch, repeating: functions, of: data.inputs, cotangents: cotangents,
                        into: all[own, 0..<model.trunkOffset], work: work + size * featureLeading)
                    for (i, function) in functions.enumerated() { set(i, to: features(of: function)) }
                    self.rows(
                        of: model.trunk, trunk.trunk, repeating: points, of: data.grid.points, cotangents: cotangents,
                        into: all[own, model.trunkOffset..<model.biasOffset], work: work + size * featureLeading)
                    let bias = all[own, model.biasOffset..<parameterCount]
                    bias.base.update(repeating: c, count: own.count)
                }
            }
        }
        return matrix
    }

    /// The K features of a function, where `DeepONetPasses.forBlocks` has left them.
    func features(of function: Int) -> UnsafePointer<Double> {
        let shards = passes.shards
        let (shard, step) = (shards.range(function / shards.size), min(shards.blockSize, data.functionCount))
        let start = shard.lowerBound + (function - shard.lowerBound) / step * step
        let state = branchStates + model.branch.stateCount(samples: start)
        let block = model.branch.output(of: state, count: min(start + step, shard.upperBound) - start)
        return UnsafePointer(block.base + (function - start) * block.leading)
    }

    /// Doubles that `rows(of:…)` needs.
    func repeatedScratch(samples n: Int) -> Int {
        let counts = [model.branch, model.trunk].map {
            ($0.inputs * n + 7) / 8 * 8 + $0.stateCount(samples: n) + $0.rowsWorkCount(samples: n)
        }
        return (counts.reduce(0, max) + 7) / 8 * 8
    }

    /// The gradient rows of a network on samples taken, with repetition, from a list.
    func rows(
        of map: DenseMap, _ packed: UnsafePointer<Double>, repeating indices: [Int], of samples: [Double], cotangents: MatrixBlock,
        into rows: MatrixBlock, work: UnsafeMutablePointer<Double>
    ) {
        let (n, width) = (indices.count, map.inputs)
        samples.withUnsafeBufferPointer { samples in
            guard let base = samples.baseAddress else { return }
            for (i, index) in indices.enumerated() { (work + i * width).update(from: base + index * width, count: width) }
        }
        let state = work + (width * n + 7) / 8 * 8
        map.forward(packed, samples: work, count: n, state: state)
        map.rows(
            packed, samples: work, count: n, state: state, cotangents: cotangents, into: rows, work: state + map.stateCount(samples: n))
    }
}
