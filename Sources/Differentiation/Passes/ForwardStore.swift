import LinearAlgebra

/// The forward passes at one θ, kept for the products of an operator that is applied again and again: jets of the layers of every block,
/// 8·C·N bytes a unit for z and as many for h, which later products read instead of computing them (`ForwardKeeping`).
///
/// The first product goes without, for it may be the only one; the second fills the store. A product has the same bits with and without.
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

/// How much of a forward pass operators keep: as much as is quicker to read than to compute, and fits.
///
/// A product by a matrix of W × W costs 2W operations for each number of 8 bytes that it writes. From memory, at some 10 GB/s a core, z alone
/// comes sooner than it is computed from W = 24 on, and h sooner than σ(z) from W = 64 on, where products leave the memory idle. What caches
/// hold always comes sooner.
enum ForwardKeeping {
    case nothing
    /// z of the dense layers; the other layers, and h = σ(z), are computed again. Where σ goes by the generic rule, h is kept too.
    case preactivations
    /// z and h of all layers.
    case everything

    private static let cachedBytes = 8 << 20
    // In operations a byte.
    private static let leastForPreactivations = 6.0
    private static let leastForEverything = 8.0

    init(for terms: [CompiledTerm], of network: CompiledNetwork, atMost limit: Int) {
        let operations = 2 * network.nodes.reduce(0) { $0 + ($1.layer.denseShape?.inputs ?? 0) * $1.layer.outputs }
        func pays(_ keeping: ForwardKeeping, from least: Double) -> Bool {
            var (bytes, work) = (0, 0)
            for term in terms {
                let layout = BlockLayout(term, of: network, for: .values, keeping: keeping)
                bytes += 8 * term.blockCount * layout.keptSize(in: term.precision)
                work += operations * term.rules.space.count * term.arity * term.count
            }
            return bytes > 0 && bytes <= limit && (bytes <= Self.cachedBytes || Double(work) >= least * Double(bytes))
        }
        self =
            pays(.everything, from: Self.leastForEverything)
            ? .everything : pays(.preactivations, from: Self.leastForPreactivations) ? .preactivations : .nothing
    }

    /// What is kept of a layer.
    enum Part: Sendable {
        case nothing
        case preactivation
        case all
    }

    func part(of layer: any JetLayer, by rules: JetRules) -> Part {
        switch self {
        case .nothing: .nothing
        case .preactivations where !layer.isProduct: .nothing
        case .preactivations: layer.element.flatMap { rules.kernelCode(of: $0) } == nil ? .all : .preactivation
        case .everything: .all
        }
    }
}

extension Program {
    /// How many doubles a store takes.
    var forwardSize: Int { forwardOffsets.last ?? 0 }

    /// Bytes that an operator at one θ keeps of its forward pass from the second product on: 0 where keeping is no quicker.
    public var keptForwardMemory: Int { 8 * forwardSize }

    /// Whether operators keep forward passes.
    var keepsForward: Bool { forwardSize > 0 }

    /// A block's part of a place for all.
    func place(of block: Block, in whole: ForwardPlace) -> ForwardPlace {
        let number = block.start / compiled[block.term].blockSize
        return ForwardPlace(
            store: whole.store.map { $0 + forwardOffsets[block.term] + number * forwardSizes[block.term] }, isComputed: whole.isComputed)
    }
}
