import Curvature
import Foundation

/// The formats of tables of points.
enum PointsFormat: String, CaseIterable { case csv, h5 }

/// Points read from a file: finite numbers in named columns.
struct PointsTable {
    /// A column for each coordinate, in the order asked for.
    let columns: [[Double]]
    /// A row for each point.
    let points: Matrix

    /// Throws, with the line where there is one, where the file does not hold a finite number for every point and coordinate.
    init(reading path: String, as format: PointsFormat, columns names: [String]) throws {
        guard FileManager.default.fileExists(atPath: path) else {
            throw ConfigurationError(path: path, reason: "there is no such file; give a CSV or HDF5 file of points")
        }
        columns = try format == .csv ? Self.csv(path, names) : Self.hdf5(path, names)
        guard let count = columns.first?.count, count > 0 else {
            throw ConfigurationError(path: path, reason: "holds no points; give a row for each")
        }
        points = Matrix(rows: count, columns: names.count, elements: columns.flatMap { $0 })
    }

    /// The columns that a file has must be the coordinates, in any order. Returns the place of each coordinate among them.
    private static func places(of names: [String], among found: [String], in path: String, line: Int? = nil) throws -> [Int] {
        let wanted = names.joined(separator: ", ")
        for (index, name) in found.enumerated() {
            guard names.contains(name) else {
                throw ConfigurationError(
                    path: path, line: line, reason: "column “\(name)” is no coordinate of the problem; the columns must be: \(wanted)")
            }
            guard !found[..<index].contains(name) else {
                throw ConfigurationError(path: path, line: line, reason: "column “\(name)” is there twice; the columns must be: \(wanted)")
            }
        }
        return try names.map { name in
            guard let place = found.firstIndex(of: name) else {
                throw ConfigurationError(path: path, line: line, reason: "has no column “\(name)”; the columns must be: \(wanted)")
            }
            return place
        }
    }

    // MARK: CSV

    private static func csv(_ path: String, _ names: [String]) throws -> [[Double]] {
        guard let data = FileManager.default.contents(atPath: path), let text = String(data: data, encoding: .utf8) else {
            throw ConfigurationError(path: path, reason: "cannot be read as text in UTF-8")
        }
        // A spreadsheet's byte order mark is no part of the first name; Windows ends lines in two characters, which are one Character.
        let lines = text.drop { $0 == "\u{FEFF}" }.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        let rows = lines.enumerated().filter { !$1.allSatisfy(\.isWhitespace) }
        guard let header = rows.first else {
            throw ConfigurationError(path: path, reason: "is empty; it needs a header line with: \(names.joined(separator: ","))")
        }
        let found = cells(of: header.element)
        let places = try places(of: names, among: found, in: path, line: header.offset + 1)
        var columns = names.map { _ in [Double]() }
        for (offset, row) in rows.dropFirst() {
            let cells = cells(of: row)
            guard cells.count == found.count else {
                throw ConfigurationError(
                    path: path, line: offset + 1,
                    reason: "has \(cells.count) cells, the header has \(found.count); cells are divided by commas")
            }
            for (index, place) in places.enumerated() {
                guard let value = Double(cells[place]), value.isFinite else {
                    throw ConfigurationError(
                        path: path, line: offset + 1, reason: "“\(cells[place])” in column \(names[index]) is not a finite number")
                }
                columns[index].append(value)
            }
        }
        return columns
    }

    /// The cells of a line, without the blanks and quotes around them.
    private static func cells(of line: Substring) -> [String] {
        line.split(separator: ",", omittingEmptySubsequences: false).map { cell in
            let bare = cell.trimmingCharacters(in: .whitespaces)
            return bare.count >= 2 && bare.hasPrefix("\"") && bare.hasSuffix("\"") ? String(bare.dropFirst().dropLast()) : bare
        }
    }

    // MARK: HDF5

    private static func hdf5(_ path: String, _ names: [String]) throws -> [[Double]] {
        // A file of any origin: what would crash HDF5 does so in a child process.
        try HDF5File.probe(path)
        let file = try HDF5File.open(path)
        defer { try? file.close() }
        _ = try places(of: names, among: try file.members(of: "/"), in: path)
        let columns = try names.map { name in
            let (values, shape) = try file.read(Double.self, at: "/\(name)")
            guard shape.count == 1 else {
                throw ConfigurationError(path: path, reason: "dataset “\(name)” has the shape \(shape); it must be a list of numbers")
            }
            if let index = values.firstIndex(where: { !$0.isFinite }) {
                throw ConfigurationError(path: path, reason: "entry \(index) of dataset “\(name)” is \(values[index]); it must be finite")
            }
            return values
        }
        for (name, column) in zip(names, columns) where column.count != columns[0].count {
            throw ConfigurationError(
                path: path, reason: "dataset “\(name)” has \(column.count) entries, “\(names[0])” has \(columns[0].count)")
        }
        return columns
    }
}

/// Values at points, as they are written: columns of one length.
struct PredictedTable {
    struct Column {
        var name: String
        var meaning: String
        var values: [Double]

        init(_ name: String, meaning: String, values: [Double]) { (self.name, self.meaning, self.values) = (name, meaning, values) }
    }

    var columns: [Column]
    var problem: String
    var which: Which
    var iteration: Int

    func write(to path: String, as format: PointsFormat) throws {
        switch format {
        case .csv:
            do { try csv.write(toFile: path, atomically: false, encoding: .utf8) } catch {
                throw ConfigurationError(path: path, reason: "cannot be written: \(error.localizedDescription)")
            }
        case .h5:
            try FileManager.default.removeItem(atPath: path)
            let file = try HDF5File.create(path)
            try file.setAttribute("problem", problem, at: "/")
            try file.setAttribute("point", which.rawValue, at: "/")
            try file.setAttribute("iteration", iteration, at: "/")
            for column in columns {
                try file.write(column.values, shape: [column.values.count], at: "/\(column.name)")
                try file.setAttribute("meaning", column.meaning, at: "/\(column.name)")
            }
            try file.close()
        }
    }

    /// Every number in the shortest form that reads back to the same bits.
    private var csv: String {
        var lines = [columns.map(\.name).joined(separator: ",")]
        for row in columns[0].values.indices { lines.append(columns.map { $0.values[row].description }.joined(separator: ",")) }
        return lines.joined(separator: "\n") + "\n"
    }
}
