import LinearAlgebra

/// The Kronecker factors of a dense layer for one term: JᵀJ's block of its weights and biases is approximately A ⊗ B/(N·C), with
/// weights shared over the C channels of each of N points.
///
/// With x the layer's input and g the cotangent of its affine map, per residual:
///
///     A = Σ_points Σ_channels x̃x̃ᵀ ∈ ℝ⁽ⁱⁿ⁺¹⁾ˣ⁽ⁱⁿ⁺¹⁾,   B = Σ_residuals Σ_points Σ_channels ggᵀ ∈ ℝᵒᵘᵗˣᵒᵘᵗ,
///
/// x̃ being x with a 1 appended in the value channel and a 0 in the others (without biases x itself), g scaled by the term's s. Channels
/// are the value and the derivatives that the residual needs, as in KFAC-expand for PINNs: F. Dangel, J. Müller, M. Zeinhofer, NeurIPS
/// 2024, arXiv:2405.15603, eqs. 9–12; there A and B are divided by N·C each.
public struct KroneckerFactors: Sendable {
    public let term: Int
    /// Where the layer's weights begin in θ, and its shape.
    public let parameterOffset: Int
    public let inputs: Int
    public let outputs: Int
    public let hasBias: Bool
    /// N and C.
    public let points: Int
    public let channels: Int
    public let input: Matrix
    public let output: Matrix
}

extension ProgramJacobian {
    /// The factors of every dense layer of the block, for every term: one forward pass, a reverse pass for each residual of a point, and
    /// C·(in² + out²) operations a point and layer. A layer on the coordinates has the scaled point in its value channel, the scale of
    /// coordinate e in entry e of channel ∂ₑ, and zeros in all others.
    public func kroneckerFactors() -> [KroneckerFactors] {
        let nodes = program.layers.nodes
        func shape(_ l: Int) -> DenseShape? {
            if let layer = nodes[l].layer as? CoordinateLayer {
                return DenseShape(inputs: layer.inputs, outputs: layer.outputs, hasBias: true)
            }
            return nodes[l].layer.denseShape
        }
        let dense = nodes.indices.filter { shape($0) != nil && block.clamped(to: nodes[$0].parameters) == nodes[$0].parameters }
        guard let lowest = dense.first else { return [] }
        var factors: [KroneckerFactors] = []
        for (t, term) in program.compiled.enumerated() where term.residualTotal > 0 {
            let single = program.restricted(toTerms: [t])
            let shapes = dense.map { shape($0) ?? DenseShape(inputs: 0, outputs: 0, hasBias: false) }
            var (offsets, total) = ([(input: Int, output: Int)](), 0)
            for shape in shapes {
                let side = shape.inputs + (shape.hasBias ? 1 : 0)
                offsets.append((total, total + side * side))
                total += side * side + shape.outputs * shape.outputs
            }
            let sums = single.blockSums(total) { pass, sums in
                parameters.withUnsafeBufferPointer { θ in
                    guard let θ = θ.baseAddress else { return }
                    pass.forward(θ)
                    pass.evaluate(order: 1)
                    for k in 0..<term.residuals {
                        pass.seedResidual(k)
                        pass.reverse(θ, downTo: lowest) { l in
                            guard let i = dense.firstIndex(of: l) else { return }
                            let (shape, g) = (shapes[i], pass.cotangent(ofLayer: l))
                            BlockProducts.weights(
                                rows: pass.rows, inputs: shape.outputs, outputs: shape.outputs, x: g, y: g, into: sums + offsets[i].output)
                            guard k == 0 else { return }
                            if let layer = nodes[l].layer as? CoordinateLayer {
                                pass.addPointProducts(layer, to: sums + offsets[i].input)
                            } else {
                                pass.addInputProducts(pass.input(ofLayer: l), shape, to: sums + offsets[i].input)
                            }
                        }
                    }
                }
            }
            for (i, l) in dense.enumerated() {
                let side = shapes[i].inputs + (shapes[i].hasBias ? 1 : 0)
                func square(_ offset: Int, _ side: Int) -> Matrix {
                    Matrix(rows: side, columns: side, elements: Array(sums.elements[offset..<(offset + side * side)]))
                }
                factors.append(
                    KroneckerFactors(
                        term: t, parameterOffset: nodes[l].parameterOffset, inputs: shapes[i].inputs, outputs: shapes[i].outputs,
                        hasBias: shapes[i].hasBias, points: term.count, channels: term.rules.space.count * term.arity,
                        input: square(offsets[i].input, side), output: square(offsets[i].output, shapes[i].outputs)))
            }
        }
        return factors
    }
}

extension BlockPass {
    /// a += Σ x̃x̃ᵀ over the block's own points and all channels; padding is left out.
    func addInputProducts(_ x: Doubles, _ shape: DenseShape, to a: MutableDoubles) {
        let side = shape.inputs + (shape.hasBias ? 1 : 0)
        for part in 0..<(rows / count) {
            for j in 0..<shape.inputs {
                let column = x + j * rows + part * count
                for i in 0...j {
                    let product = dot(column, x + i * rows + part * count, points)
                    a[i + j * side] += product
                    if i != j { a[j + i * side] += product }
                }
                if shape.hasBias, part < term.arity {
                    let sum = (0..<points).reduce(0.0) { $0 + column[$1] }
                    a[j + shape.inputs * side] += sum
                    a[shape.inputs + j * side] += sum
                }
            }
            if shape.hasBias, part < term.arity { a[shape.inputs + shape.inputs * side] += Double(points) }
        }
    }

    /// The same for a layer on the scaled coordinates, whose jet is known.
    func addPointProducts(_ layer: CoordinateLayer, to a: MutableDoubles) {
        let side = layer.inputs + 1
        var x = [Double](repeating: 1, count: side)
        for point in 0..<term.arity {
            let columns = (0..<layer.inputs).map { term.coordinates.column(point * network.dimension + $0) + start }
            for p in 0..<points {
                for i in 0..<layer.inputs { x[i] = layer.factors[i] * columns[i][p] + layer.offsets[i] }
                for j in 0..<side { for i in 0..<side { a[i + j * side] += x[i] * x[j] } }
            }
        }
        for e in term.rules.space.firsts { a[e * (side + 1)] += Double(points * term.arity) * layer.factors[e] * layer.factors[e] }
    }

    private func dot(_ x: Doubles, _ y: Doubles, _ count: Int) -> Double { (0..<count).reduce(0.0) { $0 + x[$1] * y[$1] } }
}

extension Program {
    /// Sums of `count` numbers over all blocks, in a fixed order.
    func blockSums(_ count: Int, _ body: (_ pass: BlockPass, _ sums: MutableDoubles) -> Void) -> Vector {
        var partial = Matrix.zeros(count, max(shards.count, 1))
        partial.elements.withUnsafeMutableBufferPointer { partial in
            guard let base = partial.baseAddress else { return }
            overBlocks(.reverse) { shard, pass in body(pass, base + shard * count) }
        }
        var sum = Vector.zeros(count)
        for shard in shards.indices { sum.add(partial.column(shard)) }
        return sum
    }
}
