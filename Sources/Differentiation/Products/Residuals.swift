import LinearAlgebra

extension Program {
    /// r(θ) ∈ ℝᴺ: the terms one after another, in a term the residuals one after another, in these the points. One forward pass.
    /// All terms must be sums of squares.
    public func residuals(at parameters: Vector) -> Vector {
        requireResiduals(for: "the residual")
        check(parameters)
        return Vector(count: residualCount) { r in
            parameters.withUnsafeBufferPointer { θ in
                guard let θ = θ.baseAddress, let r = r.baseAddress else { return }
                overBlocks(.values) { _, pass in
                    pass.forward(θ)
                    pass.evaluate(order: 0)
                    for k in 0..<pass.term.residuals {
                        let (source, target) = (pass.residual(k), r + pass.residualIndex(k))
                        for i in 0..<pass.points { target[i] = pass.term.scale * source[i] }
                    }
                }
            }
        }
    }

    /// What a function of the network's channels gives at arbitrary points, unscaled: `[k][i]` is residual k at point i.
    public func values(
        of function: any PointwiseFunction, at points: [[Double]], data: [[Double]] = [], parameters: Vector
    ) -> [[Double]] {
        let term = ProgramTerm(name: "values", function: function, points: points, data: data, scale: 1)
        let program = Program(network: network, terms: [term], options: options)
        let values = program.residuals(at: parameters).elements
        let count = term.pointCount
        return (0..<function.residualCount).map { Array(values[($0 * count)..<(($0 + 1) * count)]) }
    }

    /// The unscaled residuals of a term at other points than its own, for adaptive sampling: `[k][i]`.
    public func residuals(ofTerm index: Int, at points: [[Double]], data: [[Double]] = [], parameters: Vector) -> [[Double]] {
        precondition(terms.indices.contains(index), "term \(index) of \(terms.count)")
        return values(of: terms[index].function, at: points, data: data, parameters: parameters)
    }

    /// Channels of the network's outputs at arbitrary points: `[c][i]`, by default the value of every field.
    public func outputs(_ channels: [Channel]? = nil, at points: [[Double]], parameters: Vector) -> [[Double]] {
        let value = MultiIndex.value(dimension: network.inputs)
        let wanted = channels ?? (0..<network.outputs).map { Channel(field: $0, derivative: value) }
        let reader = ChannelReader(wanted, dimension: network.inputs)
        let columns = values(of: reader, at: points, parameters: parameters)
        return wanted.map { channel in columns[reader.channels.firstIndex(of: channel) ?? 0] }
    }

    /// A point of a term where something is not finite.
    public struct NonFinite: Sendable, Hashable {
        /// The term's index and name.
        public var term: Int
        public var name: String
        /// The point's index among the term's, and its coordinates.
        public var point: Int
        public var coordinates: [Double]
    }

    /// The first term and point whose residuals, or their partials in the network's channels, are not finite at θ; nil where all
    /// are.
    public func locateNonFinite(_ parameters: Vector) -> NonFinite? {
        check(parameters)
        var found = [Int](repeating: .max, count: blocks.count)
        found.withUnsafeMutableBufferPointer { found in
            guard let found = found.baseAddress else { return }
            parameters.withUnsafeBufferPointer { θ in
                guard let θ = θ.baseAddress else { return }
                overItems(blocks.count, .reverse) { index, workspace in
                    let block = blocks[index]
                    let pass = pass(.reverse, term: block.term, start: block.start, points: block.points, in: workspace)
                    pass.forward(θ)
                    pass.evaluate(order: 1)
                    let columns =
                        (0..<pass.term.residuals).map(pass.residual) + pass.term.partials.indices.map(pass.partial)
                    if let first = (0..<block.points).first(where: { i in columns.contains { !$0[i].isFinite } }) {
                        found[index] = block.start + first
                    }
                }
            }
        }
        guard let index = found.firstIndex(where: { $0 != .max }) else { return nil }
        let (term, point) = (blocks[index].term, found[index])
        return NonFinite(
            term: term, name: compiled[term].name, point: point, coordinates: terms[term].points.map { $0[point] })
    }
}

/// Channels as they are: rₖ = zₖ.
struct ChannelReader: PointwiseFunction {
    let channels: [Channel]
    let dimension: Int

    init(_ channels: [Channel], dimension: Int) {
        self.channels = Set(channels).sorted()
        self.dimension = dimension
    }

    var residualCount: Int { channels.count }
    var dataCount: Int { 0 }
    var partials: [(residual: Int, input: Int)] { channels.indices.map { ($0, $0) } }
    var secondPartials: [(residual: Int, first: Int, second: Int)] { [] }
    var scratchCount: Int { 0 }

    func evaluate(order: Int, at arguments: PointwiseArguments, into results: PointwiseResults) {
        for k in channels.indices {
            results.residuals[k].update(from: arguments.inputs[k], count: arguments.count)
            if let partials = results.partials { partials[k].update(repeating: 1, count: arguments.count) }
        }
    }
}
