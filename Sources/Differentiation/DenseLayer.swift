import CKernels

/// h = σ(Wᵀx + b), or without σ the last layer, on jets: ONE matrix product for all channels of a block; the bias enters the
/// value channel only.
struct DenseLayer: JetLayer {
    let inputs: Int
    let outputs: Int
    let parameterOffset: Int
    let isActivated: Bool

    var parameterCount: Int { (inputs + 1) * outputs }
    var savedWidth: Int { isActivated ? outputs : 0 }
    private var biasOffset: Int { inputs * outputs }

    // W is stored by rows, in × out: as a column-major matrix it is Wᵀ ∈ ℝᵒᵘᵗˣⁱⁿ.

    func forward(_ pass: JetPass, _ θ: Doubles, x: Doubles, z: MutableDoubles, h: MutableDoubles) {
        let rows = pass.rows
        let affine = isActivated ? z : h
        BlockProducts.forward(rows: rows, inputs: inputs, outputs: outputs, x: x, w: θ, into: affine)
        if isActivated {
            pass.rule.forward(pass.count, outputs, bias: θ + biasOffset, z: z, h: h, scratch: pass.scratch)
        } else {
            for j in 0..<outputs { ck_add_constant(pass.count, θ[biasOffset + j], h + j * rows) }
        }
    }

    func reverse(
        _ pass: JetPass, _ θ: Doubles, x: Doubles, z: Doubles, h: Doubles, g: MutableDoubles, xbar: MutableDoubles?,
        gradient: MutableDoubles?
    ) {
        let rows = pass.rows
        if isActivated { pass.rule.reverse(pass.count, outputs, z: z, h: h, g: g, scratch: pass.scratch) }
        if let gradient {
            BlockProducts.weights(rows: rows, inputs: inputs, outputs: outputs, x: x, y: g, into: gradient)
            for j in 0..<outputs { gradient[biasOffset + j] += ck_sum(pass.count, g + j * rows) }
        }
        if let xbar { BlockProducts.backward(rows: rows, inputs: inputs, outputs: outputs, y: g, w: θ, into: xbar) }
    }

    var parameterStride: Int { outputs }

    func jacobianRows(_ pass: JetPass, x: Doubles, g: Doubles, points: Int, parameters: Range<Int>, out: MutableDoubles, leading: Int) {
        let features = (parameters.lowerBound / outputs)..<(parameters.upperBound / outputs)
        let weights = features.clamped(to: 0..<inputs)
        ck_jacobian_rows(
            points, pass.count, pass.space.count, weights.count, outputs, x + weights.lowerBound * pass.rows, g, out, leading)
        guard features.contains(inputs) else { return }
        let biases = out + weights.count * outputs * leading
        for j in 0..<outputs { (biases + j * leading).update(from: g + j * pass.rows, count: points) }
    }

    func tangent(
        _ pass: JetPass, _ θ: Doubles, _ v: Doubles, x: Doubles, xdot: Doubles, z: Doubles, h: Doubles, zdot: MutableDoubles,
        hdot: MutableDoubles
    ) {
        let rows = pass.rows
        let affine = isActivated ? zdot : hdot
        BlockProducts.forward(rows: rows, inputs: inputs, outputs: outputs, x: xdot, w: θ, into: affine)
        BlockProducts.forward(rows: rows, inputs: inputs, outputs: outputs, x: x, w: v, accumulating: true, into: affine)
        for j in 0..<outputs { ck_add_constant(pass.count, v[biasOffset + j], affine + j * rows) }
        if isActivated {
            pass.rule.tangent(pass.count, outputs, z: z, h: h, zdot: zdot, hdot: hdot, scratch: pass.scratch)
        }
    }

    func tangentReverse(
        _ pass: JetPass, _ θ: Doubles, _ v: Doubles, x: Doubles, xdot: Doubles, z: Doubles, h: Doubles, zdot: Doubles,
        g: MutableDoubles, gdot: MutableDoubles, xbar: MutableDoubles?, xbardot: MutableDoubles?, product: MutableDoubles
    ) {
        let rows = pass.rows
        if isActivated {
            pass.rule.tangentReverse(pass.count, outputs, z: z, h: h, zdot: zdot, g: g, gdot: gdot, scratch: pass.scratch)
        }
        BlockProducts.weights(rows: rows, inputs: inputs, outputs: outputs, x: x, y: gdot, into: product)
        BlockProducts.weights(rows: rows, inputs: inputs, outputs: outputs, x: xdot, y: g, into: product)
        for j in 0..<outputs { product[biasOffset + j] += ck_sum(pass.count, gdot + j * rows) }
        if let xbar, let xbardot {
            BlockProducts.backward(rows: rows, inputs: inputs, outputs: outputs, y: gdot, w: θ, into: xbardot)
            BlockProducts.backward(rows: rows, inputs: inputs, outputs: outputs, y: g, w: v, accumulating: true, into: xbardot)
            BlockProducts.backward(rows: rows, inputs: inputs, outputs: outputs, y: g, w: θ, into: xbar)
        }
    }
}
