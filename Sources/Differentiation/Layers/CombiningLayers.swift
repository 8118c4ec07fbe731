import CKernels

/// h = αa + βb + γ, feature by feature.
struct SumLayer: ParameterFreeLayer {
    let outputs: Int
    let factors: [Double]
    let constant: Double
    var savedWidth: Int { 0 }

    func forward<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>) {
        combine(pass, m.x(0), m.x(factors.count - 1), into: m.h)
        if constant != 0 { for j in 0..<outputs { S.addConstant(pass.count, S(constant), m.h + j * pass.rows) } }
    }

    private func combine<S: JetScalar>(_ pass: JetPass<S>, _ a: Numbers<S>, _ b: Numbers<S>, into h: MutableNumbers<S>) {
        let count = outputs * pass.rows
        h.update(repeating: 0, count: count)
        S.axpy(count, S(factors[0]), a, h)
        if factors.count > 1 { S.axpy(count, S(factors[1]), b, h) }
    }

    private func hand<S: JetScalar>(_ pass: JetPass<S>, _ factor: Double, _ g: Numbers<S>, accumulating: Bool, to xbar: MutableNumbers<S>) {
        let count = outputs * pass.rows
        if !accumulating { xbar.update(repeating: 0, count: count) }
        S.axpy(count, S(factor), g, xbar)
    }

    func reverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, gradient: MutableDoubles?) {
        for (i, factor) in factors.enumerated() {
            if let xbar = m.xbar(i) { hand(pass, factor, m.g, accumulating: xbar.accumulates, to: xbar.value) }
        }
    }

    func tangent<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>) {
        combine(pass, m.xdot(0), m.xdot(factors.count - 1), into: m.hdot)
    }

    func tangentReverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>, product: MutableDoubles) {
        for (i, factor) in factors.enumerated() {
            guard let xbar = m.xbar(i) else { continue }
            hand(pass, factor, m.g, accumulating: xbar.accumulates, to: xbar.value)
            hand(pass, factor, m.gdot, accumulating: xbar.accumulates, to: xbar.tangent)
        }
    }
}

/// h = a·b, feature by feature: Leibniz' rule on the channels.
struct ProductLayer: ParameterFreeLayer {
    let outputs: Int
    var savedWidth: Int { 0 }

    func forward<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>) {
        pass.multiply(outputs, m.x(0), m.x(1), into: m.h)
    }

    func reverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, gradient: MutableDoubles?) {
        if let abar = m.xbar(0) {
            pass.multiplyReverse(outputs, cotangent: m.g, second: m.x(1), accumulating: abar.accumulates, into: abar.value)
        }
        if let bbar = m.xbar(1) {
            pass.multiplyReverse(outputs, cotangent: m.g, first: m.x(0), accumulating: bbar.accumulates, into: bbar.value)
        }
    }

    func tangent<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>) {
        pass.multiply(outputs, m.xdot(0), m.x(1), into: m.hdot)
        pass.multiply(outputs, m.x(0), m.xdot(1), accumulating: true, into: m.hdot)
    }

    func tangentReverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>, product: MutableDoubles) {
        if let abar = m.xbar(0) {
            pass.multiplyReverse(outputs, cotangent: m.g, second: m.x(1), accumulating: abar.accumulates, into: abar.value)
            pass.multiplyReverse(outputs, cotangent: m.gdot, second: m.x(1), accumulating: abar.accumulates, into: abar.tangent)
            pass.multiplyReverse(outputs, cotangent: m.g, second: m.xdot(1), accumulating: true, into: abar.tangent)
        }
        if let bbar = m.xbar(1) {
            pass.multiplyReverse(outputs, cotangent: m.g, first: m.x(0), accumulating: bbar.accumulates, into: bbar.value)
            pass.multiplyReverse(outputs, cotangent: m.gdot, first: m.x(0), accumulating: bbar.accumulates, into: bbar.tangent)
            pass.multiplyReverse(outputs, cotangent: m.g, first: m.xdot(0), accumulating: true, into: bbar.tangent)
        }
    }
}

/// Features of several layers side by side: a range of each.
struct SelectionLayer: ParameterFreeLayer {
    /// The features taken of each input.
    let ranges: [Range<Int>]
    var outputs: Int { ranges.reduce(0) { $0 + $1.count } }
    /// The features that each input has.
    let widths: [Int]
    var savedWidth: Int { 0 }

    /// Calls `body` with each input, the place of its part in the output and in the input, and the length of that part.
    private func forEachPart<S: JetScalar>(_ pass: JetPass<S>, _ body: (_ input: Int, _ output: Int, _ source: Int, _ count: Int) -> Void) {
        var next = 0
        for (input, range) in ranges.enumerated() {
            body(input, next * pass.rows, range.lowerBound * pass.rows, range.count * pass.rows)
            next += range.count
        }
    }

    func forward<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>) {
        forEachPart(pass) { input, output, source, count in (m.h + output).update(from: m.x(input) + source, count: count) }
    }

    func tangent<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>) {
        forEachPart(pass) { input, output, source, count in (m.hdot + output).update(from: m.xdot(input) + source, count: count) }
    }

    func reverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, gradient: MutableDoubles?) {
        forEachPart(pass) { input, output, source, count in
            guard let xbar = m.xbar(input) else { return }
            if !xbar.accumulates { xbar.value.update(repeating: 0, count: widths[input] * pass.rows) }
            S.axpy(count, 1, m.g + output, xbar.value + source)
        }
    }

    func tangentReverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>, product: MutableDoubles) {
        forEachPart(pass) { input, output, source, count in
            guard let xbar = m.xbar(input) else { return }
            if !xbar.accumulates {
                xbar.value.update(repeating: 0, count: widths[input] * pass.rows)
                xbar.tangent.update(repeating: 0, count: widths[input] * pass.rows)
            }
            S.axpy(count, 1, m.g + output, xbar.value + source)
            S.axpy(count, 1, m.gdot + output, xbar.tangent + source)
        }
    }
}
