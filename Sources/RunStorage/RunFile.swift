import Synchronization

/// A group of a run file whose datasets have one row an event: `/trajectory`, `/events`, `/snapshots`, or a plugin's own.
public struct TableName: Sendable, Hashable, RawRepresentable {
    public let rawValue: String

    public init(rawValue: String) {
        precondition(!rawValue.isEmpty && !rawValue.contains("/"), "a table cannot be named “\(rawValue)”")
        self.rawValue = rawValue
    }

    public init(_ name: String) { self.init(rawValue: name) }

    /// One row a recorded iteration.
    public static let trajectory = TableName("trajectory")
    /// One row an event: a stage begun or ended, a revision, a recovery.
    public static let events = TableName("events")
    /// One row a snapshot of the parameters.
    public static let snapshots = TableName("snapshots")

    var group: String { "/\(rawValue)" }
}

/// `run.h5`: what happened in a run. Tables that grow, fields, and attributes that say which run it is; see `docs/run-format.md`.
///
/// Rows wait in memory for at most `rowsPerFlush` rows or `secondsPerFlush` seconds; a killed process loses those, never the file: each
/// flush reaches it wholly or not at all.
public final class RunFile: Sendable {
    public static let formatVersion = 1
    static let format = "curvature run"
    /// What the driver appends to a file's name for that of its journal, which is there only while a flush is under way or was cut short.
    static let journalSuffix = ".journal"

    /// The HDF5 file, for what tables and fields do not cover: attributes of one's own, further groups.
    public let file: HDF5File
    public let rowsPerFlush: Int
    public let secondsPerFlush: Double
    private let tables: Mutex<[Table]>
    private let lastFlush = Mutex(ContinuousClock.now)
    private let isOpen = Mutex(true)

    private init(_ file: HDF5File, tables: [Table], rowsPerFlush: Int = 256, secondsPerFlush: Double = 1) {
        (self.file, self.rowsPerFlush, self.secondsPerFlush) = (file, rowsPerFlush, secondsPerFlush)
        self.tables = Mutex(tables)
    }

    // MARK: Opening and closing

    /// Makes a new run file, aside and renamed, so that the name never stands for half a file; refuses where one is.
    public static func create(_ path: String, rowsPerFlush: Int = 256, secondsPerFlush: Double = 1) throws -> RunFile {
        guard FileStatus(of: path) == nil else {
            throw StorageError(.exists, "there is a file already", file: path, advice: "Resume that run, or choose another folder.")
        }
        let aside = path + Files.temporarySuffix
        try Files.remove(aside)
        // Of a file that is no more.
        try Files.remove(path + journalSuffix)
        do {
            let new = try HDF5File.create(aside)
            try new.setAttribute("format", format, at: "/")
            try new.setAttribute("formatVersion", formatVersion, at: "/")
            for name in [TableName.trajectory, .events, .snapshots] { try makeTable(name, in: new) }
            try new.close()
            try Files.rename(aside, to: path)
        } catch {
            try? Files.remove(aside)
            throw error
        }
        try Files.syncFolder(Files.parent(of: path))
        return try open(path, writing: true, rowsPerFlush: rowsPerFlush, secondsPerFlush: secondsPerFlush)
    }

    /// Opens a run file. For writing, rows that a killed process left in some columns only are cut.
    public static func open(
        _ path: String, writing: Bool = false, rowsPerFlush: Int = 256, secondsPerFlush: Double = 1
    ) throws -> RunFile {
        let file = try openSealed(path, writing: writing)
        var tables: [Table] = []
        for name in try file.members(of: "/") {
            let path = "/\(name)"
            guard try file.kind(of: path) == .group, try file.text("kind", at: path) == "table" else { continue }
            tables.append(try Table(path, reading: file, repairing: writing))
        }
        return RunFile(file, tables: tables, rowsPerFlush: rowsPerFlush, secondsPerFlush: secondsPerFlush)
    }

    /// Checks the seal that the last writer left, if it could, and takes it off where the file is to change.
    private static func openSealed(_ path: String, writing: Bool) throws -> HDF5File {
        guard let status = FileStatus(of: path), status.isFile else { return try HDF5File.open(path, writing: writing, journaled: writing) }
        let finding = try Seal.check(file: path)
        if let complaint = Seal.complaint(finding, bytes: status.bytes) {
            throw StorageError(
                .damaged, complaint, file: path,
                advice: "Restore it from a backup, or put it aside: a run goes on from its checkpoints alone.")
        }
        if finding == .unsealed { try HDF5File.probe(path) }
        let reader = try HDF5File.open(path)
        try requireFormat(of: reader)
        guard writing else { return reader }
        // Only now: a file that is refused is not touched.
        try reader.close()
        if finding == .whole { try Seal.unseal(file: path) }
        return try HDF5File.open(path, writing: true, journaled: true)
    }

    private static func requireFormat(of file: HDF5File) throws {
        guard try file.text("format", at: "/") == format else {
            throw StorageError(
                .mismatch, "this HDF5 file is not a run file", file: file.path,
                advice: "Give the run.h5 of a run folder that this program wrote.")
        }
        let version = try file.integer("formatVersion", at: "/") ?? 0
        guard version == formatVersion else {
            throw StorageError(
                .mismatch, "the run file has format version \(version); this program reads version \(formatVersion)", file: file.path,
                advice: "Use the version of Curvature that wrote it.")
        }
    }

    /// Hands all rows to the operating system.
    public func flush() throws { try flush(file.flush) }

    private func flush(_ commit: () throws -> Void) throws {
        try tables.withLock { tables in
            for index in tables.indices { try tables[index].flush(to: file) }
        }
        try commit()
        lastFlush.withLock { $0 = .now }
    }

    /// Hands all rows to the operating system and waits until they are on the disk.
    public func synchronize() throws {
        try flush(file.synchronize)
    }

    /// Flushes, closes and seals; the file must not be used after. A second call does nothing.
    public func close() throws {
        let isFirst = isOpen.withLock { isOpen in
            defer { isOpen = false }
            return isOpen
        }
        guard isFirst else { return }
        // Even if the flush fails the file is closed; then it is not sealed.
        defer { try? file.close() }
        guard file.isWritable else { return }
        try flush()
        try file.close()
        try Seal.seal(file: file.path)
    }

    deinit { try? close() }

    // MARK: Tables

    /// Adds columns; those that are there already must be of the same kind. A table that is not there is made.
    public func declare(_ columns: [Column], in table: TableName) throws {
        try tables.withLock { tables in
            if !tables.contains(where: { $0.group == table.group }) {
                try RunFile.makeTable(table, in: file)
                tables.append(Table(table.group))
            }
            for index in tables.indices where tables[index].group == table.group {
                for column in columns { try tables[index].declare(column, in: file) }
            }
        }
    }

    /// Adds a row and returns how many there are then. Columns that the row does not name are missing in it.
    @discardableResult
    public func append(_ row: [(column: String, cell: Cell)], to table: TableName) throws -> Int {
        let isDue = lastFlush.withLock { $0.duration(to: .now) >= .seconds(secondsPerFlush) }
        let isFull = tables.withLock { $0.contains { $0.waitingRows >= rowsPerFlush } }
        // Before the new row, not after it: the last row waits, so that `amend` adds to it in memory.
        if isDue || isFull { try flush() }
        return try withTable(table) { rows in
            try rows.append(row, file: file)
            return rows.rows
        }
    }

    /// Sets cells of the last row; returns whether there is one.
    public func amend(_ cells: [(column: String, cell: Cell)], in table: TableName) throws -> Bool {
        try withTable(table) { try $0.amend(cells, file: file) }
    }

    /// The tables, in the order in which they were made.
    public var tableNames: [TableName] { tables.withLock { $0.map { TableName(String($0.group.dropFirst())) } } }

    /// How many rows a table has; none where there is no such table.
    public func rows(in table: TableName) -> Int { tables.withLock { $0.first { $0.group == table.group }?.rows ?? 0 } }

    public func columns(in table: TableName) -> [Column] { tables.withLock { $0.first { $0.group == table.group }?.columns ?? [] } }

    /// Cuts the rows from `row` on, as a resumed run does; where there are fewer, missing ones are added.
    public func truncate(_ table: TableName, toRow row: Int) throws {
        precondition(row >= 0, "a table cannot have \(row) rows")
        try withTable(table) { try $0.truncate(toRow: row, in: file) }
        try file.flush()
    }

    private func withTable<R: Sendable>(_ name: TableName, _ body: (inout Table) throws -> R) throws -> R {
        try tables.withLock { tables in
            guard let index = tables.firstIndex(where: { $0.group == name.group }) else {
                throw StorageError(
                    .mismatch, "there is no such table", file: file.path, object: name.group,
                    advice: "There are: \(tables.map(\.group).joined(separator: ", ")).")
            }
            return try body(&tables[index])
        }
    }

    private static func makeTable(_ name: TableName, in file: HDF5File) throws {
        try file.makeGroup(name.group)
        try file.setAttribute("kind", "table", at: name.group)
    }

    // MARK: Reading columns

    /// A column of reals; one of integers is converted, its missing cells to NaN.
    public func reals(_ column: String, in table: TableName) throws -> [Double] {
        let (path, rows, kind) = try place(column, table)
        if kind == .integer { return try integers(column, in: table).map { $0.map(Double.init) ?? .nan } }
        guard kind == .real else { throw unreadable(path, kind, as: "reals") }
        return try file.read(Double.self, rows: 0..<rows, at: path)
    }

    /// A column of integers; nil is a missing cell.
    public func integers(_ column: String, in table: TableName) throws -> [Int?] {
        let (path, rows, kind) = try place(column, table)
        guard kind == .integer else { throw unreadable(path, kind, as: "integers") }
        return try file.read(Int64.self, rows: 0..<rows, at: path).map { $0 == .min ? nil : Int($0) }
    }

    /// A column of texts.
    public func texts(_ column: String, in table: TableName) throws -> [String] {
        let (path, rows, kind) = try place(column, table)
        guard case .text = kind else { throw unreadable(path, kind, as: "texts") }
        return Array(try file.readTexts(at: path).values.prefix(rows))
    }

    /// A row of a column of vectors.
    public func vector(_ column: String, row: Int, in table: TableName) throws -> [Double] {
        let (path, rows, kind) = try place(column, table)
        guard case .vector = kind else { throw unreadable(path, kind, as: "vectors") }
        guard (0..<rows).contains(row) else {
            throw StorageError(
                .mismatch, "there is no row \(row) among \(rows)", file: file.path, object: path, advice: "Ask for one of them.")
        }
        return try file.read(Double.self, rows: row..<row + 1, at: path)
    }

    private func place(_ column: String, _ table: TableName) throws -> (path: String, rows: Int, kind: Column.Kind) {
        let path = "\(table.group)/\(column)"
        let found = tables.withLock { tables in
            tables.first { $0.group == table.group }.flatMap { table in
                table.columns.first { $0.name == column }.map { (table.storedRows, $0.kind) }
            }
        }
        guard let (rows, kind) = found else {
            throw StorageError(
                .mismatch, "there is no such column", file: file.path, object: path,
                advice: "There are: \(columns(in: table).map(\.name).joined(separator: ", ")).")
        }
        return (path, rows, kind)
    }

    private func unreadable(_ path: String, _ kind: Column.Kind, as wanted: String) -> StorageError {
        StorageError(
            .mismatch, "the column holds \(kind), not \(wanted)", file: file.path, object: path, advice: "Read it as what it holds.")
    }
}
