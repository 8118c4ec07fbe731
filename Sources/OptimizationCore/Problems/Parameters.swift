import LinearAlgebra

/// A named piece of the parameter vector with a shape: a layer's weights, a layer's bias, a trainable coefficient.
public struct ParameterBlock: Sendable, Hashable {
    public let name: String
    /// The extents, the last index running fastest.
    public let shape: [Int]
    /// Where the block begins in the parameter vector.
    public let offset: Int

    public var count: Int { shape.reduce(1, *) }
    public var range: Range<Int> { offset..<(offset + count) }
}

/// How one contiguous parameter vector θ ∈ ℝᴾ divides into named blocks.
public struct ParameterLayout: Sendable, Hashable {
    public let blocks: [ParameterBlock]

    /// P, the number of parameters.
    public var count: Int { blocks.last.map(\.range.upperBound) ?? 0 }

    /// Blocks in the order in which they lie in the vector. Names must differ.
    public init(_ blocks: [(name: String, shape: [Int])]) {
        var (offset, laid) = (0, [ParameterBlock]())
        for (name, shape) in blocks {
            precondition(shape.allSatisfy { $0 >= 0 }, "block “\(name)” has a negative extent: \(shape)")
            precondition(!laid.contains { $0.name == name }, "two parameter blocks are named “\(name)”")
            laid.append(ParameterBlock(name: name, shape: shape, offset: offset))
            offset += shape.reduce(1, *)
        }
        self.blocks = laid
    }

    /// One unnamed vector: what an analytic test function has.
    public init(count: Int) { self.init([("x", [count])]) }

    public subscript(name: String) -> ParameterBlock? { blocks.first { $0.name == name } }
}

/// The parameters of a model: one contiguous vector and the layout that names its blocks.
public struct Parameters: Sendable, Hashable {
    public let layout: ParameterLayout
    public var values: Vector {
        didSet { precondition(values.count == layout.count, "\(values.count) values for \(layout.count) parameters") }
    }

    public init(layout: ParameterLayout, values: Vector) {
        precondition(values.count == layout.count, "\(values.count) values for \(layout.count) parameters")
        (self.layout, self.values) = (layout, values)
    }

    public init(_ values: Vector) { self.init(layout: ParameterLayout(count: values.count), values: values) }

    public var count: Int { values.count }

    /// The same layout with other values.
    public func with(_ values: Vector) -> Parameters { Parameters(layout: layout, values: values) }

    /// The values of a block.
    public func block(_ name: String) -> [Double]? { layout[name].map { Array(values.elements[$0.range]) } }
}

extension Parameters: Checkpointable {
    public func encode(into archive: inout Archive) {
        archive.set("values", values)
        archive.set("blocks", layout.blocks.map(\.name))
        archive.set("shapes", layout.blocks.map { $0.shape.map(String.init).joined(separator: "×") })
    }

    public init(from archive: Archive) throws {
        let shapes = try archive.strings("shapes").map { text -> [Int] in
            try text.split(separator: "×").map {
                guard let extent = Int($0), extent >= 0 else { throw ArchiveError(entry: "shapes", reason: "“\(text)” is not a shape") }
                return extent
            }
        }
        let names = try archive.strings("blocks")
        guard names.count == shapes.count, Set(names).count == names.count else {
            throw ArchiveError(entry: "blocks", reason: "\(names.count) names for \(shapes.count) shapes, or a name twice")
        }
        let values = try archive.vector("values")
        // In floating point, where no product overflows; a zero does not hide what it is multiplied by.
        guard shapes.allSatisfy({ $0.reduce(1.0) { $0 * Double(max(1, $1)) } <= 0x1p40 }), shapes.count < 1 << 20 else {
            throw ArchiveError(entry: "shapes", reason: "are larger than any memory")
        }
        let layout = ParameterLayout(zip(names, shapes).map { ($0, $1) })
        guard values.count == layout.count else {
            throw ArchiveError(entry: "values", reason: "\(values.count) values for \(layout.count) parameters")
        }
        self.init(layout: layout, values: values)
    }
}
