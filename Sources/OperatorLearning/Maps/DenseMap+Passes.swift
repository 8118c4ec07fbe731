import CKernels
import LinearAlgebra

// Letters: n samples; x ∈ ℝⁱⁿˣⁿ a layer's input, z = Wᵀx + b, h = σ(z), d = σ′(z); g a cotangent, a dot a tangent. The samples given
// to the map lie one after another (in × n, column-major); inside, a layer's matrices are n × width, column-major.

extension DenseMap {
    /// Doubles that a forward pass over n samples keeps for the other passes: h and d of every layer.
    public func stateCount(samples n: Int) -> Int { 2 * n * widths.dropFirst().reduce(0, +) }

    /// Doubles of scratch that any pass over n samples needs.
    public func workCount(samples n: Int) -> Int { 3 * n * greatestWidth }

    /// Evaluates n samples; returns f_θ, n × out, which lies in `state`. 2nP flops.
    ///
    /// Without `derivatives`, `state` will not serve the other passes.
    @discardableResult
    public func forward(
        _ θ: UnsafePointer<Double>, samples x: UnsafePointer<Double>, count n: Int, derivatives: Bool = true,
        state: UnsafeMutablePointer<Double>, work: UnsafeMutablePointer<Double>
    ) -> MatrixBlock {
        var (input, place) = (UnsafePointer<Double>(x), state)
        for (index, layer) in layers.enumerated() {
            let z = layer.isActivated ? work : place
            let biases = θ + layer.biasOffset
            for j in 0..<layer.outputs { (z + j * n).update(repeating: biases[j], count: n) }
            affine(index, θ, input, n, into: z)
            if layer.isActivated { ck_activation(activationCode, derivatives ? 1 : 0, n * layer.outputs, z, place) }
            input = UnsafePointer(place)
            place += 2 * n * layer.outputs
        }
        return MatrixBlock(reading: input, rows: n, columns: outputs)
    }

    /// f_θ of a forward pass, n × out.
    public func output(of state: UnsafePointer<Double>, count n: Int) -> MatrixBlock {
        let before = widths.dropFirst().dropLast().reduce(0, +)
        return MatrixBlock(reading: state + 2 * n * before, rows: n, columns: outputs)
    }

    /// gradient += Σ over samples of (∂f_θ/∂θ)ᵀ g, for cotangents g ∈ ℝⁿˣᵒᵘᵗ. 4nP flops.
    public func reverse(
        _ θ: UnsafePointer<Double>, samples x: UnsafePointer<Double>, count n: Int, state: UnsafePointer<Double>,
        cotangents: MatrixBlock, gradient: UnsafeMutablePointer<Double>, work: UnsafeMutablePointer<Double>
    ) {
        backward(θ, samples: x, count: n, state: state, cotangents: cotangents, work: work) { index, input, g in
            let layer = layers[index]
            // W by rows is, by columns, Wᵀ ∈ ℝᵒᵘᵗˣⁱⁿ; the map's own input lies transposed.
            RawProducts.gemm(
                true, index == 0, layer.outputs, layer.inputs, n, g, n, input, index == 0 ? layer.inputs : n, beta: 1,
                gradient + layer.offset, layer.outputs)
            MatrixBlock(reading: g, rows: n, columns: layer.outputs).addColumnSums(to: gradient + layer.biasOffset)
        }
    }

    /// The gradient sample by sample: row i of `rows`, n × P, is (∂f_θ/∂θ)ᵀ gᵢ at sample i. 3nP flops.
    public func rows(
        _ θ: UnsafePointer<Double>, samples x: UnsafePointer<Double>, count n: Int, state: UnsafePointer<Double>,
        cotangents: MatrixBlock, into rows: MatrixBlock, work: UnsafeMutablePointer<Double>
    ) {
        precondition(rows.rows == n && rows.columns == parameterCount, "rows of \(rows.rows) × \(rows.columns) for \(n) samples")
        backward(θ, samples: x, count: n, state: state, cotangents: cotangents, work: work) { index, input, g in
            let layer = layers[index]
            let (sampleStride, featureStride) = index == 0 ? (layer.inputs, 1) : (1, n)
            for m in 0..<layer.inputs {
                let feature = input + m * featureStride
                for j in 0..<layer.outputs {
                    let (column, cotangent) = (rows.base + (layer.offset + m * layer.outputs + j) * rows.leading, g + j * n)
                    for i in 0..<n { column[i] = feature[i * sampleStride] * cotangent[i] }
                }
            }
            for j in 0..<layer.outputs { (rows.base + (layer.biasOffset + j) * rows.leading).update(from: g + j * n, count: n) }
        }
    }

    /// The tangent ḟ ∈ ℝⁿˣᵒᵘᵗ along a direction v ∈ ℝᴾ; it lies in `work`. 4nP flops.
    public func tangent(
        _ θ: UnsafePointer<Double>, along v: UnsafePointer<Double>, samples x: UnsafePointer<Double>, count n: Int,
        state: UnsafePointer<Double>, work: UnsafeMutablePointer<Double>
    ) -> MatrixBlock {
        var (input, place) = (UnsafePointer<Double>(x), state)
        var (current, next) = (work, work + n * greatestWidth)
        for (index, layer) in layers.enumerated() {
            let biases = v + layer.biasOffset
            for j in 0..<layer.outputs { (next + j * n).update(repeating: biases[j], count: n) }
            affine(index, v, input, n, into: next)
            if index > 0 {
                RawProducts.gemm(
                    false, true, n, layer.outputs, layer.inputs, current, n, θ + layer.offset, layer.outputs, beta: 1, next, n)
            }
            if layer.isActivated { multiply(next, by: place + n * layer.outputs, n * layer.outputs) }
            swap(&current, &next)
            input = place
            place += 2 * n * layer.outputs
        }
        return MatrixBlock(current, rows: n, columns: outputs)
    }

    // MARK: Shared

    /// z += x·W with the W of θ or of a direction.
    private func affine(
        _ index: Int, _ θ: UnsafePointer<Double>, _ x: UnsafePointer<Double>, _ n: Int, into z: UnsafeMutablePointer<Double>
    ) {
        let layer = layers[index]
        RawProducts.gemm(
            index == 0, true, n, layer.outputs, layer.inputs, x, index == 0 ? layer.inputs : n, θ + layer.offset, layer.outputs,
            beta: 1, z, n)
    }

    /// Calls `collect` with every layer's input and z̄, from the last layer to the first.
    private func backward(
        _ θ: UnsafePointer<Double>, samples x: UnsafePointer<Double>, count n: Int, state: UnsafePointer<Double>,
        cotangents: MatrixBlock, work: UnsafeMutablePointer<Double>,
        collect: (_ layer: Int, _ input: UnsafePointer<Double>, _ g: UnsafePointer<Double>) -> Void
    ) {
        precondition(
            cotangents.rows == n && cotangents.columns == outputs, "cotangents of \(cotangents.rows) × \(cotangents.columns)")
        var (g, next) = (work, work + n * greatestWidth)
        MatrixBlock(g, rows: n, columns: outputs).copy(cotangents)
        var end = state + stateCount(samples: n)
        for index in layers.indices.reversed() {
            let layer = layers[index]
            end -= 2 * n * layer.outputs
            if layer.isActivated { multiply(g, by: end + n * layer.outputs, n * layer.outputs) }
            let input = index == 0 ? x : end - 2 * n * layer.inputs
            collect(index, input, g)
            guard index > 0 else { return }
            RawProducts.gemm(
                false, false, n, layer.inputs, layer.outputs, g, n, θ + layer.offset, layer.outputs, beta: 0, next, n)
            swap(&g, &next)
        }
    }
}

/// a ← a∘b.
private func multiply(_ a: UnsafeMutablePointer<Double>, by b: UnsafePointer<Double>, _ count: Int) {
    for i in 0..<count { a[i] *= b[i] }
}
