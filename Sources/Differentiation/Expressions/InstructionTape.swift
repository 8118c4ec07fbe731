/// Nodes of a graph lowered to a straight line of column operations: what is run over a block of points.
///
/// An operand is the number of a column: first the inputs, then the outputs, then scratch columns, which are reused as soon as
/// what they hold is no longer needed. Every instruction is one loop over the points of the block, so the result at a point
/// does not depend on the block it is in.
struct InstructionTape: Sendable {
    enum Code: UInt8, Sendable {
        case fill, copy
        case sum, difference, product, quotient, negation
        /// With one constant operand c: a + c, c − a, c·a, c/a, a/c.
        case sumWithConstant, constantMinus, multiple, constantOver, overConstant
        case power, function
    }

    struct Instruction: Sendable {
        var code: Code
        var destination: Int
        var first = 0
        var second = 0
        var constant = 0.0
        var exponent = 0
        var function = ElementaryFunction.exp
    }

    let inputs: Int
    let outputs: Int
    let scratch: Int
    let instructions: [Instruction]

    /// Lowers `roots`, one output column each; `input` gives the input column of a leaf.
    init(_ graph: ExpressionGraph, roots: [Int], inputs: Int, input: (ExpressionGraph.Kind) -> Int) {
        let order = graph.reachable(from: roots)
        var lastUse = Array(repeating: -1, count: (order.last ?? -1) + 1)
        for (step, node) in order.enumerated() { for operand in graph.operands(of: node) { lastUse[operand] = step } }
        var outputOf: [Int: Int] = [:]
        for (output, root) in roots.enumerated() where outputOf[root] == nil { outputOf[root] = inputs + output }

        var column = Array(repeating: -1, count: (order.last ?? -1) + 1)
        var program: [Instruction] = []
        var (free, used) = ([Int](), 0)
        let firstScratch = inputs + roots.count
        for (step, node) in order.enumerated() {
            let kind = graph.nodes[node]
            switch kind {
            case .field, .coordinate, .data, .trainable:
                column[node] = input(kind)
                continue
            case .constant: continue
            default: break
            }
            for operand in Set(graph.operands(of: node)).sorted() where lastUse[operand] == step && column[operand] >= firstScratch {
                free.append(column[operand])
            }
            let destination: Int
            if let output = outputOf[node] {
                destination = output
            } else if let recycled = free.popLast() {
                destination = recycled
            } else {
                destination = firstScratch + used
                used += 1
            }
            program.append(Self.instruction(kind, in: graph, columns: column, destination: destination))
            column[node] = destination
        }
        // Outputs that are constants, leaves, or the same as an earlier output.
        for (output, root) in roots.enumerated() {
            let destination = inputs + output
            if let c = graph.value(of: root) {
                program.append(Instruction(code: .fill, destination: destination, constant: c))
            } else if column[root] != destination {
                program.append(Instruction(code: .copy, destination: destination, first: column[root]))
            }
        }
        (self.inputs, self.outputs, scratch, instructions) = (inputs, roots.count, used, program)
    }

    private static func instruction(
        _ kind: ExpressionGraph.Kind, in graph: ExpressionGraph, columns: [Int], destination: Int
    ) -> Instruction {
        func binary(_ code: Code, _ a: Int, _ b: Int, left: Code, right: Code, negatingRight: Bool = false) -> Instruction {
            if let c = graph.value(of: a) { return Instruction(code: left, destination: destination, first: columns[b], constant: c) }
            if let c = graph.value(of: b) {
                return Instruction(code: right, destination: destination, first: columns[a], constant: negatingRight ? -c : c)
            }
            return Instruction(code: code, destination: destination, first: columns[a], second: columns[b])
        }
        switch kind {
        case .sum(let a, let b): return binary(.sum, a, b, left: .sumWithConstant, right: .sumWithConstant)
        case .difference(let a, let b):
            return binary(.difference, a, b, left: .constantMinus, right: .sumWithConstant, negatingRight: true)
        case .product(let a, let b): return binary(.product, a, b, left: .multiple, right: .multiple)
        case .quotient(let a, let b): return binary(.quotient, a, b, left: .constantOver, right: .overConstant)
        case .negation(let a): return Instruction(code: .negation, destination: destination, first: columns[a])
        case .power(let a, let n): return Instruction(code: .power, destination: destination, first: columns[a], exponent: n)
        case .function(let f, let a): return Instruction(code: .function, destination: destination, first: columns[a], function: f)
        case .frozen(let a): return Instruction(code: .copy, destination: destination, first: columns[a])
        case .constant, .field, .coordinate, .data, .trainable: preconditionFailure("leaves are not computed")
        }
    }

    /// Runs the tape over `count` points; `columns` lists where the inputs and then the outputs lie.
    func run(_ count: Int, columns: UnsafeBufferPointer<UnsafeMutablePointer<Double>>, scratch memory: UnsafeMutablePointer<Double>?) {
        precondition(columns.count == inputs + outputs, "\(columns.count) columns for \(inputs) inputs and \(outputs) outputs")
        let base = inputs + outputs
        func at(_ column: Int) -> UnsafeMutablePointer<Double> {
            if column < base { return columns[column] }
            guard let memory else { preconditionFailure("\(scratch) columns of scratch are needed, none is given") }
            return memory + (column - base) * count
        }
        instructions.withUnsafeBufferPointer { instructions in
            for step in instructions {
                let (d, a, c) = (at(step.destination), at(step.first), step.constant)
                switch step.code {
                case .fill: for i in 0..<count { d[i] = c }
                case .copy: for i in 0..<count { d[i] = a[i] }
                case .negation: for i in 0..<count { d[i] = -a[i] }
                case .sumWithConstant: for i in 0..<count { d[i] = a[i] + c }
                case .constantMinus: for i in 0..<count { d[i] = c - a[i] }
                case .multiple: for i in 0..<count { d[i] = c * a[i] }
                case .constantOver: for i in 0..<count { d[i] = c / a[i] }
                case .overConstant: for i in 0..<count { d[i] = a[i] / c }
                case .sum:
                    let b = at(step.second)
                    for i in 0..<count { d[i] = a[i] + b[i] }
                case .difference:
                    let b = at(step.second)
                    for i in 0..<count { d[i] = a[i] - b[i] }
                case .product:
                    let b = at(step.second)
                    for i in 0..<count { d[i] = a[i] * b[i] }
                case .quotient:
                    let b = at(step.second)
                    for i in 0..<count { d[i] = a[i] / b[i] }
                case .power: for i in 0..<count { d[i] = wholePower(a[i], step.exponent) }
                case .function: for i in 0..<count { d[i] = step.function(a[i]) }
                }
            }
        }
    }
}
