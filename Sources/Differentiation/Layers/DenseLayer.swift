import CKernels

/// h = σ(Wᵀx + b), or without σ or without b, on jets: ONE matrix product for all channels of a block; the bias enters the value
/// channel only.
struct DenseLayer: JetLayer {
    let inputs: Int
    let outputs: Int
    let activation: ActivationFunction?
    let hasBias: Bool

    init(inputs: Int, outputs: Int, activation: ActivationFunction?, hasBias: Bool = true) {
        precondition(hasBias || activation == nil, "a dense layer with an activation has biases")
        (self.inputs, self.outputs, self.activation, self.hasBias) = (inputs, outputs, activation, hasBias)
    }

    var parameterCount: Int { (inputs + (hasBias ? 1 : 0)) * outputs }
    var savedWidth: Int { activation == nil ? 0 : outputs }
    var isProduct: Bool { true }
    var element: ActivationFunction? { activation }
    var denseShape: DenseShape? { DenseShape(inputs: inputs, outputs: outputs, hasBias: hasBias) }
    private var biasOffset: Int { inputs * outputs }

    // W is stored by rows, in × out: as a column-major matrix it is Wᵀ ∈ ℝᵒᵘᵗˣⁱⁿ.

    func forward<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>) {
        let affine = activation == nil ? m.h : m.z
        S.forwardProduct(rows: pass.rows, inputs: inputs, outputs: outputs, x: m.x(), w: θ, into: affine)
        if let activation {
            pass.activate(activation, outputs, bias: θ + biasOffset, z: m.z, h: m.h)
        } else {
            addBias(pass, θ, to: affine)
        }
    }

    private func addBias<S: JetScalar>(_ pass: JetPass<S>, _ w: Numbers<S>, to columns: MutableNumbers<S>) {
        guard hasBias else { return }
        for j in 0..<outputs { S.addConstant(pass.count, w[biasOffset + j], columns + j * pass.rows) }
    }

    private func addSums<S: JetScalar>(_ pass: JetPass<S>, of columns: Numbers<S>, to gradient: MutableDoubles) {
        guard hasBias else { return }
        for j in 0..<outputs { gradient[biasOffset + j] += S.sum(pass.count, columns + j * pass.rows) }
    }

    func reverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, gradient: MutableDoubles?) {
        let rows = pass.rows
        if let activation { pass.activateReverse(activation, outputs, z: m.z, h: m.h, g: m.g) }
        if let gradient {
            S.weightProduct(rows: rows, inputs: inputs, outputs: outputs, x: m.x(), y: m.g, into: gradient)
            addSums(pass, of: m.g, to: gradient)
        }
        if let xbar = m.xbar() {
            S.backwardProduct(
                rows: rows, inputs: inputs, outputs: outputs, y: m.g, w: θ, accumulating: xbar.accumulates, into: xbar.value)
        }
    }

    var parameterStride: Int { outputs }

    func jacobianRows<S: JetScalar>(
        _ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, points: Int, parameters: Range<Int>, out: MutableDoubles, leading: Int
    ) {
        let features = (parameters.lowerBound / outputs)..<(parameters.upperBound / outputs)
        let weights = features.clamped(to: 0..<inputs)
        // A channel's points are those of the tuples' points one after another: as many channels more.
        S.jacobianRows(
            points, pass.tuples, pass.space.count * pass.arity, weights.count, outputs, m.x() + weights.lowerBound * pass.rows, m.g, out,
            leading)
        guard hasBias, features.contains(inputs) else { return }
        let biases = out + weights.count * outputs * leading
        for j in 0..<outputs {
            let (column, entry) = (m.g + j * pass.rows, biases + j * leading)
            S.copy(points, Numbers(column), to: entry)
            for point in 1..<max(pass.arity, 1) { S.axpyWide(points, 1, column + point * pass.tuples, entry) }
        }
    }

    func tangent<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>) {
        let rows = pass.rows
        let affine = activation == nil ? m.hdot : m.zdot
        S.forwardTangent(rows: rows, inputs: inputs, outputs: outputs, x: (m.xdot(), m.x()), w: (θ, v), into: affine)
        addBias(pass, v, to: affine)
        if let activation { pass.activateTangent(activation, outputs, z: m.z, h: m.h, zdot: m.zdot, hdot: m.hdot) }
    }

    func tangentReverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>, product: MutableDoubles) {
        let rows = pass.rows
        if let activation {
            pass.activateTangentReverse(activation, outputs, z: m.z, h: m.h, zdot: m.zdot, g: m.g, gdot: m.gdot)
        }
        S.weightProduct(rows: rows, inputs: inputs, outputs: outputs, x: m.x(), y: m.gdot, into: product)
        S.weightProduct(rows: rows, inputs: inputs, outputs: outputs, x: m.xdot(), y: m.g, into: product)
        addSums(pass, of: m.gdot, to: product)
        if let xbar = m.xbar() {
            let accumulates = xbar.accumulates
            S.backwardTangent(
                rows: rows, inputs: inputs, outputs: outputs, y: (Numbers(m.gdot), Numbers(m.g)), w: (θ, v), accumulating: accumulates,
                into: xbar.tangent)
            S.backwardProduct(
                rows: rows, inputs: inputs, outputs: outputs, y: m.g, w: θ, accumulating: accumulates, into: xbar.value)
        }
    }
}
