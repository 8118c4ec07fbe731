import LinearAlgebra
import OperatorLearning

// Letters: F functions, Q points, K features; B ∈ ℝᶠˣᴷ the branch's features, T ∈ ℝᵠˣᴷ the trunk's; predictions T·Bᵀ + b₀ ∈ ℝᵠˣᶠ, a column
// a function, as the targets lie in memory. A bar marks a cotangent, a dot a tangent.

/// How F functions, or the points, are divided: into shards, whose sums are added in their order, and these into blocks.
struct Shards {
    let count: Int
    let size: Int
    let total: Int
    /// At most so many are evaluated at once.
    let blockSize: Int

    /// Decided by the sizes alone: shards of 32 at least, 8 of them up to 2048 functions, then of 256 up to 32 of them; blocks whose
    /// residuals stay within a megabyte.
    ///
    /// A shard has a gradient of its own to write and to add up, which costs as much as some tens of its functions.
    init(_ total: Int, numbersEach points: Int = 1) {
        self.total = total
        blockSize = min(64, max(8, (1 << 17) / max(1, points) / 8 * 8))
        let most = min(max(1, total / 32), max(8, min(32, total / 256)))
        size = max(1, (total + most - 1) / most)
        count = (total + size - 1) / size
    }

    func range(_ shard: Int) -> Range<Int> { (shard * size)..<min(total, (shard + 1) * size) }
}

/// A block of functions under evaluation, in the memory of the worker that has it.
struct FunctionBlock {
    let shard: Int
    /// Whether it is its shard's first.
    let isFirst: Bool
    /// The block's functions among all.
    let functions: Range<Int>
    /// The input functions, S × n.
    let inputs: UnsafePointer<Double>
    /// The output functions, Q × n.
    let targets: MatrixBlock
    /// The branch's state, and its features Bᵀ, K × n.
    let state: UnsafePointer<Double>
    let features: MatrixBlock
    let work: UnsafeMutablePointer<Double>
    /// Scratch of Q × n and of K × n.
    let values: MatrixBlock
    let cotangents: MatrixBlock

    var count: Int { functions.count }
}

/// θ as the passes read it, and the trunk's part of an evaluation.
struct TrunkEvaluation {
    /// The networks' parts of θ, packed, and b₀.
    let branch: UnsafeMutablePointer<Double>
    let trunk: UnsafeMutablePointer<Double>
    let bias: Double
    /// The trunk's states, shard after shard.
    let states: UnsafeMutablePointer<Double>
    /// T ∈ ℝᵠˣᴷ, and Tᵀ, both padded.
    let features: MatrixBlock
    let transposed: MatrixBlock

    /// Doubles of memory that an evaluation lies in.
    static func count(_ model: DeepONet, points: Int) -> Int {
        rounded(model.branch.packedCount) + rounded(model.trunk.packedCount) + rounded(model.trunk.stateCount(samples: points))
            + model.features * MatrixBlock.paddedLeading(points) + points * MatrixBlock.paddedLeading(model.features)
    }

    /// The evaluation in some memory, whether it has been made there already or will be.
    init(_ model: DeepONet, points: Int, bias: Double, memory: UnsafeMutablePointer<Double>) {
        (branch, self.bias) = (memory, bias)
        trunk = branch + Self.rounded(model.branch.packedCount)
        states = trunk + Self.rounded(model.trunk.packedCount)
        let place = states + Self.rounded(model.trunk.stateCount(samples: points))
        features = MatrixBlock(padded: place, rows: points, columns: model.features)
        transposed = MatrixBlock(padded: place + model.features * features.leading, rows: model.features, columns: points)
    }

    private static func rounded(_ count: Int) -> Int { (count + 7) / 8 * 8 }
}

/// The passes over a source of operator data at one θ.
struct DeepONetPasses {
    let model: DeepONet
    let source: any OperatorDataSource
    let scratch: ScratchPool

    var points: Int { source.grid.pointCount }
    var shards: Shards { Shards(source.functionCount, numbersEach: points) }
    var pointShards: Shards { Shards(points) }
    /// 1/√(F·Q).
    var weight: Double { 1 / Double(source.functionCount * points).squareRoot() }

    // MARK: The trunk

    /// Calls `body` with a shard of the points, its coordinates, its state within `states`, and the worker's scratch.
    func forPoints(
        _ trunk: TrunkEvaluation,
        _ body: (
            _ shard: Int, _ range: Range<Int>, _ points: UnsafePointer<Double>, _ state: UnsafeMutablePointer<Double>,
            _ work: UnsafeMutablePointer<Double>
        ) -> Void
    ) {
        let shards = pointShards
        let workCount = model.trunk.workCount(samples: shards.size)
        let workers = min(ThreadPool.threadCount, shards.count)
        scratch.borrowing(workers * workCount) { work in
            source.grid.points.withUnsafeBufferPointer { coordinates in
                guard let coordinates = coordinates.baseAddress else { return }
                parallelFor(count: shards.count, maximumWorkers: workers) { shard, worker in
                    let range = shards.range(shard)
                    body(
                        shard, range, coordinates + range.lowerBound * source.grid.pointDimension,
                        trunk.states + model.trunk.stateCount(samples: range.lowerBound), work + worker * workCount)
                }
            }
        }
    }

    /// Packs θ and evaluates the trunk, in memory of `TrunkEvaluation.count` doubles.
    func evaluateTrunk(_ θ: Vector, derivatives: Bool, in memory: UnsafeMutablePointer<Double>) -> TrunkEvaluation {
        precondition(θ.count == model.layout.count, "\(θ.count) values for \(model.layout.count) parameters")
        let trunk = TrunkEvaluation(model, points: points, bias: θ[model.biasOffset], memory: memory)
        θ.withUnsafeBufferPointer { θ in
            guard let θ = θ.baseAddress else { preconditionFailure("a model without parameters") }
            let branchLayers = model.branch.layers.count
            parallelFor(count: branchLayers + model.trunk.layers.count) { index, _ in
                if index < branchLayers {
                    model.branch.pack(layer: index, of: θ, into: trunk.branch, transposes: derivatives)
                } else {
                    model.trunk.pack(layer: index - branchLayers, of: θ + model.trunkOffset, into: trunk.trunk, transposes: derivatives)
                }
            }
        }
        let features = trunk.features
        let padding = MatrixBlock.paddedRows(points) - points
        for j in 0..<(padding > 0 ? model.features : 0) {
            (features.base + j * features.leading + points).update(repeating: 0, count: padding)
        }
        forPoints(trunk) { _, range, points, state, _ in
            let block = model.trunk.forward(trunk.trunk, samples: points, count: range.count, derivatives: derivatives, state: state)
            features[range, 0..<model.features].setToTranspose(of: block)
            trunk.transposed[0..<model.features, range].copy(block)
        }
        return trunk
    }

    func withTrunk<R>(_ θ: Vector, derivatives: Bool, _ body: (TrunkEvaluation) throws -> R) rethrows -> R {
        try scratch.borrowing(TrunkEvaluation.count(model, points: points)) { memory in
            try body(evaluateTrunk(θ, derivatives: derivatives, in: memory))
        }
    }

    // MARK: The branch

    /// What becomes of the branch's states: forgotten, kept in the given memory, or already there.
    enum States {
        case forgotten
        case kept(UnsafeMutablePointer<Double>)
        case known(UnsafePointer<Double>)
    }

    /// Evaluates the branch on all functions, block by block on all threads, and calls `body` with every block; the blocks of a
    /// shard come in their order on one thread. `body` must write to its shard's or its functions' own memory.
    func forBlocks(
        _ trunk: TrunkEvaluation, derivatives: Bool, states: States = .forgotten, _ body: (FunctionBlock) -> Void
    ) throws {
        let (branch, shards, q, k) = (model.branch, self.shards, points, model.features)
        let n = min(shards.blockSize, source.functionCount)
        let (residualLeading, featureLeading) = (MatrixBlock.paddedLeading(q), MatrixBlock.paddedLeading(k))
        let counts = [branch.stateCount(samples: n), branch.workCount(samples: n), residualLeading * n, featureLeading * n]
        let total = counts.reduce(0, +)
        // A segment is what is in memory at a time: whole shards.
        let segment = source.blockCount >= source.functionCount ? shards.count : max(1, source.blockCount / shards.size)
        for first in stride(from: 0, to: shards.count, by: segment) {
            let last = min(shards.count, first + segment)
            let held = shards.range(first).lowerBound..<shards.range(last - 1).upperBound
            let data = try source.functions(held)
            let workers = min(ThreadPool.threadCount, last - first)
            scratch.borrowing(workers * total) { memory in
                data.inputs.withUnsafeBufferPointer { inputs in
                    data.outputs.withUnsafeBufferPointer { outputs in
                        guard let inputs = inputs.baseAddress, let outputs = outputs.baseAddress else { return }
                        parallelFor(count: last - first, maximumWorkers: workers) { index, worker in
                            let range = shards.range(first + index)
                            let own = memory + worker * total
                            for start in stride(from: range.lowerBound, to: range.upperBound, by: n) {
                                let functions = start..<min(start + n, range.upperBound)
                                let (count, offset) = (functions.count, start - held.lowerBound)
                                let (input, work) = (inputs + offset * branch.inputs, own + counts[0])
                                var state = UnsafePointer(own)
                                switch states {
                                case .known(let known): state = known + branch.stateCount(samples: start)
                                case .forgotten, .kept:
                                    var place = own
                                    if case .kept(let kept) = states { place = kept + branch.stateCount(samples: start) }
                                    branch.forward(
                                        trunk.branch, samples: input, count: count, derivatives: derivatives, state: place)
                                    state = UnsafePointer(place)
                                }
                                body(
                                    FunctionBlock(
                                        shard: first + index, isFirst: start == range.lowerBound, functions: functions, inputs: input,
                                        targets: MatrixBlock(reading: outputs + offset * q, rows: q, columns: count), state: state,
                                        features: branch.output(of: state, count: count), work: work,
                                        values: MatrixBlock(padded: work + counts[1], rows: q, columns: count),
                                        cotangents: MatrixBlock(padded: work + counts[1] + counts[2], rows: k, columns: count)))
                            }
                        }
                    }
                }
            }
        }
    }

    // MARK: Values

    /// Predictions for all functions, Q numbers each.
    func predictions(at θ: Vector) throws -> [Double] {
        var values = [Double](repeating: 0, count: source.functionCount * points)
        try withTrunk(θ, derivatives: false) { trunk in
            try values.withUnsafeMutableBufferPointer { values in
                guard let base = values.baseAddress else { return }
                try forBlocks(trunk, derivatives: false) { block in
                    block.values.multiply(trunk.features, block.features)
                    for j in 0..<block.count {
                        let (column, place) = (
                            block.values.base + j * block.values.leading, base + (block.functions.lowerBound + j) * points
                        )
                        for i in 0..<points { place[i] = column[i] + trunk.bias }
                    }
                }
            }
        }
        return values
    }

    /// r = (T·Bᵀ + b₀ − s)/√(FQ) into `place`; returns Σr² and Σr.
    @discardableResult
    private func residual(_ block: FunctionBlock, _ trunk: TrunkEvaluation, into place: MatrixBlock, weight: Double) -> (
        squares: Double, sum: Double
    ) {
        block.values.multiply(trunk.features, block.features)
        return place.setToMisfit(of: block.values, to: block.targets, shift: trunk.bias, scale: weight)
    }

    /// r, block by block; with the branch's states kept where they are wanted for later.
    func residual(_ trunk: TrunkEvaluation, derivatives: Bool = false, states: States = .forgotten) throws -> Vector {
        var r = Vector.zeros(source.functionCount * points)
        let weight = weight
        try r.withUnsafeMutableBufferPointer { r in
            guard let base = r.baseAddress else { return }
            try forBlocks(trunk, derivatives: derivatives, states: states) { block in
                let place = MatrixBlock(base + block.functions.lowerBound * points, rows: points, columns: block.count)
                residual(block, trunk, into: place, weight: weight)
            }
        }
        return r
    }

    func residual(at θ: Vector) throws -> Vector { try withTrunk(θ, derivatives: false) { try residual($0) } }

    func loss(at θ: Vector) throws -> Double {
        let weight = weight
        return try withTrunk(θ, derivatives: false) { trunk in
            var squares = [Double](repeating: 0, count: shards.count)
            try squares.withUnsafeMutableBufferPointer { squares in
                guard let squares = squares.baseAddress else { return }
                try forBlocks(trunk, derivatives: false) { block in
                    squares[block.shard] += residual(block, trunk, into: block.values, weight: weight).squares
                }
            }
            return squares.reduce(0, +) / 2
        }
    }

    func lossAndGradient(at θ: Vector) throws -> (loss: Double, gradient: Vector) {
        let weight = weight
        var squares = [Double](repeating: 0, count: shards.count)
        let gradient = try withTrunk(θ, derivatives: true) { trunk in
            try squares.withUnsafeMutableBufferPointer { squares in
                guard let squares = squares.baseAddress else { preconditionFailure("no functions") }
                return try pullBack(trunk) { add in
                    try forBlocks(trunk, derivatives: true) { block in
                        let sums = residual(block, trunk, into: block.values, weight: weight)
                        squares[block.shard] += sums.squares
                        add(block, block.values, sums.sum)
                    }
                }
            }
        }
        return (squares.reduce(0, +) / 2, gradient)
    }
}
