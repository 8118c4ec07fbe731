import CKernels
import LinearAlgebra

/// How JJᵀ is formed.
public enum GramForm: String, Sendable, Hashable, CaseIterable {
    /// Layer by layer the form that takes fewer operations.
    case automatic
    /// From the columns of J, panel by panel: N²p operations for p parameters.
    case explicit
    /// From the layers' inputs and cotangents without J: N²C²(in + out) operations for a dense layer in C channels.
    case structured
}

extension ProgramJacobian {
    /// JJᵀ ∈ ℝᴺˣᴺ, exactly symmetric: the tangent kernel of the residuals. Squares the condition number of J.
    ///
    /// The rows of J are Σ_c x_c g_cᵀ in a dense layer with input x and cotangent g in the channels c, so the layer's part of JJᵀ is
    /// Σ_{c, c′} (X_c X_c′ᵀ) ∘ (G_c G_c′ᵀ), without J: fewer operations where C²(in + out) < in·out. The other layers, and those too small
    /// for that to pay, give the columns of J panel by panel, so that J is never held whole. `form` overrides the choice.
    public func outerMatrix(form: GramForm = .automatic) -> Matrix {
        let n = rows
        var product = Matrix.zeros(n, n)
        guard n > 0 else { return product }
        let structured = Set(structuredLayers(form))
        product.elements.withUnsafeMutableBufferPointer { c in
            guard let c = c.baseAddress else { return }
            addColumns(columnPanels(atMost: max(Self.leastPanel, Self.panelBytes / (8 * n)), leavingOut: structured), to: c)
            for group in groups(of: structured.sorted()) { addStructured(group, to: c) }
            TiledProducts.mirrorLower(n, c, n)
        }
        return product
    }

    /// How many operations `outerMatrix` takes in a form, the symmetric half counted once: what the choice rests on.
    public func outerMatrixCost(form: GramForm = .automatic) -> Double {
        let structured = Set(structuredLayers(form))
        return program.layers.nodes.indices.reduce(0.0) { sum, l in sum + cost(ofLayer: l, structured: structured.contains(l)) }
            + Double(rows * rows * program.layers.scalarCount)
    }

    private func cost(ofLayer l: Int, structured: Bool) -> Double {
        let (layer, n) = (program.layers.nodes[l].layer, Double(rows))
        guard structured, let shape = layer.denseShape else { return n * n * Double(layer.parameterCount) }
        // Σ over pairs of rows of the pairs of their channels.
        let channels = program.compiled.reduce(0.0) { $0 + Double($1.residualTotal * $1.arity * $1.rules.space.count) }
        return channels * channels * (Double(shape.inputs + shape.outputs) + 1)
    }

    private func structuredLayers(_ form: GramForm) -> [Int] {
        program.layers.nodes.indices.filter { l in
            guard program.layers.nodes[l].layer.denseShape != nil else { return false }
            switch form {
            case .explicit: return false
            case .structured: return true
            case .automatic: return cost(ofLayer: l, structured: true) < cost(ofLayer: l, structured: false)
            }
        }
    }

    // MARK: By columns of J

    private func addColumns(_ panels: [Range<Int>], to c: UnsafeMutablePointer<Double>) {
        let n = rows
        let panel = UnsafeMutablePointer<Double>.allocate(capacity: n * (panels.map(\.count).max() ?? 0))
        defer { panel.deallocate() }
        for range in panels {
            jacobian(rows: 0..<n, columns: range, into: panel, leading: n)
            TiledProducts.syrkLower(transpose: false, n, range.count, panel, n, beta: 1, c, n)
        }
    }

    // MARK: By layers

    /// The rows of a block that belong to one residual.
    private struct Tile {
        var block: Int
        var residual: Int
        /// The first row of J, and how many.
        var row: Int
        var points: Int
        /// The block's rows: channels (those of several points apart) times padded points.
        var channels: Int
        var padded: Int
        /// How many of the channels are values.
        var values: Int
        var height: Int { channels * padded }
    }

    private func tiles() -> [Tile] {
        var tiles: [Tile] = []
        for (index, block) in program.blocks.enumerated() {
            let term = program.compiled[block.term]
            for k in 0..<term.residuals {
                tiles.append(
                    Tile(
                        block: index, residual: k, row: term.residualOffset + k * term.count + block.start, points: block.points,
                        channels: term.rules.space.count * term.arity, padded: (block.points + 7) / 8 * 8, values: term.arity))
            }
        }
        return tiles.sorted { $0.row < $1.row }
    }

    /// Layers whose inputs and cotangents are held at one time: as many as fit in some memory, at least one.
    private func groups(of layers: [Int]) -> [[Int]] {
        let height = tiles().reduce(0) { $0 + $1.height }
        var groups: [[Int]] = []
        var held = 0
        for l in layers {
            guard let shape = program.layers.nodes[l].layer.denseShape else { continue }
            let bytes = 8 * height * (shape.inputs + shape.outputs)
            if groups.isEmpty || held + bytes > Self.heldBytes {
                groups.append([l])
                held = bytes
            } else {
                groups[groups.count - 1].append(l)
                held += bytes
            }
        }
        return groups
    }

    private static let heldBytes = 128 << 20

    /// c += the part of JJᵀ that comes from some dense layers, on and below the diagonal's tiles.
    private func addStructured(_ layers: [Int], to c: UnsafeMutablePointer<Double>) {
        let (n, tiles) = (rows, tiles())
        let shapes = layers.map { program.layers.nodes[$0].layer.denseShape ?? DenseShape(inputs: 0, outputs: 0, hasBias: false) }
        // Where each tile's x and g of each layer lie.
        var (places, total) = ([[(x: Int, g: Int)]](), 0)
        for tile in tiles {
            places.append(
                shapes.map { shape in
                    defer { total += tile.height * (shape.inputs + shape.outputs) }
                    return (total, total + tile.height * shape.inputs)
                })
        }
        let memory = UnsafeMutablePointer<Double>.allocate(capacity: max(total, 1))
        defer { memory.deallocate() }
        capture(layers, tiles, places, shapes, into: memory)

        let workers = ThreadPool.threadCount
        let highest = tiles.reduce(0) { max($0, $1.height) }
        let scratch = UnsafeMutablePointer<Double>.allocate(capacity: 2 * workers * highest * highest)
        defer { scratch.deallocate() }
        parallelFor(count: tiles.count * (tiles.count + 1) / 2, maximumWorkers: workers) { index, worker in
            // Index counts the pairs a ≥ b row by row.
            var a = Int((Double(8 * index + 1).squareRoot() - 1) / 2)
            while (a + 1) * (a + 2) / 2 <= index { a += 1 }
            while a * (a + 1) / 2 > index { a -= 1 }
            let b = index - a * (a + 1) / 2
            let (s, t) = (tiles[a], tiles[b])
            let p = scratch + 2 * worker * highest * highest
            let q = p + highest * highest
            for (l, shape) in shapes.enumerated() {
                let (first, second) = (places[a][l], places[b][l])
                BlockProducts.outer(s.height, t.height, shape.inputs, memory + first.x, memory + second.x, into: p)
                BlockProducts.outer(s.height, t.height, shape.outputs, memory + first.g, memory + second.g, into: q)
                if shape.hasBias {
                    // The bias is the weight of an input that is 1 in the value channels and 0 in the others.
                    for j in 0..<(t.values * t.padded) { ck_add_constant(s.values * s.padded, 1, p + j * s.height) }
                }
                ck_add_block_products(
                    s.points, t.points, s.channels, s.padded, t.channels, t.padded, p, q, s.height, c + s.row + t.row * n, n)
            }
        }
    }

    /// Runs all blocks forward, and back for every residual, and copies what the layers read.
    private func capture(
        _ layers: [Int], _ tiles: [Tile], _ places: [[(x: Int, g: Int)]], _ shapes: [DenseShape], into memory: UnsafeMutablePointer<Double>
    ) {
        var tileOf: [[Int]] = Array(repeating: [], count: program.blocks.count)
        for (index, tile) in tiles.enumerated() { tileOf[tile.block].append(index) }
        for index in tileOf.indices { tileOf[index].sort { tiles[$0].residual < tiles[$1].residual } }
        parameters.withUnsafeBufferPointer { θ in
            guard let θ = θ.baseAddress else { return }
            program.overItems(program.blocks.count, .reverse) { index, workspace in
                let block = program.blocks[index]
                let pass = program.pass(.reverse, term: block.term, start: block.start, points: block.points, in: workspace)
                pass.forward(θ)
                pass.evaluate(order: 1)
                for t in tileOf[index] {
                    pass.seedResidual(tiles[t].residual)
                    pass.reverse(θ, downTo: layers[0]) { l, layer in
                        guard let i = layers.firstIndex(of: l) else { return }
                        let (height, shape) = (tiles[t].height, shapes[i])
                        (memory + places[t][i].x).update(from: layer.x(), count: height * shape.inputs)
                        (memory + places[t][i].g).update(from: layer.g, count: height * shape.outputs)
                    }
                }
            }
        }
    }
}
