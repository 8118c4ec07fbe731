import CKernels

/// The passes over one block of a term's points: forward, pointwise residuals, seeds, and back, in a workspace.
///
/// A product of the program is a sequence of these calls for every block.
struct BlockPass {
    let term: CompiledTerm
    let network: LayerSequence
    let layout: BlockLayout
    let workspace: Workspace
    /// The block's first point and how many there are.
    let start: Int
    let points: Int
    /// `points`, padded to a multiple of 8 by repeating the last one. Padding gets no cotangent.
    let count: Int
    private let pass: JetPass

    /// Loads the points and data of a block.
    init(_ term: CompiledTerm, _ network: LayerSequence, _ layout: BlockLayout, _ workspace: Workspace, start: Int, points: Int) {
        (self.term, self.network, self.layout, self.workspace) = (term, network, layout, workspace)
        (self.start, self.points) = (start, points)
        count = (points + 7) / 8 * 8
        pass = JetPass(
            rule: term.rule, count: count, coordinates: Doubles(workspace.base + layout.coordinates),
            scratch: workspace.base + layout.ruleScratch)
        for i in 0..<network.dimension { load(term.coordinates.column(i), into: workspace.base + layout.coordinates + i * count) }
        for i in 0..<term.function.dataCount { load(term.data.column(i), into: workspace.base + layout.data + i * count) }
    }

    private func load(_ source: Doubles, into target: MutableDoubles) {
        target.update(from: source + start, count: points)
        for i in points..<count { target[i] = source[start + points - 1] }
    }

    private func at(_ offset: Int) -> MutableDoubles { workspace.base + offset }
    private var last: Int { network.layers.count - 1 }
    /// Where the values (or tangents, …) of the function's input i lie in a matrix of the network's outputs.
    private func input(_ i: Int, of outputs: MutableDoubles) -> MutableDoubles {
        outputs + term.inputs[i].field * pass.rows + term.inputs[i].channel * count
    }
    func residual(_ k: Int) -> MutableDoubles { at(layout.residuals) + k * count }
    func residualTangent(_ k: Int) -> MutableDoubles { at(layout.residualTangents) + k * count }
    func partial(_ m: Int) -> MutableDoubles { at(layout.partials) + m * count }
    private func secondPartial(_ m: Int) -> MutableDoubles { at(layout.secondPartials) + m * count }
    private var outputCount: Int { network.outputs * pass.rows }

    // MARK: Forward

    /// The jets of every layer.
    func forward(_ θ: Doubles) {
        for (l, layer) in network.layers.enumerated() {
            layer.forward(pass, θ + layer.parameterOffset, x: at(l > 0 ? layout.h[l - 1] : 0), z: at(layout.z[l]), h: at(layout.h[l]))
        }
    }

    /// The residuals, from order 1 their partials, from order 2 their second partials.
    func evaluate(order: Int) {
        let function = term.function
        let outputs = at(layout.h[last])
        let (columns, results) = (workspace.columns, workspace.results)
        for i in term.inputs.indices { columns[i] = Doubles(input(i, of: outputs)) }
        let coordinates = columns + term.inputs.count
        for i in 0..<network.dimension { coordinates[i] = pass.coordinates + i * count }
        let data = coordinates + network.dimension
        for i in 0..<function.dataCount { data[i] = Doubles(at(layout.data) + i * count) }
        for k in 0..<term.residuals { results[k] = residual(k) }
        let partials = results + term.residuals
        if order >= 1 { for m in term.partials.indices { partials[m] = partial(m) } }
        let secondPartials = partials + term.partials.count
        if order >= 2 { for m in term.secondPartials.indices { secondPartials[m] = secondPartial(m) } }
        function.evaluate(
            order: order,
            at: PointwiseArguments(
                count: count, inputs: UnsafePointer(columns), coordinates: UnsafePointer(coordinates),
                data: function.dataCount > 0 ? UnsafePointer(data) : nil,
                scratch: function.scratchCount > 0 ? at(layout.pointwiseScratch) : nil),
            into: PointwiseResults(
                residuals: UnsafePointer(results), partials: order >= 1 ? UnsafePointer(partials) : nil,
                secondPartials: order >= 2 ? UnsafePointer(secondPartials) : nil))
    }

    /// How many pointers `evaluate` puts into each of a workspace's tables.
    static func columnCapacity(_ term: CompiledTerm) -> Int {
        max(
            term.inputs.count + term.coordinatesAndData,
            term.residuals + term.partials.count + term.secondPartials.count)
    }

    /// ½ Σ (s·r)² over the block, or s² Σ w·e.
    var loss: Double {
        var sum = 0.0
        for k in 0..<term.residuals { sum += ck_dot(points, residual(k), multiplier(k)) }
        return (term.weights == nil ? 0.5 : 1) * term.scale * term.scale * sum
    }

    /// The loss's derivative by the function's value k at each point, but for s²: rₖ of a sum of squares, w of an integral.
    private func multiplier(_ k: Int) -> Doubles { term.weights.map { $0.column(0) + start } ?? Doubles(residual(k)) }

    // MARK: Seeds: the cotangent of the network's outputs

    private func clear(_ seeds: MutableDoubles) { seeds.update(repeating: 0, count: outputCount) }

    /// z̄ᵢ = s²·Σₖ λₖ ∂rₖ/∂zᵢ with the multiplier λₖ = rₖ, or w in an integral: the loss's.
    func seedLoss() {
        let seeds = at(layout.g[0])
        clear(seeds)
        for (m, (k, i)) in term.partials.enumerated() {
            ck_add_product(points, term.scale * term.scale, multiplier(k), partial(m), input(i, of: seeds))
        }
    }

    /// z̄ᵢ = s·∂rₖ/∂zᵢ: one residual's, at every point.
    func seedResidual(_ k: Int) {
        let seeds = at(layout.g[0])
        clear(seeds)
        for (m, pair) in term.partials.enumerated() where pair.residual == k {
            ck_axpy(points, term.scale, partial(m), input(pair.input, of: seeds))
        }
    }

    /// z̄ᵢ = s·Σₖ wₖ ∂rₖ/∂zᵢ, `w` being the whole residual space's.
    func seed(weights w: Doubles) {
        let seeds = at(layout.g[0])
        clear(seeds)
        for (m, (k, i)) in term.partials.enumerated() {
            ck_add_product(points, term.scale, w + residualIndex(k), partial(m), input(i, of: seeds))
        }
    }

    /// Where the block's first point has residual k in the residual vector.
    func residualIndex(_ k: Int) -> Int { term.residualOffset + k * term.count + start }

    // MARK: Reverse

    /// θ̄ += … from the seeds.
    func reverse(_ θ: Doubles, gradient: MutableDoubles) {
        for l in stride(from: last, through: 0, by: -1) {
            let layer = network.layers[l]
            let (g, xbar) = cotangents(below: l)
            layer.reverse(
                pass, θ + layer.parameterOffset, x: at(l > 0 ? layout.h[l - 1] : 0), z: at(layout.z[l]), h: at(layout.h[l]), g: g,
                xbar: l > 0 ? xbar : nil, gradient: gradient + layer.parameterOffset)
        }
    }

    /// The rows of the Jacobian from the seeds: entry p of point i to out[i + (p − parameters.lowerBound)·leading].
    func jacobianRows(_ θ: Doubles, parameters: Range<Int>, out: MutableDoubles, leading: Int) {
        for l in stride(from: last, through: 0, by: -1) {
            let layer = network.layers[l]
            let own = layer.parameterOffset..<(layer.parameterOffset + layer.parameterCount)
            if own.upperBound <= parameters.lowerBound { break }
            let (g, xbar) = cotangents(below: l)
            let x = at(l > 0 ? layout.h[l - 1] : 0)
            layer.reverse(
                pass, θ + layer.parameterOffset, x: x, z: at(layout.z[l]), h: at(layout.h[l]), g: g, xbar: l > 0 ? xbar : nil,
                gradient: nil)
            let wanted = own.clamped(to: parameters)
            if wanted.isEmpty { continue }
            let local = (wanted.lowerBound - own.lowerBound)..<(wanted.upperBound - own.lowerBound)
            layer.jacobianRows(
                pass, x: x, g: g, points: points, parameters: local, out: out + (wanted.lowerBound - parameters.lowerBound) * leading,
                leading: leading)
        }
    }

    private func cotangents(below l: Int) -> (g: MutableDoubles, xbar: MutableDoubles) {
        let turn = (last - l) % 2
        return (at(layout.g[turn]), at(layout.g[1 - turn]))
    }

    // MARK: Tangents

    /// The tangents of every layer's jets in the direction v.
    func tangent(_ θ: Doubles, _ v: Doubles) {
        for (l, layer) in network.layers.enumerated() {
            layer.tangent(
                pass, θ + layer.parameterOffset, v + layer.parameterOffset, x: at(l > 0 ? layout.h[l - 1] : 0),
                xdot: at(l > 0 ? layout.hdot[l - 1] : 0), z: at(layout.z[l]), h: at(layout.h[l]), zdot: at(layout.zdot[l]),
                hdot: at(layout.hdot[l]))
        }
    }

    /// ṙₖ = Σᵢ ∂rₖ/∂zᵢ żᵢ, unscaled.
    func evaluateResidualTangents() {
        let tangents = at(layout.hdot[last])
        residualTangent(0).update(repeating: 0, count: term.residuals * count)
        for (m, (k, i)) in term.partials.enumerated() {
            ck_add_product(points, 1, input(i, of: tangents), partial(m), residualTangent(k))
        }
    }

    /// z̄ᵢ = s²·Σₖ ṙₖ ∂rₖ/∂zᵢ: what JᵀJ·v sends back.
    func seedResidualTangents() {
        let seeds = at(layout.g[0])
        clear(seeds)
        for (m, (k, i)) in term.partials.enumerated() {
            ck_add_product(points, term.scale * term.scale, residualTangent(k), partial(m), input(i, of: seeds))
        }
    }

    /// The tangent of `seedLoss`, after it: z̄ᵢ's tangent = s²·Σₖ (λ̇ₖ ∂rₖ/∂zᵢ + λₖ Σⱼ ∂²rₖ/∂zᵢ∂zⱼ żⱼ), where λ̇ₖ = ṙₖ, or 0 in
    /// an integral.
    func seedLossTangent() {
        let seeds = at(layout.gdot[0])
        let tangents = at(layout.hdot[last])
        let square = term.scale * term.scale
        clear(seeds)
        if term.weights == nil {
            for (m, (k, i)) in term.partials.enumerated() {
                ck_add_product(points, square, residualTangent(k), partial(m), input(i, of: seeds))
            }
        }
        for (m, (k, i, j)) in term.secondPartials.enumerated() {
            let (curvature, multiplier) = (secondPartial(m), multiplier(k))
            for p in 0..<points { curvature[p] *= square * multiplier[p] }
            ck_add_product(points, 1, curvature, input(j, of: tangents), input(i, of: seeds))
            if i != j { ck_add_product(points, 1, curvature, input(i, of: tangents), input(j, of: seeds)) }
        }
    }

    /// The tangent of `reverse`: added to `product`.
    func tangentReverse(_ θ: Doubles, _ v: Doubles, product: MutableDoubles) {
        for l in stride(from: last, through: 0, by: -1) {
            let layer = network.layers[l]
            let turn = (last - l) % 2
            layer.tangentReverse(
                pass, θ + layer.parameterOffset, v + layer.parameterOffset, x: at(l > 0 ? layout.h[l - 1] : 0),
                xdot: at(l > 0 ? layout.hdot[l - 1] : 0), z: at(layout.z[l]), h: at(layout.h[l]), zdot: at(layout.zdot[l]),
                g: at(layout.g[turn]), gdot: at(layout.gdot[turn]), xbar: l > 0 ? at(layout.g[1 - turn]) : nil,
                xbardot: l > 0 ? at(layout.gdot[1 - turn]) : nil, product: product + layer.parameterOffset)
        }
    }
}

extension CompiledTerm {
    fileprivate var coordinatesAndData: Int { function.dimension + function.dataCount }
}
