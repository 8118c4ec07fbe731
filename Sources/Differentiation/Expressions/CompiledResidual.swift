/// Traced residuals with their symbolic first and second partials, lowered to instruction tapes: the pointwise function of a term.
///
/// For residuals rₖ(z; x) of the channels z (fields and their derivatives that the residuals read), evaluation gives rₖ, ∂rₖ/∂zᵢ and
/// ∂²rₖ/∂zᵢ∂zⱼ (i ≤ j), the structurally nonzero ones only. All three share their common subexpressions. Cost: one pass over the
/// points per instruction, a few tens of flops a point for an equation such as Navier–Stokes.
///
/// Sums of second derivatives that are read as a whole, such as a Laplacian, are one channel (see ``SecondOrderOperator``).
public struct CompiledResidual: PointwiseFunction {
    public let names: [String]
    public let channels: [Channel]
    public let scalars: [Int]
    public let dimension: Int
    public let arity: Int
    public let dataCount: Int
    public let partials: [(residual: Int, input: Int)]
    public let secondPartials: [(residual: Int, first: Int, second: Int)]
    public let scratchCount: Int
    public var coefficientCount: Int { coefficients.outputs }
    /// By order: the residuals alone, with first partials, with first and second partials.
    let tapes: [InstructionTape]
    /// The pointwise factors of operators, from coordinates and data.
    private let coefficients: InstructionTape

    public var residualCount: Int { names.count }

    /// `collapsingOperators`: whether sums of second derivatives become channels; without it every derivative is one.
    public init(_ trace: Trace, collapsingOperators: Bool = true) {
        var (graph, roots, factors) = (trace.graph, trace.roots, [Int]())
        if collapsingOperators {
            let collapse = OperatorCollapse(graph, roots: roots, points: trace.points)
            (graph, roots, factors) = (collapse.graph, collapse.roots, collapse.coefficients)
        }
        let used = graph.reachable(from: roots)
        let fields = used.compactMap { node -> (channel: Channel, node: Int)? in
            if case .field(let channel) = graph.nodes[node] { (channel, node) } else { nil }
        }.sorted { $0.channel < $1.channel }
        let trained = used.compactMap { node -> (scalar: Int, node: Int)? in
            if case .trainable(let scalar) = graph.nodes[node] { (scalar, node) } else { nil }
        }.sorted { $0.scalar < $1.scalar }
        let leaves = fields.map(\.node) + trained.map(\.node)
        var (first, second) = ([(residual: Int, input: Int)](), [(residual: Int, first: Int, second: Int)]())
        var (firstNodes, secondNodes) = ([Int](), [Int]())
        for (k, root) in roots.enumerated() {
            for (i, leaf) in leaves.enumerated() {
                let slope = graph.partial(of: root, by: leaf)
                if graph.value(of: slope) == 0 { continue }
                first.append((k, i))
                firstNodes.append(slope)
                for (j, other) in leaves.enumerated().dropFirst(i) {
                    let curvature = graph.partial(of: slope, by: other)
                    if graph.value(of: curvature) == 0 { continue }
                    second.append((k, i, j))
                    secondNodes.append(curvature)
                }
            }
        }
        let (channels, scalars) = (fields.map(\.channel), trained.map(\.scalar))
        let (coordinates, dataCount) = (trace.points * trace.axes.count, trace.data.count)
        let leading = channels.count + scalars.count
        let column = { (kind: ExpressionGraph.Kind) -> Int in
            switch kind {
            case .field(let channel):
                guard let i = channels.firstIndex(of: channel) else {
                    preconditionFailure("a partial reads a channel that its residual does not")
                }
                return i
            case .trainable(let scalar):
                guard let i = scalars.firstIndex(of: scalar) else {
                    preconditionFailure("a partial reads a trained number that its residual does not")
                }
                return channels.count + i
            case .coordinate(let i): return leading + i
            case .data(let i): return leading + coordinates + i
            default: preconditionFailure("not a leaf")
            }
        }
        let inputs = leading + coordinates + dataCount
        let outputs = [roots, roots + firstNodes, roots + firstNodes + secondNodes]
        let tapes = outputs.map { InstructionTape(graph, roots: $0, inputs: inputs, input: column) }
        coefficients = InstructionTape(graph, roots: factors, inputs: coordinates + dataCount) { column($0) - leading }
        self.names = trace.names
        self.channels = channels
        self.scalars = scalars
        self.dimension = trace.axes.count
        self.arity = trace.points
        self.dataCount = dataCount
        self.partials = first
        self.secondPartials = second
        self.scratchCount = max(tapes.map(\.scratch).max() ?? 0, coefficients.scratch)
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
            for i in 0..<(channels.count + scalars.count) { list(UnsafeMutablePointer(mutating: arguments.inputs[i])) }
            listPlaces(of: arguments, list)
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

extension CompiledResidual {
    private func listPlaces(of arguments: PointwiseArguments, _ list: (UnsafeMutablePointer<Double>) -> Void) {
        for i in 0..<(arity * dimension) { list(UnsafeMutablePointer(mutating: arguments.coordinates[i])) }
        if dataCount > 0 {
            guard let data = arguments.data else { preconditionFailure("\(dataCount) columns of data are read, none is given") }
            for i in 0..<dataCount { list(UnsafeMutablePointer(mutating: data[i])) }
        }
    }

    public func evaluateCoefficients(at arguments: PointwiseArguments, into columns: UnsafePointer<UnsafeMutablePointer<Double>>) {
        let capacity = coefficients.inputs + coefficients.outputs
        withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<Double>.self, capacity: capacity) { list in
            var next = 0
            listPlaces(of: arguments) { column in
                list.initializeElement(at: next, to: column)
                next += 1
            }
            for k in 0..<coefficients.outputs { list.initializeElement(at: next + k, to: columns[k]) }
            coefficients.run(arguments.count, columns: UnsafeBufferPointer(list), scratch: arguments.scratch)
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
    /// The residuals at one point, from the values of ``channels`` and ``scalars``, the coordinates and the data there.
    public func residuals(channels z: [Double], at point: [Double], data: [Double] = []) -> [Double] {
        let inputs = channels.count + scalars.count
        precondition(z.count == inputs, "\(z.count) values for \(channels.count) channels and \(scalars.count) trained numbers")
        precondition(
            point.count == arity * dimension && data.count == dataCount, "a point of \(point.count) coordinates and \(data.count) data")
        // Every column is one double: inputs, coordinates, data, results and scratch lie side by side.
        let leaves = z + point + data
        let total = leaves.count + residualCount + scratchCount
        return withUnsafeTemporaryAllocation(of: Double.self, capacity: max(1, total)) { memory in
            _ = memory.initialize(from: leaves + Array(repeating: 0, count: max(1, total) - leaves.count))
            return withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<Double>.self, capacity: leaves.count + residualCount) { columns in
                guard let base = memory.baseAddress else { preconditionFailure("no memory") }
                for i in columns.indices { columns.initializeElement(at: i, to: base + i) }
                tapes[0].run(1, columns: UnsafeBufferPointer(columns), scratch: base + leaves.count + residualCount)
                return (0..<residualCount).map { base[leaves.count + $0] }
            }
        }
    }
}
