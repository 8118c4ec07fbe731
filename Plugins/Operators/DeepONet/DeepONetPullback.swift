import LinearAlgebra
import OperatorLearning

extension DeepONetPasses {
    /// Jᵀ·w: `sweep` visits all blocks and hands each with its part of w ∈ ℝᵠˣⁿ, and the sum of that, to `add`.
    ///
    /// B̄ᵀ = Tᵀ·w and, summed over blocks, T̄ᵀ = Bᵀ·wᵀ and b̄₀ = Σw; then the two networks' own reverse passes, and at the end the factor
    /// 1/√(FQ). Every shard adds into memory of its own; the shards' sums are added in their order.
    func pullBack(
        _ trunk: TrunkEvaluation, sweep: (_ add: (_ block: FunctionBlock, _ w: MatrixBlock, _ sum: Double) -> Void) throws -> Void
    ) throws -> Vector {
        let (branch, q, k, weight) = (model.branch, points, model.features, weight)
        let (shardCount, pointShards) = (shards.count, pointShards)
        // A shard's sums: b̄₀, T̄ᵀ, the branch's gradient. Those of the trunk follow.
        let (cotangents, weights) = (8, 8 + q * MatrixBlock.paddedLeading(k))
        let (stride, trunkStride) = (weights + branch.packedGradientCount, model.trunk.packedGradientCount)
        return try scratch.borrowing(shardCount * stride + pointShards.count * trunkStride) { sums in
            for shard in 0..<shardCount { sums[shard * stride] = 0 }
            try sweep { block, w, sum in
                let own = sums + block.shard * stride
                own[0] += sum
                block.cotangents.multiply(trunk.transposed, w)
                MatrixBlock(padded: own + cotangents, rows: k, columns: q).multiply(
                    block.features, w, transposingSecond: true, accumulating: !block.isFirst)
                branch.reverse(
                    trunk.branch, samples: block.inputs, count: block.count, state: block.state, cotangents: block.cotangents,
                    accumulating: !block.isFirst, gradient: own + weights, work: block.work)
            }
            addShards(sums, count: weights, stride: stride, of: shardCount)
            let trunkSums = sums + shardCount * stride
            forPoints(trunk) { shard, range, points, state, work in
                model.trunk.reverse(
                    trunk.trunk, samples: points, count: range.count, state: state,
                    cotangents: MatrixBlock(padded: sums + cotangents, rows: k, columns: q)[0..<k, range], accumulating: false,
                    gradient: trunkSums + shard * trunkStride, work: work)
            }
            return Vector(count: model.layout.count) { gradient in
                guard let gradient = gradient.baseAddress else { return }
                branch.sum(sums + weights, count: shardCount, stride: stride, scale: weight, into: gradient)
                model.trunk.sum(
                    trunkSums, count: pointShards.count, stride: trunkStride, scale: weight, into: gradient + model.trunkOffset)
                gradient[model.biasOffset] = weight * sums[0]
            }
        }
    }
}
