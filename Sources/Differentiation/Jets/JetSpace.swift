import CKernels

/// The channels that a jet carries through a network: a downward-closed set of coordinate derivatives, sorted, and then the
/// second-order operators that are carried as one channel each.
///
/// Channel 0 is the value, then come the first derivatives, then the higher ones, then the operators.
struct JetSpace: Sendable {
    let dimension: Int
    /// The derivatives, channel by channel.
    let derivatives: [MultiIndex]
    /// The operators, in the channels after the derivatives.
    let operators: [SecondOrderOperator]
    /// The coordinate of each first derivative; channel 1 + p is along `firsts[p]`.
    let firsts: [Int]
    let order: Int
    /// How many columns of pointwise factors the operators read.
    let coefficientCount: Int
    private let pairs: [ck_pair]
    private let starts: [Int32]
    private let shape: Int32

    /// The smallest set that holds the channels asked for, and the value.
    init(containing channels: [Channel], dimension: Int) {
        var set: Set<MultiIndex> = [.value(dimension: dimension)]
        let operators = Set(channels.compactMap(\.contraction)).sorted()
        let along = { (coordinate: Int) in MultiIndex.along(coordinate, dimension: dimension) }
        var open = channels.map(\.derivative)
        open += operators.flatMap { $0.entries.flatMap { [along($0.first), along($0.second)] } }
        while let next = open.popLast() {
            precondition(next.dimension == dimension, "a derivative in \(next.dimension) coordinates of a function of \(dimension)")
            guard set.insert(next).inserted else { continue }
            for coordinate in 0..<dimension { if let lower = next.lowered(along: coordinate) { open.append(lower) } }
        }
        let closed = set.sorted()
        let order = closed.reduce(operators.isEmpty ? 0 : 2) { max($0, $1.order) }
        precondition(order <= JetSpace.highestOrder, "derivatives up to order \(JetSpace.highestOrder), not \(order)")
        let firsts = closed.filter { $0.order == 1 }.compactMap { index in index.orders.firstIndex { $0 == 1 } }
        (self.dimension, derivatives, self.operators, self.firsts, self.order) = (dimension, closed, operators, firsts, order)

        coefficientCount = operators.flatMap(\.entries).reduce(0) { count, entry in
            if case .pointwise(let column) = entry.coefficient { max(count, column + 1) } else { count }
        }

        // What the kernels for order ≤ 2 see.
        let channelOfFirst = { (coordinate: Int) in Int32(1 + (firsts.firstIndex(of: coordinate) ?? 0)) }
        var (pairs, starts) = ([ck_pair](), [Int32]())
        for index in closed where index.order == 2 {
            starts.append(Int32(pairs.count))
            let coordinates = index.orders.indices.flatMap { Array(repeating: $0, count: Int(index.orders[$0])) }
            pairs.append(
                ck_pair(first: channelOfFirst(coordinates[0]), second: channelOfFirst(coordinates[1]), column: -1, weight: 1))
        }
        for contraction in operators {
            starts.append(Int32(pairs.count))
            for entry in contraction.entries {
                let (column, weight): (Int32, Double) =
                    switch entry.coefficient {
                    case .constant(let value): (-1, value)
                    case .pointwise(let column): (Int32(column), 0)
                    }
                pairs.append(
                    ck_pair(first: channelOfFirst(entry.first), second: channelOfFirst(entry.second), column: column, weight: weight))
            }
        }
        starts.append(Int32(pairs.count))
        let isLaplacian =
            starts.count == 2 && operators.count == 1 && operators[0].isLaplacian
            && pairs.enumerated().allSatisfy { Int($1.first) == firsts.count - pairs.count + 1 + $0 }
        shape = Int32(operators.isEmpty ? CK_DERIVATIVES : isLaplacian ? CK_LAPLACIAN : CK_OPERATORS)
        (self.pairs, self.starts) = (pairs, starts)
    }

    /// The highest order of a coordinate derivative: its curvature products take two derivatives of σ more.
    static let highestOrder = Activation.highestDerivative - 2

    /// The number C of channels.
    var count: Int { derivatives.count + operators.count }

    /// How many products of first derivatives the second ones and the operators sum.
    var secondOrderProductCount: Int { pairs.count }

    func channel(of derivative: MultiIndex) -> Int {
        guard let channel = derivatives.firstIndex(of: derivative) else { preconditionFailure("\(derivative) is not carried") }
        return channel
    }

    func channel(of channel: Channel) -> Int {
        guard let contraction = channel.contraction else { return self.channel(of: channel.derivative) }
        guard let index = operators.firstIndex(of: contraction) else { preconditionFailure("\(contraction) is not carried") }
        return derivatives.count + index
    }

    /// The channel of a first derivative.
    func channel(ofFirst coordinate: Int) -> Int { channel(of: .along(coordinate, dimension: dimension)) }

    /// Calls `body` with the space as the fast kernels see it, pointwise coefficients lying at `coefficients`. Orders ≤ 2 only.
    @inline(__always)
    func withKernelView<R>(_ coefficients: UnsafeRawPointer, _ body: (UnsafePointer<ck_jet>) -> R) -> R {
        pairs.withUnsafeBufferPointer { pairs in
            starts.withUnsafeBufferPointer { starts in
                var view = ck_jet(
                    firsts: Int32(firsts.count), seconds: Int32(starts.count - 1), shape: shape, starts: starts.baseAddress,
                    pairs: pairs.baseAddress, coefficients: coefficients)
                return withUnsafePointer(to: &view) { body($0) }
            }
        }
    }
}

// MARK: The product of two jets

extension JetSpace {
    /// A part c·a_β·b_γ of a channel of the product ab; `column` names a pointwise factor beside c.
    struct ProductPart: Sendable {
        var output: Int
        var first: Int
        var second: Int
        var coefficient: Double
        var column: Int?
    }

    /// Leibniz' rule: (ab)_α = Σ_{β ≤ α} (α choose β) a_β b_{α−β}, and L(ab) = a·Lb + b·La + Σ aᵢⱼ(∂ᵢa ∂ⱼb + ∂ⱼa ∂ᵢb) of an operator.
    func productRule() -> [ProductPart] {
        var parts: [ProductPart] = []
        for (output, α) in derivatives.enumerated() {
            for (first, β) in derivatives.enumerated() where zip(β.orders, α.orders).allSatisfy({ $0 <= $1 }) {
                let rest = MultiIndex(zip(α.orders, β.orders).map { $0 - $1 })
                let coefficient = zip(α.orders, β.orders).reduce(1.0) { $0 * binomial(Int($1.0), Int($1.1)) }
                parts.append(ProductPart(output: output, first: first, second: channel(of: rest), coefficient: coefficient))
            }
        }
        for (index, contraction) in operators.enumerated() {
            let output = derivatives.count + index
            parts.append(ProductPart(output: output, first: output, second: 0, coefficient: 1))
            parts.append(ProductPart(output: output, first: 0, second: output, coefficient: 1))
            for entry in contraction.entries {
                let (i, j) = (channel(ofFirst: entry.first), channel(ofFirst: entry.second))
                let (coefficient, column): (Double, Int?) =
                    switch entry.coefficient {
                    case .constant(let value): (value, nil)
                    case .pointwise(let column): (1, column)
                    }
                parts.append(ProductPart(output: output, first: i, second: j, coefficient: coefficient, column: column))
                parts.append(ProductPart(output: output, first: j, second: i, coefficient: coefficient, column: column))
            }
        }
        return parts
    }
}

private func binomial(_ n: Int, _ k: Int) -> Double {
    (0..<k).reduce(1.0) { $0 * Double(n - $1) / Double($1 + 1) }
}
