/// A column of a table in a run file.
public struct Column: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// A double; a missing cell reads as NaN.
        case real
        /// An integer; a missing cell reads as −2⁶³.
        case integer
        /// Text of at most so many bytes of UTF-8; a missing cell is empty.
        case text(bytes: Int)
        /// So many doubles; a missing cell reads as NaNs.
        case vector(Int)
    }

    public var name: String
    public var kind: Kind
    public var unit: String?
    /// What the numbers mean, in a sentence.
    public var meaning: String

    public init(_ name: String, _ kind: Kind = .real, unit: String? = nil, meaning: String) {
        (self.name, self.kind, self.unit, self.meaning) = (name, kind, unit, meaning)
    }
}

/// A value of a row.
public enum Cell: Sendable, Hashable {
    case real(Double)
    case integer(Int)
    case text(String)
    case vector([Double])
}

/// A group of a run file whose datasets grow together: one dataset a column, one row an event. Rows wait in memory until `flush`.
struct Table: Sendable {
    /// The group, such as `/trajectory`.
    let group: String
    private(set) var columns: [Column] = []
    /// Rows in the file.
    private(set) var storedRows = 0
    /// Rows that wait in memory, each with a cell for every column; nil is a missing one.
    private var waiting: [[Cell?]] = []

    /// More rows than a process can have been flushing when it was killed (256 by default).
    private static let mostUnevenRows = 1 << 20

    var waitingRows: Int { waiting.count }
    var rows: Int { storedRows + waiting.count }

    init(_ group: String) { self.group = group }

    // MARK: Opening

    /// Reads the columns and the number of rows that all of them have.
    ///
    /// With `repairing`, rows that a killed process left in some columns only are cut; so are rows whose first column, an integer that
    /// every row has, was not yet written.
    init(_ group: String, reading file: HDF5File, repairing: Bool) throws {
        self.init(group)
        var lengths: [Int] = []
        for name in try file.members(of: group) {
            let path = "\(group)/\(name)"
            let layout = try file.layout(of: path)
            guard let length = layout.shape.first else { continue }
            let kind: Column.Kind
            switch layout.element {
            case .double: kind = layout.shape.count == 1 ? .real : .vector(layout.shape.last ?? 0)
            case .integer: kind = .integer
            case .text: kind = .text(bytes: try file.textWidth(at: path))
            default: continue
            }
            guard layout.shape.count == 1 || layout.element == .double && layout.shape.count == 2 else {
                throw StorageError(
                    .damaged, "a column of this kind has no shape of \(layout.shape)", file: file.path, object: path,
                    advice: "Restore it from a backup, or put it aside.")
            }
            let column = Column(name, kind, unit: try file.text("unit", at: path), meaning: try file.text("meaning", at: path) ?? "")
            columns.append(column)
            lengths.append(length)
        }
        storedRows = lengths.min() ?? 0
        guard repairing else { return }
        // HDF5 would go through every row of what is cut, written or not.
        if let longest = zip(columns, lengths).max(by: { $0.1 < $1.1 }), longest.1 - storedRows > Table.mostUnevenRows {
            throw StorageError(
                .damaged, "a column has \(longest.1) rows where another has \(storedRows): no killed process leaves that",
                file: file.path, object: "\(group)/\(longest.0.name)", advice: "Restore it from a backup, or put it aside.")
        }
        if let key = columns.first, key.kind == .integer {
            let first = storedRows
            while storedRows > 0, first - storedRows <= Table.mostUnevenRows,
                try file.read(Int64.self, rows: storedRows - 1..<storedRows, at: "\(group)/\(key.name)")[0] == .min
            {
                storedRows -= 1
            }
        }
        for column in columns { try file.setRows(storedRows, at: "\(group)/\(column.name)") }
    }

    // MARK: Columns and rows

    /// Adds a column that is not there; earlier rows read as missing. One of the same name must be of the same kind.
    mutating func declare(_ column: Column, in file: HDF5File) throws {
        let path = "\(group)/\(column.name)"
        if let known = columns.first(where: { $0.name == column.name }) {
            guard known.kind == column.kind else {
                throw StorageError(
                    .mismatch, "the column holds \(known.kind) and cannot take \(column.kind)", file: file.path, object: path,
                    advice: "Give the new column another name.")
            }
            return
        }
        precondition(
            !column.name.isEmpty && !column.name.contains("/") && column.name != ".", "a column cannot be named “\(column.name)”")
        switch column.kind {
        case .real: try file.makeExtensible(Double.self, rowShape: [], chunkRows: 1024, rows: storedRows, at: path)
        case .integer: try file.makeExtensible(Int64.self, rowShape: [], chunkRows: 1024, rows: storedRows, at: path)
        case .text(let bytes): try file.makeExtensibleTexts(width: bytes, chunkRows: max(1, (1 << 14) / bytes), rows: storedRows, at: path)
        case .vector(let count):
            let chunk = max(1, min(64, (1 << 16) / max(1, count)))
            try file.makeExtensible(Double.self, rowShape: [count], chunkRows: chunk, rows: storedRows, at: path)
        }
        if let unit = column.unit { try file.setAttribute("unit", unit, at: path) }
        try file.setAttribute("meaning", column.meaning, at: path)
        columns.append(column)
        for index in waiting.indices { waiting[index].append(nil) }
    }

    /// Adds a row; columns that it does not name are missing in it.
    mutating func append(_ row: [(column: String, cell: Cell)], file: HDF5File) throws {
        waiting.append(try filled(Array(repeating: nil, count: columns.count), with: row, file))
    }

    /// Sets cells of the last row; returns whether there is one.
    mutating func amend(_ cells: [(column: String, cell: Cell)], file: HDF5File) throws -> Bool {
        if let last = waiting.last {
            waiting[waiting.count - 1] = try filled(last, with: cells, file)
            return true
        }
        guard storedRows > 0 else { return false }
        let row = try filled(Array(repeating: nil, count: columns.count), with: cells, file)
        for (index, column) in columns.enumerated() {
            if let cell = row[index] { try write([cell], of: column, from: storedRows - 1, to: file) }
        }
        return true
    }

    private func filled(_ row: [Cell?], with cells: [(column: String, cell: Cell)], _ file: HDF5File) throws -> [Cell?] {
        var row = row
        for (name, cell) in cells {
            guard let index = columns.firstIndex(where: { $0.name == name }) else {
                throw StorageError(
                    .mismatch, "there is no column “\(name)”", file: file.path, object: group,
                    advice: "Declare it first; there are: \(columns.map(\.name).joined(separator: ", ")).")
            }
            guard columns[index].takes(cell) else {
                throw StorageError(
                    .mismatch, "the cell \(cell) does not fit the column's kind, \(columns[index].kind)", file: file.path,
                    object: "\(group)/\(name)", advice: "Give a value of that kind, or declare a column of another name.")
            }
            row[index] = cell
        }
        return row
    }

    /// Moves the waiting rows into the file's datasets; the file itself is flushed by its owner.
    mutating func flush(to file: HDF5File) throws {
        guard !waiting.isEmpty else { return }
        for (index, column) in columns.enumerated() {
            try write(waiting.map { $0[index] }, of: column, from: storedRows, to: file)
        }
        storedRows += waiting.count
        waiting.removeAll(keepingCapacity: true)
    }

    private func write(_ cells: [Cell?], of column: Column, from row: Int, to file: HDF5File) throws {
        let path = "\(group)/\(column.name)"
        switch column.kind {
        case .real: try file.write(rows: cells.map { $0?.double ?? .nan }, from: row, at: path)
        case .integer: try file.write(rows: cells.map { $0?.integer ?? .min }, from: row, at: path)
        case .text: try file.write(texts: cells.map { $0?.text ?? "" }, from: row, at: path)
        case .vector(let count):
            let missing = [Double](repeating: .nan, count: count)
            try file.write(rows: cells.flatMap { $0?.vector ?? missing }, from: row, at: path)
        }
    }

    /// Cuts the rows from `rows` on; where there are fewer, adds missing ones, so that the next row is row `rows`.
    mutating func truncate(toRow rows: Int, in file: HDF5File) throws {
        try flush(to: file)
        for column in columns { try file.setRows(rows, at: "\(group)/\(column.name)") }
        storedRows = rows
    }
}

extension Column {
    fileprivate func takes(_ cell: Cell) -> Bool {
        switch (kind, cell) {
        case (.real, .real), (.real, .integer), (.integer, .integer), (.text, .text): true
        case (.vector(let count), .vector(let values)): values.count == count
        default: false
        }
    }
}

extension Cell {
    fileprivate var double: Double? {
        switch self {
        case .real(let value): value
        case .integer(let value): Double(value)
        default: nil
        }
    }

    fileprivate var integer: Int64? { if case .integer(let value) = self { Int64(value) } else { nil } }
    fileprivate var text: String? { if case .text(let value) = self { value } else { nil } }
    fileprivate var vector: [Double]? { if case .vector(let values) = self { values } else { nil } }
}
