import CKernels

/// How jets pass the element-wise maps of a network, for one set of channels.
final class JetRules: Sendable {
    let space: JetSpace
    /// The tables of the generic rule; nil where the kernels for order ≤ 2 serve all activations.
    let polynomials: JetPolynomials?
    /// Whether built-in activations take the generic rule too.
    let usesGenericRule: Bool
    /// Leibniz' rule.
    let product: [JetSpace.ProductPart]

    /// `needsTables`: whether the network has an activation that the kernels do not know.
    init(_ space: JetSpace, generic: Bool, needsTables: Bool, needsProducts: Bool) {
        self.space = space
        usesGenericRule = generic || space.order > 2
        polynomials = usesGenericRule || needsTables ? JetPolynomials(space) : nil
        product = needsProducts ? space.productRule() : []
    }

    /// How many numbers of scratch the rules need for `count` points.
    func scratchCount(points count: Int) -> Int {
        polynomials == nil ? count : (2 * space.count + Activation.highestDerivative + 1) * count
    }

    /// The activation's number among the kernels' own; nil where the generic rule is taken.
    func kernelCode(of σ: ActivationFunction) -> Int32? {
        guard !usesGenericRule, case .standard(let activation) = σ else { return nil }
        return activation.code
    }
}

/// What the rules of a layer see of a block of points: the channels, the points, and where scratch is.
struct JetPass<S: JetScalar> {
    let rules: JetRules
    /// The points of a tuple: 1, but for residuals that tie several points together.
    let arity: Int
    /// The tuples of the block, padded to a multiple of 8.
    let tuples: Int
    /// The points' coordinates, a column of `count` each.
    let coordinates: Numbers<S>
    /// The pointwise factors of operators, a column of `count` each.
    let coefficients: Numbers<S>
    let scratch: MutableNumbers<S>

    var space: JetSpace { rules.space }
    /// The points that go through the network: those of all tuples, point 0 of every tuple first.
    var count: Int { arity * tuples }
    /// The rows R = C·count of the block's matrices: channels one after another, points contiguous in each.
    var rows: Int { space.count * count }
}

// MARK: Jets through an activation

// Forwards, backwards, and the tangents of both: `features` features of `count` points, channel c of feature j at (j·C + c)·count.
extension JetPass {
    /// z₀ ← z₀ + bias, h ← the jet of σ(z). Without a bias z is only read.
    func activate(_ σ: ActivationFunction, _ features: Int, bias: Numbers<S>?, z: MutableNumbers<S>, h: MutableNumbers<S>) {
        if let code = rules.kernelCode(of: σ) {
            return space.withKernelView(coefficients) { S.activate($0, code, count, features, bias, z, h) }
        }
        let tables = tables
        for j in 0..<features {
            let at = j * rows
            if let bias { S.addConstant(count, bias[j], z + at) }
            apply(tables.forward, σ, order: space.order, [Numbers(z + at)], to: [h + at])
        }
    }

    /// g: h̄ → z̄.
    func activateReverse(_ σ: ActivationFunction, _ features: Int, z: Numbers<S>, h: Numbers<S>, g: MutableNumbers<S>) {
        if let code = rules.kernelCode(of: σ) {
            return space.withKernelView(coefficients) { S.activateReverse($0, code, count, features, z, h, g) }
        }
        let tables = tables
        for j in 0..<features {
            let at = j * rows
            apply(tables.reverse, σ, order: space.order + 1, [z + at, z + at, Numbers(g + at)], to: [g + at])
        }
    }

    /// ḣ from ż.
    func activateTangent(_ σ: ActivationFunction, _ features: Int, z: Numbers<S>, h: Numbers<S>, zdot: Numbers<S>, hdot: MutableNumbers<S>)
    {
        if let code = rules.kernelCode(of: σ) {
            return space.withKernelView(coefficients) { S.activateTangent($0, code, count, features, z, h, zdot, hdot) }
        }
        let tables = tables
        for j in 0..<features {
            let at = j * rows
            apply(tables.tangent, σ, order: space.order + 1, [z + at, zdot + at], to: [hdot + at])
        }
    }

    /// (g, ġ): (h̄, its tangent) → (z̄, its tangent).
    func activateTangentReverse(
        _ σ: ActivationFunction, _ features: Int, z: Numbers<S>, h: Numbers<S>, zdot: Numbers<S>, g: MutableNumbers<S>,
        gdot: MutableNumbers<S>
    ) {
        if let code = rules.kernelCode(of: σ) {
            return space.withKernelView(coefficients) { S.activateTangentReverse($0, code, count, features, z, h, zdot, g, gdot) }
        }
        let tables = tables
        for j in 0..<features {
            let at = j * rows
            apply(
                tables.tangentReverse, σ, order: space.order + 2, [z + at, zdot + at, Numbers(g + at), Numbers(gdot + at)],
                to: [g + at, gdot + at])
        }
    }

    private var tables: JetPolynomials {
        guard let tables = rules.polynomials else { preconditionFailure("the generic rule was not prepared for this network") }
        return tables
    }

    /// Evaluates a table for one feature; `groups` are C columns each, and so are the outputs.
    private func apply(
        _ table: [ck_monomial], _ σ: ActivationFunction, order: Int, _ groups: [Numbers<S>], to outputs: [MutableNumbers<S>]
    ) {
        let (channels, count) = (space.count, count)
        let size = channels * count
        let results = scratch + (Activation.highestDerivative + 1) * count
        S.derivatives(of: σ, upTo: order, count: count, at: groups[0], into: scratch)
        let columnCount = JetPolynomials.groups * channels + space.coefficientCount
        withUnsafeTemporaryAllocation(of: Numbers<S>?.self, capacity: columnCount) { columns in
            columns.initialize(repeating: nil)
            for (g, group) in groups.enumerated() { for c in 0..<channels { columns[g * channels + c] = group + c * count } }
            for k in 0..<space.coefficientCount { columns[JetPolynomials.groups * channels + k] = coefficients + k * count }
            S.polynomial(count, table, columns.baseAddress, scratch, results)
        }
        for (i, output) in outputs.enumerated() { output.update(from: results + i * size, count: size) }
    }
}

// MARK: The product of two jets

// Whether a target is added to or written is `accumulating`.
extension JetPass {
    /// h = a·b, feature by feature.
    func multiply(_ features: Int, _ a: Numbers<S>, _ b: Numbers<S>, accumulating: Bool = false, into h: MutableNumbers<S>) {
        if !accumulating { h.update(repeating: 0, count: features * rows) }
        for j in 0..<features {
            let at = j * rows
            for part in rules.product {
                add(part, a + at + part.first * count, b + at + part.second * count, to: h + at + part.output * count)
            }
        }
    }

    /// ā from h̄ and b: the transpose of `multiply` in its first factor.
    func multiplyReverse(_ features: Int, cotangent: Numbers<S>, second b: Numbers<S>, accumulating: Bool, into abar: MutableNumbers<S>) {
        if !accumulating { abar.update(repeating: 0, count: features * rows) }
        for j in 0..<features {
            let at = j * rows
            for part in rules.product {
                add(part, cotangent + at + part.output * count, b + at + part.second * count, to: abar + at + part.first * count)
            }
        }
    }

    /// b̄ from h̄ and a: the transpose of `multiply` in its second factor.
    func multiplyReverse(_ features: Int, cotangent: Numbers<S>, first a: Numbers<S>, accumulating: Bool, into bbar: MutableNumbers<S>) {
        if !accumulating { bbar.update(repeating: 0, count: features * rows) }
        for j in 0..<features {
            let at = j * rows
            for part in rules.product {
                add(part, cotangent + at + part.output * count, a + at + part.first * count, to: bbar + at + part.second * count)
            }
        }
    }

    private func add(_ part: JetSpace.ProductPart, _ x: Numbers<S>, _ y: Numbers<S>, to target: MutableNumbers<S>) {
        guard let column = part.column else { return S.addProduct(count, S(part.coefficient), x, y, target) }
        scratch.update(repeating: 0, count: count)
        S.addProduct(count, S(part.coefficient), x, coefficients + column * count, scratch)
        S.addProduct(count, 1, scratch, y, target)
    }
}
