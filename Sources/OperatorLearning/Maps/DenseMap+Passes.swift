import CKernels
import LinearAlgebra

// Letters: n samples; x ∈ ℝⁱⁿˣⁿ a layer's input, z = Wᵀx + b, h = σ(z), d = σ′(z); g a cotangent, a dot a tangent. A sample is a column
// of every matrix: of the samples given to the map, which lie one after another, and of the layers' matrices, which are padded. So
// z = Wᵀ·x, x̄ = W·g and W̄ᵀ = g·xᵀ are all products whose first factor and result have the features of a layer along the vector.

extension DenseMap {
    /// Doubles that a forward pass over n samples keeps for the other passes: h and d of every layer.
    public func stateCount(samples n: Int) -> Int { n * stateWidth }

    /// Doubles of scratch that a reverse or tangent pass over n samples needs.
    public func workCount(samples n: Int) -> Int { (2 * n + 1) * greatestLeading }

    /// Evaluates n samples; returns f_θ, out × n and padded, which lies in `state`. 2nP flops.
    ///
    /// Without `derivatives`, `state` will not serve the other passes.
    @discardableResult
    public func forward(
        _ packed: UnsafePointer<Double>, samples x: UnsafePointer<Double>, count n: Int, derivatives: Bool = true,
        state: UnsafeMutablePointer<Double>
    ) -> MatrixBlock {
        var input = MatrixBlock(reading: x, rows: inputs, columns: n)
        for layer in layers {
            let (h, biases) = (values(of: layer, state, n), packed + layer.packedBiasOffset)
            if layer.isActivated {
                let z = MatrixBlock(padded: h.base + n * layer.leading, rows: layer.outputs, columns: n)
                z.multiply(weights(of: layer, packed), input)
                ck_column_activation(activationCode, derivatives ? 1 : 0, layer.paddedOutputs, n, biases, z.base, h.base, z.leading)
            } else {
                h.multiply(weights(of: layer, packed), input)
                ck_column_shift(layer.paddedOutputs, n, biases, h.base, h.leading)
            }
            input = h
        }
        return input
    }

    /// f_θ of a forward pass, out × n.
    public func output(of state: UnsafePointer<Double>, count n: Int) -> MatrixBlock { values(of: layers[layers.count - 1], state, n) }

    /// gradient ← Σ over samples of (∂f_θ/∂θ)ᵀ g, packed, or += with `accumulating`; the cotangents g, out × n and padded, are used up.
    /// 4nP flops.
    public func reverse(
        _ packed: UnsafePointer<Double>, samples x: UnsafePointer<Double>, count n: Int, state: UnsafePointer<Double>,
        cotangents: MatrixBlock, accumulating: Bool, gradient: UnsafeMutablePointer<Double>, work: UnsafeMutablePointer<Double>
    ) {
        if !accumulating {
            for layer in layers { (gradient + layer.packedBiasOffset).update(repeating: 0, count: layer.leading) }
        }
        backward(
            packed, samples: x, count: n, state: state, cotangents: cotangents, work: work, biases: { gradient + $0.packedBiasOffset }
        ) { layer, input, g in
            MatrixBlock(padded: gradient + layer.packedOffset, rows: layer.outputs, columns: layer.inputs).multiply(
                g, input, transposingSecond: true, accumulating: accumulating)
        }
    }

    /// Doubles of scratch that `rows` needs for n samples.
    public func rowsWorkCount(samples n: Int) -> Int { workCount(samples: n) + n * (max(inputs, greatestLeading) + greatestLeading) }

    /// The gradient sample by sample: row i of `rows`, n × P, is (∂f_θ/∂θ)ᵀ gᵢ at sample i; the cotangents are used up. 3nP flops.
    public func rows(
        _ packed: UnsafePointer<Double>, samples x: UnsafePointer<Double>, count n: Int, state: UnsafePointer<Double>,
        cotangents: MatrixBlock, into rows: MatrixBlock, work: UnsafeMutablePointer<Double>
    ) {
        precondition(rows.rows == n && rows.columns == parameterCount, "rows of \(rows.rows) × \(rows.columns) for \(n) samples")
        let sums = work + 2 * n * greatestLeading
        let (xᵀ, gᵀ) = (sums + greatestLeading, sums + greatestLeading + n * max(inputs, greatestLeading))
        backward(packed, samples: x, count: n, state: state, cotangents: cotangents, work: work, biases: { _ in sums }) {
            layer, input, g in
            MatrixBlock(xᵀ, rows: n, columns: layer.inputs).setToTranspose(of: input)
            MatrixBlock(gᵀ, rows: n, columns: layer.outputs).setToTranspose(of: g)
            for m in 0..<layer.inputs {
                let feature = xᵀ + m * n
                for j in 0..<layer.outputs {
                    let (column, cotangent) = (rows.base + (layer.offset + m * layer.outputs + j) * rows.leading, gᵀ + j * n)
                    for i in 0..<n { column[i] = feature[i] * cotangent[i] }
                }
            }
            for j in 0..<layer.outputs { (rows.base + (layer.biasOffset + j) * rows.leading).update(from: gᵀ + j * n, count: n) }
        }
    }

    /// The tangent ḟ, out × n and padded, along a packed direction v; it lies in `work`. 4nP flops.
    public func tangent(
        _ packed: UnsafePointer<Double>, along v: UnsafePointer<Double>, samples x: UnsafePointer<Double>, count n: Int,
        state: UnsafePointer<Double>, work: UnsafeMutablePointer<Double>
    ) -> MatrixBlock {
        var input = MatrixBlock(reading: x, rows: inputs, columns: n)
        var (current, next) = (work, work + n * greatestLeading)
        for (index, layer) in layers.enumerated() {
            let zdot = MatrixBlock(padded: next, rows: layer.outputs, columns: n)
            zdot.multiply(weights(of: layer, v), input)
            if index > 0 {
                let xdot = MatrixBlock(padded: current, rows: layer.inputs, columns: n)
                zdot.multiply(weights(of: layer, packed), xdot, accumulating: true)
            }
            ck_column_shift(layer.paddedOutputs, n, v + layer.packedBiasOffset, next, layer.leading)
            if let d = slopes(of: layer, state, n) { for i in 0..<(n * layer.leading) { next[i] *= d[i] } }
            swap(&current, &next)
            input = values(of: layer, state, n)
        }
        return MatrixBlock(padded: current, rows: outputs, columns: n)
    }

    // MARK: Shared

    /// Wᵀ, out × in, of θ or of a direction.
    private func weights(of layer: Layer, _ packed: UnsafePointer<Double>) -> MatrixBlock {
        MatrixBlock(reading: packed + layer.packedOffset, rows: layer.outputs, columns: layer.inputs, leading: layer.leading)
    }

    /// h of a layer.
    private func values(of layer: Layer, _ state: UnsafePointer<Double>, _ n: Int) -> MatrixBlock {
        MatrixBlock(reading: state + n * layer.stateOffset, rows: layer.outputs, columns: n, leading: layer.leading)
    }

    /// d of a layer, which lies as h does; nil where there is no σ.
    private func slopes(of layer: Layer, _ state: UnsafePointer<Double>, _ n: Int) -> UnsafePointer<Double>? {
        layer.isActivated ? state + n * (layer.stateOffset + layer.leading) : nil
    }

    /// Calls `collect` with every layer's input and z̄, from the last layer to the first; adds the sums of z̄ to `biases`.
    private func backward(
        _ packed: UnsafePointer<Double>, samples x: UnsafePointer<Double>, count n: Int, state: UnsafePointer<Double>,
        cotangents: MatrixBlock, work: UnsafeMutablePointer<Double>, biases: (Layer) -> UnsafeMutablePointer<Double>,
        collect: (_ layer: Layer, _ input: MatrixBlock, _ g: MatrixBlock) -> Void
    ) {
        precondition(
            cotangents.rows == outputs && cotangents.columns == n, "cotangents of \(cotangents.rows) × \(cotangents.columns)")
        var (g, next, other) = (cotangents, work, work + n * greatestLeading)
        for index in layers.indices.reversed() {
            let layer = layers[index]
            ck_column_reverse(layer.paddedOutputs, n, slopes(of: layer, state, n), g.base, g.leading, biases(layer))
            guard index > 0 else { return collect(layer, MatrixBlock(reading: x, rows: inputs, columns: n), g) }
            collect(layer, values(of: layers[index - 1], state, n), g)
            let cotangent = MatrixBlock(padded: next, rows: layer.inputs, columns: n)
            cotangent.multiply(
                MatrixBlock(
                    reading: packed + layer.transposedOffset, rows: layer.inputs, columns: layer.outputs, leading: cotangent.leading), g)
            g = cotangent
            swap(&next, &other)
        }
    }
}
