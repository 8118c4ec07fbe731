import CKernels

/// A dense layer on the scaled point x̂ᵢ = aᵢxᵢ + cᵢ, straight from the coordinates. The point's jet is known, so that no matrix
/// product is needed: the value channel is x̂, the channel ∂ₑ is the constant aₑ in feature e, and all others are zero.
struct CoordinateLayer: JetLayer {
    let inputs: Int
    let outputs: Int
    let activation: ActivationFunction?
    let factors: [Double]
    let offsets: [Double]

    var parameterCount: Int { (inputs + 1) * outputs }
    var savedWidth: Int { activation == nil ? 0 : outputs }
    var element: ActivationFunction? { activation }
    private var biasOffset: Int { inputs * outputs }

    func forward<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>) {
        affine(pass, θ, into: activation == nil ? m.h : m.z, withBias: activation == nil)
        if let activation { pass.activate(activation, outputs, bias: θ + biasOffset, z: m.z, h: m.h) }
    }

    /// The jet of Wᵀx̂ (+ b), linear in the parameters w.
    private func affine<S: JetScalar>(_ pass: JetPass<S>, _ w: Numbers<S>, into out: MutableNumbers<S>, withBias: Bool) {
        let (count, space) = (pass.count, pass.space)
        for j in 0..<outputs {
            let column = out + j * pass.rows
            var constant = withBias ? w[biasOffset + j] : 0
            for i in 0..<inputs { constant += w[i * outputs + j] * S(offsets[i]) }
            column.update(repeating: constant, count: count)
            for i in 0..<inputs { S.axpy(count, w[i * outputs + j] * S(factors[i]), pass.coordinates + i * count, column) }
            for (p, i) in space.firsts.enumerated() {
                (column + (1 + p) * count).update(repeating: w[i * outputs + j] * S(factors[i]), count: count)
            }
            let higher = 1 + space.firsts.count
            (column + higher * count).update(repeating: 0, count: (space.count - higher) * count)
        }
    }

    /// gradient += the transpose of `affine`, for a cotangent g.
    private func accumulate<S: JetScalar>(_ pass: JetPass<S>, g: Numbers<S>, into gradient: MutableDoubles) {
        let (count, space) = (pass.count, pass.space)
        for j in 0..<outputs {
            let column = g + j * pass.rows
            let sum = S.sum(count, column)
            gradient[biasOffset + j] += sum
            for i in 0..<inputs {
                gradient[i * outputs + j] += factors[i] * S.dot(count, column, pass.coordinates + i * count) + offsets[i] * sum
            }
            for (p, i) in space.firsts.enumerated() { gradient[i * outputs + j] += factors[i] * S.sum(count, column + (1 + p) * count) }
        }
    }

    func reverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, gradient: MutableDoubles?) {
        if let activation { pass.activateReverse(activation, outputs, z: m.z, h: m.h, g: m.g) }
        if let gradient { accumulate(pass, g: m.g, into: gradient) }
    }

    var parameterStride: Int { outputs }

    func jacobianRows<S: JetScalar>(
        _ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, points: Int, parameters: Range<Int>, out: MutableDoubles, leading: Int
    ) {
        var entry = out
        for i in (parameters.lowerBound / outputs)..<(parameters.upperBound / outputs) {
            let first = pass.space.firsts.firstIndex(of: i)
            for j in 0..<outputs {
                entry.update(repeating: 0, count: points)
                for point in 0..<pass.arity {
                    let column = m.g + j * pass.rows + point * pass.tuples
                    if i == inputs {
                        S.axpyWide(points, 1, column, entry)
                        continue
                    }
                    S.addProductWide(points, factors[i], column, pass.coordinates + i * pass.count + point * pass.tuples, entry)
                    if offsets[i] != 0 { S.axpyWide(points, offsets[i], column, entry) }
                    if let p = first { S.axpyWide(points, factors[i], column + (1 + p) * pass.count, entry) }
                }
                entry += leading
            }
        }
    }

    func tangent<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>) {
        affine(pass, v, into: activation == nil ? m.hdot : m.zdot, withBias: true)
        if let activation { pass.activateTangent(activation, outputs, z: m.z, h: m.h, zdot: m.zdot, hdot: m.hdot) }
    }

    func tangentReverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>, product: MutableDoubles) {
        if let activation {
            pass.activateTangentReverse(activation, outputs, z: m.z, h: m.h, zdot: m.zdot, g: m.g, gdot: m.gdot)
        }
        accumulate(pass, g: m.gdot, into: product)
    }
}
