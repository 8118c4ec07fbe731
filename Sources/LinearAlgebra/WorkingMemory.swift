import CKernels

/// Memory that a product needs for itself: kept from call to call, since pages that the system hands out anew cost as much as the
/// arithmetic on them.
enum WorkingMemory {
    /// What is kept between calls, at most.
    private static let kept = 32 << 20

    // Sendable: handed out to one user at a time.
    private struct Piece: @unchecked Sendable {
        var base: UnsafeMutableRawPointer
        var bytes: Int

        init(bytes: Int) {
            (base, self.bytes) = (.allocate(byteCount: bytes, alignment: bytes < 1 << 21 ? 64 : 1 << 21), bytes)
            ck_prefer_large_pages(base, bytes)
        }
    }

    private static let free = Locked<Piece?>(nil)

    /// Calls `body` with `count` doubles that begin with a cache line and hold anything.
    static func borrow<R>(_ count: Int, _ body: (UnsafeMutablePointer<Double>) throws -> R) rethrows -> R {
        let bytes = max(64, 8 * count)
        let own =
            free.withLock { free in
                guard let piece = free, piece.bytes >= bytes else { return Piece?.none }
                free = nil
                return piece
            } ?? Piece(bytes: bytes)
        defer {
            let unwanted = free.withLock { free in
                guard own.bytes <= kept, own.bytes > free?.bytes ?? 0 else { return Piece?.some(own) }
                defer { free = own }
                return free
            }
            unwanted?.base.deallocate()
        }
        return try body(own.base.bindMemory(to: Double.self, capacity: count))
    }
}
