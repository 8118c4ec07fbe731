import CKernels

/// The first layer: the dense layer whose input is the scaled point x̂ᵢ = aᵢxᵢ + cᵢ. Its jet is known, so that no matrix product
/// is needed: the value channel is x̂, the channel ∂ₑ is the constant aₑ in feature e, and all others are zero.
struct CoordinateLayer: JetLayer {
    let inputs: Int
    let outputs: Int
    let isActivated: Bool
    let factors: [Double]
    let offsets: [Double]

    var parameterOffset: Int { 0 }
    var parameterCount: Int { (inputs + 1) * outputs }
    var savedWidth: Int { isActivated ? outputs : 0 }
    private var biasOffset: Int { inputs * outputs }

    func forward(_ pass: JetPass, _ θ: Doubles, x: Doubles, z: MutableDoubles, h: MutableDoubles) {
        affine(pass, θ, into: isActivated ? z : h, withBias: !isActivated)
        if isActivated { pass.rule.forward(pass.count, outputs, bias: θ + biasOffset, z: z, h: h, scratch: pass.scratch) }
    }

    /// The jet of Wᵀx̂ (+ b), linear in the parameters w.
    private func affine(_ pass: JetPass, _ w: Doubles, into out: MutableDoubles, withBias: Bool) {
        let (count, space) = (pass.count, pass.space)
        for j in 0..<outputs {
            let column = out + j * pass.rows
            var constant = withBias ? w[biasOffset + j] : 0
            for i in 0..<inputs { constant += w[i * outputs + j] * offsets[i] }
            column.update(repeating: constant, count: count)
            for i in 0..<inputs { ck_axpy(count, w[i * outputs + j] * factors[i], pass.coordinates + i * count, column) }
            for (p, i) in space.firsts.enumerated() {
                (column + (1 + p) * count).update(repeating: w[i * outputs + j] * factors[i], count: count)
            }
            let higher = 1 + space.firsts.count
            (column + higher * count).update(repeating: 0, count: (space.count - higher) * count)
        }
    }

    /// gradient += the transpose of `affine`, for a cotangent g.
    private func accumulate(_ pass: JetPass, g: Doubles, into gradient: MutableDoubles) {
        let (count, space) = (pass.count, pass.space)
        for j in 0..<outputs {
            let column = g + j * pass.rows
            let sum = ck_sum(count, column)
            gradient[biasOffset + j] += sum
            for i in 0..<inputs {
                gradient[i * outputs + j] += factors[i] * ck_dot(count, column, pass.coordinates + i * count) + offsets[i] * sum
            }
            for (p, i) in space.firsts.enumerated() { gradient[i * outputs + j] += factors[i] * ck_sum(count, column + (1 + p) * count) }
        }
    }

    func reverse(
        _ pass: JetPass, _ θ: Doubles, x: Doubles, z: Doubles, h: Doubles, g: MutableDoubles, xbar: MutableDoubles?,
        gradient: MutableDoubles?
    ) {
        if isActivated { pass.rule.reverse(pass.count, outputs, z: z, h: h, g: g, scratch: pass.scratch) }
        if let gradient { accumulate(pass, g: g, into: gradient) }
    }

    var parameterStride: Int { outputs }

    func jacobianRows(_ pass: JetPass, x: Doubles, g: Doubles, points: Int, parameters: Range<Int>, out: MutableDoubles, leading: Int) {
        let count = pass.count
        var entry = out
        for i in (parameters.lowerBound / outputs)..<(parameters.upperBound / outputs) {
            for j in 0..<outputs {
                let column = g + j * pass.rows
                if i == inputs {
                    entry.update(from: column, count: points)
                } else {
                    let coordinate = pass.coordinates + i * count
                    for k in 0..<points { entry[k] = column[k] * (factors[i] * coordinate[k] + offsets[i]) }
                    if let p = pass.space.firsts.firstIndex(of: i) { ck_axpy(points, factors[i], column + (1 + p) * count, entry) }
                }
                entry += leading
            }
        }
    }

    func tangent(
        _ pass: JetPass, _ θ: Doubles, _ v: Doubles, x: Doubles, xdot: Doubles, z: Doubles, h: Doubles, zdot: MutableDoubles,
        hdot: MutableDoubles
    ) {
        affine(pass, v, into: isActivated ? zdot : hdot, withBias: true)
        if isActivated {
            pass.rule.tangent(pass.count, outputs, z: z, h: h, zdot: zdot, hdot: hdot, scratch: pass.scratch)
        }
    }

    func tangentReverse(
        _ pass: JetPass, _ θ: Doubles, _ v: Doubles, x: Doubles, xdot: Doubles, z: Doubles, h: Doubles, zdot: Doubles,
        g: MutableDoubles, gdot: MutableDoubles, xbar: MutableDoubles?, xbardot: MutableDoubles?, product: MutableDoubles
    ) {
        if isActivated {
            pass.rule.tangentReverse(pass.count, outputs, z: z, h: h, zdot: zdot, g: g, gdot: gdot, scratch: pass.scratch)
        }
        accumulate(pass, g: gdot, into: product)
    }
}
