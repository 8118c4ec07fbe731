import CKernels

/// The jets of the point itself: feature i is xᵢ, its channel ∂ᵢ is 1.
struct PointLayer: ParameterFreeLayer {
    let outputs: Int
    var savedWidth: Int { 0 }

    func forward<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>) {
        let count = pass.count
        m.h.update(repeating: 0, count: outputs * pass.rows)
        for i in 0..<outputs { (m.h + i * pass.rows).update(from: pass.coordinates + i * count, count: count) }
        for (p, i) in pass.space.firsts.enumerated() { (m.h + i * pass.rows + (1 + p) * count).update(repeating: 1, count: count) }
    }

    func reverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, gradient: MutableDoubles?) {}

    func tangent<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>) {
        m.hdot.update(repeating: 0, count: outputs * pass.rows)
    }

    func tangentReverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>, product: MutableDoubles) {}
}

/// h = Aᵀx + c with numbers that are not trained: Fourier frequencies, scalings, projections.
struct FixedAffineLayer: ParameterFreeLayer {
    let inputs: Int
    let outputs: Int
    /// A, in × out by rows, and then c.
    private let numbers: Constants

    init(inputs: Int, outputs: Int, weights: [Double], offsets: [Double]) {
        precondition(
            weights.count == inputs * outputs && offsets.count == outputs, "a fixed map of \(inputs) inputs and \(outputs) outputs")
        (self.inputs, self.outputs) = (inputs, outputs)
        numbers = Constants(weights + offsets)
    }

    var savedWidth: Int { 0 }

    func forward<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>) {
        let weights = S.constants(numbers)
        S.forwardProduct(rows: pass.rows, inputs: inputs, outputs: outputs, x: m.x(), w: weights, into: m.h)
        for j in 0..<outputs { S.addConstant(pass.count, weights[inputs * outputs + j], m.h + j * pass.rows) }
    }

    private func back<S: JetScalar>(_ pass: JetPass<S>, _ g: Numbers<S>, accumulating: Bool, into xbar: MutableNumbers<S>) {
        S.backwardProduct(
            rows: pass.rows, inputs: inputs, outputs: outputs, y: g, w: S.constants(numbers), accumulating: accumulating, into: xbar)
    }

    func reverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, gradient: MutableDoubles?) {
        if let xbar = m.xbar() { back(pass, m.g, accumulating: xbar.accumulates, into: xbar.value) }
    }

    func tangent<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>) {
        S.forwardProduct(
            rows: pass.rows, inputs: inputs, outputs: outputs, x: m.xdot(), w: S.constants(numbers), into: m.hdot)
    }

    func tangentReverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>, product: MutableDoubles) {
        guard let xbar = m.xbar() else { return }
        back(pass, m.g, accumulating: xbar.accumulates, into: xbar.value)
        back(pass, m.gdot, accumulating: xbar.accumulates, into: xbar.tangent)
    }
}
