import OptimizationCore

/// Samples of an operator G: a ↦ s in Cartesian-product form, of which any part can be had: F input functions a at S sensors
/// and the F output functions s at Q points that all of them share.
public protocol OperatorDataSource: Sendable {
    var grid: OperatorGrid { get }
    /// F, the number of functions.
    var functionCount: Int { get }
    /// Where the data come from: generator, seed, accuracy. Part of a run's identity.
    var provenance: Setting { get }
    /// How many functions are best asked for at a time: all of those in memory, a block of those that are read or made.
    var blockCount: Int { get }

    /// Some consecutive functions, in memory. Throws where they cannot be read.
    func functions(_ range: Range<Int>) throws -> OperatorData
    /// The functions of these indices, in this order, in memory. Throws where they cannot be read.
    func functions(at indices: [Int]) throws -> OperatorData
}

extension OperatorDataSource {
    public var blockCount: Int { 2048 }

    /// All functions, in memory: F·(S + Q) doubles.
    public func loaded() throws -> OperatorData { try functions(0..<functionCount) }

    /// Assembled from runs of consecutive indices.
    public func functions(at indices: [Int]) throws -> OperatorData {
        var (inputs, outputs) = ([Double](), [Double]())
        inputs.reserveCapacity(indices.count * grid.sensorCount)
        outputs.reserveCapacity(indices.count * grid.pointCount)
        var position = 0
        while position < indices.count {
            var end = position + 1
            while end < indices.count, indices[end] == indices[end - 1] + 1 { end += 1 }
            let run = try functions(indices[position]..<(indices[end - 1] + 1))
            inputs += run.inputs
            outputs += run.outputs
            position = end
        }
        return OperatorData(grid: grid, inputs: inputs, outputs: outputs, provenance: provenance)
    }

    /// Parts of the given sizes, disjoint and drawn at random: a function belongs to one part with all its points, so that a
    /// test error is an error on functions that training never saw.
    public func split(_ counts: [Int], random: inout RandomStream) -> [OperatorSubset] {
        precondition(counts.allSatisfy { $0 >= 0 }, "parts of \(counts) functions")
        let wanted = counts.reduce(0, +)
        precondition(wanted <= functionCount, "\(wanted) functions wanted of \(functionCount)")
        let order = random.permutation(of: functionCount)
        var start = 0
        return counts.map { count in
            defer { start += count }
            return OperatorSubset(of: self, indices: order[start..<(start + count)].sorted())
        }
    }
}

/// Operator data in memory.
public struct OperatorData: OperatorDataSource, Hashable {
    public let grid: OperatorGrid
    /// The input functions at the sensors: S numbers a function, function after function.
    public let inputs: [Double]
    /// The output functions at the points: Q numbers a function, function after function.
    public let outputs: [Double]
    public let provenance: Setting
    public let functionCount: Int

    public init(grid: OperatorGrid, inputs: [Double], outputs: [Double], provenance: Setting = .map([])) {
        precondition(grid.sensorCount > 0 && grid.pointCount > 0, "data without sensors or points")
        functionCount = inputs.count / grid.sensorCount
        precondition(
            inputs.count == functionCount * grid.sensorCount && outputs.count == functionCount * grid.pointCount,
            "\(inputs.count) inputs and \(outputs.count) outputs for \(grid.sensorCount) sensors and \(grid.pointCount) points")
        (self.grid, self.inputs, self.outputs, self.provenance) = (grid, inputs, outputs, provenance)
    }

    public var blockCount: Int { max(1, functionCount) }

    public func functions(_ range: Range<Int>) -> OperatorData {
        precondition(range.lowerBound >= 0 && range.upperBound <= functionCount, "functions \(range) of \(functionCount)")
        if range == 0..<functionCount { return self }
        let (s, q) = (grid.sensorCount, grid.pointCount)
        return OperatorData(
            grid: grid, inputs: Array(inputs[(range.lowerBound * s)..<(range.upperBound * s)]),
            outputs: Array(outputs[(range.lowerBound * q)..<(range.upperBound * q)]), provenance: provenance)
    }
}

/// Some functions of a source.
public struct OperatorSubset: OperatorDataSource {
    public let base: any OperatorDataSource
    /// The indices in the base.
    public let indices: [Int]

    public init(of base: any OperatorDataSource, indices: [Int]) {
        precondition(indices.allSatisfy { $0 >= 0 && $0 < base.functionCount }, "an index beyond the \(base.functionCount) functions")
        (self.base, self.indices) = (base, indices)
    }

    public var grid: OperatorGrid { base.grid }
    public var functionCount: Int { indices.count }
    public var provenance: Setting { base.provenance }

    public func functions(_ range: Range<Int>) throws -> OperatorData { try base.functions(at: Array(indices[range])) }
    public func functions(at positions: [Int]) throws -> OperatorData { try base.functions(at: positions.map { indices[$0] }) }
}
