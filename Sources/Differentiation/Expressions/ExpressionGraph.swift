#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Expressions resolved and shared: an arena of nodes in which equal subexpressions are one node and operands precede what uses them.
///
/// Nodes are numbered in the order in which they are first made, and commutative operands are ordered by that number: the same
/// source makes the same graph in every process. Every node is simplified as it is made: constants are folded, and x + 0, x − 0,
/// 0·x, 1·x, x − x, −(−x), c·(d·x), x/1, x⁰, x¹ and their mirror images are replaced by what they equal.
struct ExpressionGraph: Sendable {
    enum Kind: Hashable, Sendable {
        case constant(UInt64)
        case field(Channel)
        /// Coordinate i of point p: p·dimension + i.
        case coordinate(Int)
        case data(Int)
        case trainable(Int)
        case sum(Int, Int), difference(Int, Int), product(Int, Int), quotient(Int, Int)
        case negation(Int)
        case power(Int, Int)
        case function(ElementaryFunction, Int)
        case frozen(Int)
    }

    let dimension: Int
    private(set) var nodes: [Kind] = []
    private var known: [Kind: Int] = [:]

    init(dimension: Int) {
        self.dimension = dimension
    }

    private mutating func intern(_ kind: Kind) -> Int {
        if let node = known[kind] { return node }
        nodes.append(kind)
        known[kind] = nodes.count - 1
        return nodes.count - 1
    }

    func value(of node: Int) -> Double? {
        if case .constant(let bits) = nodes[node] { return Double(bitPattern: bits) }
        return nil
    }

    // MARK: Simplifying constructors

    mutating func constant(_ value: Double) -> Int { intern(.constant((value == 0 ? 0 : value).bitPattern)) }

    mutating func sum(_ a: Int, _ b: Int) -> Int {
        switch (value(of: a), value(of: b)) {
        case (let x?, let y?): return constant(x + y)
        case (0?, nil): return b
        case (nil, 0?): return a
        default: break
        }
        if a == b { return product(constant(2), a) }
        if case .negation(let c) = nodes[b] { return difference(a, c) }
        if case .negation(let c) = nodes[a] { return difference(b, c) }
        return intern(.sum(min(a, b), max(a, b)))
    }

    mutating func difference(_ a: Int, _ b: Int) -> Int {
        switch (value(of: a), value(of: b)) {
        case (let x?, let y?): return constant(x - y)
        case (0?, nil): return negation(b)
        case (nil, 0?): return a
        default: break
        }
        if a == b { return constant(0) }
        if case .negation(let c) = nodes[b] { return sum(a, c) }
        return intern(.difference(a, b))
    }

    mutating func negation(_ a: Int) -> Int {
        switch nodes[a] {
        case .constant(let bits): return constant(-Double(bitPattern: bits))
        case .negation(let b): return b
        case .difference(let x, let y): return difference(y, x)
        case .product(let x, let y):
            if let c = value(of: x) { return product(constant(-c), y) }
            return intern(.negation(a))
        default: return intern(.negation(a))
        }
    }

    /// A constant factor is kept as the first operand.
    mutating func product(_ a: Int, _ b: Int) -> Int {
        if let x = value(of: a), let y = value(of: b) { return constant(x * y) }
        if let c = value(of: a) { return multiple(c, b) }
        if let c = value(of: b) { return multiple(c, a) }
        if case .negation(let x) = nodes[a] { return negation(product(x, b)) }
        if case .negation(let y) = nodes[b] { return negation(product(a, y)) }
        if case .product(let x, let y) = nodes[a], let c = value(of: x) { return multiple(c, product(y, b)) }
        if case .product(let x, let y) = nodes[b], let c = value(of: x) { return multiple(c, product(a, y)) }
        return intern(.product(min(a, b), max(a, b)))
    }

    private mutating func multiple(_ c: Double, _ a: Int) -> Int {
        if c == 0 { return constant(0) }
        if c == 1 { return a }
        if c == -1 { return negation(a) }
        if case .negation(let b) = nodes[a] { return multiple(-c, b) }
        if case .product(let x, let y) = nodes[a], let d = value(of: x) { return multiple(c * d, y) }
        let factor = constant(c)
        return intern(.product(factor, a))
    }

    mutating func quotient(_ a: Int, _ b: Int) -> Int {
        switch (value(of: a), value(of: b)) {
        case (let x?, let y?): return constant(x / y)
        case (0?, nil): return a
        case (nil, 1?): return a
        // Exact for powers of two, and only for them.
        case (nil, let y?) where y.significand == 1 && y.isNormal && (1 / y).isNormal: return multiple(1 / y, a)
        default: break
        }
        if case .negation(let x) = nodes[a] { return negation(quotient(x, b)) }
        if case .product(let x, let y) = nodes[a], let c = value(of: x) { return multiple(c, quotient(y, b)) }
        return intern(.quotient(a, b))
    }

    mutating func power(_ a: Int, _ n: Int) -> Int {
        if n == 0 { return constant(1) }
        if n == 1 { return a }
        if let x = value(of: a) { return constant(wholePower(x, n)) }
        if n == 2 { return product(a, a) }
        return intern(.power(a, n))
    }

    mutating func function(_ f: ElementaryFunction, _ a: Int) -> Int {
        if let x = value(of: a) { return constant(f(x)) }
        return intern(.function(f, a))
    }

    mutating func field(_ channel: Channel) -> Int { intern(.field(channel)) }

    mutating func frozen(_ a: Int) -> Int {
        switch nodes[a] {
        case .constant, .coordinate, .data, .frozen: a
        default: intern(.frozen(a))
        }
    }

    // MARK: From expressions

    /// Resolves what was written and returns its node. Iterative, so that a sum of very many terms does not exhaust the stack.
    mutating func insert(_ root: Expression) throws -> Int {
        if case .invalid(let error) = root.operation { throw error }
        var placed: [ObjectIdentifier: Int] = [:]
        var pending = [root]
        while let expression = pending.last {
            let id = ObjectIdentifier(expression)
            if placed[id] != nil {
                pending.removeLast()
                continue
            }
            var operands: [Int] = []
            for operand in expression.operands {
                if let node = placed[ObjectIdentifier(operand)] { operands.append(node) } else { pending.append(operand) }
            }
            guard operands.count == expression.operands.count else { continue }
            placed[id] = try place(expression.operation, operands)
            pending.removeLast()
        }
        guard let node = placed[ObjectIdentifier(root)] else { preconditionFailure("the root of an expression was not placed") }
        return node
    }

    private mutating func place(_ operation: Operation, _ operands: [Int]) throws -> Int {
        switch operation {
        case .constant(let value): constant(value)
        case .field(let i, let point): field(Channel(field: i, derivative: .value(dimension: dimension), point: point))
        case .coordinate(let i, let point): intern(.coordinate(point * dimension + i))
        case .data(let i): intern(.data(i))
        case .trainable(let i): intern(.trainable(i))
        case .frozen: frozen(operands[0])
        case .sum: sum(operands[0], operands[1])
        case .difference: difference(operands[0], operands[1])
        case .product: product(operands[0], operands[1])
        case .quotient: quotient(operands[0], operands[1])
        case .negation: negation(operands[0])
        case .power(let n): power(operands[0], n)
        case .function(let f): function(f, operands[0])
        case .derivative(let axis): try derivative(of: operands[0], byCoordinate: axis)
        case .invalid(let error): throw error
        }
    }

    // MARK: Derivatives

    /// The total derivative by coordinate `axis`: the chain rule down to the fields, the coordinates and the constants.
    mutating func derivative(of node: Int, byCoordinate axis: Int) throws -> Int {
        let needed = reachable(from: [node])
        if let datum = needed.first(where: { if case .data = nodes[$0] { true } else { false } }) {
            guard case .data(let column) = nodes[datum] else { preconditionFailure("a datum is a datum") }
            throw TraceError("a coordinate derivative of a datum of the points (column \(column)), which is known at the points only")
        }
        guard Set(needed.compactMap(point)).count <= 1 else {
            throw TraceError("a coordinate derivative of an expression in several points: take it of what stands at one of them")
        }
        let dimension = dimension
        return differentiate(needed, seesThroughFrozen: true) { graph, leaf in
            switch graph.nodes[leaf] {
            case .field(let channel):
                let raised = channel.derivative.raised(along: axis)
                return graph.field(Channel(field: channel.field, derivative: raised, point: channel.point))
            case .coordinate(let i): return graph.constant(i % dimension == axis ? 1 : 0)
            default: return graph.constant(0)
            }
        }
    }

    /// The point of the tuple that a leaf belongs to; nil where it belongs to none.
    private func point(of node: Int) -> Int? {
        switch nodes[node] {
        case .field(let channel): channel.point
        case .coordinate(let i): i / dimension
        default: nil
        }
    }

    /// ∂(node)/∂(leaf), every other leaf held fixed.
    mutating func partial(of node: Int, by leaf: Int) -> Int {
        differentiate(reachable(from: [node]), seesThroughFrozen: false) { graph, other in graph.constant(other == leaf ? 1 : 0) }
    }

    /// Forward differentiation of the last of `needed`, which lists it and all that it uses in ascending order.
    private mutating func differentiate(
        _ needed: [Int], seesThroughFrozen: Bool, seed: (inout ExpressionGraph, Int) -> Int
    ) -> Int {
        guard let root = needed.last else { return constant(0) }
        var slope: [Int: Int] = [:]
        func known(_ node: Int) -> Int {
            guard let s = slope[node] else { preconditionFailure("an operand comes after what uses it") }
            return s
        }
        for node in needed {
            let result: Int
            switch nodes[node] {
            case .constant, .field, .coordinate, .data, .trainable: result = seed(&self, node)
            case .frozen(let a): result = seesThroughFrozen ? frozen(known(a)) : constant(0)
            case .sum(let a, let b): result = sum(known(a), known(b))
            case .difference(let a, let b): result = difference(known(a), known(b))
            case .negation(let a): result = negation(known(a))
            case .product(let a, let b):
                let left = product(known(a), b)
                result = sum(left, product(a, known(b)))
            case .quotient(let a, let b):
                // (a/b)′ = (a′ − (a/b) b′)/b
                let carried = product(node, known(b))
                result = quotient(difference(known(a), carried), b)
            case .power(let a, let n):
                let lower = power(a, n - 1)
                result = product(multiple(Double(n), lower), known(a))
            case .function(let f, let a):
                if value(of: known(a)) == 0 {
                    result = constant(0)
                } else {
                    result = product(outerSlope(of: f, at: a, result: node), known(a))
                }
            }
            slope[node] = result
        }
        return known(root)
    }

    /// f′(a), in terms of `result` = f(a) where that is cheaper.
    private mutating func outerSlope(of f: ElementaryFunction, at a: Int, result: Int) -> Int {
        let one = constant(1)
        switch f {
        case .exp: return result
        case .log: return quotient(one, a)
        case .sin: return function(.cos, a)
        case .cos:
            let sine = function(.sin, a)
            return negation(sine)
        case .sinh: return function(.cosh, a)
        case .cosh: return function(.sinh, a)
        case .tanh:
            let square = product(result, result)
            return difference(one, square)
        case .sqrt:
            let half = constant(0.5)
            return quotient(half, result)
        case .atan:
            let square = product(a, a)
            return quotient(one, sum(one, square))
        }
    }

    // MARK: Rewriting

    /// The node with some leaves replaced, simplified anew.
    mutating func substituting(_ replacements: [Int: Int], in root: Int) -> Int {
        var image: [Int: Int] = [:]
        func new(_ node: Int) -> Int {
            guard let node = image[node] else { preconditionFailure("an operand comes after what uses it") }
            return node
        }
        for node in reachable(from: [root]) {
            if let replacement = replacements[node] {
                image[node] = replacement
                continue
            }
            switch nodes[node] {
            case .constant, .field, .coordinate, .data, .trainable: image[node] = node
            case .sum(let a, let b): image[node] = sum(new(a), new(b))
            case .difference(let a, let b): image[node] = difference(new(a), new(b))
            case .product(let a, let b): image[node] = product(new(a), new(b))
            case .quotient(let a, let b): image[node] = quotient(new(a), new(b))
            case .negation(let a): image[node] = negation(new(a))
            case .power(let a, let n): image[node] = power(new(a), n)
            case .function(let f, let a): image[node] = function(f, new(a))
            case .frozen(let a): image[node] = frozen(new(a))
            }
        }
        return new(root)
    }

    // MARK: Order

    func operands(of node: Int) -> [Int] {
        switch nodes[node] {
        case .constant, .field, .coordinate, .data, .trainable: []
        case .sum(let a, let b), .difference(let a, let b), .product(let a, let b), .quotient(let a, let b): [a, b]
        case .negation(let a), .power(let a, _), .function(_, let a), .frozen(let a): [a]
        }
    }

    /// All nodes that `roots` use, themselves included, in ascending order: operands first.
    func reachable(from roots: [Int]) -> [Int] {
        var isUsed = Array(repeating: false, count: (roots.max() ?? -1) + 1)
        for root in roots { isUsed[root] = true }
        for node in isUsed.indices.reversed() where isUsed[node] {
            for operand in operands(of: node) { isUsed[operand] = true }
        }
        return isUsed.indices.filter { isUsed[$0] }
    }
}

extension ElementaryFunction {
    /// The function's value at x.
    func callAsFunction(_ x: Double) -> Double { value(of: self, at: x) }
}

@inline(__always)
private func value(of function: ElementaryFunction, at x: Double) -> Double {
    switch function {
    case .exp: exp(x)
    case .log: log(x)
    case .sin: sin(x)
    case .cos: cos(x)
    case .sinh: sinh(x)
    case .cosh: cosh(x)
    case .tanh: tanh(x)
    case .sqrt: sqrt(x)
    case .atan: atan(x)
    }
}

/// xⁿ by repeated squaring, in one fixed order of products.
@inline(__always)
func wholePower(_ x: Double, _ n: Int) -> Double {
    var (base, result, exponent) = (x, 1.0, n.magnitude)
    while exponent > 0 {
        if exponent & 1 == 1 { result *= base }
        base *= base
        exponent >>= 1
    }
    return n < 0 ? 1 / result : result
}
