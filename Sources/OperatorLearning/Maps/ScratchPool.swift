import Synchronization

/// Buffers that passes borrow and give back: from the second evaluation on, nothing large is allocated.
public final class ScratchPool: Sendable {
    private let free = Mutex<[[Double]]>([])

    public init() {}

    /// Calls `body` with `count` doubles of any content.
    public func borrowing<R>(_ count: Int, _ body: (UnsafeMutablePointer<Double>) throws -> R) rethrows -> R {
        var buffer = take(atLeast: max(count, 1))
        defer { free.withLock { $0.append(buffer) } }
        return try buffer.withUnsafeMutableBufferPointer { pointer in
            guard let base = pointer.baseAddress else { preconditionFailure("an empty scratch buffer") }
            return try body(base)
        }
    }

    /// The smallest buffer that is large enough, or a new one in place of the largest that is not.
    private func take(atLeast count: Int) -> [Double] {
        let found = free.withLock { free -> [Double]? in
            var best: Int?
            for index in free.indices where free[index].count >= count && best.map({ free[index].count < free[$0].count }) ?? true {
                best = index
            }
            if let best { return free.remove(at: best) }
            if let index = free.indices.max(by: { free[$0].count < free[$1].count }) { free.remove(at: index) }
            return nil
        }
        return found ?? [Double](repeating: 0, count: count)
    }
}
