import CKernels

/// The passes over one block of a term's tuples of points: forward, pointwise residuals, seeds, and back, in a workspace.
///
/// A product of the program is a sequence of these calls for every block.
struct BlockPass {
    let term: CompiledTerm
    /// The term's place among the program's.
    let index: Int
    let network: CompiledNetwork
    let layout: BlockLayout
    let workspace: Workspace
    /// The block's first tuple and how many there are.
    let start: Int
    let points: Int
    /// `points`, padded to a multiple of 8 by repeating the last one. Padding gets no cotangent.
    let count: Int
    private let pass: JetPass

    /// Loads the points and data of a block, and evaluates the pointwise factors of its operators.
    init(
        _ term: CompiledTerm, index: Int, _ network: CompiledNetwork, _ layout: BlockLayout, _ workspace: Workspace, start: Int,
        points: Int
    ) {
        (self.term, self.index, self.network, self.layout, self.workspace) = (term, index, network, layout, workspace)
        (self.start, self.points) = (start, points)
        count = (points + 7) / 8 * 8
        pass = JetPass(
            rules: term.rules, arity: term.arity, tuples: count, coordinates: Doubles(workspace.base + layout.coordinates),
            coefficients: Doubles(workspace.base + layout.coefficients), scratch: workspace.base + layout.ruleScratch)
        for point in 0..<term.arity {
            for i in 0..<network.dimension {
                load(
                    term.coordinates.column(point * network.dimension + i),
                    into: at(layout.coordinates) + i * pass.count + point * count)
            }
        }
        for i in 0..<term.function.dataCount { load(term.data.column(i), into: at(layout.data) + i * count) }
        if term.function.coefficientCount > 0 { evaluateCoefficients() }
    }

    private func load(_ source: Doubles, into target: MutableDoubles) {
        target.update(from: source + start, count: points)
        for i in points..<count { target[i] = source[start + points - 1] }
    }

    private func at(_ offset: Int) -> MutableDoubles { workspace.base + offset }
    private var last: Int { network.nodes.count - 1 }
    private func memory(_ l: Int) -> LayerMemory { LayerMemory(base: workspace.base, slots: layout.layers[l]) }

    /// Where the values (or tangents, …) of the function's input i lie: in a matrix of the network's outputs, or among the columns of
    /// the trained numbers.
    private func input(_ i: Int, of outputs: MutableDoubles, _ scalars: Int) -> MutableDoubles {
        switch term.inputs[i] {
        case .output(let field, let channel, let point): outputs + field * pass.rows + channel * pass.count + point * count
        case .scalar(let column): at(scalars) + column * count
        }
    }
    private func seed(_ i: Int) -> MutableDoubles { input(i, of: memory(last).g, layout.scalarSeeds) }
    private func seedTangent(_ i: Int) -> MutableDoubles { input(i, of: memory(last).gdot, layout.scalarSeedTangents) }
    private func tangent(_ i: Int) -> MutableDoubles { input(i, of: memory(last).hdot, layout.scalarTangents) }
    func residual(_ k: Int) -> MutableDoubles { at(layout.residuals) + k * count }
    func residualTangent(_ k: Int) -> MutableDoubles { at(layout.residualTangents) + k * count }
    func partial(_ m: Int) -> MutableDoubles { at(layout.partials) + m * count }
    private func secondPartial(_ m: Int) -> MutableDoubles { at(layout.secondPartials) + m * count }
    private var outputCount: Int { network.outputs * pass.rows }
    /// The rows of the block's matrices.
    var rows: Int { pass.rows }

    /// The tables of pointers to the coordinates and then the data.
    private func listPlaces(from columns: UnsafeMutablePointer<Doubles>) -> (
        coordinates: UnsafePointer<Doubles>, data: UnsafePointer<Doubles>?
    ) {
        var next = columns
        for point in 0..<term.arity {
            for i in 0..<network.dimension {
                next.pointee = pass.coordinates + i * pass.count + point * count
                next += 1
            }
        }
        let data = next
        for i in 0..<term.function.dataCount { data[i] = Doubles(at(layout.data) + i * count) }
        return (UnsafePointer(columns), term.function.dataCount > 0 ? UnsafePointer(data) : nil)
    }

    private func evaluateCoefficients() {
        let (coordinates, data) = listPlaces(from: workspace.columns)
        for k in 0..<term.function.coefficientCount { workspace.results[k] = at(layout.coefficients) + k * count }
        term.function.evaluateCoefficients(
            at: PointwiseArguments(
                count: count, inputs: UnsafePointer(workspace.columns), coordinates: coordinates, data: data,
                scratch: at(layout.pointwiseScratch)), into: UnsafePointer(workspace.results))
    }

    // MARK: Forward

    /// The jets of every layer, and the columns of the trained numbers.
    func forward(_ θ: Doubles) {
        for (l, node) in network.nodes.enumerated() { node.layer.forward(pass, θ + node.parameterOffset, memory(l)) }
        spread(θ, into: layout.scalars)
    }

    /// The trained numbers that the term reads, or a direction's entries for them, as columns.
    private func spread(_ θ: Doubles, into columns: Int) {
        for (column, scalar) in term.scalars.enumerated() {
            (at(columns) + column * count).update(repeating: θ[network.scalarOffset + scalar], count: count)
        }
    }

    /// The residuals, from order 1 their partials, from order 2 their second partials.
    func evaluate(order: Int) {
        let function = term.function
        let outputs = memory(last).h
        let (columns, results) = (workspace.columns, workspace.results)
        for i in term.inputs.indices { columns[i] = Doubles(input(i, of: outputs, layout.scalars)) }
        let (coordinates, data) = listPlaces(from: columns + term.inputs.count)
        for k in 0..<term.residuals { results[k] = residual(k) }
        let partials = results + term.residuals
        if order >= 1 { for m in term.partials.indices { partials[m] = partial(m) } }
        let secondPartials = partials + term.partials.count
        if order >= 2 { for m in term.secondPartials.indices { secondPartials[m] = secondPartial(m) } }
        function.evaluate(
            order: order,
            at: PointwiseArguments(
                count: count, inputs: UnsafePointer(columns), coordinates: coordinates, data: data,
                scratch: function.scratchCount > 0 ? at(layout.pointwiseScratch) : nil),
            into: PointwiseResults(
                residuals: UnsafePointer(results), partials: order >= 1 ? UnsafePointer(partials) : nil,
                secondPartials: order >= 2 ? UnsafePointer(secondPartials) : nil))
    }

    /// How many pointers `evaluate` puts into each of a workspace's tables.
    static func columnCapacity(_ term: CompiledTerm) -> Int {
        max(
            term.inputs.count + term.coordinatesAndData,
            term.residuals + term.partials.count + term.secondPartials.count, term.function.coefficientCount)
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

    private func clearSeeds() {
        memory(last).g.update(repeating: 0, count: outputCount)
        at(layout.scalarSeeds).update(repeating: 0, count: term.scalars.count * count)
    }

    /// z̄ᵢ = s²·Σₖ λₖ ∂rₖ/∂zᵢ with the multiplier λₖ = rₖ, or w in an integral: the loss's.
    func seedLoss() {
        clearSeeds()
        for (m, (k, i)) in term.partials.enumerated() {
            ck_add_product(points, term.scale * term.scale, multiplier(k), partial(m), seed(i))
        }
    }

    /// z̄ᵢ = s·∂rₖ/∂zᵢ: one residual's, at every point.
    func seedResidual(_ k: Int) {
        clearSeeds()
        for (m, pair) in term.partials.enumerated() where pair.residual == k { ck_axpy(points, term.scale, partial(m), seed(pair.input)) }
    }

    /// z̄ᵢ = s·Σₖ wₖ ∂rₖ/∂zᵢ, `w` being the whole residual space's.
    func seed(weights w: Doubles) {
        clearSeeds()
        for (m, (k, i)) in term.partials.enumerated() {
            ck_add_product(points, term.scale, w + residualIndex(k), partial(m), seed(i))
        }
    }

    /// Where the block's first point has residual k in the residual vector.
    func residualIndex(_ k: Int) -> Int { term.residualOffset + k * term.count + start }

    // MARK: Reverse

    /// θ̄ += … from the seeds, for some layers only if they are given.
    func reverse(_ θ: Doubles, gradient: MutableDoubles, layers: Range<Int>? = nil) {
        let wanted = layers ?? 0..<network.nodes.count
        for l in stride(from: last, through: wanted.lowerBound, by: -1) where network.isTrained[l] {
            let node = network.nodes[l]
            node.layer.reverse(
                pass, θ + node.parameterOffset, memory(l), gradient: wanted.contains(l) ? gradient + node.parameterOffset : nil)
        }
        addScalars(from: layout.scalarSeeds, to: gradient)
    }

    /// The reverse pass without θ̄, from the seeds down to layer `lowest`; `visit` sees every layer once its cotangent is complete.
    func reverse(_ θ: Doubles, downTo lowest: Int, _ visit: (_ layer: Int, _ memory: LayerMemory) -> Void) {
        for l in stride(from: last, through: lowest, by: -1) where network.isTrained[l] {
            let (node, memory) = (network.nodes[l], memory(l))
            node.layer.reverse(pass, θ + node.parameterOffset, memory, gradient: nil)
            visit(l, memory)
        }
    }

    /// θ̄ += … for the trained numbers of the residuals.
    private func addScalars(from columns: Int, to gradient: MutableDoubles) {
        for (column, scalar) in term.scalars.enumerated() {
            gradient[network.scalarOffset + scalar] += ck_sum(points, at(columns) + column * count)
        }
    }

    /// The rows of the Jacobian from the seeds: entry p of tuple i to out[i + (p − parameters.lowerBound)·leading].
    func jacobianRows(_ θ: Doubles, parameters: Range<Int>, out: MutableDoubles, leading: Int) {
        scalarRows(parameters, out: out, leading: leading)
        for l in stride(from: last, through: 0, by: -1) where network.isTrained[l] {
            let node = network.nodes[l]
            if node.parameters.upperBound <= parameters.lowerBound { break }
            node.layer.reverse(pass, θ + node.parameterOffset, memory(l), gradient: nil)
            layerRows(θ, l, parameters, out: out, leading: leading)
        }
    }

    /// The part of `jacobianRows` that belongs to layer l, whose cotangent is complete.
    func layerRows(_ θ: Doubles, _ l: Int, _ parameters: Range<Int>, out: MutableDoubles, leading: Int) {
        let (node, wanted) = (network.nodes[l], network.nodes[l].parameters.clamped(to: parameters))
        if wanted.isEmpty { return }
        node.layer.jacobianRows(
            pass, θ + node.parameterOffset, memory(l), points: points,
            parameters: (wanted.lowerBound - node.parameterOffset)..<(wanted.upperBound - node.parameterOffset),
            out: out + (wanted.lowerBound - parameters.lowerBound) * leading, leading: leading)
    }

    /// The part of `jacobianRows` that belongs to the trained numbers of the residuals.
    func scalarRows(_ parameters: Range<Int>, out: MutableDoubles, leading: Int) {
        for p in parameters.clamped(to: network.scalarOffset..<(network.scalarOffset + network.scalarCount)) {
            let entry = out + (p - parameters.lowerBound) * leading
            if let column = term.scalars.firstIndex(of: p - network.scalarOffset) {
                entry.update(from: at(layout.scalarSeeds) + column * count, count: points)
            } else {
                entry.update(repeating: 0, count: points)
            }
        }
    }

    // MARK: Tangents

    /// The tangents of every layer's jets in the direction v, which is zero before the layer `first`.
    func tangent(_ θ: Doubles, _ v: Doubles, from first: Int = 0) {
        for (l, node) in network.nodes.enumerated() {
            if l < first {
                memory(l).hdot.update(repeating: 0, count: node.layer.outputs * pass.rows)
            } else {
                node.layer.tangent(pass, θ + node.parameterOffset, v + node.parameterOffset, memory(l))
            }
        }
        spread(v, into: layout.scalarTangents)
    }

    /// ṙₖ = Σᵢ ∂rₖ/∂zᵢ żᵢ, unscaled.
    func evaluateResidualTangents() {
        residualTangent(0).update(repeating: 0, count: term.residuals * count)
        for (m, (k, i)) in term.partials.enumerated() { ck_add_product(points, 1, tangent(i), partial(m), residualTangent(k)) }
    }

    /// z̄ᵢ = s²·Σₖ ṙₖ ∂rₖ/∂zᵢ: what JᵀJ·v sends back.
    func seedResidualTangents() {
        clearSeeds()
        for (m, (k, i)) in term.partials.enumerated() {
            ck_add_product(points, term.scale * term.scale, residualTangent(k), partial(m), seed(i))
        }
    }

    /// The tangent of `seedLoss`, after it: z̄ᵢ's tangent = s²·Σₖ (λ̇ₖ ∂rₖ/∂zᵢ + λₖ Σⱼ ∂²rₖ/∂zᵢ∂zⱼ żⱼ), where λ̇ₖ = ṙₖ, or 0 in
    /// an integral.
    func seedLossTangent() {
        let square = term.scale * term.scale
        memory(last).gdot.update(repeating: 0, count: outputCount)
        at(layout.scalarSeedTangents).update(repeating: 0, count: term.scalars.count * count)
        if term.weights == nil {
            for (m, (k, i)) in term.partials.enumerated() {
                ck_add_product(points, square, residualTangent(k), partial(m), seedTangent(i))
            }
        }
        for (m, (k, i, j)) in term.secondPartials.enumerated() {
            let (curvature, multiplier) = (secondPartial(m), multiplier(k))
            for p in 0..<points { curvature[p] *= square * multiplier[p] }
            ck_add_product(points, 1, curvature, tangent(j), seedTangent(i))
            if i != j { ck_add_product(points, 1, curvature, tangent(i), seedTangent(j)) }
        }
    }

    /// The tangent of `reverse`, from the last layer down to `lowest`: added to `product`.
    func tangentReverse(_ θ: Doubles, _ v: Doubles, product: MutableDoubles, downTo lowest: Int = 0) {
        for l in stride(from: last, through: lowest, by: -1) where network.isTrained[l] {
            let node = network.nodes[l]
            node.layer.tangentReverse(
                pass, θ + node.parameterOffset, v + node.parameterOffset, memory(l), product: product + node.parameterOffset)
        }
        addScalars(from: layout.scalarSeedTangents, to: product)
    }
}

extension CompiledTerm {
    fileprivate var coordinatesAndData: Int { arity * function.dimension + function.dataCount }
}
