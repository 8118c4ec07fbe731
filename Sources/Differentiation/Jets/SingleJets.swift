import CKernels

extension Float: JetScalar {
    static var padding: Int { 16 }

    static func addConstant(_ count: Int, _ value: Float, _ x: MutableNumbers<Float>) { ck_single_add_constant(count, value, x) }
    static func sum(_ count: Int, _ x: Numbers<Float>) -> Double { ck_single_sum(count, x) }
    static func dot(_ count: Int, _ x: Numbers<Float>, _ y: Numbers<Float>) -> Double { ck_single_dot(count, x, y) }
    static func axpy(_ count: Int, _ a: Float, _ x: Numbers<Float>, _ y: MutableNumbers<Float>) { ck_single_axpy(count, a, x, y) }
    static func addProduct(_ count: Int, _ a: Float, _ x: Numbers<Float>, _ w: Numbers<Float>, _ y: MutableNumbers<Float>) {
        ck_single_add_product(count, a, x, w, y)
    }
    static func axpyWide(_ count: Int, _ a: Double, _ x: Numbers<Float>, _ y: MutableDoubles) { ck_single_axpy_wide(count, a, x, y) }
    static func addProductWide(_ count: Int, _ a: Double, _ x: Numbers<Float>, _ w: Numbers<Float>, _ y: MutableDoubles) {
        ck_single_add_product_wide(count, a, x, w, y)
    }

    static func narrowed(_ x: Doubles, _ count: Int, copy: MutableNumbers<Float>) -> Numbers<Float> {
        ck_narrow(count, x, copy)
        return Numbers(copy)
    }
    static func kept(_ x: Doubles, copy: MutableNumbers<Float>) -> Numbers<Float> { Numbers(copy) }
    static func shadow(_ x: MutableNumbers<Float>, copy: MutableDoubles) -> MutableDoubles { copy }
    static func widen(_ count: Int, _ x: MutableNumbers<Float>, _ shadow: MutableDoubles) { ck_widen(count, x, shadow) }
    static func narrow(_ count: Int, _ shadow: MutableDoubles, _ x: MutableNumbers<Float>) { ck_narrow(count, shadow, x) }
    static func copy(_ count: Int, _ x: Numbers<Float>, to y: MutableDoubles) { ck_widen(count, x, y) }
    static func constants(_ constants: Constants) -> Numbers<Float> { constants.asFloat }

    static func forwardProduct(
        rows: Int, inputs: Int, outputs: Int, x: Numbers<Float>, w: Numbers<Float>, into y: MutableNumbers<Float>
    ) {
        ck_single_row_product(rows, outputs, inputs, x, rows, w, outputs, 1, 0, y, rows)
    }
    static func forwardTangent(
        rows: Int, inputs: Int, outputs: Int, x: (Numbers<Float>, Numbers<Float>), w: (Numbers<Float>, Numbers<Float>),
        into y: MutableNumbers<Float>
    ) {
        ck_single_row_product_pair(rows, outputs, inputs, x.0, x.1, rows, w.0, w.1, outputs, 1, 0, y, rows)
    }
    static func backwardProduct(
        rows: Int, inputs: Int, outputs: Int, y: Numbers<Float>, w: Numbers<Float>, accumulating: Bool, into x: MutableNumbers<Float>
    ) {
        ck_single_row_product(rows, inputs, outputs, y, rows, w, 1, outputs, accumulating ? 1 : 0, x, rows)
    }
    static func backwardTangent(
        rows: Int, inputs: Int, outputs: Int, y: (Numbers<Float>, Numbers<Float>), w: (Numbers<Float>, Numbers<Float>), accumulating: Bool,
        into x: MutableNumbers<Float>
    ) {
        ck_single_row_product_pair(rows, inputs, outputs, y.0, y.1, rows, w.0, w.1, 1, outputs, accumulating ? 1 : 0, x, rows)
    }
    static func weightProduct(rows: Int, inputs: Int, outputs: Int, x: Numbers<Float>, y: Numbers<Float>, into w: MutableDoubles) {
        ck_single_inner_product(outputs, inputs, rows, y, x, rows, w, outputs)
    }
    static func jacobianRows(
        _ rows: Int, _ count: Int, _ channels: Int, _ inputs: Int, _ outputs: Int, _ h: Numbers<Float>, _ g: Numbers<Float>,
        _ out: MutableDoubles, _ leading: Int
    ) {
        ck_single_jacobian_rows(rows, count, channels, inputs, outputs, h, g, out, leading)
    }

    static func activate(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int,
        _ bias: Numbers<Float>?, _ z: MutableNumbers<Float>, _ h: MutableNumbers<Float>
    ) {
        ck_single_jet_forward(jet, code, count, features, bias, z, h)
    }
    static func activateReverse(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int,
        _ z: Numbers<Float>, _ h: Numbers<Float>, _ g: MutableNumbers<Float>
    ) {
        ck_single_jet_reverse(jet, code, count, features, z, h, g)
    }
    static func activateTangent(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int,
        _ z: Numbers<Float>, _ h: Numbers<Float>, _ zdot: Numbers<Float>, _ hdot: MutableNumbers<Float>
    ) {
        ck_single_jet_tangent(jet, code, count, features, z, h, zdot, hdot)
    }
    static func activateTangentReverse(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int,
        _ z: Numbers<Float>, _ h: Numbers<Float>, _ zdot: Numbers<Float>, _ g: MutableNumbers<Float>, _ gdot: MutableNumbers<Float>
    ) {
        ck_single_jet_tangent_reverse(jet, code, count, features, z, h, zdot, g, gdot)
    }
    static func derivatives(
        of σ: ActivationFunction, upTo order: Int, count: Int, at x: Numbers<Float>, into derivatives: MutableNumbers<Float>
    ) {
        switch σ {
        case .standard(let activation): ck_single_activation(activation.code, Int32(order), count, x, derivatives)
        case .custom(let activation):
            // One's own activations are stated for Double.
            withUnsafeTemporaryAllocation(of: Double.self, capacity: (order + 2) * count) { memory in
                guard let base = memory.baseAddress else { return }
                ck_widen(count, x, base)
                activation.derivatives(upTo: order, count: count, at: base, into: base + count)
                ck_narrow((order + 1) * count, base + count, derivatives)
            }
        }
    }
    static func polynomial(
        _ count: Int, _ table: [ck_monomial], _ columns: UnsafePointer<Numbers<Float>?>?, _ sigma: Numbers<Float>,
        _ outputs: MutableNumbers<Float>
    ) {
        ck_single_jet_polynomial(count, table, table.count, columns, sigma, outputs)
    }

    static func forward(_ layer: any JetLayer, _ pass: JetPass<Float>, _ θ: Numbers<Float>, _ m: LayerMemory<Float>) {
        layer.forward(pass, θ, m)
    }
    static func reverse(
        _ layer: any JetLayer, _ pass: JetPass<Float>, _ θ: Numbers<Float>, _ m: LayerMemory<Float>, gradient: MutableDoubles?
    ) {
        layer.reverse(pass, θ, m, gradient: gradient)
    }
    static func jacobianRows(
        _ layer: any JetLayer, _ pass: JetPass<Float>, _ θ: Numbers<Float>, _ m: LayerMemory<Float>, points: Int, parameters: Range<Int>,
        out: MutableDoubles, leading: Int
    ) {
        layer.jacobianRows(pass, θ, m, points: points, parameters: parameters, out: out, leading: leading)
    }
    static func tangent(_ layer: any JetLayer, _ pass: JetPass<Float>, _ θ: Numbers<Float>, _ v: Numbers<Float>, _ m: LayerMemory<Float>) {
        layer.tangent(pass, θ, v, m)
    }
    static func tangentReverse(
        _ layer: any JetLayer, _ pass: JetPass<Float>, _ θ: Numbers<Float>, _ v: Numbers<Float>, _ m: LayerMemory<Float>,
        product: MutableDoubles
    ) {
        layer.tangentReverse(pass, θ, v, m, product: product)
    }
}
