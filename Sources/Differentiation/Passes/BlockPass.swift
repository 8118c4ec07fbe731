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
    /// `points`, padded to whole vectors by repeating the last one. Padding gets no cotangent.
    let count: Int
    private let passes: Passes

    /// The passes through the network in the program's precision.
    private enum Passes {
        case double(NetworkPass<Double>)
        case single(NetworkPass<Float>)
    }

    /// Loads the points and data of a block, and evaluates the pointwise factors of its operators; the jets of its layers are in the workspace,
    /// or where `place` says.
    init(
        _ term: CompiledTerm, index: Int, _ network: CompiledNetwork, _ layout: BlockLayout, _ workspace: Workspace,
        _ place: ForwardPlace = ForwardPlace(), start: Int, points: Int
    ) {
        (self.term, self.index, self.network, self.layout, self.workspace) = (term, index, network, layout, workspace)
        (self.start, self.points) = (start, points)
        count = term.padded(points)
        let (base, count) = (workspace.base, count)
        func load(_ source: Doubles, into target: MutableDoubles) {
            target.update(from: source + start, count: points)
            for i in points..<count { target[i] = source[start + points - 1] }
        }
        for i in 0..<(term.arity * network.dimension) {
            let (point, coordinate) = i.quotientAndRemainder(dividingBy: network.dimension)
            load(
                term.coordinates.column(i), into: base + layout.coordinates + (coordinate * term.arity + point) * count)
        }
        for i in 0..<term.function.dataCount { load(term.data.column(i), into: base + layout.data + i * count) }
        if term.function.coefficientCount > 0 { BlockPass.evaluateCoefficients(term, layout, workspace, count: count) }
        switch term.precision {
        case .double: passes = .double(NetworkPass(term, network, layout, workspace, place, count: count))
        case .single: passes = .single(NetworkPass(term, network, layout, workspace, place, count: count))
        }
    }

    private func at(_ offset: Int) -> MutableDoubles { workspace.base + offset }
    /// The points that go through the network.
    private var pointCount: Int { term.arity * count }

    // The network's outputs and what belongs to them.
    private var outputs: MutableDoubles {
        switch passes {
        case .double(let pass): pass.outputs
        case .single(let pass): pass.outputs
        }
    }
    private var outputTangents: MutableDoubles {
        switch passes {
        case .double(let pass): pass.outputTangents
        case .single(let pass): pass.outputTangents
        }
    }
    private var outputSeeds: MutableDoubles {
        switch passes {
        case .double(let pass): pass.seeds
        case .single(let pass): pass.seeds
        }
    }
    private var outputSeedTangents: MutableDoubles {
        switch passes {
        case .double(let pass): pass.seedTangents
        case .single(let pass): pass.seedTangents
        }
    }

    /// Where the values (or tangents, …) of the function's input i lie: in a matrix of the network's outputs, or among the columns of
    /// the trained numbers.
    private func input(_ i: Int, of outputs: MutableDoubles, _ scalars: Int) -> MutableDoubles {
        switch term.inputs[i] {
        case .output(let field, let channel, let point): outputs + field * rows + channel * pointCount + point * count
        case .scalar(let column): at(scalars) + column * count
        }
    }
    private func seed(_ i: Int) -> MutableDoubles { input(i, of: outputSeeds, layout.scalarSeeds) }
    private func seedTangent(_ i: Int) -> MutableDoubles { input(i, of: outputSeedTangents, layout.scalarSeedTangents) }
    private func tangent(_ i: Int) -> MutableDoubles { input(i, of: outputTangents, layout.scalarTangents) }
    func residual(_ k: Int) -> MutableDoubles { at(layout.residuals) + k * count }
    func residualTangent(_ k: Int) -> MutableDoubles { at(layout.residualTangents) + k * count }
    func partial(_ m: Int) -> MutableDoubles { at(layout.partials) + m * count }
    private func secondPartial(_ m: Int) -> MutableDoubles { at(layout.secondPartials) + m * count }
    private var outputCount: Int { network.outputs * rows }
    /// The rows of the block's matrices.
    var rows: Int { term.rules.space.count * pointCount }

    /// The tables of pointers to the coordinates and then the data.
    private static func listPlaces(
        _ term: CompiledTerm, _ layout: BlockLayout, _ base: MutableDoubles, count: Int, from columns: UnsafeMutablePointer<Doubles>
    ) -> (coordinates: UnsafePointer<Doubles>, data: UnsafePointer<Doubles>?) {
        var next = columns
        for point in 0..<term.arity {
            for i in 0..<term.function.dimension {
                next.pointee = Doubles(base + layout.coordinates) + (i * term.arity + point) * count
                next += 1
            }
        }
        let data = next
        for i in 0..<term.function.dataCount { data[i] = Doubles(base + layout.data) + i * count }
        return (UnsafePointer(columns), term.function.dataCount > 0 ? UnsafePointer(data) : nil)
    }

    private static func evaluateCoefficients(_ term: CompiledTerm, _ layout: BlockLayout, _ workspace: Workspace, count: Int) {
        let base = workspace.base
        let (coordinates, data) = listPlaces(term, layout, base, count: count, from: workspace.columns)
        for k in 0..<term.function.coefficientCount { workspace.results[k] = base + layout.coefficients + k * count }
        term.function.evaluateCoefficients(
            at: PointwiseArguments(
                count: count, inputs: UnsafePointer(workspace.columns), coordinates: coordinates, data: data,
                scratch: base + layout.pointwiseScratch), into: UnsafePointer(workspace.results))
    }

    // MARK: Forward

    /// The jets of every layer, and the columns of the trained numbers.
    func forward(_ θ: Doubles) {
        switch passes {
        case .double(let pass): pass.forward(θ)
        case .single(let pass): pass.forward(θ)
        }
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
        let outputs = outputs
        let (columns, results) = (workspace.columns, workspace.results)
        for i in term.inputs.indices { columns[i] = Doubles(input(i, of: outputs, layout.scalars)) }
        let (coordinates, data) = BlockPass.listPlaces(
            term, layout, workspace.base, count: count, from: columns + term.inputs.count)
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
        outputSeeds.update(repeating: 0, count: outputCount)
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
        switch passes {
        case .double(let pass): pass.reverse(θ, downTo: wanted.lowerBound, gradient: gradient, wanted: wanted)
        case .single(let pass): pass.reverse(θ, downTo: wanted.lowerBound, gradient: gradient, wanted: wanted)
        }
        addScalars(from: layout.scalarSeeds, to: gradient)
    }

    /// The reverse pass without θ̄, from the seeds down to layer `lowest`; `visit` sees every layer once its cotangent is complete.
    func reverse(_ θ: Doubles, downTo lowest: Int, _ visit: (_ layer: Int) -> Void) {
        switch passes {
        case .double(let pass): pass.reverse(θ, downTo: lowest, gradient: nil, wanted: 0..<0, visit)
        case .single(let pass): pass.reverse(θ, downTo: lowest, gradient: nil, wanted: 0..<0, visit)
        }
    }

    /// What a dense layer reads.
    func input(ofLayer l: Int) -> Doubles {
        switch passes {
        case .double(let pass): pass.input(ofLayer: l)
        case .single(let pass): pass.input(ofLayer: l)
        }
    }

    /// The cotangent of a dense layer's affine map, while `reverse` visits it.
    func cotangent(ofLayer l: Int) -> Doubles {
        switch passes {
        case .double(let pass): pass.cotangent(ofLayer: l)
        case .single(let pass): pass.cotangent(ofLayer: l)
        }
    }

    /// θ̄ += … for the trained numbers of the residuals.
    private func addScalars(from columns: Int, to gradient: MutableDoubles) {
        for (column, scalar) in term.scalars.enumerated() {
            gradient[network.scalarOffset + scalar] += ck_sum(points, at(columns) + column * count)
        }
    }

    /// Rows of J in a layer whose cotangent is complete: entry p of tuple i to out[i + (p − parameters.lowerBound)·leading].
    func layerRows(_ θ: Doubles, _ l: Int, _ parameters: Range<Int>, out: MutableDoubles, leading: Int) {
        let (own, wanted) = (network.nodes[l].parameterOffset, network.nodes[l].parameters.clamped(to: parameters))
        if wanted.isEmpty { return }
        let local = (wanted.lowerBound - own)..<(wanted.upperBound - own)
        let out = out + (wanted.lowerBound - parameters.lowerBound) * leading
        switch passes {
        case .double(let pass): pass.jacobianRows(θ, l, points: points, parameters: local, out: out, leading: leading)
        case .single(let pass): pass.jacobianRows(θ, l, points: points, parameters: local, out: out, leading: leading)
        }
    }

    /// The same in the trained numbers of the residuals.
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
        switch passes {
        case .double(let pass): pass.tangent(θ, v, from: first)
        case .single(let pass): pass.tangent(θ, v, from: first)
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
        outputSeedTangents.update(repeating: 0, count: outputCount)
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

    /// The tangent of `seed(weights:)`, after it, where the weights follow the residuals, ẇₖ = hₖ·s·ṙₖ:
    /// z̄ᵢ's tangent = s·Σₖ (ẇₖ ∂rₖ/∂zᵢ + wₖ Σⱼ ∂²rₖ/∂zᵢ∂zⱼ żⱼ). Spoils the residuals' tangents.
    func seedTangent(weights w: Doubles, bends h: Doubles) {
        outputSeedTangents.update(repeating: 0, count: outputCount)
        at(layout.scalarSeedTangents).update(repeating: 0, count: term.scalars.count * count)
        for k in 0..<term.residuals {
            let (bends, change) = (h + residualIndex(k), residualTangent(k))
            for p in 0..<points { change[p] *= term.scale * bends[p] }
        }
        for (m, (k, i)) in term.partials.enumerated() {
            ck_add_product(points, term.scale, residualTangent(k), partial(m), seedTangent(i))
        }
        for (m, (k, i, j)) in term.secondPartials.enumerated() {
            let (curvature, weights) = (secondPartial(m), w + residualIndex(k))
            for p in 0..<points { curvature[p] *= term.scale * weights[p] }
            ck_add_product(points, 1, curvature, tangent(j), seedTangent(i))
            if i != j { ck_add_product(points, 1, curvature, tangent(i), seedTangent(j)) }
        }
    }

    /// The tangent of `reverse`, from the last layer down to `lowest`: added to `product`.
    func tangentReverse(_ θ: Doubles, _ v: Doubles, product: MutableDoubles, downTo lowest: Int = 0) {
        switch passes {
        case .double(let pass): pass.tangentReverse(θ, v, product: product, downTo: lowest)
        case .single(let pass): pass.tangentReverse(θ, v, product: product, downTo: lowest)
        }
        addScalars(from: layout.scalarSeedTangents, to: product)
    }
}

extension CompiledTerm {
    fileprivate var coordinatesAndData: Int { arity * function.dimension + function.dataCount }
}
