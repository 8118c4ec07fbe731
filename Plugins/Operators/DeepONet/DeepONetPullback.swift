import LinearAlgebra
import OperatorLearning

extension DeepONetPasses {
    /// Jᵀ·w: `sweep` visits all blocks and hands each with its part of w ∈ ℝᵠˣⁿ to `add`.
    ///
    /// With P̄ = w/√(FQ): B̄ = P̄ᵀT and, summed over blocks, T̄ = P̄·B and b̄₀ = ΣP̄; then the two networks' own reverse passes. Every
    /// shard adds into memory of its own; the shards' sums are added in their order.
    func pullBack(
        _ θ: UnsafePointer<Double>, _ T: MatrixBlock, trunkStates: UnsafeMutablePointer<Double>,
        sweep: (_ add: (_ block: FunctionBlock, _ w: MatrixBlock) -> Void) throws -> Void
    ) throws -> Vector {
        let (branch, trunk, q, k, weight) = (model.branch, model.trunk, points, model.features, weight)
        let shardCount = shards.count
        // A shard's sums: the branch's gradient, T̄, b̄₀. Those of the trunk follow.
        let stride = branch.parameterCount + q * k + 1
        let (trunkSums, trunkStride) = (shardCount * stride, trunk.parameterCount)
        return try scratch.borrowing(trunkSums + pointShards * trunkStride) { sums in
            sums.update(repeating: 0, count: trunkSums + pointShards * trunkStride)
            try sweep { block, w in
                let own = sums + block.shard * stride
                let trunkCotangents = MatrixBlock(own + branch.parameterCount, rows: q, columns: k)
                block.cotangents.set(toProductOf: w, and: T, transposingFirst: true, times: weight)
                trunkCotangents.set(toProductOf: w, and: block.features, times: weight, plus: 1)
                var sum = 0.0
                for i in 0..<(w.rows * w.columns) { sum += w.base[i] }
                own[stride - 1] += sum * weight
                branch.reverse(
                    θ, samples: block.inputs, count: block.count, state: block.state, cotangents: block.cotangents, gradient: own,
                    work: block.work)
            }
            addUp(sums, count: stride, of: shardCount)
            let trunkCotangents = MatrixBlock(sums + branch.parameterCount, rows: q, columns: k)
            forPoints(trunkStates) { shard, range, points, state, work in
                trunk.reverse(
                    θ + model.trunkOffset, samples: points, count: range.count, state: state,
                    cotangents: trunkCotangents[range, 0..<k], gradient: sums + trunkSums + shard * trunkStride, work: work)
            }
            addUp(sums + trunkSums, count: trunkStride, of: pointShards)
            return Vector(count: model.layout.count) { gradient in
                guard let gradient = gradient.baseAddress else { return }
                gradient.update(from: sums, count: branch.parameterCount)
                (gradient + model.trunkOffset).update(from: sums + trunkSums, count: trunkStride)
                gradient[model.biasOffset] = sums[stride - 1]
            }
        }
    }

    /// The sums of `shards` arrays of `count` doubles, one after another, into the first: in the order of the shards.
    private func addUp(_ sums: UnsafeMutablePointer<Double>, count: Int, of shards: Int) {
        let tile = 2048
        parallelFor(count: (count + tile - 1) / tile) { index, _ in
            let range = (index * tile)..<min(count, (index + 1) * tile)
            for shard in 1..<max(1, shards) {
                let other = sums + shard * count
                for i in range { sums[i] += other[i] }
            }
        }
    }
}
