import LinearAlgebra
import OperatorLearning

// JᵀJ without J. With D_f ∈ ℝᴷˣᴾ the Jacobian of the branch's features at function f, D_q that of the trunk's at point q, and
// c² = 1/(FQ):
//
//     branch–branch   c² Σ_f D_fᵀ (TᵀT) D_f                 F·K rows where J has F·Q
//     trunk–trunk     c² Σ_q D_qᵀ (BᵀB) D_q                 Q·K rows
//     branch–trunk    c² XᵀY   with X_{lk} = Σ_f B_{fl} D_{fk},  Y_{lk} = Σ_q T_{qk} D_{ql}      K² rows
//     branch–bias     c² Σ_f D_fᵀ Tᵀ1,   trunk–bias  c² Σ_q D_qᵀ Bᵀ1,   bias–bias  c² F·Q

extension DeepONetLinearization {
    /// JᵀJ by the product structure: F·K·P_b² + Q·K·P_t² + 2K²·P_b·P_t flops, where J itself would take F·Q·P². Holds
    /// K²(P_b + P_t) doubles besides.
    func gramian() -> Matrix {
        let (q, k, p) = (passes.points, model.features, parameterCount)
        let scale = passes.weight * passes.weight
        var gramian = Matrix.zeros(p, p)
        let B = branchFeatures()
        gramian.elements.withUnsafeMutableBufferPointer { elements in
            guard let base = elements.baseAddress else { return }
            let all = MatrixBlock(base, rows: p, columns: p)
            let trunk = trunk
            B.elements.withUnsafeBufferPointer { features in
                guard let features = features.baseAddress else { return }
                let B = MatrixBlock(reading: features, rows: B.rows, columns: k)
                let (branchRange, trunkRange) = (0..<model.trunkOffset, model.trunkOffset..<model.biasOffset)
                let x = side(
                    model.branch, trunk.branch, samples: data.inputs, own: B, other: trunk.features, transposed: true,
                    into: all[branchRange, branchRange], bias: all[branchRange, model.biasOffset..<p])
                let y = side(
                    model.trunk, trunk.trunk, samples: data.grid.points, own: trunk.features, other: B, transposed: false,
                    into: all[trunkRange, trunkRange], bias: all[trunkRange, model.biasOffset..<p])
                multiply(x, transposedBy: y, rows: k * k, into: all[branchRange, trunkRange])
                all.base[p * p - 1] = Double(data.functionCount * q)
            }
            // The upper blocks and both diagonal blocks' lower triangles are there: scale, and mirror.
            let diagonal = [0..<model.trunkOffset, model.trunkOffset..<model.biasOffset]
            for range in diagonal {
                for j in range { for i in (j + 1)..<max(j + 1, range.upperBound) { base[j + i * p] = base[i + j * p] } }
            }
            for j in 0..<p {
                for i in 0...j {
                    let value = base[i + j * p] * scale
                    (base[i + j * p], base[j + i * p]) = (value, value)
                }
            }
        }
        return gramian
    }

    /// B ∈ ℝᶠˣᴷ in one piece.
    private func branchFeatures() -> Matrix {
        let k = model.features
        var B = Matrix.zeros(data.functionCount, k)
        for function in 0..<data.functionCount {
            let features = features(of: function)
            for j in 0..<k { B[function, j] = features[j] }
        }
        return B
    }

    /// One network's part: the lower triangle of Σ Dᵀ(OᵀO)D into `gram`, Σ Dᵀ Oᵀ1 into `bias`, with O the other network's features;
    /// returns the sums X for the mixed block, (K·K) × P: own features against D, `transposed` for the branch.
    private func side(
        _ map: DenseMap, _ packed: UnsafePointer<Double>, samples: [Double], own: MatrixBlock, other: MatrixBlock, transposed: Bool,
        into gram: MatrixBlock, bias: MatrixBlock
    ) -> [Double] {
        let (k, p, total) = (model.features, map.parameterCount, own.rows)
        var mixed = [Double](repeating: 0, count: k * k * p)
        var otherGram = [Double](repeating: 0, count: k * k)
        var otherSums = [Double](repeating: 0, count: k)
        // D of a chunk of samples, its K rows a sample together, fills at most 32 MiB; so does (OᵀO)·D.
        let chunk = max(1, min(total, (1 << 22) / (k * p)))
        let tile = 96
        let tiles = (p + tile - 1) / tile
        let group = 8
        let groups = (chunk + group - 1) / group
        let workers = min(ThreadPool.threadCount, groups)
        let leading = MatrixBlock.paddedLeading(k)
        let workCount = repeatedScratch(samples: group * k) + group * k * leading
        mixed.withUnsafeMutableBufferPointer { mixed in
            otherGram.withUnsafeMutableBufferPointer { otherGram in
                otherSums.withUnsafeMutableBufferPointer { otherSums in
                    scratch.borrowing(2 * chunk * k * p + workers * workCount) { memory in
                        guard let mixed = mixed.baseAddress, let M = otherGram.baseAddress, let sums = otherSums.baseAddress else { return }
                        let gramOfOther = MatrixBlock(M, rows: k, columns: k)
                        gramOfOther.set(toProductOf: other, and: other, transposingFirst: true)
                        other.addColumnSums(to: sums)
                        for start in stride(from: 0, to: total, by: chunk) {
                            let n = min(chunk, total - start)
                            let (D, MD) = (
                                MatrixBlock(memory, rows: n * k, columns: p), MatrixBlock(memory + chunk * k * p, rows: n * k, columns: p)
                            )
                            let scratch = memory + 2 * chunk * k * p
                            parallelFor(count: (n + group - 1) / group, maximumWorkers: workers) { index, worker in
                                let range = (index * group)..<min(n, (index + 1) * group)
                                let work = scratch + worker * workCount
                                let unit = MatrixBlock(padded: work, rows: k, columns: range.count * k)
                                unit.base.update(repeating: 0, count: unit.columns * leading)
                                for i in 0..<unit.columns { unit.base[i % k + i * leading] = 1 }
                                rows(
                                    of: map, packed, repeating: (0..<(range.count * k)).map { start + range.lowerBound + $0 / k },
                                    of: samples,
                                    cotangents: unit, into: D[(range.lowerBound * k)..<(range.upperBound * k), 0..<p],
                                    work: work + group * k * leading)
                            }
                            parallelFor(count: tiles) { index, _ in
                                let columns = (index * tile)..<min(p, (index + 1) * tile)
                                // As K × (n·columns) matrices, the columns of D and MD lie one after another.
                                MatrixBlock(MD.base + columns.lowerBound * n * k, rows: k, columns: n * columns.count).set(
                                    toProductOf: gramOfOther,
                                    and: MatrixBlock(D.base + columns.lowerBound * n * k, rows: k, columns: n * columns.count))
                                let part = own[start..<(start + n), 0..<k]
                                for j in columns {
                                    let column = MatrixBlock(D.base + j * n * k, rows: k, columns: n)
                                    let sum = MatrixBlock(mixed + j * k * k, rows: k, columns: k)
                                    if transposed {
                                        sum.set(toProductOf: part, and: column, transposingFirst: true, transposingSecond: true, plus: 1)
                                    } else {
                                        sum.set(toProductOf: column, and: part, plus: 1)
                                    }
                                    var total = 0.0
                                    for i in 0..<n { for l in 0..<k { total += sums[l] * column.base[l + i * k] } }
                                    bias.base[j] += total
                                }
                            }
                            parallelFor(count: tiles) { index, _ in
                                let columns = (index * tile)..<min(p, (index + 1) * tile)
                                let below = columns.lowerBound..<p
                                gram[below, columns].set(
                                    toProductOf: MD[0..<(n * k), below], and: D[0..<(n * k), columns], transposingFirst: true, plus: 1)
                            }
                        }
                    }
                }
            }
        }
        return mixed
    }

    /// xᵀ·y for two matrices of `rows` rows, by tiles of the result.
    private func multiply(_ x: [Double], transposedBy y: [Double], rows: Int, into result: MatrixBlock) {
        let tile = 128
        x.withUnsafeBufferPointer { x in
            y.withUnsafeBufferPointer { y in
                guard let x = x.baseAddress, let y = y.baseAddress else { return }
                let (X, Y) = (
                    MatrixBlock(reading: x, rows: rows, columns: result.rows), MatrixBlock(reading: y, rows: rows, columns: result.columns)
                )
                parallelFor(count: (result.columns + tile - 1) / tile) { index, _ in
                    let columns = (index * tile)..<min(result.columns, (index + 1) * tile)
                    result[0..<result.rows, columns].set(toProductOf: X, and: Y[0..<rows, columns], transposingFirst: true)
                }
            }
        }
    }
}
