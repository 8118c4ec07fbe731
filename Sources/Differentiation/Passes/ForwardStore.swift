import LinearAlgebra

/// The forward passes at one θ, kept for the products of an operator that is applied again and again: the jets of every layer of every
/// block, 8·C·N·Σ(columns z and h of a layer) bytes, which later products read instead of computing them.
///
/// The first product goes without, for it may be the only one; the second fills the store. A product has the same bits with and without.
/// Programs whose forward pass takes less time than reading it back keep nothing (`Program.keepsForward`).
final class ForwardStore: Sendable {
    private let program: Program
    private let state: Locked<State>

    private enum State {
        case unused
        case usedOnce
        /// A product is at it; others go without.
        case filling
        case kept(Workspace)
        case never
    }

    init(_ program: Program) {
        self.program = program
        state = Locked(program.keepsForward ? .unused : .never)
    }

    deinit {
        if case .kept(let memory) = state.withLock({ $0 }) { program.keptForwards.giveBack(memory) }
    }

    /// Calls `body` with where a product over all blocks has its forward passes.
    func product<R>(_ body: (ForwardPlace) -> R) -> R {
        var (ready, fills) = (Workspace?.none, false)
        state.withLock { state in
            switch state {
            case .unused: state = .usedOnce
            case .usedOnce: (state, fills) = (.filling, true)
            case .kept(let memory): ready = memory
            case .filling, .never: break
            }
        }
        if let ready { return body(ForwardPlace(store: ready.base, isComputed: true)) }
        guard fills else { return body(ForwardPlace()) }
        let memory = program.keptForwards.take(capacity: program.forwardSize)
        let result = body(ForwardPlace(store: memory.base))
        state.withLock { $0 = .kept(memory) }
        return result
    }
}

/// Where the jets of the layers lie: in the workspace, or in a store, and whether they are there already.
struct ForwardPlace {
    var store: MutableDoubles?
    var isComputed = false
}

extension Program {
    /// How many doubles the jets of all blocks take.
    var forwardSize: Int { forwardOffsets.last ?? 0 }

    /// Bytes that an operator at one θ keeps of its forward pass from the second product on: 0 where keeping is no quicker.
    public var keptForwardMemory: Int { keepsForward ? 8 * forwardSize : 0 }

    /// A store that caches hold is always worth it; from memory, at some 10 GB/s a core, two numbers z and h come no sooner than they are
    /// computed below six operations a byte, which is a width of 48.
    private static let cachedBytes = 8 << 20
    private static let leastIntensity = 6.0

    /// Whether operators keep forward passes.
    var keepsForward: Bool {
        let bytes = 8 * forwardSize
        if bytes > options.keptForwardBytes { return false }
        let operations = layers.nodes.reduce(0.0) { $0 + 2 * Double(($1.layer.denseShape?.inputs ?? 0) * $1.layer.outputs) }
        let columns = layers.nodes.reduce(0.0) { $0 + Double($1.layer.savedWidth + $1.layer.outputs) }
        return bytes <= Self.cachedBytes || operations >= Self.leastIntensity * 8 * columns
    }

    /// A block's part of a place for all.
    func place(of block: Block, in whole: ForwardPlace) -> ForwardPlace {
        let number = block.start / compiled[block.term].blockSize
        return ForwardPlace(
            store: whole.store.map { $0 + forwardOffsets[block.term] + number * forwardSizes[block.term] }, isComputed: whole.isComputed)
    }
}
