import Synchronization

/// Doubles that begin on a line of the cache, so that a vector of a padded matrix never lies across two.
// Sendable: handed out by `ScratchPool` to one user at a time, or written by the one who made it before others see it.
public final class AlignedMemory: @unchecked Sendable {
    public let base: UnsafeMutablePointer<Double>
    public let count: Int

    /// `count` zeros.
    public init(count: Int) {
        precondition(count >= 0, "\(count) doubles")
        self.count = count
        let raw = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1) * MemoryLayout<Double>.stride, alignment: 64)
        base = raw.initializeMemory(as: Double.self, repeating: 0, count: max(count, 1))
    }

    deinit { UnsafeMutableRawPointer(base).deallocate() }
}

/// Memory that passes borrow and give back: from the second evaluation on, nothing large is allocated.
public final class ScratchPool: Sendable {
    private let free = Mutex<[AlignedMemory]>([])

    public init() {}

    /// Calls `body` with `count` doubles of any content, the first of them on a line of the cache.
    public func borrowing<R>(_ count: Int, _ body: (UnsafeMutablePointer<Double>) throws -> R) rethrows -> R {
        let memory = take(atLeast: max(count, 1))
        defer { free.withLock { $0.append(memory) } }
        return try body(memory.base)
    }

    /// The smallest that is large enough, or a new one in place of the largest that is not.
    private func take(atLeast count: Int) -> AlignedMemory {
        let found = free.withLock { free -> AlignedMemory? in
            var best: Int?
            for index in free.indices where free[index].count >= count && best.map({ free[index].count < free[$0].count }) ?? true {
                best = index
            }
            if let best { return free.remove(at: best) }
            if let index = free.indices.max(by: { free[$0].count < free[$1].count }) { free.remove(at: index) }
            return nil
        }
        return found ?? AlignedMemory(count: count)
    }
}
