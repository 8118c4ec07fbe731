import LinearAlgebra
import OptimizationCore

/// Bounds of parameters, by the names of their blocks: `{conductivity: [0, inf], source: [-1, 1]}`; `all` stands for every block.
public struct ParameterBounds: Sendable, Hashable {
    public struct Entry: Sendable, Hashable {
        public var block: String
        public var lower: Double
        public var upper: Double
    }

    /// The entries; a block's own goes before `all`.
    public private(set) var entries: [Entry]

    /// No bounds.
    public init() { entries = [] }

    public init(_ intervals: KeyValuePairs<String, ClosedRange<Double>>) {
        entries = intervals.map { Entry(block: $0.key, lower: $0.value.lowerBound, upper: $0.value.upperBound) }
    }

    static let everything = "all"

    /// The box for parameters of a layout. Throws where an entry names no block.
    func box(for layout: ParameterLayout) throws -> Box {
        var box = Box(lower: Vector(repeating: -.infinity, count: layout.count), upper: Vector(repeating: .infinity, count: layout.count))
        for entry in entries.sorted(by: { $0.block == ParameterBounds.everything && $1.block != ParameterBounds.everything }) {
            let range: Range<Int>
            if entry.block == ParameterBounds.everything {
                range = 0..<layout.count
            } else if let block = layout[entry.block] {
                range = block.range
            } else {
                let known = nearest(to: entry.block, among: layout.blocks.map(\.name)).joined(separator: ", ")
                throw ConfigurationError(
                    path: "bounds.\(entry.block)",
                    reason: "is no block of the problem's parameters; there are: \(known), \(ParameterBounds.everything)")
            }
            for i in range { (box.lower[i], box.upper[i]) = (entry.lower, entry.upper) }
        }
        return box
    }

    var setting: Setting {
        .map(entries.map { Setting.Pair($0.block, .list([.scalar("\($0.lower)"), .scalar("\($0.upper)")])) })
    }

    init(_ setting: Setting, path: String) throws {
        guard case .map(let pairs) = setting.value else {
            throw ConfigurationError(path: path, line: setting.line, reason: "should be a map such as {conductivity: [0, inf]}")
        }
        entries = try pairs.map { pair in
            guard case .list(let ends) = pair.value.value, ends.count == 2, let lower = ends[0].text.flatMap(Double.init),
                let upper = ends[1].text.flatMap(Double.init), lower <= upper, lower < .infinity, upper > -.infinity
            else {
                throw ConfigurationError(
                    path: "\(path).\(pair.key)", line: pair.value.line,
                    reason: "“\(pair.value)” should be [least, greatest], -inf and inf where there is none")
            }
            return Entry(block: pair.key, lower: lower, upper: upper)
        }
    }
}

/// l ≤ θ ≤ u, entry by entry.
struct Box: Sendable, Equatable {
    var lower: Vector
    var upper: Vector

    func projected(_ θ: Vector) -> Vector {
        var inside = θ
        for i in inside.indices { inside[i] = Swift.min(Swift.max(θ[i], lower[i]), upper[i]) }
        return inside
    }

    /// The displacement p from θ, cut where it leaves the box.
    func cut(_ p: Vector, from θ: Vector) -> Vector {
        var inside = p
        for i in inside.indices { inside[i] = Swift.min(Swift.max(p[i], lower[i] - θ[i]), upper[i] - θ[i]) }
        return inside
    }

    /// The gradient without what points out of the box at its faces: zero at a stationary point.
    func reduced(_ g: Vector, at θ: Vector) -> Vector {
        var reduced = g
        for i in g.indices where (g[i] > 0 && θ[i] <= lower[i]) || (g[i] < 0 && θ[i] >= upper[i]) { reduced[i] = 0 }
        return reduced
    }

    /// The longest α with θ + αp in the box.
    func longestStep(from θ: Vector, along p: Vector) -> Double {
        var longest = Double.infinity
        for i in p.indices where p[i] != 0 {
            let room = p[i] > 0 ? upper[i] - θ[i] : lower[i] - θ[i]
            longest = Swift.min(longest, room / p[i])
        }
        return Swift.max(0, longest)
    }

    /// How many entries stand at a bound.
    func active(at θ: Vector) -> Int { θ.indices.count { θ[$0] <= lower[$0] || θ[$0] >= upper[$0] } }
}
