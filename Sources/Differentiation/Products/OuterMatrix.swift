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
    /// for that to pay, give the columns of J panel by panel, so that J is never held whole. `form` overrides the choice. Both come from
    /// one pass over the points where memory allows.
    public func outerMatrix(form: GramForm = .automatic) -> Matrix {
        let n = rows
        guard n > 0, columns > 0 else { return .zeros(n, n) }
        return Matrix(rows: n, columns: n) { c in
            guard let c = c.baseAddress else { return }
            for (index, sweep) in sweeps(structuredLayers(form)).enumerated() { add(sweep, isFirst: index == 0, to: c) }
            TiledProducts.mirrorLower(n, c, n)
        }
    }

    /// How many operations `outerMatrix` takes in a form, the symmetric half counted once: what the choice rests on.
    public func outerMatrixCost(form: GramForm = .automatic) -> Double {
        let structured = structuredLayers(form)
        let layers = layers.reduce(0.0) { sum, l in sum + cost(ofLayer: l, structured: structured.contains(l)) }
        let scalars = block.clamped(to: program.layers.scalarOffset..<program.layers.parameterCount).count
        return layers + Double(rows) * Double(rows) * Double(scalars)
    }

    /// The dense layers, by their place among the network's layers, whose part `outerMatrix` forms without J.
    public func structuredLayers(_ form: GramForm = .automatic) -> [Int] {
        layers.filter { l in
            let node = program.layers.nodes[l]
            guard node.layer.denseShape != nil, block.clamped(to: node.parameters) == node.parameters else { return false }
            switch form {
            case .explicit: return false
            case .structured: return true
            case .automatic: return cost(ofLayer: l, structured: true) < cost(ofLayer: l, structured: false)
            }
        }
    }

    private func cost(ofLayer l: Int, structured: Bool) -> Double {
        let (node, n) = (program.layers.nodes[l], Double(rows))
        guard structured, let shape = node.layer.denseShape else { return n * n * Double(node.parameters.clamped(to: block).count) }
        // Σ over pairs of rows of the pairs of their channels.
        return channelRows * channelRows * (Double(shape.inputs + shape.outputs) + 1)
    }

    /// Σ over rows of their channels.
    private var channelRows: Double { program.compiled.reduce(0.0) { $0 + Double($1.residualTotal * $1.arity * $1.rules.space.count) } }

    // MARK: Passes over the points

    /// The bytes that `outerMatrix` works in beside its result: a panel of J, and inputs and cotangents of the layers formed without J.
    public func outerMatrixBytes(form: GramForm = .automatic) -> Int {
        let height = tiles().reduce(0) { $0 + $1.height }
        return sweeps(structuredLayers(form)).reduce(0) { most, sweep in
            max(most, 8 * (rows * sweep.width + height * shapes(of: sweep).reduce(0) { $0 + $1.inputs + $1.outputs }))
        }
    }

    private func shapes(of sweep: Sweep) -> [DenseShape] {
        sweep.layers.map { program.layers.nodes[$0].layer.denseShape ?? DenseShape(inputs: 0, outputs: 0, hasBias: false) }
    }

    /// How many passes over the points `outerMatrix` makes.
    package func outerMatrixPasses(form: GramForm = .automatic) -> Int { sweeps(structuredLayers(form)).count }

    /// The passes that JJᵀ takes: columns of J in panels of bounded memory, and layers as many as can be held.
    private func sweeps(_ structured: [Int]) -> [Sweep] {
        let width = max(Self.leastPanel, panelBytes / (8 * rows))
        var sweeps: [Sweep] = []
        for panel in columnPanels(atMost: width, leavingOut: Set(structured)) {
            if let last = sweeps.last, last.width + panel.count <= width {
                sweeps[sweeps.count - 1].panels.append(panel)
            } else {
                sweeps.append(Sweep(panels: [panel], layers: []))
            }
        }
        for (index, group) in groups(of: structured).enumerated() {
            if index < sweeps.count {
                sweeps[index].layers = group
            } else {
                sweeps.append(Sweep(panels: [], layers: group))
            }
        }
        return sweeps
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

    /// The memory of a panel. A pass over the points costs about 6C operations a row and parameter, in C channels, and all products N: with few
    /// rows in many channels, as of a Laplacian in a hundred dimensions, passes must be few, and a panel may be larger.
    private var panelBytes: Int {
        let passes = max(1, Double(rows) * Double(rows) / (12 * channelRows))
        return max(Self.panelBytes, min(Self.mostPanelBytes, Int(8 * Double(rows) * Double(columns) / passes)))
    }

    private static let mostPanelBytes = 2 << 30

    /// The rows of a block of points that belong to one residual.
    private struct Tile {
        var block: Int
        var residual: Int
        /// The first row of J, and how many.
        var row: Int
        var points: Int
        /// Channels, those of several points apart, and their points in the block and packed, filled up.
        var channels: Int
        var blockPoints: Int
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
                        channels: term.rules.space.count * term.arity, blockPoints: term.padded(block.points),
                        padded: (block.points + 7) / 8 * 8, values: term.arity))
            }
        }
        return tiles.sorted { $0.row < $1.row }
    }

    /// c += the part of JJᵀ that a pass over the points gives, on and below the diagonal; c ← it, the first time.
    private func add(_ sweep: Sweep, isFirst: Bool, to c: UnsafeMutablePointer<Double>) {
        let (n, tiles, shapes) = (rows, tiles(), shapes(of: sweep))
        // Behind the columns of J lie each tile's x and g of each layer, beginning with a cache line.
        var (places, total) = ([[(x: Int, g: Int)]](), (n * sweep.width + 7) / 8 * 8)
        for tile in tiles {
            places.append(
                shapes.map { shape in
                    defer { total += tile.height * (shape.inputs + shape.outputs) }
                    return (total, total + tile.height * shape.inputs)
                })
        }
        let tileOfRow = Dictionary(uniqueKeysWithValues: tiles.enumerated().map { ($1.row, $0) })
        withPanel(of: total) { memory in
            self.sweep(sweep, rows: 0..<n, into: memory, leading: n) { pass, residual, l in
                guard let t = tileOfRow[pass.residualIndex(residual)], let i = sweep.layers.firstIndex(of: l) else { return }
                let (tile, place, shape) = (tiles[t], places[t][i], shapes[i])
                let (x, g) = (pass.input(ofLayer: l), pass.cotangent(ofLayer: l))
                for c in 0..<tile.channels {
                    let (row, source, leading) = (c * tile.padded, c * tile.blockPoints, tile.channels * tile.blockPoints)
                    ck_pack_rows(tile.padded, shape.inputs, x + source, leading, memory + place.x + row * shape.inputs)
                    ck_pack_rows(tile.padded, shape.outputs, g + source, leading, memory + place.g + row * shape.outputs)
                }
            }
            // What a block that ends within a portion has beside it is left out.
            let whole = program.layers.portions(of: block)
            let before = sweep.panels.first?.lowerBound == whole.lowerBound ? block.lowerBound - whole.lowerBound : 0
            let after = sweep.panels.last?.upperBound == whole.upperBound ? whole.upperBound - block.upperBound : 0
            let width = sweep.width - before - after
            if isFirst || width > 0 {
                TiledProducts.syrkLower(transpose: false, n, width, memory + before * n, n, beta: isFirst ? 0 : 1, c, n)
            }
            addOuterProducts(shapes, tiles, places, memory, to: c)
        }
    }

    /// c += the parts of JJᵀ of dense layers, from their packed inputs and cotangents: a layer after another, and in it for a few tiles
    /// after others, which stay in cache, all tiles below.
    private func addOuterProducts(
        _ shapes: [DenseShape], _ tiles: [Tile], _ places: [[(x: Int, g: Int)]], _ memory: UnsafePointer<Double>,
        to c: UnsafeMutablePointer<Double>
    ) {
        let n = rows
        for (l, shape) in shapes.enumerated() {
            func part(_ t: Int) -> ck_layer_rows {
                ck_layer_rows(
                    x: memory + places[t][l].x, g: memory + places[t][l].g, rows: tiles[t].points, channels: tiles[t].channels,
                    values: tiles[t].values)
            }
            let bytes = tiles.reduce(0) { max($0, 8 * $1.height * (shape.inputs + shape.outputs)) }
            let together = max(1, Self.cacheBytes / bytes)
            let tasks = stride(from: 0, to: tiles.count, by: together).flatMap { first in
                (first..<tiles.count).map { (columns: first..<min(first + together, $0 + 1), row: $0) }
            }
            parallelFor(count: tasks.count) { index, _ in
                let (columns, a) = tasks[index]
                var first = part(a)
                for b in columns {
                    var second = part(b)
                    let next = b == columns.upperBound - 1 ? min(a + 1, tiles.count - 1) : a
                    ck_add_outer_products(
                        &first, &second, shape.inputs, shape.outputs, shape.hasBias ? 1 : 0, a == b ? 1 : 0,
                        c + tiles[a].row + tiles[b].row * n, n, memory + places[next][l].x)
                }
            }
        }
    }

    /// What stays in a core's second cache beside the tile at hand.
    private static let cacheBytes = 1 << 20
}
