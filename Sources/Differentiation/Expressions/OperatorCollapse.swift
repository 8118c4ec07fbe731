/// Finds sums of second derivatives that residuals read only as a whole, and replaces each by one channel.
///
/// If ∂rₖ/∂u_xx = c·∂rₖ/∂u_yy for every residual k, then r depends on the two through c·u_xx + u_yy alone: that sum L is carried as one
/// channel (``SecondOrderOperator``), and u_xx, u_yy are not. Factors c that are numbers may stand in any residual; factors that depend on
/// the point are taken where the residuals are linear in the sum, as r = r₀ + (∂r/∂L)·L.
struct OperatorCollapse {
    private(set) var graph: ExpressionGraph
    private(set) var roots: [Int]
    /// The nodes of the pointwise factors, in the order of their columns.
    private(set) var coefficients: [Int] = []
    private let points: Int
    /// By node, whether it depends on the coordinates and data alone; as far as nodes have been asked about.
    private var isFieldFree: [Bool] = []
    /// By node, its parts.
    private var parts: [Int: (factor: Int, core: Int)] = [:]

    init(_ graph: ExpressionGraph, roots: [Int], points: Int) {
        (self.graph, self.roots, self.points) = (graph, roots, points)
        collapse()
    }

    /// A second derivative of a field, and how each residual depends on it.
    private struct Member {
        var channel: Channel
        var leaf: Int
        /// By residual: the part of ∂rₖ/∂u that no field enters, and the rest.
        var slopes: [(residual: Int, factor: Int, core: Int)]
    }

    private mutating func collapse() {
        let leaves = fieldLeaves()
        let members = leaves.filter { $0.channel.derivative.order == 2 && $0.channel.contraction == nil }.map { channel, leaf in
            var slopes: [(residual: Int, factor: Int, core: Int)] = []
            for (k, root) in roots.enumerated() {
                let slope = graph.partial(of: root, by: leaf)
                if graph.value(of: slope) == 0 { continue }
                let (factor, core) = split(slope)
                slopes.append((k, factor, core))
            }
            return Member(channel: channel, leaf: leaf, slopes: slopes)
        }
        var groups: [[Member]] = []
        for member in members {
            if let index = groups.firstIndex(where: { belongs(member, with: $0[0]) }) {
                groups[index].append(member)
            } else {
                groups.append([member])
            }
        }
        groups.removeAll { $0.count < 2 }
        guard !groups.isEmpty else { return }
        let before = JetSpace(containing: leaves.map(\.channel), dimension: graph.dimension).count
        var trial = self
        for group in groups { trial.replace(group) }
        let after = JetSpace(containing: trial.fieldLeaves().map(\.channel), dimension: graph.dimension).count
        if after < before { self = trial }
    }

    private func fieldLeaves() -> [(channel: Channel, node: Int)] {
        graph.reachable(from: roots).compactMap { node in
            if case .field(let channel) = graph.nodes[node] { (channel, node) } else { nil }
        }.sorted { $0.channel < $1.channel }
    }

    /// Whether two second derivatives of a field enter every residual in one proportion.
    private func belongs(_ a: Member, with b: Member) -> Bool {
        guard a.channel.field == b.channel.field, a.channel.point == b.channel.point, !a.slopes.isEmpty,
            a.slopes.count == b.slopes.count
        else { return false }
        let isSameCore = zip(a.slopes, b.slopes).allSatisfy { $0.residual == $1.residual && $0.core == $1.core }
        guard isSameCore else { return false }
        if let ratios = ratios(a, b) { return ratios.dropFirst().allSatisfy { $0 == ratios[0] } }
        // Factors that depend on the point: the same in every residual, which must be linear in the derivatives.
        let isSameFactor = { (m: Member) in m.slopes.dropFirst().allSatisfy { $0.factor == m.slopes[0].factor } }
        return points == 1 && isSameFactor(a) && isSameFactor(b) && isLinear(a) && isLinear(b)
    }

    /// By residual, the factor of one over that of the other, where that is a number.
    private func ratios(_ a: Member, _ b: Member) -> [Double]? {
        var ratios: [Double] = []
        for (x, y) in zip(a.slopes, b.slopes) {
            let (p, q) = (number(in: x.factor), number(in: y.factor))
            guard p.rest == q.rest else { return nil }
            ratios.append(p.value / q.value)
        }
        return ratios
    }

    /// A factor as a number times the rest; no rest where it is a number.
    private func number(in factor: Int) -> (value: Double, rest: Int?) {
        if let value = graph.value(of: factor) { return (value, nil) }
        switch graph.nodes[factor] {
        case .product(let a, let b):
            guard let value = graph.value(of: a) else { return (1, factor) }
            return (value, b)
        case .negation(let a): return (-1, a)
        default: return (1, factor)
        }
    }

    /// Whether the slopes do not depend on any second derivative.
    private func isLinear(_ member: Member) -> Bool {
        member.slopes.allSatisfy { slope in
            !graph.reachable(from: [slope.core]).contains { node in
                if case .field(let channel) = graph.nodes[node] { channel.derivative.order == 2 } else { false }
            }
        }
    }

    private mutating func replace(_ group: [Member]) {
        let zero = graph.constant(0)
        var replacements: [Int: Int] = [:]
        for member in group { replacements[member.leaf] = zero }
        let constants = group.map { ratios($0, group[0])?[0] }
        if constants.allSatisfy({ $0 != nil }) {
            let sum = leaf(group, factors: constants.map { .constant($0 ?? 0) })
            replacements[group[0].leaf] = sum
            for k in roots.indices { roots[k] = graph.substituting(replacements, in: roots[k]) }
            return
        }
        let factors = group.map { member -> SecondOrderOperator.Coefficient in
            let factor = member.slopes[0].factor
            if let value = graph.value(of: factor) { return .constant(value) }
            let column = coefficients.firstIndex(of: factor) ?? coefficients.count
            if column == coefficients.count { coefficients.append(factor) }
            return .pointwise(column)
        }
        let sum = leaf(group, factors: factors)
        for slope in group[0].slopes {
            let rest = graph.substituting(replacements, in: roots[slope.residual])
            let part = graph.product(slope.core, sum)
            roots[slope.residual] = graph.sum(rest, part)
        }
    }

    private mutating func leaf(_ group: [Member], factors: [SecondOrderOperator.Coefficient]) -> Int {
        let entries = zip(group, factors).map { member, factor in
            let along = member.channel.derivative.orders.indices.flatMap {
                Array(repeating: $0, count: Int(member.channel.derivative.orders[$0]))
            }
            return SecondOrderOperator.Entry(along[0], along[1], factor)
        }
        let channel = group[0].channel
        return graph.field(
            Channel(
                field: channel.field, contraction: SecondOrderOperator(entries), dimension: graph.dimension, point: channel.point))
    }

    // MARK: Factors

    /// A node as a product of a part that depends on the point alone and the rest.
    private mutating func split(_ root: Int) -> (factor: Int, core: Int) {
        noteFieldFree()
        let one = graph.constant(1)
        for node in graph.reachable(from: [root]) where parts[node] == nil { parts[node] = split(node, one: one) }
        return parts[root] ?? (one, root)
    }

    /// The same, where the operands have been split.
    private mutating func split(_ node: Int, one: Int) -> (factor: Int, core: Int) {
        if isFieldFree[node] { return (node, one) }
        func known(_ operand: Int) -> (factor: Int, core: Int) { parts[operand] ?? (one, operand) }
        switch graph.nodes[node] {
        case .product(let a, let b):
            let (x, y) = (known(a), known(b))
            let factor = graph.product(x.factor, y.factor)
            return (factor, graph.product(x.core, y.core))
        case .negation(let a):
            let x = known(a)
            return (graph.negation(x.factor), x.core)
        case .quotient(let a, let b):
            let (x, y) = (known(a), known(b))
            let factor = graph.quotient(x.factor, y.factor)
            return (factor, graph.quotient(x.core, y.core))
        default: return (one, node)
        }
    }

    private mutating func noteFieldFree() {
        for node in isFieldFree.count..<graph.nodes.count {
            let isFree: Bool
            switch graph.nodes[node] {
            case .field, .trainable, .frozen: isFree = false
            default: isFree = graph.operands(of: node).allSatisfy { isFieldFree[$0] }
            }
            isFieldFree.append(isFree)
        }
    }
}
