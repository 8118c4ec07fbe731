import LinearAlgebra
import OperatorLearning

// Letters: F functions, Q points, K features; B ∈ ℝᶠˣᴷ the branch's features, T ∈ ℝᵠˣᴷ the trunk's; predictions T·Bᵀ + b₀ ∈ ℝᵠˣᶠ, a column
// a function, as the targets lie in memory. A bar marks a cotangent, a dot a tangent.

/// How F functions are divided: into shards, whose sums are added in their order, and these into blocks.
struct FunctionShards {
    let count: Int
    let size: Int
    let functions: Int
    /// At most so many functions are evaluated at once.
    let blockSize: Int

    /// Decided by F and Q alone: at most 32 shards, blocks whose residuals stay within a megabyte.
    init(functions: Int, points: Int) {
        self.functions = functions
        blockSize = min(64, max(8, (1 << 17) / max(1, points) / 8 * 8))
        size = max(32, ((functions + 31) / 32 + 7) / 8 * 8)
        count = (functions + size - 1) / size
    }

    func range(_ shard: Int) -> Range<Int> { (shard * size)..<min(functions, (shard + 1) * size) }
}

/// A block of functions under evaluation, in the memory of the worker that has it.
struct FunctionBlock {
    let shard: Int
    /// The block's functions among all.
    let functions: Range<Int>
    /// The input functions, S × n.
    let inputs: UnsafePointer<Double>
    /// The output functions, Q × n.
    let targets: UnsafePointer<Double>
    /// The branch's state, and its features B, n × K.
    let state: UnsafePointer<Double>
    let features: MatrixBlock
    let work: UnsafeMutablePointer<Double>
    /// Q × n doubles, and n × K doubles, of scratch.
    let values: MatrixBlock
    let cotangents: MatrixBlock

    var count: Int { functions.count }
}

/// The passes over a source of operator data at one θ.
struct DeepONetPasses {
    let model: DeepONet
    let source: any OperatorDataSource
    let scratch: ScratchPool

    var points: Int { source.grid.pointCount }
    var shards: FunctionShards { FunctionShards(functions: source.functionCount, points: points) }
    /// 1/√(F·Q).
    var weight: Double { 1 / Double(source.functionCount * points).squareRoot() }

    // MARK: The trunk

    /// The points go in shards too.
    static let pointShard = 128
    var pointShards: Int { (points + Self.pointShard - 1) / Self.pointShard }

    func pointRange(_ shard: Int) -> Range<Int> { (shard * Self.pointShard)..<min(points, (shard + 1) * Self.pointShard) }

    /// Calls `body` with a shard of the points, its coordinates, its state within `states`, and the worker's scratch.
    func forPoints(
        _ states: UnsafeMutablePointer<Double>,
        _ body: (
            _ shard: Int, _ range: Range<Int>, _ points: UnsafePointer<Double>, _ state: UnsafeMutablePointer<Double>,
            _ work: UnsafeMutablePointer<Double>
        ) -> Void
    ) {
        let workCount = model.trunk.workCount(samples: Self.pointShard)
        let workers = min(ThreadPool.threadCount, pointShards)
        scratch.borrowing(workers * workCount) { work in
            source.grid.points.withUnsafeBufferPointer { coordinates in
                guard let coordinates = coordinates.baseAddress else { return }
                parallelFor(count: pointShards, maximumWorkers: workers) { shard, worker in
                    let range = pointRange(shard)
                    body(
                        shard, range, coordinates + range.lowerBound * source.grid.pointDimension,
                        states + model.trunk.stateCount(samples: range.lowerBound), work + worker * workCount)
                }
            }
        }
    }

    /// T, with the trunk's state for later passes.
    func trunkForward(
        _ θ: UnsafePointer<Double>, states: UnsafeMutablePointer<Double>, features T: MatrixBlock, derivatives: Bool
    ) {
        forPoints(states) { _, range, points, state, work in
            let block = model.trunk.forward(
                θ + model.trunkOffset, samples: points, count: range.count, derivatives: derivatives, state: state, work: work)
            T[range, 0..<model.features].copy(block)
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
    func forBlocks(_ θ: UnsafePointer<Double>, derivatives: Bool, states: States = .forgotten, _ body: (FunctionBlock) -> Void) throws {
        let (branch, shards, q, k) = (model.branch, self.shards, points, model.features)
        let n = min(shards.blockSize, source.functionCount)
        let counts = [branch.stateCount(samples: n), branch.workCount(samples: n), q * n, n * k]
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
                                        θ, samples: input, count: count, derivatives: derivatives, state: place, work: work)
                                    state = UnsafePointer(place)
                                }
                                body(
                                    FunctionBlock(
                                        shard: first + index, functions: functions, inputs: input, targets: outputs + offset * q,
                                        state: state, features: branch.output(of: state, count: count), work: work,
                                        values: MatrixBlock(work + counts[1], rows: q, columns: count),
                                        cotangents: MatrixBlock(work + counts[1] + counts[2], rows: count, columns: k)))
                            }
                        }
                    }
                }
            }
        }
    }

    /// Calls `body` with θ, T and the trunk's states.
    func withTrunk<R>(
        _ θ: Vector, derivatives: Bool,
        _ body: (_ θ: UnsafePointer<Double>, _ T: MatrixBlock, _ states: UnsafeMutablePointer<Double>) throws -> R
    ) rethrows -> R {
        precondition(θ.count == model.layout.count, "\(θ.count) values for \(model.layout.count) parameters")
        let stateCount = model.trunk.stateCount(samples: points)
        return try scratch.borrowing(stateCount + points * model.features) { memory in
            try θ.withUnsafeBufferPointer { θ in
                guard let θ = θ.baseAddress else { preconditionFailure("a model without parameters") }
                let T = MatrixBlock(memory + stateCount, rows: points, columns: model.features)
                trunkForward(θ, states: memory, features: T, derivatives: derivatives)
                return try body(θ, T, memory)
            }
        }
    }

    // MARK: Values

    /// Predictions for all functions, Q numbers each.
    func predictions(at θ: Vector) throws -> [Double] {
        var values = [Double](repeating: 0, count: source.functionCount * points)
        try withTrunk(θ, derivatives: false) { θ, T, _ in
            try values.withUnsafeMutableBufferPointer { values in
                guard let base = values.baseAddress else { return }
                try forBlocks(θ, derivatives: false) { block in
                    predict(block, θ, T, into: MatrixBlock(base + block.functions.lowerBound * points, rows: points, columns: block.count))
                }
            }
        }
        return values
    }

    /// T·Bᵀ + b₀.
    private func predict(_ block: FunctionBlock, _ θ: UnsafePointer<Double>, _ T: MatrixBlock, into values: MatrixBlock) {
        values.base.update(repeating: θ[model.biasOffset], count: values.rows * values.columns)
        values.set(toProductOf: T, and: block.features, transposingSecond: true, plus: 1)
    }

    /// r = (T·Bᵀ + b₀ − s)/√(FQ); returns ‖r‖².
    @discardableResult
    private func residual(
        _ block: FunctionBlock, _ θ: UnsafePointer<Double>, _ T: MatrixBlock, into values: MatrixBlock, weight: Double
    ) -> Double {
        predict(block, θ, T, into: values)
        let (r, s) = (values.base, block.targets)
        var squares = 0.0
        for i in 0..<(values.rows * values.columns) {
            let difference = (r[i] - s[i]) * weight
            r[i] = difference
            squares += difference * difference
        }
        return squares
    }

    func residual(at θ: Vector, derivatives: Bool = false, states: States = .forgotten) throws -> Vector {
        var r = Vector.zeros(source.functionCount * points)
        let weight = weight
        try withTrunk(θ, derivatives: false) { θ, T, _ in
            try r.withUnsafeMutableBufferPointer { r in
                guard let base = r.baseAddress else { return }
                try forBlocks(θ, derivatives: derivatives, states: states) { block in
                    let place = MatrixBlock(base + block.functions.lowerBound * points, rows: points, columns: block.count)
                    residual(block, θ, T, into: place, weight: weight)
                }
            }
        }
        return r
    }

    func loss(at θ: Vector) throws -> Double {
        let weight = weight
        return try withTrunk(θ, derivatives: false) { θ, T, _ in
            var squares = [Double](repeating: 0, count: shards.count)
            try squares.withUnsafeMutableBufferPointer { squares in
                guard let squares = squares.baseAddress else { return }
                try forBlocks(θ, derivatives: false) { block in
                    squares[block.shard] += residual(block, θ, T, into: block.values, weight: weight)
                }
            }
            return squares.reduce(0, +) / 2
        }
    }

    func lossAndGradient(at θ: Vector) throws -> (loss: Double, gradient: Vector) {
        let weight = weight
        var squares = [Double](repeating: 0, count: shards.count)
        let gradient = try withTrunk(θ, derivatives: true) { θ, T, states in
            try squares.withUnsafeMutableBufferPointer { squares in
                guard let squares = squares.baseAddress else { preconditionFailure("no functions") }
                return try pullBack(θ, T, trunkStates: states) { add in
                    try forBlocks(θ, derivatives: true) { block in
                        squares[block.shard] += residual(block, θ, T, into: block.values, weight: weight)
                        add(block, block.values)
                    }
                }
            }
        }
        return (squares.reduce(0, +) / 2, gradient)
    }
}
