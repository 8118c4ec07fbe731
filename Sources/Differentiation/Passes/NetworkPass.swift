/// The passes of a block through the layers of the network, in one precision. Directions, cotangents of outputs and gradients come and go as
/// Double.
struct NetworkPass<S: JetScalar> {
    private let network: CompiledNetwork
    private let layout: BlockLayout
    private let pass: JetPass<S>
    private let doubles: MutableDoubles
    private let base: MutableNumbers<S>
    /// From where the slots count that an operator keeps.
    private let store: MutableNumbers<S>
    private let isComputed: Bool

    /// For `count` tuples of points, their coordinates and the pointwise factors of operators being in place.
    init(
        _ term: CompiledTerm, _ network: CompiledNetwork, _ layout: BlockLayout, _ workspace: Workspace, _ place: ForwardPlace, count: Int
    ) {
        (self.network, self.layout) = (network, layout)
        doubles = workspace.base
        base = UnsafeMutableRawPointer(doubles + layout.passes).assumingMemoryBound(to: S.self)
        isComputed = place.isComputed
        store = place.store.map { UnsafeMutableRawPointer($0).assumingMemoryBound(to: S.self) - layout.kept.lowerBound } ?? base
        let points = term.arity * count
        pass = JetPass(
            rules: term.rules, arity: term.arity, tuples: count,
            coordinates: S.narrowed(
                Doubles(doubles + layout.coordinates), network.dimension * points, copy: base + layout.passCoordinates),
            coefficients: S.narrowed(
                Doubles(doubles + layout.coefficients), term.function.coefficientCount * points, copy: base + layout.passCoefficients),
            scratch: base + layout.ruleScratch)
    }

    private var last: Int { network.nodes.count - 1 }
    private var outputCount: Int { network.outputs * pass.rows }
    private func memory(_ l: Int) -> LayerMemory<S> {
        LayerMemory(base: base, store: store, kept: layout.kept, slots: layout.layers[l])
    }

    // The network's outputs, their tangents, and the cotangents of both, as Double.
    var outputs: MutableDoubles { S.shadow(memory(last).h, copy: doubles + layout.outputs) }
    var outputTangents: MutableDoubles { S.shadow(memory(last).hdot, copy: doubles + layout.outputTangents) }
    var seeds: MutableDoubles { S.shadow(memory(last).g, copy: doubles + layout.seeds) }
    var seedTangents: MutableDoubles { S.shadow(memory(last).gdot, copy: doubles + layout.seedTangents) }

    /// What a dense layer reads, as Double.
    func input(ofLayer l: Int) -> Doubles {
        let x = MutableNumbers(mutating: memory(l).x())
        let shadow = S.shadow(x, copy: doubles + layout.layerInput)
        S.widen((network.nodes[l].layer.denseShape?.inputs ?? 0) * pass.rows, x, shadow)
        return Doubles(shadow)
    }

    /// The cotangent of a dense layer's affine map, after `reverse`, as Double.
    func cotangent(ofLayer l: Int) -> Doubles {
        let g = memory(l).g
        let shadow = S.shadow(g, copy: doubles + layout.layerCotangent)
        S.widen(network.nodes[l].layer.outputs * pass.rows, g, shadow)
        return Doubles(shadow)
    }

    /// The jets of every layer; what is kept of them is only read.
    func forward(_ θ: Doubles) {
        let θ = S.narrowed(θ, network.parameterCount, copy: base + layout.parameters)
        for (l, node) in network.nodes.enumerated() {
            let m = memory(l)
            switch isComputed ? m.slots.kept : .nothing {
            case .nothing: S.forward(node.layer, pass, θ + node.parameterOffset, m)
            case .preactivation: if let σ = node.layer.element { pass.activate(σ, node.layer.outputs, bias: nil, z: m.z, h: m.h) }
            case .all: break
            }
        }
        S.widen(outputCount, memory(last).h, outputs)
    }

    /// From the seeds down to layer `lowest`: θ̄ += … for the layers `wanted`; `visit` sees every layer once its cotangent is complete.
    func reverse(
        _ θ: Doubles, downTo lowest: Int, gradient: MutableDoubles?, wanted: Range<Int>, _ visit: (_ layer: Int) -> Void = { _ in }
    ) {
        let θ = S.kept(θ, copy: base + layout.parameters)
        S.narrow(outputCount, seeds, memory(last).g)
        for l in stride(from: last, through: lowest, by: -1) where network.isTrained[l] {
            let node = network.nodes[l]
            S.reverse(
                node.layer, pass, θ + node.parameterOffset, memory(l),
                gradient: wanted.contains(l) ? gradient.map { $0 + node.parameterOffset } : nil)
            visit(l)
        }
    }

    /// Rows of a layer's own columns of J (`JetLayer.jacobianRows`).
    func jacobianRows(_ θ: Doubles, _ l: Int, points: Int, parameters: Range<Int>, out: MutableDoubles, leading: Int) {
        let node = network.nodes[l]
        S.jacobianRows(
            node.layer, pass, S.kept(θ, copy: base + layout.parameters) + node.parameterOffset, memory(l), points: points,
            parameters: parameters, out: out, leading: leading)
    }

    /// The tangents of every layer's jets in the direction v, which is zero before the layer `first`.
    func tangent(_ θ: Doubles, _ v: Doubles, from first: Int) {
        let θ = S.kept(θ, copy: base + layout.parameters)
        let v = S.narrowed(v, network.parameterCount, copy: base + layout.direction)
        for (l, node) in network.nodes.enumerated() {
            if l < first {
                memory(l).hdot.update(repeating: 0, count: node.layer.outputs * pass.rows)
            } else {
                S.tangent(node.layer, pass, θ + node.parameterOffset, v + node.parameterOffset, memory(l))
            }
        }
        S.widen(outputCount, memory(last).hdot, outputTangents)
    }

    /// The tangent of `reverse`, from the last layer down to `lowest`: added to `product`.
    func tangentReverse(_ θ: Doubles, _ v: Doubles, product: MutableDoubles, downTo lowest: Int) {
        let θ = S.kept(θ, copy: base + layout.parameters)
        let v = S.kept(v, copy: base + layout.direction)
        S.narrow(outputCount, seeds, memory(last).g)
        S.narrow(outputCount, seedTangents, memory(last).gdot)
        for l in stride(from: last, through: lowest, by: -1) where network.isTrained[l] {
            let node = network.nodes[l]
            S.tangentReverse(
                node.layer, pass, θ + node.parameterOffset, v + node.parameterOffset, memory(l), product: product + node.parameterOffset)
        }
    }
}
