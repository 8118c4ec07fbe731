import LinearAlgebra

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

    /// The setting's name.
    static let key = "bounds"

    private static let everything = "all"

    /// The box for parameters of a layout. Throws where an entry names no block.
    package func box(for layout: ParameterLayout) throws -> Box {
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

    package var setting: Setting {
        .map(entries.map { Setting.Pair($0.block, .list([.scalar("\($0.lower)"), .scalar("\($0.upper)")])) })
    }

    package init(_ setting: Setting, path: String) throws {
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

extension Field {
    /// The bounds of blocks: `{conductivity: [0, inf]}`.
    package static func bounds(_ path: Path<ParameterBounds>) -> Field {
        Field(
            ParameterBounds.key, range: "a map of pairs [least, greatest]",
            meaning: "the bounds of the parameters of each block, or of `all`",
            read: { $0[keyPath: path].setting }, write: { $0[keyPath: path] = try ParameterBounds($1, path: $2) })
    }
}
