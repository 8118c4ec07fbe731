import Globalization
import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// From what the running means of Kronecker factors begin.
public enum FactorStart: String, CaseIterable, Sendable, Hashable {
    /// A = I, B = I, forgotten with the first factors' weights: the first steps are cautious.
    case identity
    /// Zero, what the mean is short of being made up for: the first step has the first factors.
    case zero
}

/// The running means of one layer's Kronecker products.
public struct LayerAverage: Checkpointable, Equatable {
    public var offset: Int
    public var pairs: [KroneckerPair]

    public init(offset: Int, pairs: [KroneckerPair]) { (self.offset, self.pairs) = (offset, pairs) }

    public func encode(into archive: inout Archive) {
        archive.set("offset", offset)
        archive.set("count", pairs.count)
        for (index, pair) in pairs.enumerated() { archive.set("pair \(index)", pair) }
    }

    public init(from archive: Archive) throws {
        offset = try archive.count("offset")
        pairs = try (0..<(try archive.count("count"))).map { try archive.value("pair \($0)") }
        guard let first = pairs.first,
            pairs.allSatisfy({ $0.input.rows == first.input.rows && $0.output.rows == first.output.rows })
        else { throw ArchiveError(entry: "count", reason: "a layer's Kronecker products are missing or of several shapes") }
    }
}

/// Where a method with Kronecker factors stands, the factors' means, and its memory of the last steps.
public struct KroneckerState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    public var layers: [LayerAverage] = []
    /// k, the factors that the means have taken in.
    public var count = 0
    /// The momentum, or the last step, in ℝᴾ.
    public var memory: Vector?
    /// All steps taken.
    public var steps = 0
    /// The factor of every step: 1, or halved by each recovery from a breakdown that shortens steps.
    public var stepScale = 1.0

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("layers", layers.count)
        for (index, layer) in layers.enumerated() { archive.set("layer \(index)", layer) }
        archive.set("count", count)
        archive.set("memory", memory?.elements ?? [])
        archive.set("steps", steps)
        archive.set("stepScale", stepScale)
    }

    public init(from archive: Archive) throws {
        self.init(standpoint: try archive.value("standpoint"))
        layers = try (0..<(try archive.count("layers"))).map { try archive.value("layer \($0)") }
        let covered = layers.reduce(0) { $0 + $1.pairs[0].input.rows * $1.pairs[0].output.rows }
        guard layers.isEmpty || covered == parameters.count else {
            throw ArchiveError(entry: "layers", reason: "factors of \(covered) of \(parameters.count) parameters")
        }
        let stored = try archive.vector("memory")
        guard stored.isEmpty || stored.count == parameters.count else {
            throw ArchiveError(entry: "memory", reason: "\(stored.count) values for \(parameters.count) parameters")
        }
        memory = stored.isEmpty ? nil : stored
        (count, steps) = (try archive.count("count"), try archive.count("steps"))
        stepScale = try archive.double("stepScale")
    }

    /// The means of the factors, with what they are short of made up for.
    func pairs(of layer: LayerAverage, keeping β: Double, from start: FactorStart) -> [KroneckerPair] {
        guard start == .zero else { return layer.pairs }
        let share = 1 / (1 - pow(β, Double(count)))
        return layer.pairs.map { pair in
            var pair = pair
            pair.input.scale(by: share)
            pair.output.scale(by: share)
            return pair
        }
    }

    /// Takes in the factors at one point; `grouped` says which terms' products are merged.
    mutating func observe(
        _ curvatures: [LayerCurvature], keeping β: Double, from start: FactorStart, grouped: ([KroneckerProduct]) -> [[KroneckerProduct]]
    ) {
        let fresh = curvatures.map { curvature in
            LayerAverage(offset: curvature.offset, pairs: grouped(curvature.terms).map { KroneckerPair($0) })
        }
        func shapes(_ layers: [LayerAverage]) -> [[Int]] {
            layers.map { [$0.offset] + $0.pairs.flatMap { [$0.input.rows, $0.output.rows] } }
        }
        if shapes(layers) != shapes(fresh) {
            func begun(_ n: Int) -> Matrix { start == .identity ? .identity(n) : .zeros(n, n) }
            layers = fresh.map { layer in
                LayerAverage(
                    offset: layer.offset,
                    pairs: layer.pairs.map { KroneckerPair(input: begun($0.input.rows), output: begun($0.output.rows)) })
            }
            count = 0
        }
        for (l, layer) in fresh.enumerated() {
            for (p, pair) in layer.pairs.enumerated() {
                layers[l].pairs[p].input.scale(by: β)
                layers[l].pairs[p].input.add(pair.input, scaledBy: 1 - β)
                layers[l].pairs[p].output.scale(by: β)
                layers[l].pairs[p].output.add(pair.output, scaledBy: 1 - β)
            }
        }
        count += 1
    }
}

/// Parameters that are of no affine layer.
struct UncoveredParameters: Error, CustomStringConvertible {
    var description: String
}

extension LayeredCurvatureProblem {
    /// The factors at θ. Throws where a parameter is of no layer.
    func completeCurvatures(at θ: Vector, for method: String) throws -> [LayerCurvature] {
        let curvatures = try layerCurvatures(at: θ)
        var end = 0
        for range in curvatures.map(\.range) + [θ.count..<θ.count] {
            guard range.lowerBound <= end else {
                let block = layout.blocks.first { $0.range.contains(end) }?.name ?? "\(end)"
                throw UncoveredParameters(
                    description: "\(method): the parameters “\(block)” of \(name) are of no affine layer and have no Kronecker factors; "
                        + "take natural-gradient or a plain network")
            }
            end = range.upperBound
        }
        return curvatures
    }
}
