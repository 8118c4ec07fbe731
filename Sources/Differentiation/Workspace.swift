import LinearAlgebra

/// What a pass over a block keeps: more for the later ones.
enum PassKind: Int, CaseIterable {
    case values
    case reverse
    case tangent
    case tangentReverse
}

/// Where the matrices of a block lie in a workspace, in doubles from its start.
struct BlockLayout: Sendable {
    var coordinates = 0
    var data = 0
    var ruleScratch = 0
    /// Saved columns and outputs of every layer; the last output is the network's.
    var z: [Int] = []
    var h: [Int] = []
    var zdot: [Int] = []
    var hdot: [Int] = []
    /// Two cotangents (and their tangents) that the reverse pass alternates between.
    var g = [0, 0]
    var gdot = [0, 0]
    var residuals = 0
    var residualTangents = 0
    var partials = 0
    var secondPartials = 0
    var pointwiseScratch = 0
    var total = 0

    init(_ term: CompiledTerm, of network: LayerSequence, for kind: PassKind) {
        let count = term.blockSize
        let rows = term.rule.space.count * count
        var next = 0
        func take(_ doubles: Int) -> Int {
            defer { next += (doubles + 7) / 8 * 8 }
            return next
        }
        coordinates = take(network.dimension * count)
        data = take(term.function.dataCount * count)
        ruleScratch = take(term.rule.scratchCount(points: count))
        for layer in network.layers {
            z.append(take(layer.savedWidth * rows))
            h.append(take(layer.outputs * rows))
        }
        residuals = take(term.residuals * count)
        pointwiseScratch = take(term.function.scratchCount * count)
        if kind != .values {
            partials = take(term.partials.count * count)
            g = [take(network.greatestWidth * rows), take(network.greatestWidth * rows)]
        }
        if kind == .tangent || kind == .tangentReverse {
            for layer in network.layers {
                zdot.append(take(layer.savedWidth * rows))
                hdot.append(take(layer.outputs * rows))
            }
            residualTangents = take(term.residuals * count)
        }
        if kind == .tangentReverse {
            secondPartials = take(term.secondPartials.count * count)
            gdot = [take(network.greatestWidth * rows), take(network.greatestWidth * rows)]
        }
        total = next
    }
}

/// A thread's memory for blocks: aligned doubles, and tables of pointers into them.
// Sendable: handed out by `WorkspacePool` to one user at a time.
final class Workspace: @unchecked Sendable {
    let base: MutableDoubles
    let capacity: Int
    let columns: UnsafeMutablePointer<Doubles>
    let results: UnsafeMutablePointer<MutableDoubles>
    private let columnCapacity: Int

    init(capacity: Int, columns columnCapacity: Int) {
        self.capacity = max(capacity, 8)
        self.columnCapacity = max(columnCapacity, 1)
        let raw = UnsafeMutableRawPointer.allocate(byteCount: self.capacity * MemoryLayout<Double>.stride, alignment: 64)
        base = raw.initializeMemory(as: Double.self, repeating: 0, count: self.capacity)
        columns = .allocate(capacity: self.columnCapacity)
        columns.initialize(repeating: Doubles(base), count: self.columnCapacity)
        results = .allocate(capacity: self.columnCapacity)
        results.initialize(repeating: base, count: self.columnCapacity)
    }

    deinit {
        UnsafeMutableRawPointer(base).deallocate()
        columns.deallocate()
        results.deallocate()
    }
}

/// The workspaces of a program that nobody uses at the moment: from the second call on, a pass allocates nothing large.
final class WorkspacePool: Sendable {
    private let free = Locked<[Workspace]>([])

    /// Calls `body` with `count` workspaces of at least the given capacities.
    func borrowing<R>(_ count: Int, capacity: Int, columns: Int, _ body: ([Workspace]) throws -> R) rethrows -> R {
        var borrowed = free.withLock { free in
            let fitting = free.indices.filter { free[$0].capacity >= capacity }.suffix(count)
            let taken = fitting.map { free[$0] }
            for index in fitting.reversed() { free.remove(at: index) }
            return taken
        }
        while borrowed.count < count { borrowed.append(Workspace(capacity: capacity, columns: columns)) }
        defer { free.withLock { $0.append(contentsOf: borrowed) } }
        return try body(borrowed)
    }
}
