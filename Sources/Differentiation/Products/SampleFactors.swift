import LinearAlgebra

/// The gradients of the points of a fit, in factors: a network's last inputs and cotangents instead of whole gradients.
///
/// For L = (1/n) Σᵢ ℓᵢ with one residual and no derivative a point, the gradient of ℓᵢ by an affine layer's weights is x̃gᵀ, x̃ the layer's input
/// with a 1 for the biases and g the cotangent of its map. The factors of a point are, layer by layer,
///
///     g               for a layer on the coordinates, whose input is known
///     x and g         for another dense layer, where they are fewer than its parameters
///     ∇ℓᵢ's entries   for all other layers
///
/// and the gradient is the mean of these products: Σ(in + out) numbers a point instead of Σ in·out.
public struct SampleFactors: Sendable {
    private enum Part {
        case coordinates(CoordinateLayer, node: Int)
        case product(DenseShape, node: Int)
        case entries(Range<Int>, node: Int)

        var count: Int {
            switch self {
            case .coordinates(let layer, _): layer.outputs
            case .product(let shape, _): shape.inputs + shape.outputs
            case .entries(let range, _): range.count
            }
        }
        var node: Int {
            switch self {
            case .coordinates(_, let node), .product(_, let node), .entries(_, let node): node
            }
        }
    }

    private let program: Program
    private let parts: [Part]

    /// Of a program with one term, one residual, point and channel, and no trained numbers in its residual.
    public init(_ program: Program) {
        guard program.compiled.count == 1, let term = program.compiled.first, program.layers.scalarCount == 0, term.weights == nil,
            term.residuals == 1, term.arity == 1, term.rules.space.count == 1
        else { preconditionFailure("factors of samples belong to one residual of the values at one point") }
        self.program = program
        parts = program.layers.nodes.indices.compactMap { l in
            let node = program.layers.nodes[l]
            if node.parameters.isEmpty { return nil }
            if let layer = node.layer as? CoordinateLayer { return .coordinates(layer, node: l) }
            if let shape = node.layer.denseShape, shape.inputs + shape.outputs < node.parameters.count { return .product(shape, node: l) }
            return .entries(node.parameters, node: l)
        }
    }

    /// The factors of a point.
    public var count: Int { parts.reduce(0) { $0 + $1.count } }

    /// L(θ), and a column of factors for each point. One forward and one reverse pass.
    public func lossAndFactors(at θ: Vector) -> (loss: Double, factors: Matrix) {
        program.check(θ)
        let (height, points) = (count, program.compiled[0].count)
        var (factors, losses) = (Matrix.zeros(height, points), [Double](repeating: 0, count: program.shards.count))
        let lowest = parts.map(\.node).min() ?? 0
        // g is that of s²·r²/2 with s² = 1/n, or a weight's share of it.
        let weight = Double(points)
        factors.elements.withUnsafeMutableBufferPointer { factors in
            losses.withUnsafeMutableBufferPointer { losses in
                θ.withUnsafeBufferPointer { θ in
                    guard let θ = θ.baseAddress, let out = factors.baseAddress, let losses = losses.baseAddress else { return }
                    program.overBlocks(.reverse) { shard, pass in
                        pass.forward(θ)
                        pass.evaluate(order: 1)
                        losses[shard] += pass.loss
                        pass.seedLoss()
                        pass.reverse(θ, downTo: lowest) { l in
                            var first = 0
                            for part in parts {
                                if part.node == l {
                                    write(part, pass, θ, times: weight, to: out + pass.start * height + first, leading: height)
                                }
                                first += part.count
                            }
                        }
                    }
                }
            }
        }
        return (losses.reduce(0, +), factors)
    }

    private func write(_ part: Part, _ pass: BlockPass, _ θ: Doubles, times weight: Double, to out: MutableDoubles, leading: Int) {
        func copy(_ columns: Doubles, _ count: Int, times factor: Double, to out: MutableDoubles) {
            for j in 0..<count { for p in 0..<pass.points { out[p * leading + j] = factor * columns[j * pass.rows + p] } }
        }
        switch part {
        case .coordinates(let layer, let l): copy(pass.cotangent(ofLayer: l), layer.outputs, times: weight, to: out)
        case .product(let shape, let l):
            copy(pass.input(ofLayer: l), shape.inputs, times: 1, to: out)
            copy(pass.cotangent(ofLayer: l), shape.outputs, times: weight, to: out + shape.inputs)
        case .entries(let range, let l):
            var rows = [Double](repeating: 0, count: pass.points * range.count)
            rows.withUnsafeMutableBufferPointer { rows in
                guard let base = rows.baseAddress else { return }
                pass.layerRows(θ, l, range, out: base, leading: pass.points)
                for j in 0..<range.count { for p in 0..<pass.points { out[p * leading + j] = weight * base[j * pass.points + p] } }
            }
        }
    }

    /// (1/n) Σᵢ of the gradients that the columns of C ∈ ℝᴷˣⁿ are factors of.
    public func gradient(of C: Matrix) -> Vector {
        let (points, term) = (program.compiled[0].count, program.compiled[0])
        precondition(C.rows == count && C.columns == points, "factors of \(C.rows) × \(C.columns) for \(count) × \(points)")
        var (gradient, first) = (Vector.zeros(program.parameterCount), 0)
        /// Some rows of C.
        func rows(_ start: Int, _ count: Int) -> Matrix {
            Matrix(
                rows: count, columns: points,
                elements: (0..<points).flatMap { C.elements[($0 * C.rows + start)..<($0 * C.rows + start + count)] })
        }
        /// Entry (i, j) of a layer's weights at i·outputs + j, its biases after them.
        func add(_ g: Matrix, _ x: Matrix, hasBias: Bool, at offset: Int) {
            let product = Matrix.product(g, x, transposingSecond: true)
            for (k, value) in product.elements.enumerated() { gradient[offset + k] = value / Double(points) }
            guard hasBias else { return }
            let sums = g.times(Vector(repeating: 1, count: points))
            for j in 0..<g.rows { gradient[offset + product.elements.count + j] = sums[j] / Double(points) }
        }
        for part in parts {
            let offset = program.layers.nodes[part.node].parameterOffset
            switch part {
            case .coordinates(let layer, _):
                var x = Matrix.zeros(layer.inputs, points)
                for i in 0..<layer.inputs {
                    let column = term.coordinates.column(i)
                    for p in 0..<points { x[i, p] = layer.factors[i] * column[p] + layer.offsets[i] }
                }
                add(rows(first, layer.outputs), x, hasBias: true, at: offset)
            case .product(let shape, _):
                add(rows(first + shape.inputs, shape.outputs), rows(first, shape.inputs), hasBias: shape.hasBias, at: offset)
            case .entries(let range, _):
                let sums = rows(first, range.count).times(Vector(repeating: 1, count: points))
                for (k, p) in range.enumerated() { gradient[p] = sums[k] / Double(points) }
            }
            first += part.count
        }
        return gradient
    }
}
