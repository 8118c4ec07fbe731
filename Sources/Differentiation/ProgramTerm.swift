/// A term of a loss: what is evaluated, where, and what is made of it.
///
/// Without weights a sum of squares, ½‖s·r‖²; with them an integral, s²·Σᵢ wᵢ·Σₖ eₖ(zᵢ; xᵢ), in which the function's values are
/// an energy density at the nodes xᵢ of a quadrature rule with weights wᵢ. An integral has no residuals: a program with
/// one gives losses, gradients and H·v, but no J.
public struct ProgramTerm: Sendable {
    public var name: String
    public var function: any PointwiseFunction
    /// The points by coordinate: `points[i][k]` is the i-th coordinate of point k. Of tuples: all coordinates of their points 0, then of
    /// their points 1, ….
    public var points: [[Double]]
    /// The columns of pointwise data, of one entry a point.
    public var data: [[Double]]
    /// s = √(weight / number of points) of a sum of squares; 1, if nothing else is wanted, of an integral.
    public var scale: Double
    /// w, one entry a point, of an integral; nil for a sum of squares.
    public var weights: [Double]?

    public init(name: String, function: any PointwiseFunction, points: [[Double]], data: [[Double]] = [], scale: Double) {
        (self.name, self.function, self.points, self.data, self.scale) = (name, function, points, data, scale)
    }

    /// An integral of the function by a quadrature rule.
    public init(
        name: String, integrand: any PointwiseFunction, points: [[Double]], data: [[Double]] = [], weights: [Double], scale: Double = 1
    ) {
        self.init(name: name, function: integrand, points: points, data: data, scale: scale)
        self.weights = weights
    }

    public var pointCount: Int { points.first?.count ?? 0 }
    /// The entries of the residual vector: none of an integral.
    public var residualCount: Int { weights == nil ? function.residualCount * pointCount : 0 }
}

/// A term as the passes use it: its points in one piece, where its channels lie, and the layout of a block.
///
/// What the passes of all threads share are objects that never change: copies of structures with many parts would count references,
/// and two cores that count in the same place wait for each other.
final class CompiledTerm: Sendable {
    let name: String
    let function: any PointwiseFunction
    let scale: Double
    let count: Int
    let coordinates: Columns<Double>
    let data: Columns<Double>
    /// One column, of an integral's weights; nil for a sum of squares.
    let weights: Columns<Double>?
    let rules: JetRules
    /// The points of a tuple.
    let arity: Int
    /// For every input of the function, where it comes from.
    let inputs: [Input]
    /// The trained numbers that the function reads.
    let scalars: [Int]
    let partials: [(residual: Int, input: Int)]
    let secondPartials: [(residual: Int, first: Int, second: Int)]
    let residuals: Int
    /// Where the term's residuals begin in the residual vector.
    let residualOffset: Int
    /// The points of a full block.
    let blockSize: Int
    let precision: JetPrecision

    enum Input: Sendable {
        /// A channel of one of the network's outputs at a point of the tuple.
        case output(field: Int, channel: Int, point: Int)
        /// A trained number: a column of those that the term reads.
        case scalar(Int)
    }

    init(_ term: ProgramTerm, of network: CompiledNetwork, options: ProgramOptions, residualOffset: Int) {
        let function = term.function
        let name = term.name
        precondition(
            function.dimension == network.dimension && term.points.count == function.arity * network.dimension,
            "term \(name): \(term.points.count) columns of coordinates, a residual of \(function.arity) points in \(function.dimension), "
                + "a network in \(network.dimension)")
        precondition(
            function.channels.allSatisfy {
                $0.field >= 0 && $0.field < network.outputs && $0.point >= 0 && $0.point < function.arity
            }, "term \(name) reads a field beyond the network's \(network.outputs), or a point beyond the tuple's \(function.arity)")
        precondition(
            function.scalars.allSatisfy { $0 >= 0 && $0 < network.scalarCount },
            "term \(name) reads a trained number beyond the network's \(network.scalarCount)")
        precondition(term.data.count == function.dataCount, "term \(name): \(term.data.count) columns of data, not \(function.dataCount)")
        precondition(
            (term.points + term.data).allSatisfy { $0.count == term.pointCount }, "term \(name): columns of different lengths")
        self.name = name
        self.function = function
        scale = term.scale
        count = term.pointCount
        coordinates = Columns(term.points, count: count)
        data = Columns(term.data, count: count)
        weights = term.weights.map { [count] weights in
            precondition(weights.count == count, "term \(name): \(weights.count) quadrature weights for \(count) points")
            return Columns([weights], count: count)
        }
        let space = JetSpace(containing: function.channels, dimension: network.dimension)
        precondition(
            space.coefficientCount <= function.coefficientCount,
            "term \(name): operators read \(space.coefficientCount) columns of factors, the function has \(function.coefficientCount)")
        precondition(
            function.arity == 1 || function.coefficientCount == 0, "term \(name): operators with pointwise factors on tuples of points")
        rules = JetRules(
            space, generic: options.usesGenericRule, needsTables: network.needsTables, needsProducts: network.needsProducts)
        arity = function.arity
        scalars = function.scalars
        inputs =
            function.channels.map { .output(field: $0.field, channel: space.channel(of: $0), point: $0.point) }
            + function.scalars.indices.map { .scalar($0) }
        partials = function.partials
        secondPartials = function.secondPartials
        residuals = function.residualCount
        self.residualOffset = residualOffset
        precision = options.precision
        let padding = precision.padding
        blockSize =
            options.blockSize.map { ($0 + padding - 1) / padding * padding }
            ?? padding * CompiledTerm.blockVectors(channels: space.count * function.arity, points: (count + padding - 1) / padding)
    }

    var blockCount: Int { (count + blockSize - 1) / blockSize }

    /// A number of points, filled up to whole vectors.
    func padded(_ points: Int) -> Int { (points + precision.padding - 1) / precision.padding * precision.padding }

    var residualTotal: Int { weights == nil ? residuals * count : 0 }

    /// About 256 rows (of Double; as many bytes of Float), so that a block's passes stay in cache, of an odd number of vectors' points, so that the
    /// columns of its matrices do not fall on the same few cache lines. Burgers, 10 000 points, one core, 24 / 40 / 56 / 72 points a block: 8 × 20
    /// 9.1 / 8.5 / 8.4 / 8.4 ms; 4 × 50 19.9 / 19.1 / 18.9 / 18.2 ms; 4 × 128 113 / 106 / 103 / 101 ms. With very many channels, as
    /// a Laplacian in 100 dimensions has, a single vector.
    ///
    /// Blocks share the points evenly, so that threads do: of `points` vectors, 38 are two blocks of 19, not 31 and 7.
    private static func blockVectors(channels: Int, points: Int) -> Int {
        let most = min(max(256 / (8 * channels), channels < 24 ? 3 : 1) | 1, 31)
        let blocks = max(1, (points + most - 1) / most)
        return max(1, (points + blocks - 1) / blocks) | 1
    }
}

/// Columns of equal length in one piece of memory that never changes.
// Sendable: the memory is written in `init` only.
final class Columns<Scalar: BinaryFloatingPoint & Sendable>: @unchecked Sendable {
    private let base: MutableNumbers<Scalar>
    let count: Int

    init(_ columns: [[Scalar]], count: Int) {
        self.count = count
        base = .allocate(capacity: max(1, columns.count * count))
        for (i, column) in columns.enumerated() {
            column.withUnsafeBufferPointer { buffer in
                if let source = buffer.baseAddress { (base + i * count).initialize(from: source, count: count) }
            }
        }
    }

    deinit { base.deallocate() }

    func column(_ i: Int) -> Numbers<Scalar> { Numbers(base + i * count) }
}
