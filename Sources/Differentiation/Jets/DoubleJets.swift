import CKernels

extension Double: JetScalar {
    static var padding: Int { 8 }

    static func addConstant(_ count: Int, _ value: Double, _ x: MutableDoubles) { ck_add_constant(count, value, x) }
    static func sum(_ count: Int, _ x: Doubles) -> Double { ck_sum(count, x) }
    static func dot(_ count: Int, _ x: Doubles, _ y: Doubles) -> Double { ck_dot(count, x, y) }
    static func axpy(_ count: Int, _ a: Double, _ x: Doubles, _ y: MutableDoubles) { ck_axpy(count, a, x, y) }
    static func addProduct(_ count: Int, _ a: Double, _ x: Doubles, _ w: Doubles, _ y: MutableDoubles) { ck_add_product(count, a, x, w, y) }
    static func axpyWide(_ count: Int, _ a: Double, _ x: Doubles, _ y: MutableDoubles) { ck_axpy(count, a, x, y) }
    static func addProductWide(_ count: Int, _ a: Double, _ x: Doubles, _ w: Doubles, _ y: MutableDoubles) {
        ck_add_product(count, a, x, w, y)
    }

    static func narrowed(_ x: Doubles, _ count: Int, copy: MutableDoubles) -> Doubles { x }
    static func kept(_ x: Doubles, copy: MutableDoubles) -> Doubles { x }
    static func shadow(_ x: MutableDoubles, copy: MutableDoubles) -> MutableDoubles { x }
    static func widen(_ count: Int, _ x: MutableDoubles, _ shadow: MutableDoubles) {}
    static func narrow(_ count: Int, _ shadow: MutableDoubles, _ x: MutableDoubles) {}
    static func copy(_ count: Int, _ x: Doubles, to y: MutableDoubles) { y.update(from: x, count: count) }
    static func constants(_ constants: Constants) -> Doubles { constants.asDouble }

    static func forwardProduct(
        rows: Int, inputs: Int, outputs: Int, x: Doubles, w: Doubles, into y: MutableDoubles
    ) {
        BlockProducts.forward(rows: rows, inputs: inputs, outputs: outputs, x: x, w: w, into: y)
    }
    static func forwardTangent(
        rows: Int, inputs: Int, outputs: Int, x: (Doubles, Doubles), w: (Doubles, Doubles), into y: MutableDoubles
    ) {
        BlockProducts.forwardTangent(rows: rows, inputs: inputs, outputs: outputs, x: x, w: w, into: y)
    }
    static func backwardProduct(
        rows: Int, inputs: Int, outputs: Int, y: Doubles, w: Doubles, accumulating: Bool, into x: MutableDoubles
    ) {
        BlockProducts.backward(rows: rows, inputs: inputs, outputs: outputs, y: y, w: w, accumulating: accumulating, into: x)
    }
    static func backwardTangent(
        rows: Int, inputs: Int, outputs: Int, y: (Doubles, Doubles), w: (Doubles, Doubles), accumulating: Bool, into x: MutableDoubles
    ) {
        BlockProducts.backwardTangent(rows: rows, inputs: inputs, outputs: outputs, y: y, w: w, accumulating: accumulating, into: x)
    }
    static func weightProduct(rows: Int, inputs: Int, outputs: Int, x: Doubles, y: Doubles, into w: MutableDoubles) {
        BlockProducts.weights(rows: rows, inputs: inputs, outputs: outputs, x: x, y: y, into: w)
    }
    static func jacobianRows(
        _ rows: Int, _ count: Int, _ channels: Int, _ inputs: Int, _ outputs: Int, _ h: Doubles, _ g: Doubles,
        _ out: MutableDoubles, _ leading: Int
    ) {
        ck_jacobian_rows(rows, count, channels, inputs, outputs, h, g, out, leading)
    }

    static func activate(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int,
        _ bias: Doubles?, _ z: MutableDoubles, _ h: MutableDoubles
    ) {
        ck_jet_forward(jet, code, count, features, bias, z, h)
    }
    static func activateReverse(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int,
        _ z: Doubles, _ h: Doubles, _ g: MutableDoubles
    ) {
        ck_jet_reverse(jet, code, count, features, z, h, g)
    }
    static func activateTangent(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int,
        _ z: Doubles, _ h: Doubles, _ zdot: Doubles, _ hdot: MutableDoubles
    ) {
        ck_jet_tangent(jet, code, count, features, z, h, zdot, hdot)
    }
    static func activateTangentReverse(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int,
        _ z: Doubles, _ h: Doubles, _ zdot: Doubles, _ g: MutableDoubles, _ gdot: MutableDoubles
    ) {
        ck_jet_tangent_reverse(jet, code, count, features, z, h, zdot, g, gdot)
    }
    static func derivatives(
        of σ: ActivationFunction, upTo order: Int, count: Int, at x: Doubles, into derivatives: MutableDoubles
    ) {
        switch σ {
        case .standard(let activation): ck_activation(activation.code, Int32(order), count, x, derivatives)
        case .custom(let activation): activation.derivatives(upTo: order, count: count, at: x, into: derivatives)
        }
    }
    static func polynomial(
        _ count: Int, _ table: [ck_monomial], _ columns: UnsafePointer<Doubles?>?, _ sigma: Doubles, _ outputs: MutableDoubles
    ) {
        ck_jet_polynomial(count, table, table.count, columns, sigma, outputs)
    }

    static func forward(_ layer: any JetLayer, _ pass: JetPass<Double>, _ θ: Doubles, _ m: LayerMemory<Double>) {
        layer.forward(pass, θ, m)
    }
    static func reverse(
        _ layer: any JetLayer, _ pass: JetPass<Double>, _ θ: Doubles, _ m: LayerMemory<Double>, gradient: MutableDoubles?
    ) {
        layer.reverse(pass, θ, m, gradient: gradient)
    }
    static func jacobianRows(
        _ layer: any JetLayer, _ pass: JetPass<Double>, _ θ: Doubles, _ m: LayerMemory<Double>, points: Int, parameters: Range<Int>,
        out: MutableDoubles, leading: Int
    ) {
        layer.jacobianRows(pass, θ, m, points: points, parameters: parameters, out: out, leading: leading)
    }
    static func tangent(_ layer: any JetLayer, _ pass: JetPass<Double>, _ θ: Doubles, _ v: Doubles, _ m: LayerMemory<Double>) {
        layer.tangent(pass, θ, v, m)
    }
    static func tangentReverse(
        _ layer: any JetLayer, _ pass: JetPass<Double>, _ θ: Doubles, _ v: Doubles, _ m: LayerMemory<Double>, product: MutableDoubles
    ) {
        layer.tangentReverse(pass, θ, v, m, product: product)
    }
}
