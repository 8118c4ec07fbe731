import CKernels

typealias Doubles = UnsafePointer<Double>
typealias MutableDoubles = UnsafeMutablePointer<Double>

/// How jets pass an activation, forwards, backwards, and the tangents of both: `features` features of `count` points, channel
/// c of feature j at (j·C + c)·count.
struct ActivationRule: Sendable {
    let activation: Activation
    let space: JetSpace
    /// The tables of the generic rule; nil where the kernels for order ≤ 2 are used.
    let polynomials: JetPolynomials?

    init(_ activation: Activation, _ space: JetSpace, generic: Bool) {
        (self.activation, self.space) = (activation, space)
        polynomials = generic || space.order > 2 ? JetPolynomials(space) : nil
    }

    /// How many doubles of scratch the generic rule needs at `count` points.
    func scratchCount(points count: Int) -> Int { polynomials == nil ? 0 : (2 * space.count + Activation.highestDerivative + 1) * count }

    /// z₀ ← z₀ + bias, h ← the jet of σ(z).
    func forward(_ count: Int, _ features: Int, bias: Doubles, z: MutableDoubles, h: MutableDoubles, scratch: MutableDoubles) {
        guard let polynomials else {
            return space.withKernelView { ck_jet_forward($0, activation.code, count, features, bias, z, h) }
        }
        for j in 0..<features {
            let at = j * space.count * count
            ck_add_constant(count, bias[j], z + at)
            apply(polynomials.forward, order: space.order, count, [Doubles(z + at)], scratch: scratch, to: [h + at])
        }
    }

    /// g: h̄ → z̄.
    func reverse(_ count: Int, _ features: Int, z: Doubles, h: Doubles, g: MutableDoubles, scratch: MutableDoubles) {
        guard let polynomials else {
            return space.withKernelView { ck_jet_reverse($0, activation.code, count, features, z, h, g) }
        }
        for j in 0..<features {
            let at = j * space.count * count
            apply(polynomials.reverse, order: space.order + 1, count, [z + at, z + at, Doubles(g + at)], scratch: scratch, to: [g + at])
        }
    }

    /// ḣ from ż.
    func tangent(
        _ count: Int, _ features: Int, z: Doubles, h: Doubles, zdot: Doubles, hdot: MutableDoubles, scratch: MutableDoubles
    ) {
        guard let polynomials else {
            return space.withKernelView { ck_jet_tangent($0, activation.code, count, features, z, h, zdot, hdot) }
        }
        for j in 0..<features {
            let at = j * space.count * count
            apply(polynomials.tangent, order: space.order + 1, count, [z + at, zdot + at], scratch: scratch, to: [hdot + at])
        }
    }

    /// (g, ġ): (h̄, its tangent) → (z̄, its tangent).
    func tangentReverse(
        _ count: Int, _ features: Int, z: Doubles, h: Doubles, zdot: Doubles, g: MutableDoubles, gdot: MutableDoubles,
        scratch: MutableDoubles
    ) {
        guard let polynomials else {
            return space.withKernelView { ck_jet_tangent_reverse($0, activation.code, count, features, z, h, zdot, g, gdot) }
        }
        for j in 0..<features {
            let at = j * space.count * count
            apply(
                polynomials.tangentReverse, order: space.order + 2, count, [z + at, zdot + at, Doubles(g + at), Doubles(gdot + at)],
                scratch: scratch, to: [g + at, gdot + at])
        }
    }

    /// Evaluates a table for one feature; `groups` are C columns each, and so are the outputs.
    private func apply(
        _ table: [ck_monomial], order: Int, _ count: Int, _ groups: [Doubles], scratch: MutableDoubles, to outputs: [MutableDoubles]
    ) {
        let size = space.count * count
        let results = scratch + (Activation.highestDerivative + 1) * count
        ck_activation(activation.code, Int32(order), count, groups[0], scratch)
        let columns: [Doubles?] = groups.flatMap { group in (0..<space.count).map { group + $0 * count } }
        ck_jet_polynomial(count, table, table.count, columns, scratch, results)
        for (i, output) in outputs.enumerated() { output.update(from: results + i * size, count: size) }
    }
}
