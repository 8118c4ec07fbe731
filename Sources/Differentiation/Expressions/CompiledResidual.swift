/// Traced residuals with their symbolic first and second partials, lowered to instruction tapes: the pointwise function of a term.
///
/// For residuals rₖ(z; x) of the channels z (fields and their derivatives that the residuals read), evaluation gives rₖ, ∂rₖ/∂zᵢ and
/// ∂²rₖ/∂zᵢ∂zⱼ (i ≤ j), the structurally nonzero ones only. All three share their common subexpressions. Cost: one pass over the
/// points per instruction, a few tens of flops a point for an equation such as Navier–Stokes.
public struct CompiledResidual: PointwiseFunction {
    public let names: [String]
    public let channels: [Channel]
    public let dimension: Int
    public let dataCount: Int
    public let partials: [(residual: Int, input: Int)]
    public let secondPartials: [(residual: Int, first: Int, second: Int)]
    public let scratchCount: Int
    /// By order: the residuals alone, with first partials, with first and second partials.
    let tapes: [InstructionTape]

    public var residualCount: Int { names.count }

    public init(_ trace: Trace) {
        var graph = trace.graph
        let used = graph.reachable(from: trace.roots)
        let leaves = used.compactMap { node -> (channel: Channel, node: Int)? in
            if case .field(let channel) = graph.nodes[node] { (channel, node) } else { nil }
        }.sorted { $0.channel < $1.channel }
        var (first, second) = ([(residual: Int, input: Int)](), [(residual: Int, first: Int, second: Int)]())
        var (firstNodes, secondNodes) = ([Int](), [Int]())
        for (k, root) in trace.roots.enumerated() {
            for (i, leaf) in leaves.enumerated() {
                let slope = graph.partial(of: root, by: leaf.node)
                if graph.value(of: slope) == 0 { continue }
                first.append((k, i))
                firstNodes.append(slope)
                for (j, other) in leaves.enumerated().dropFirst(i) {
                    let curvature = graph.partial(of: slope, by: other.node)
                    if graph.value(of: curvature) == 0 { continue }
                    second.append((k, i, j))
                    secondNodes.append(curvature)
                }
            }
        }
        let channels = leaves.map(\.channel)
        let (dimension, dataCount) = (trace.axes.count, trace.data.count)
        let column = { (kind: ExpressionGraph.Kind) -> Int in
            switch kind {
            case .field(let channel):
                guard let i = channels.firstIndex(of: channel) else {
                    preconditionFailure("a partial reads a channel that its residual does not")
                }
                return i
            case .coordinate(let i): return channels.count + i
            case .data(let i): return channels.count + dimension + i
            default: preconditionFailure("not a leaf")
            }
        }
        let inputs = channels.count + dimension + dataCount
        let outputs = [trace.roots, trace.roots + firstNodes, trace.roots + firstNodes + secondNodes]
        let tapes = outputs.map { InstructionTape(graph, roots: $0, inputs: inputs, input: column) }
        self.names = trace.names
        self.channels = channels
        self.dimension = dimension
        self.dataCount = dataCount
        self.partials = first
        self.secondPartials = second
        self.scratchCount = tapes.map(\.scratch).max() ?? 0
        self.tapes = tapes
    }

    public func evaluate(order: Int, at arguments: PointwiseArguments, into results: PointwiseResults) {
        precondition((0...2).contains(order), "derivatives of order \(order)")
        let tape = tapes[order]
        withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<Double>.self, capacity: tape.inputs + tape.outputs) { columns in
            var next = 0
            func list(_ column: UnsafeMutablePointer<Double>) {
                columns.initializeElement(at: next, to: column)
                next += 1
            }
            for i in channels.indices { list(UnsafeMutablePointer(mutating: arguments.inputs[i])) }
            for i in 0..<dimension { list(UnsafeMutablePointer(mutating: arguments.coordinates[i])) }
            if dataCount > 0 {
                guard let data = arguments.data else { preconditionFailure("\(dataCount) columns of data are read, none is given") }
                for i in 0..<dataCount { list(UnsafeMutablePointer(mutating: data[i])) }
            }
            for k in 0..<residualCount { list(results.residuals[k]) }
            if order >= 1, !partials.isEmpty {
                guard let first = results.partials else { preconditionFailure("no columns for the first partials") }
                for m in partials.indices { list(first[m]) }
            }
            if order >= 2, !secondPartials.isEmpty {
                guard let second = results.secondPartials else { preconditionFailure("no columns for the second partials") }
                for m in secondPartials.indices { list(second[m]) }
            }
            tape.run(arguments.count, columns: UnsafeBufferPointer(columns), scratch: arguments.scratch)
        }
    }
}

extension Trace {
    /// The residuals with their partials, ready to be evaluated over points.
    public var compiled: CompiledResidual { CompiledResidual(self) }
}

extension CompiledResidual {
    /// How many column operations an evaluation of this order takes.
    public func instructionCount(order: Int) -> Int { tapes[order].instructions.count }
}

extension CompiledResidual {
    /// The residuals at one point, from the values of ``channels``, the coordinates and the data there.
    public func residuals(channels z: [Double], at point: [Double], data: [Double] = []) -> [Double] {
        precondition(z.count == channels.count, "\(z.count) values for \(channels.count) channels")
        precondition(point.count == dimension && data.count == dataCount, "a point of \(point.count) coordinates and \(data.count) data")
        // Every column is one double: inputs, coordinates, data, results and scratch lie side by side.
        let inputs = z + point + data
        let total = inputs.count + residualCount + scratchCount
        return withUnsafeTemporaryAllocation(of: Double.self, capacity: max(1, total)) { memory in
            _ = memory.initialize(from: inputs + Array(repeating: 0, count: max(1, total) - inputs.count))
            return withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<Double>.self, capacity: inputs.count + residualCount) { columns in
                guard let base = memory.baseAddress else { preconditionFailure("no memory") }
                for i in columns.indices { columns.initializeElement(at: i, to: base + i) }
                tapes[0].run(1, columns: UnsafeBufferPointer(columns), scratch: base + inputs.count + residualCount)
                return (0..<residualCount).map { base[inputs.count + $0] }
            }
        }
    }
}
