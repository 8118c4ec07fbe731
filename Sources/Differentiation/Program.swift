import CKernels
import LinearAlgebra

/// How a program is compiled; the defaults are right for everything but tests and tuning.
public struct ProgramOptions: Sendable, Hashable {
    /// Whether jets take the generic rule for any order instead of the kernels written out for order ≤ 2.
    public var usesGenericRule = false
    /// The points of a block; nil chooses them so that a block's passes stay in cache.
    public var blockSize: Int?
    /// The precision of the jets.
    public var precision: JetPrecision
    /// How many bytes an operator (`jacobian(at:)`, `hessian(at:)`) may take to keep the forward pass for products that follow; where it needs
    /// more, every product computes it anew and memory does not grow with the points. 0 keeps none.
    public var keptForwardBytes: Int

    public init(
        usesGenericRule: Bool = false, blockSize: Int? = nil, precision: JetPrecision = .double, keptForwardBytes: Int = 512 << 20
    ) {
        precondition(blockSize.map { $0 > 0 && $0 % 8 == 0 } ?? true, "a block's points must be a multiple of 8")
        precondition(keptForwardBytes >= 0, "\(keptForwardBytes) bytes")
        (self.usesGenericRule, self.blockSize, self.precision) = (usesGenericRule, blockSize, precision)
        self.keptForwardBytes = keptForwardBytes
    }
}

/// A loss made of terms at points, over a network: one immutable program from which every product comes.
///
/// Where all terms are sums of squares, L(θ) = ½‖r(θ)‖². Integrals (energies) add to the loss, its gradient and its Hessian, and
/// have no residuals: what needs r or J is refused for a program with such a term (`isLeastSquares`).
///
/// The residual vector holds the terms one after another; in a term the residuals rₖ one after another, and in these the
/// points: entry offset + k·count + i is s·rₖ at point i. Points go through the network in blocks (`BlockPass`) that stay in
/// cache; memory does not grow with their number beyond the points and the result. Blocks are gathered into shards that
/// depend on the points and parameters alone, and sums run over blocks, then shards, in order: a result has the same bits for
/// any number of threads. It may differ, by rounding, between instruction sets.
public struct Program: Sendable {
    public let network: Network
    public let terms: [ProgramTerm]
    public let options: ProgramOptions
    let layers: CompiledNetwork
    let compiled: [CompiledTerm]
    let blocks: [Block]
    /// Runs of blocks of about equal cost.
    let shards: [Range<Int>]
    private let shardCosts: [Double]
    let workspaces = WorkspacePool()
    let accumulators = WorkspacePool()
    /// Panels of J.
    let panels = WorkspacePool()
    /// Memory of `ForwardStore`s.
    let keptForwards = WorkspacePool()
    /// For each term, how many doubles the jets of a block take; where its blocks begin in a store, and where the last term's end.
    let forwardSizes: [Int]
    let forwardOffsets: [Int]
    private let layouts: [[BlockLayout]]
    private let columnCapacity: Int

    /// Points that pass together.
    struct Block {
        var term: Int
        var start: Int
        var points: Int
    }

    /// The program of a fully connected network.
    public init(network: DenseNetwork, terms: [ProgramTerm], options: ProgramOptions = ProgramOptions()) {
        self.init(network: Network(network), terms: terms, options: options)
    }

    public init(network: Network, terms: [ProgramTerm], options: ProgramOptions = ProgramOptions()) {
        (self.network, self.terms, self.options) = (network, terms, options)
        let layers = CompiledNetwork(network)
        var offset = 0
        var compiled: [CompiledTerm] = []
        for term in terms {
            compiled.append(CompiledTerm(term, of: layers, options: options, residualOffset: offset))
            offset += term.residualCount
        }
        var blocks: [Block] = []
        for (t, term) in compiled.enumerated() {
            for start in stride(from: 0, to: term.count, by: term.blockSize) {
                blocks.append(Block(term: t, start: start, points: min(term.blockSize, term.count - start)))
            }
        }
        (self.layers, self.compiled, self.blocks) = (layers, compiled, blocks)
        let costs = blocks.map { $0.points * compiled[$0.term].arity * compiled[$0.term].rules.space.count }
        let shards = Program.shards(of: costs, parameters: layers.parameterCount)
        (self.shards, shardCosts) = (shards, shards.map { Double(costs[$0].reduce(0, +)) })
        let keeping = ForwardKeeping(for: compiled, of: layers, atMost: options.keptForwardBytes)
        layouts = compiled.map { term in PassKind.allCases.map { BlockLayout(term, of: layers, for: $0, keeping: keeping) } }
        forwardSizes = zip(compiled, layouts).map { term, layouts in layouts[PassKind.values.rawValue].keptSize(in: term.precision) }
        forwardOffsets = zip(compiled, forwardSizes).reduce(into: [0]) { offsets, next in
            let (term, size) = next
            offsets.append(offsets[offsets.count - 1] + term.blockCount * size)
        }
        columnCapacity = compiled.reduce(1) { max($0, BlockPass.columnCapacity($1)) }
        residualCount = offset
    }

    public var parameterCount: Int { layers.parameterCount }
    /// The length of the residual vector.
    public let residualCount: Int
    /// Whether L = ½‖r‖²: no term is an integral.
    public var isLeastSquares: Bool { terms.allSatisfy { $0.weights == nil } }
    public var termNames: [String] { terms.map(\.name) }
    /// For each term, the number C of channels that its jets carry.
    public var channelCounts: [Int] { compiled.map { $0.rules.space.count } }

    /// For each term, how many products ∂ᵢz·∂ⱼz a unit takes at a point for the second derivatives and operators (jets of order ≤ 2).
    package var secondOrderProductCounts: [Int] { compiled.map { $0.rules.space.secondOrderProductCount } }
    /// The bytes of a thread's passes: those of the product that takes most.
    package var workspaceBytes: Int { 8 * layouts.joined().reduce(0) { max($0, $1.total) } }
    /// How many sums a product keeps side by side: threads have no more to share.
    package var shardCount: Int { shards.count }

    /// Where a term's residuals lie in the residual vector.
    public func residualRange(ofTerm index: Int) -> Range<Int> {
        compiled[index].residualOffset..<(compiled[index].residualOffset + compiled[index].residualTotal)
    }

    /// The same program with a term's points (and data, weights, and scale) replaced.
    public func replacing(
        term index: Int, points: [[Double]], data: [[Double]] = [], weights: [Double]? = nil, scale: Double? = nil
    ) -> Program {
        precondition(terms.indices.contains(index), "term \(index) of \(terms.count)")
        precondition(
            (weights == nil) == (terms[index].weights == nil), "term \(terms[index].name): an integral's points come with their weights")
        var terms = terms
        terms[index].weights = weights
        terms[index].points = points
        terms[index].data = data
        if let scale { terms[index].scale = scale }
        return Program(network: network, terms: terms, options: options)
    }

    /// The same program with other factors s of its terms.
    public func replacing(scales: [Double]) -> Program {
        precondition(scales.count == terms.count, "\(scales.count) factors for \(terms.count) terms")
        var terms = terms
        for (i, scale) in scales.enumerated() { terms[i].scale = scale }
        return Program(network: network, terms: terms, options: options)
    }

    // MARK: Shards

    /// At most this many shards, and at most this much memory for a gradient in each.
    private static let mostShards = 64
    private static let accumulatorBytes = 64 << 20

    /// Runs of blocks, whose costs are given, that cost about the same.
    private static func shards(of costs: [Int], parameters: Int) -> [Range<Int>] {
        let most = max(1, min(mostShards, costs.count, accumulatorBytes / (8 * max(parameters, 1))))
        let total = costs.reduce(0, +)
        var shards: [Range<Int>] = []
        var (first, spent) = (0, 0)
        for (i, cost) in costs.enumerated() {
            spent += cost
            let reached = spent * most >= total * (shards.count + 1)
            if reached || i == costs.count - 1 {
                shards.append(first..<(i + 1))
                first = i + 1
            }
        }
        return shards
    }

    /// Stops the program where L is not ½‖r‖².
    func requireResiduals(for product: String) {
        precondition(
            isLeastSquares,
            "\(product) of a program with an integral among its terms (\(termNames.joined(separator: ", "))): it has no residuals")
    }

    // MARK: Running passes

    /// Runs `body(item, pass maker)` for every item on the pool, each worker with a workspace for passes of `kind`.
    func overItems(_ count: Int, _ kind: PassKind, _ body: (_ item: Int, _ workspace: Workspace) -> Void) {
        withWorkspaces(for: count, kind) { workspaces in
            parallelFor(count: count, maximumWorkers: workspaces.count) { item, worker in body(item, workspaces[worker]) }
        }
    }

    func overShards(_ kind: PassKind, _ body: (_ shard: Int, _ workspace: Workspace) -> Void) {
        withWorkspaces(for: shards.count, kind) { workspaces in
            parallelFor(costs: shardCosts, maximumWorkers: workspaces.count) { shard, worker in body(shard, workspaces[worker]) }
        }
    }

    private func withWorkspaces(for items: Int, _ kind: PassKind, _ body: ([Workspace]) -> Void) {
        let capacity = layouts.reduce(0) { max($0, $1[kind.rawValue].total) }
        workspaces.borrowing(
            min(ThreadPool.threadCount, max(items, 1)), capacity: capacity, columns: columnCapacity, body)
    }

    func pass(_ kind: PassKind, term: Int, start: Int, points: Int, in workspace: Workspace) -> BlockPass {
        BlockPass(compiled[term], index: term, layers, layouts[term][kind.rawValue], workspace, start: start, points: points)
    }

    private func pass(_ kind: PassKind, _ block: Block, in workspace: Workspace, _ place: ForwardPlace) -> BlockPass {
        BlockPass(
            compiled[block.term], index: block.term, layers, layouts[block.term][kind.rawValue], workspace,
            self.place(of: block, in: place), start: block.start, points: block.points)
    }

    func overBlocks(_ kind: PassKind, at place: ForwardPlace = ForwardPlace(), _ body: (_ shard: Int, _ pass: BlockPass) -> Void) {
        overShards(kind) { shard, workspace in
            for block in shards[shard] { body(shard, pass(kind, blocks[block], in: workspace, place)) }
        }
    }

    /// Sums over all blocks: `columns` vectors of ℝᴾ, that `body` adds to, into `sum`; and numbers per term, that it returns.
    ///
    /// Every shard has sums of its own: 8·columns·P bytes each.
    func accumulating(
        _ kind: PassKind, columns: Int = 1, at place: ForwardPlace = ForwardPlace(), into sum: UnsafeMutableBufferPointer<Double>,
        _ body: (BlockPass, _ vectors: MutableDoubles) -> Double
    ) -> [Double] {
        let (entries, terms) = (columns * parameterCount, compiled.count)
        precondition(sum.count == entries, "\(sum.count) numbers for \(columns) vectors of \(parameterCount) parameters")
        guard let sumBase = sum.baseAddress else { return Array(repeating: 0, count: terms) }
        let stride = (entries + terms + 7) / 8 * 8
        return accumulators.borrowing(1, capacity: max(shards.count, 1) * stride, columns: 1) { memory in
            let base = memory[0].base
            overShards(kind) { shard, workspace in
                let vector = base + shard * stride
                vector.update(repeating: 0, count: stride)
                for block in shards[shard] {
                    let block = blocks[block]
                    let pass = pass(kind, block, in: workspace, place)
                    vector[entries + block.term] += body(pass, vector)
                }
            }
            // Small, so that all threads share the sum evenly and none falls asleep over it.
            let threads = ThreadPool.threadCount
            let portions = (entries + 512 * threads - 1) / (512 * threads) * threads
            let portion = max(64, (entries + portions - 1) / portions)
            parallelFor(count: (entries + portion - 1) / portion) { index, _ in
                let (low, length) = (index * portion, min(portion, entries - index * portion))
                (sumBase + low).update(repeating: 0, count: length)
                for shard in shards.indices { ck_axpy(length, 1, base + shard * stride + low, sumBase + low) }
            }
            return (0..<terms).map { term in shards.indices.reduce(0.0) { $0 + base[$1 * stride + entries + term] } }
        }
    }
}
