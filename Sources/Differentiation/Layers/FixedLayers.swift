import CKernels

/// The jets of the point itself: feature i is xᵢ, its channel ∂ᵢ is 1.
struct PointLayer: ParameterFreeLayer {
    let outputs: Int
    var savedWidth: Int { 0 }

    func forward(_ pass: JetPass, _ θ: Doubles, _ m: LayerMemory) {
        let count = pass.count
        m.h.update(repeating: 0, count: outputs * pass.rows)
        for i in 0..<outputs { (m.h + i * pass.rows).update(from: pass.coordinates + i * count, count: count) }
        for (p, i) in pass.space.firsts.enumerated() { (m.h + i * pass.rows + (1 + p) * count).update(repeating: 1, count: count) }
    }

    func reverse(_ pass: JetPass, _ θ: Doubles, _ m: LayerMemory, gradient: MutableDoubles?) {}

    func tangent(_ pass: JetPass, _ θ: Doubles, _ v: Doubles, _ m: LayerMemory) {
        m.hdot.update(repeating: 0, count: outputs * pass.rows)
    }

    func tangentReverse(_ pass: JetPass, _ θ: Doubles, _ v: Doubles, _ m: LayerMemory, product: MutableDoubles) {}
}

/// h = Aᵀx + c with numbers that are not trained: Fourier frequencies, scalings, projections.
struct FixedAffineLayer: ParameterFreeLayer {
    let inputs: Int
    let outputs: Int
    /// A, in × out by rows, and then c.
    private let numbers: Columns

    init(inputs: Int, outputs: Int, weights: [Double], offsets: [Double]) {
        precondition(
            weights.count == inputs * outputs && offsets.count == outputs, "a fixed map of \(inputs) inputs and \(outputs) outputs")
        (self.inputs, self.outputs) = (inputs, outputs)
        numbers = Columns([weights + offsets], count: weights.count + offsets.count)
    }

    var savedWidth: Int { 0 }
    private var weights: Doubles { numbers.column(0) }

    func forward(_ pass: JetPass, _ θ: Doubles, _ m: LayerMemory) {
        BlockProducts.forward(rows: pass.rows, inputs: inputs, outputs: outputs, x: m.x(), w: weights, into: m.h)
        for j in 0..<outputs { ck_add_constant(pass.count, weights[inputs * outputs + j], m.h + j * pass.rows) }
    }

    private func back(_ pass: JetPass, _ g: Doubles, accumulating: Bool, into xbar: MutableDoubles) {
        BlockProducts.backward(rows: pass.rows, inputs: inputs, outputs: outputs, y: g, w: weights, accumulating: accumulating, into: xbar)
    }

    func reverse(_ pass: JetPass, _ θ: Doubles, _ m: LayerMemory, gradient: MutableDoubles?) {
        if let xbar = m.xbar() { back(pass, m.g, accumulating: xbar.accumulates, into: xbar.value) }
    }

    func tangent(_ pass: JetPass, _ θ: Doubles, _ v: Doubles, _ m: LayerMemory) {
        BlockProducts.forward(rows: pass.rows, inputs: inputs, outputs: outputs, x: m.xdot(), w: weights, into: m.hdot)
    }

    func tangentReverse(_ pass: JetPass, _ θ: Doubles, _ v: Doubles, _ m: LayerMemory, product: MutableDoubles) {
        guard let xbar = m.xbar() else { return }
        back(pass, m.g, accumulating: xbar.accumulates, into: xbar.value)
        back(pass, m.gdot, accumulating: xbar.accumulates, into: xbar.tangent)
    }
}
