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
    /// Σ_{c, c′} (X_c X_c′ᵀ) ∘ (G_c G_c′ᵀ), without J: fewer operations where cc′(in + out) < in·out for rows of c and c′ channels. So between
    /// an equation's points the columns of J may be the cheaper way, and the layer's inputs and cotangents between those and the points of a
    /// condition, which have the value alone. What comes from columns of J comes panel by panel, so that J is never held whole. `form` overrides
    /// the choice. Both come from one pass over the points where memory allows.
    public func outerMatrix(form: GramForm = .automatic) -> Matrix {
        let n = rows
        guard n > 0, columns > 0 else { return .zeros(n, n) }
        return Matrix(rows: n, columns: n) { c in
            guard let c = c.baseAddress else { return }
            for (index, sweep) in sweeps(parts(form)).enumerated() { add(sweep, isFirst: index == 0, to: c) }
            TiledProducts.mirrorLower(n, c, n)
        }
    }

    /// How many operations `outerMatrix` takes in a form, the symmetric half counted once: what the choice rests on.
    public func outerMatrixCost(form: GramForm = .automatic) -> Double {
        let scalars = block.clamped(to: program.layers.scalarOffset..<program.layers.parameterCount).count
        return parts(form).reduce(Double(rows) * Double(rows) * Double(scalars)) { sum, part in
            sum + cost(ofLayer: part.layer, fromColumns: part.fromColumns)
        }
    }

    /// The dense layers, by their place among the network's layers, whose part `outerMatrix` forms without J, wholly or between some terms.
    public func structuredLayers(_ form: GramForm = .automatic) -> [Int] {
        parts(form).filter { $0.fromColumns != 0..<rows }.map(\.layer)
    }

    /// How a layer's part of JJᵀ is formed: entries of two of these rows from columns of J, all others from inputs and cotangents.
    private struct LayerPart {
        var layer: Int
        var fromColumns: Range<Int>
    }

    private func parts(_ form: GramForm) -> [LayerPart] {
        // The rows of some terms in turn, none, or all.
        let ends = [0] + program.compiled.indices.map { program.residualRange(ofTerm: $0).upperBound }
        let ranges = [0..<0, 0..<rows] + ends.indices.flatMap { i in ends[(i + 1)...].map { ends[i]..<$0 } }
        return layers.map { l in
            let node = program.layers.nodes[l]
            guard form != .explicit, node.layer.denseShape != nil, block.clamped(to: node.parameters) == node.parameters else {
                return LayerPart(layer: l, fromColumns: 0..<rows)
            }
            guard form == .automatic else { return LayerPart(layer: l, fromColumns: 0..<0) }
            let costs = ranges.map { cost(ofLayer: l, fromColumns: $0) }
            let cheapest = ranges.indices.min { costs[$0] < costs[$1] } ?? 0
            return LayerPart(layer: l, fromColumns: ranges[cheapest])
        }
    }

    private func cost(ofLayer l: Int, fromColumns some: Range<Int>) -> Double {
        let (node, all) = (program.layers.nodes[l], 0..<rows)
        let columns = Double(some.count) * Double(some.count) * Double(node.parameters.clamped(to: block).count)
        guard some != all, let shape = node.layer.denseShape else { return columns }
        // Σ over pairs of rows of the pairs of their channels.
        let (channels, left) = (channelRows(all), channelRows(some))
        return columns + (channels * channels - left * left) * (Double(shape.inputs + shape.outputs) + 1)
    }

    /// Σ over the rows of whole terms of their channels.
    private func channelRows(_ some: Range<Int>) -> Double {
        program.compiled.reduce(0.0) { sum, term in
            some.contains(term.residualOffset) ? sum + Double(term.residualTotal * term.arity * term.rules.space.count) : sum
        }
    }

    // MARK: Passes over the points

    /// One pass over the points: columns of J, with the rows between which they count, and layers that hand over inputs and cotangents.
    private struct KernelSweep {
        var panels: [(columns: Range<Int>, rows: Range<Int>)] = []
        var layers: [LayerPart] = []
        var sweep: Sweep { Sweep(panels: panels.map(\.columns), layers: layers.map(\.layer)) }
    }

    /// The bytes that `outerMatrix` works in beside its result: a panel of J, and inputs and cotangents of the layers formed without J.
    public func outerMatrixBytes(form: GramForm = .automatic) -> Int {
        let height = tiles().reduce(0) { $0 + $1.height }
        return sweeps(parts(form)).reduce(0) { most, sweep in
            max(most, 8 * (rows * sweep.sweep.width + height * shapes(of: sweep).reduce(0) { $0 + $1.inputs + $1.outputs }))
        }
    }

    private func shapes(of sweep: KernelSweep) -> [DenseShape] {
        sweep.layers.map { program.layers.nodes[$0.layer].layer.denseShape ?? DenseShape(inputs: 0, outputs: 0, hasBias: false) }
    }

    /// How many passes over the points `outerMatrix` makes.
    package func outerMatrixPasses(form: GramForm = .automatic) -> Int { sweeps(parts(form)).count }

    /// The passes that JJᵀ takes: columns of J in panels of bounded memory, and layers as many as can be held.
    private func sweeps(_ parts: [LayerPart]) -> [KernelSweep] {
        let (width, all) = (max(Self.leastPanel, panelBytes / (8 * rows)), 0..<rows)
        var sweeps: [KernelSweep] = []
        // Columns that count between all rows come first: their product begins the sum.
        let some = Set(parts.map(\.fromColumns)).filter { !$0.isEmpty && $0 != all }.sorted {
            ($0.lowerBound, $0.count) < ($1.lowerBound, $1.count)
        }
        for rows in [all] + some {
            let these = parts.filter { $0.fromColumns == rows }.map(\.layer)
            for panel in columnPanels(of: these, withScalars: rows == all, atMost: width) {
                if let last = sweeps.last, last.sweep.width + panel.count <= width {
                    sweeps[sweeps.count - 1].panels.append((panel, rows))
                } else {
                    sweeps.append(KernelSweep(panels: [(panel, rows)]))
                }
            }
        }
        for (index, group) in groups(of: parts.filter { $0.fromColumns != all }).enumerated() {
            if index == sweeps.count { sweeps.append(KernelSweep()) }
            sweeps[index].layers = group
        }
        return sweeps
    }

    /// The parameters of the block that belong to some layers, in runs of about `width`, cut where a layer can cut its part of J.
    private func columnPanels(of layers: [Int], withScalars: Bool, atMost width: Int) -> [Range<Int>] {
        let whole = program.layers.portions(of: block)
        var panels: [Range<Int>] = []
        func add(_ portion: Range<Int>) {
            if let last = panels.last, last.upperBound == portion.lowerBound, last.count + portion.count <= width {
                panels[panels.count - 1] = last.lowerBound..<portion.upperBound
            } else {
                panels.append(portion)
            }
        }
        for l in layers {
            let node = program.layers.nodes[l]
            let own = node.parameters.clamped(to: whole)
            for start in stride(from: own.lowerBound, to: own.upperBound, by: node.layer.parameterStride) {
                add(start..<(start + node.layer.parameterStride))
            }
        }
        guard withScalars else { return panels }
        for scalar in (program.layers.scalarOffset..<program.layers.parameterCount).clamped(to: whole) { add(scalar..<(scalar + 1)) }
        return panels
    }

    /// Layers whose inputs and cotangents are held at one time: as many as fit in some memory, at least one.
    private func groups(of parts: [LayerPart]) -> [[LayerPart]] {
        let height = tiles().reduce(0) { $0 + $1.height }
        var groups: [[LayerPart]] = []
        var held = 0
        for part in parts {
            guard let shape = program.layers.nodes[part.layer].layer.denseShape else { continue }
            let bytes = 8 * height * (shape.inputs + shape.outputs)
            if groups.isEmpty || held + bytes > Self.heldBytes {
                groups.append([part])
                held = bytes
            } else {
                groups[groups.count - 1].append(part)
                held += bytes
            }
        }
        return groups
    }

    private static let heldBytes = 128 << 20

    /// The memory of a panel. A pass over the points costs about 6C operations a row and parameter, in C channels, and all products N: with few
    /// rows in many channels, as of a Laplacian in a hundred dimensions, passes must be few, and a panel may be larger.
    private var panelBytes: Int {
        let passes = max(1, Double(rows) * Double(rows) / (12 * channelRows(0..<rows)))
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
    private func add(_ sweep: KernelSweep, isFirst: Bool, to c: UnsafeMutablePointer<Double>) {
        let (n, tiles, shapes, columns) = (rows, tiles(), shapes(of: sweep), sweep.sweep)
        // Behind the columns of J lie each tile's x and g of each layer, beginning with a cache line.
        var (places, total) = ([[(x: Int, g: Int)]](), (n * columns.width + 7) / 8 * 8)
        for tile in tiles {
            places.append(
                shapes.map { shape in
                    defer { total += tile.height * (shape.inputs + shape.outputs) }
                    return (total, total + tile.height * shape.inputs)
                })
        }
        let tileOfRow = Dictionary(uniqueKeysWithValues: tiles.enumerated().map { ($1.row, $0) })
        withPanel(of: total) { memory in
            self.sweep(columns, rows: 0..<n, into: memory, leading: n) { pass, residual, l in
                guard let t = tileOfRow[pass.residualIndex(residual)], let i = columns.layers.firstIndex(of: l) else { return }
                let (tile, place, shape) = (tiles[t], places[t][i], shapes[i])
                let (x, g) = (pass.input(ofLayer: l), pass.cotangent(ofLayer: l))
                for c in 0..<tile.channels {
                    let (row, source, leading) = (c * tile.padded, c * tile.blockPoints, tile.channels * tile.blockPoints)
                    ck_pack_rows(tile.padded, shape.inputs, x + source, leading, memory + place.x + row * shape.inputs)
                    ck_pack_rows(tile.padded, shape.outputs, g + source, leading, memory + place.g + row * shape.outputs)
                }
            }
            addColumnProducts(sweep, memory, isFirst: isFirst, to: c)
            for (l, part) in sweep.layers.enumerated() {
                addOuterProducts(shapes[l], tiles, places.map { $0[l] }, leavingOut: part.fromColumns, memory, to: c)
            }
        }
    }

    /// c += the products of the columns of J with themselves, between the rows where each counts; c ← them, the first time.
    private func addColumnProducts(_ sweep: KernelSweep, _ memory: UnsafePointer<Double>, isFirst: Bool, to c: UnsafeMutablePointer<Double>)
    {
        let n = rows
        // Columns beside each other that count between the same rows; what a block that ends within a portion has beside it is left out.
        var runs: [(rows: Range<Int>, first: Int, width: Int)] = []
        var start = 0
        for panel in sweep.panels {
            let own = panel.columns.clamped(to: block)
            let first = start + own.lowerBound - panel.columns.lowerBound
            if let last = runs.last, last.rows == panel.rows, last.first + last.width == first {
                runs[runs.count - 1].width += own.count
            } else if !own.isEmpty {
                runs.append((panel.rows, first, own.count))
            }
            start += panel.columns.count
        }
        if isFirst, runs.first?.rows != 0..<n { runs.insert((0..<n, 0, 0), at: 0) }
        for (index, run) in runs.enumerated() {
            TiledProducts.syrkLower(
                transpose: false, run.rows.count, run.width, memory + run.rows.lowerBound + run.first * n, n,
                beta: isFirst && index == 0 ? 0 : 1, c + run.rows.lowerBound * (n + 1), n)
        }
    }

    /// c += the part of JJᵀ of a dense layer, from its packed inputs and cotangents, but for entries of two rows that are left out: for a few
    /// tiles after others, which stay in cache, all tiles below.
    private func addOuterProducts(
        _ shape: DenseShape, _ tiles: [Tile], _ places: [(x: Int, g: Int)], leavingOut some: Range<Int>, _ memory: UnsafePointer<Double>,
        to c: UnsafeMutablePointer<Double>
    ) {
        let n = rows
        func part(_ t: Int) -> ck_layer_rows {
            ck_layer_rows(
                x: memory + places[t].x, g: memory + places[t].g, rows: tiles[t].points, channels: tiles[t].channels,
                values: tiles[t].values)
        }
        func isWanted(_ a: Int, _ b: Int) -> Bool { !(some.contains(tiles[a].row) && some.contains(tiles[b].row)) }
        let bytes = tiles.reduce(0) { max($0, 8 * $1.height * (shape.inputs + shape.outputs)) }
        let together = max(1, Self.cacheBytes / bytes)
        let tasks = stride(from: 0, to: tiles.count, by: together).flatMap { first in
            (first..<tiles.count).compactMap { row in
                let columns = (first..<min(first + together, row + 1)).filter { isWanted(row, $0) }
                return columns.isEmpty ? nil : (columns: columns, row: row)
            }
        }
        parallelFor(count: tasks.count) { index, _ in
            let (columns, a) = tasks[index]
            var first = part(a)
            for b in columns {
                var second = part(b)
                let next = b == columns.last ? min(a + 1, tiles.count - 1) : a
                ck_add_outer_products(
                    &first, &second, shape.inputs, shape.outputs, shape.hasBias ? 1 : 0, a == b ? 1 : 0,
                    c + tiles[a].row + tiles[b].row * n, n, memory + places[next].x)
            }
        }
    }

    /// What stays in a core's second cache beside the tile at hand.
    private static let cacheBytes = 1 << 20
}
