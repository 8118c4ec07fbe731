import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Methods that act on each block of θ by itself: on a layer's weights as a matrix, on its biases as a vector.
///
/// A block with more than two extents counts as a matrix of its first extent by all others.
public protocol BlockwiseMethod: FirstOrderMethod where Memory == BlockwiseMemory<Block> {
    associatedtype Block: BlockMemory

    /// The memory of a block before the first step. The first and the last matrix of θ are not `inner`.
    func start(_ shape: BlockShape, isInner: Bool) -> Block

    /// Replaces the gradient of a block at θ by its update; the block's step is θ⁺ = θ − Δ. `step` counts from 1.
    func update(_ g: inout Vector, at θ: Vector, step: Int, block: inout Block)
}

/// What a method remembers of a block.
public protocol BlockMemory: Checkpointable, Equatable {
    var shape: BlockShape { get }
}

/// Where a block lies in θ, and its extents; a vector has one column. Entry (i, j) is at offset + i·columns + j.
public struct BlockShape: Checkpointable, Hashable {
    public var offset: Int
    public var rows: Int
    public var columns: Int
    public var isMatrix: Bool

    public init(_ block: ParameterBlock) {
        (offset, isMatrix) = (block.offset, block.shape.count >= 2)
        rows = isMatrix ? block.shape[0] : block.count
        columns = isMatrix ? block.shape.dropFirst().reduce(1, *) : 1
    }

    public var count: Int { rows * columns }
    public var range: Range<Int> { offset..<(offset + count) }

    public func encode(into archive: inout Archive) {
        archive.set("extents", [offset, rows, columns])
        archive.set("isMatrix", isMatrix)
    }

    public init(from archive: Archive) throws {
        let extents = try archive.counts("extents")
        guard extents.count == 3, extents.allSatisfy({ $0 <= Int(Int32.max) }) else {
            throw ArchiveError(entry: "extents", reason: "\(extents) should be offset, rows and columns")
        }
        (offset, rows, columns) = (extents[0], extents[1], extents[2])
        isMatrix = try archive.bool("isMatrix")
    }

    /// The block's values as the matrix that they are by columns: the block's transpose, columns × rows.
    func matrix(_ values: Vector) -> Matrix { Matrix(rows: columns, columns: rows, elements: values.elements) }

    /// Throws where a stored vector is not of this block.
    func check(_ values: Vector, _ entry: String) throws {
        guard values.count == count else { throw ArchiveError(entry: entry, reason: "\(values.count) values for a block of \(count)") }
    }

    /// Throws where a stored matrix is not square of one of the two orders.
    func check(_ matrix: Matrix?, order: Int, _ entry: String) throws {
        guard let matrix, matrix.rows != order || matrix.columns != order else { return }
        throw ArchiveError(entry: entry, reason: "\(matrix.rows) × \(matrix.columns) where \(order) × \(order) belongs")
    }
}

/// The memories of all blocks, in the order of θ.
public struct BlockwiseMemory<Block: BlockMemory>: Checkpointable, Equatable {
    public var blocks: [Block]

    public init(_ blocks: [Block]) { self.blocks = blocks }

    public func encode(into archive: inout Archive) {
        archive.set("count", blocks.count)
        for (index, block) in blocks.enumerated() { archive.set("block \(index)", block) }
    }

    public init(from archive: Archive) throws {
        blocks = try (0..<(try archive.count("count"))).map { try archive.value("block \($0)") }
        var end = 0
        for block in blocks {
            guard block.shape.offset == end else { throw ArchiveError(entry: "block", reason: "the blocks do not follow one another") }
            end = block.shape.range.upperBound
        }
    }
}

extension BlockwiseMethod {
    public func start(count n: Int) -> Memory { start(layout: ParameterLayout(count: n)) }

    public func start(layout: ParameterLayout) -> Memory {
        let shapes = layout.blocks.map { BlockShape($0) }
        let matrices = shapes.filter(\.isMatrix).map(\.offset)
        return Memory(shapes.map { start($0, isInner: $0.isMatrix && $0.offset != matrices.first && $0.offset != matrices.last) })
    }

    public func update(_ gradient: inout Vector, at parameters: Vector, step: Int, memory: inout Memory) {
        let count = memory.blocks.last?.shape.range.upperBound ?? 0
        precondition(count == gradient.count, "blocks of \(count) parameters for a gradient of \(gradient.count)")
        for index in memory.blocks.indices {
            let range = memory.blocks[index].shape.range
            var g = Vector(gradient.elements[range])
            update(&g, at: Vector(parameters.elements[range]), step: step, block: &memory.blocks[index])
            for (i, value) in zip(range, g) { gradient[i] = value }
        }
    }
}

/// 1/(1 − βᵏ): what a running mean that began at zero is short of after k steps.
func correction(_ β: Double, after step: Int) -> Double { 1 / (1 - pow(β, Double(step))) }

extension Archive {
    /// A matrix that may be missing.
    func matrixIfPresent(_ name: String) throws -> Matrix? { self[name] == nil ? nil : try matrix(name) }

    mutating func setIfPresent(_ name: String, _ matrix: Matrix?) { if let matrix { set(name, matrix) } }
}
