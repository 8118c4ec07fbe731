/// The named coordinates of a domain, in the order in which points store them.
///
/// One axis may be marked as time; `laplacian` and `gradient` then run over the others, the axes of space.
public struct Axes: Sendable, Hashable {
    public let names: [String]
    /// The position of the axis of time, if there is one.
    public let time: Int?

    /// Names are not empty and not repeated; `time` is one of them.
    public init(_ names: [String], time: String? = nil) {
        precondition(!names.isEmpty, "a domain needs at least one axis")
        for (i, name) in names.enumerated() {
            precondition(!name.isEmpty, "axis \(i) has an empty name")
            precondition(names.firstIndex(of: name) == i, "two axes are named '\(name)'")
        }
        self.names = names
        self.time = time.flatMap(names.firstIndex(of:))
        precondition(time == nil || self.time != nil, "the axis of time '\(time ?? "")' is not one of the axes \(names)")
    }

    public var count: Int { names.count }

    /// The positions of the axes of space: all but time.
    public var space: [Int] { names.indices.filter { $0 != time } }

    /// The position of the axis called `name`.
    public func position(of name: String) throws(TraceError) -> Int {
        guard let position = names.firstIndex(of: name) else {
            throw TraceError("the domain has no axis '\(name)': its axes are \(list)")
        }
        return position
    }

    /// The positions that a member such as `xx`, `tx` or `theta` spells: the name of one axis, or a run of one-letter names.
    func positions(spelledBy member: String) throws(TraceError) -> [Int] {
        if let whole = names.firstIndex(of: member) { return [whole] }
        var positions: [Int] = []
        for letter in member {
            guard let position = names.firstIndex(of: String(letter)) else {
                throw TraceError(
                    "'.\(member)' is not a derivative here: the domain has no axis '\(letter)'; its axes are \(list)")
            }
            positions.append(position)
        }
        return positions
    }

    private var list: String { names.joined(separator: ", ") }
}

/// What is wrong with a residual as it was written: an unknown axis, field or datum.
public struct TraceError: Error, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

extension Axes {
    /// A point in words: `(t = 0.25, x = -1.0)`.
    public func place(_ point: [Double]) -> String {
        "(" + zip(names, point).map { "\($0) = \($1)" }.joined(separator: ", ") + ")"
    }
}
