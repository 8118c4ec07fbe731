import CKernels
import LinearAlgebra

// The packed form of θ, which the products read: layer by layer W as a padded block of out × in, then b; after all layers Wᵀ of every
// layer but the first, as padded blocks of in × out. A packed gradient is the first part alone.
extension DenseMap {
    /// Copies θ into the packed form. `transposes`: whether Wᵀ is wanted, which reverse passes read.
    public func pack(_ θ: UnsafePointer<Double>, into packed: UnsafeMutablePointer<Double>, transposes: Bool = true) {
        for index in layers.indices { pack(layer: index, of: θ, into: packed, transposes: transposes) }
    }

    /// The same for one layer.
    public func pack(
        layer index: Int, of θ: UnsafePointer<Double>, into packed: UnsafeMutablePointer<Double>, transposes: Bool = true
    ) {
        let layer = layers[index]
        let weights = θ + layer.offset
        copy(weights, rows: layer.outputs, columns: layer.inputs + 1, padded: packed + layer.packedOffset)
        guard transposes, index > 0 else { return }
        let transpose = MatrixBlock(padded: packed + layer.transposedOffset, rows: layer.inputs, columns: layer.outputs)
        transpose.setToTranspose(of: MatrixBlock(reading: weights, rows: layer.outputs, columns: layer.inputs))
        clearPadding(of: transpose)
    }

    private func copy(_ source: UnsafePointer<Double>, rows: Int, columns: Int, padded target: UnsafeMutablePointer<Double>) {
        let block = MatrixBlock(padded: target, rows: rows, columns: columns)
        if block.leading == rows {
            target.update(from: source, count: rows * columns)
        } else {
            block.copy(MatrixBlock(reading: source, rows: rows, columns: columns))
            clearPadding(of: block)
        }
    }

    private func clearPadding(of block: MatrixBlock) {
        let padding = block.leading - block.rows
        guard padding > 0 else { return }
        for j in 0..<block.columns { (block.base + j * block.leading + block.rows).update(repeating: 0, count: padding) }
    }

    /// gradient ← scale·Σ of `count` packed gradients that lie `stride` apart, in their order. On all threads.
    public func sum(
        _ packed: UnsafePointer<Double>, count: Int, stride: Int, scale: Double, into gradient: UnsafeMutablePointer<Double>
    ) {
        // Portions of whole columns of about 2000 numbers.
        var portions: [(source: Int, target: Int, rows: Int, leading: Int, columns: Int)] = []
        for layer in layers {
            let (rows, total) = (layer.outputs, layer.inputs + 1)
            let step = max(1, 2048 / rows)
            for first in Swift.stride(from: 0, to: total, by: step) {
                let columns = min(step, total - first)
                portions.append(
                    (layer.packedOffset + first * layer.leading, layer.offset + first * rows, rows, layer.leading, columns))
            }
        }
        parallelFor(count: portions.count) { index, _ in
            let portion = portions[index]
            let isDense = portion.leading == portion.rows
            let (length, columns) = isDense ? (portion.rows * portion.columns, 1) : (portion.rows, portion.columns)
            for column in 0..<columns {
                let target = gradient + portion.target + column * length
                target.update(repeating: 0, count: length)
                for shard in 0..<count {
                    ck_axpy(length, scale, packed + shard * stride + portion.source + column * portion.leading, target)
                }
            }
        }
    }
}

/// The sums of `shards` arrays of `count` doubles that lie `stride` apart, into the first: in the order of the shards, on all threads.
public func addShards(_ sums: UnsafeMutablePointer<Double>, count: Int, stride: Int, of shards: Int) {
    let tile = 2048
    parallelFor(count: (count + tile - 1) / tile) { index, _ in
        let (start, length) = (index * tile, min(tile, count - index * tile))
        for shard in 1..<max(1, shards) { ck_axpy(length, 1, sums + shard * stride + start, sums + start) }
    }
}
