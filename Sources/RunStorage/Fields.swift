/// An axis of a field on a grid: its name, and the coordinates of the grid's points along it.
public struct FieldAxis: Sendable, Hashable {
    public var name: String
    public var coordinates: [Double]
    public var unit: String?

    public init(_ name: String, _ coordinates: [Double], unit: String? = nil) {
        (self.name, self.coordinates, self.unit) = (name, coordinates, unit)
    }
}

/// Values of a function on the points of a grid or on a list of points.
public struct GridField: Sendable, Hashable {
    public enum Places: Sendable, Hashable {
        /// Every combination of the axes' coordinates, the last axis running fastest.
        case grid([FieldAxis])
        /// A list of points of the named coordinates, point after point.
        case points(names: [String], coordinates: [Double])
    }

    public var places: Places
    public var values: [Double]
    public var unit: String?
    /// What the values are, in a sentence.
    public var meaning: String

    public init(_ values: [Double], on places: Places, unit: String? = nil, meaning: String) {
        switch places {
        case .grid(let axes):
            let count = axes.reduce(1) { $0 * $1.coordinates.count }
            precondition(values.count == count, "\(values.count) values on a grid of \(count) points")
        case .points(let names, let coordinates):
            precondition(
                !names.isEmpty && coordinates.count == values.count * names.count,
                "\(values.count) values for \(coordinates.count) coordinates in \(names.count) dimensions")
        }
        (self.values, self.places, self.unit, self.meaning) = (values, places, unit, meaning)
    }
}

extension RunFile {
    /// Writes a field as `/fields/<name>`, in place of one of that name.
    public func write(_ field: GridField, named name: String) throws {
        precondition(!name.isEmpty && !name.contains("/"), "a field cannot be named “\(name)”")
        let path = "/fields/\(name)"
        if file.exists(path) { try file.remove(path) }
        try file.makeGroup(path)
        try file.setAttribute("meaning", field.meaning, at: path)
        switch field.places {
        case .grid(let axes):
            try file.write(field.values, shape: axes.map(\.coordinates.count), at: "\(path)/values")
            try file.setAttribute("axes", axes.map(\.name), at: path)
            for axis in axes {
                try file.write(axis.coordinates, shape: [axis.coordinates.count], at: "\(path)/axes/\(axis.name)")
                if let unit = axis.unit { try file.setAttribute("unit", unit, at: "\(path)/axes/\(axis.name)") }
            }
        case .points(let names, let coordinates):
            try file.write(field.values, shape: [field.values.count], at: "\(path)/values")
            try file.write(coordinates, shape: [field.values.count, names.count], at: "\(path)/points")
            try file.setAttribute("coordinates", names, at: path)
        }
        if let unit = field.unit { try file.setAttribute("unit", unit, at: "\(path)/values") }
        try file.flush()
    }

    /// The names of the fields, in the order in which they were written.
    public func fields() throws -> [String] { file.exists("/fields") ? try file.members(of: "/fields") : [] }

    /// Reads the field `/fields/<name>`.
    public func field(_ name: String) throws -> GridField {
        let path = "/fields/\(name)"
        let (values, shape) = try file.read(Double.self, at: "\(path)/values")
        let unit = try file.text("unit", at: "\(path)/values")
        let meaning = try file.text("meaning", at: path) ?? ""
        let places: GridField.Places
        if let names = try file.texts("axes", at: path) {
            let axes = try names.map { axis in
                let place = "\(path)/axes/\(axis)"
                return FieldAxis(axis, try file.read(Double.self, at: place).values, unit: try file.text("unit", at: place))
            }
            guard axes.map(\.coordinates.count) == shape else { throw misshapen(path) }
            places = .grid(axes)
        } else {
            let names = try file.texts("coordinates", at: path) ?? []
            let (coordinates, extents) = try file.read(Double.self, at: "\(path)/points")
            guard !names.isEmpty, extents == [values.count, names.count] else { throw misshapen(path) }
            places = .points(names: names, coordinates: coordinates)
        }
        return GridField(values, on: places, unit: unit, meaning: meaning)
    }

    private func misshapen(_ path: String) -> StorageError {
        StorageError(
            .damaged, "the field's values do not have the shape of its places", file: file.path, object: path,
            advice: "Use a file that this program wrote.")
    }
}
