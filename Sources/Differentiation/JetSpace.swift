import CKernels

/// The channels that a jet carries through a network: a downward-closed set of coordinate derivatives, sorted.
///
/// Channel 0 is the value, then come the first derivatives, then the higher ones.
struct JetSpace: Sendable {
    /// The derivatives, channel by channel.
    let derivatives: [MultiIndex]
    /// The coordinate of each first derivative; channel 1 + p is along `firsts[p]`.
    let firsts: [Int]
    /// For every second derivative of a space of order ≤ 2, the channels of the two first derivatives it is made of.
    let pairs: [Int32]
    let order: Int

    /// The smallest downward-closed set that holds the derivatives asked for, and the value.
    init(containing derivatives: [MultiIndex], dimension: Int) {
        var set: Set<MultiIndex> = [.value(dimension: dimension)]
        var open = derivatives
        while let next = open.popLast() {
            precondition(next.dimension == dimension, "a derivative in \(next.dimension) coordinates of a function of \(dimension)")
            guard set.insert(next).inserted else { continue }
            for coordinate in 0..<dimension { if let lower = next.lowered(along: coordinate) { open.append(lower) } }
        }
        let closed = set.sorted()
        let order = closed.reduce(0) { max($0, $1.order) }
        precondition(order <= JetSpace.highestOrder, "derivatives up to order \(JetSpace.highestOrder), not \(order)")
        let firsts = closed.filter { $0.order == 1 }.compactMap { index in index.orders.firstIndex { $0 == 1 } }
        let channelOfFirst = { (coordinate: Int) in Int32(1 + (firsts.firstIndex(of: coordinate) ?? 0)) }
        var pairs: [Int32] = []
        if order <= 2 {
            for index in closed where index.order == 2 {
                let coordinates = index.orders.indices.flatMap { Array(repeating: $0, count: Int(index.orders[$0])) }
                pairs += coordinates.map(channelOfFirst)
            }
        }
        (self.derivatives, self.firsts, self.pairs, self.order) = (closed, firsts, pairs, order)
    }

    /// The highest order of a coordinate derivative: its curvature products take two derivatives of σ more.
    static let highestOrder = Activation.highestDerivative - 2

    /// The number C of channels.
    var count: Int { derivatives.count }

    func channel(of derivative: MultiIndex) -> Int {
        guard let channel = derivatives.firstIndex(of: derivative) else { preconditionFailure("\(derivative) is not carried") }
        return channel
    }

    /// Calls `body` with the space as the fast kernels see it. Orders ≤ 2 only.
    @inline(__always)
    func withKernelView<R>(_ body: (UnsafePointer<ck_jet>) -> R) -> R {
        pairs.withUnsafeBufferPointer { pairs in
            var view = ck_jet(firsts: Int32(firsts.count), seconds: Int32(pairs.count / 2), pairs: pairs.baseAddress)
            return withUnsafePointer(to: &view) { body($0) }
        }
    }
}
