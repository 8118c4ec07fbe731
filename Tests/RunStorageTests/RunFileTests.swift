import RunStorage
import Testing

@Suite struct RunFileTests {
    static let columns = [
        Column("iteration", .integer, meaning: "steps"), Column("loss", unit: "J", meaning: "L"),
        Column("note", .text(bytes: 12), meaning: "words"), Column("θ", .vector(3), meaning: "parameters"),
    ]

    static func row(_ i: Int) -> [(column: String, cell: Cell)] {
        [("iteration", .integer(i)), ("loss", .real(1 / Double(i + 1))), ("note", .text("row \(i)")), ("θ", .vector([Double(i), 0, -1]))]
    }

    static func filled(_ path: String, rows: Int) throws -> RunFile {
        let run = try RunFile.create(path, rowsPerFlush: 7)
        try run.declare(columns, in: .trajectory)
        for i in 0..<rows { #expect(try run.append(row(i), to: .trajectory) == i + 1) }
        return run
    }

    @Test func rowsComeBack() throws {
        let scratch = try Scratch()
        try Self.filled(scratch("run.h5"), rows: 3000).close()
        let back = try RunFile.open(scratch("run.h5"))
        #expect(back.rows(in: .trajectory) == 3000)
        #expect(back.columns(in: .trajectory) == Self.columns)
        #expect(try back.integers("iteration", in: .trajectory) == Array(0..<3000))
        #expect(try back.reals("iteration", in: .trajectory) == (0..<3000).map(Double.init))
        #expect(try back.reals("loss", in: .trajectory) == (0..<3000).map { 1 / Double($0 + 1) })
        #expect(try back.texts("note", in: .trajectory)[2999] == "row 2999")
        #expect(try back.vector("θ", row: 17, in: .trajectory) == [17, 0, -1])
        #expect(throws: StorageError.self) { try back.reals("absent", in: .trajectory) }
        #expect(throws: StorageError.self) { try back.texts("loss", in: .trajectory) }
    }

    @Test func aLaterColumnIsMissingBeforeItsTime() throws {
        let scratch = try Scratch()
        let run = try Self.filled(scratch("run.h5"), rows: 10)
        try run.declare([Column("damping", meaning: "λ"), Column("rank", .integer, meaning: "r")], in: .trajectory)
        try run.append(Self.row(10) + [("damping", .real(2)), ("rank", .integer(5))], to: .trajectory)
        try run.close()
        let back = try RunFile.open(scratch("run.h5"))
        let damping = try back.reals("damping", in: .trajectory)
        #expect(damping.count == 11 && damping[10] == 2)
        #expect(damping.prefix(10).allSatisfy { $0.isNaN })
        #expect(try back.integers("rank", in: .trajectory) == Array(repeating: nil, count: 10) + [5])
    }

    @Test func wrongCellsAreRefusedAndLeaveNoHalfRow() throws {
        let scratch = try Scratch()
        let run = try Self.filled(scratch("run.h5"), rows: 2)
        #expect(throws: StorageError.self) { try run.append([("iteration", .real(1.5))], to: .trajectory) }
        #expect(throws: StorageError.self) { try run.append([("θ", .vector([1]))], to: .trajectory) }
        #expect(throws: StorageError.self) { try run.append([("nothing", .real(1))], to: .trajectory) }
        #expect(throws: StorageError.self) { try run.declare([Column("loss", .integer, meaning: "")], in: .trajectory) }
        #expect(throws: StorageError.self) { try run.append([], to: TableName("absent")) }
        try run.append(Self.row(2), to: .trajectory)
        try run.flush()
        #expect(try run.integers("iteration", in: .trajectory) == [0, 1, 2])
    }

    @Test func theLastRowCanBeAmendedBeforeAndAfterAFlush() throws {
        let scratch = try Scratch()
        let run = try Self.filled(scratch("run.h5"), rows: 3)
        #expect(try run.amend([("loss", .real(7))], in: .trajectory))
        try run.flush()
        #expect(try run.amend([("note", .text("amended"))], in: .trajectory))
        #expect(try run.reals("loss", in: .trajectory) == [1, 0.5, 7])
        #expect(try run.texts("note", in: .trajectory) == ["row 0", "row 1", "amended"])
        #expect(try run.amend([], in: .events) == false)
    }

    @Test func longTextIsCutBetweenCharacters() throws {
        let scratch = try Scratch()
        let run = try Self.filled(scratch("run.h5"), rows: 0)
        try run.append([("note", .text("ééééééé"))], to: .trajectory)
        try run.flush()
        #expect(try run.texts("note", in: .trajectory) == ["éééééé"])
    }

    @Test func truncationCutsAndTheNextRowFollows() throws {
        let scratch = try Scratch()
        let run = try Self.filled(scratch("run.h5"), rows: 2500)
        try run.truncate(.trajectory, toRow: 1100)
        #expect(try run.append(Self.row(1100), to: .trajectory) == 1101)
        try run.close()
        let back = try RunFile.open(scratch("run.h5"))
        #expect(try back.integers("iteration", in: .trajectory) == Array(0...1100))
        #expect(try back.reals("loss", in: .trajectory) == (0...1100).map { 1 / Double($0 + 1) })
    }

    @Test func aTableOfOnesOwn() throws {
        let scratch = try Scratch()
        let run = try RunFile.create(scratch("run.h5"))
        let spectra = TableName("spectra")
        try run.declare([Column("iteration", .integer, meaning: "steps"), Column("eigenvalues", .vector(2), meaning: "λ")], in: spectra)
        try run.append([("iteration", .integer(5)), ("eigenvalues", .vector([3, 1]))], to: spectra)
        try run.close()
        let back = try RunFile.open(scratch("run.h5"))
        #expect(back.rows(in: spectra) == 1)
        #expect(try back.vector("eigenvalues", row: 0, in: spectra) == [3, 1])
    }

    @Test func fieldsOnGridsAndPoints() throws {
        let scratch = try Scratch()
        let run = try RunFile.create(scratch("run.h5"))
        let grid = GridField(
            (0..<6).map(Double.init), on: .grid([FieldAxis("t", [0, 1], unit: "s"), FieldAxis("x", [-1, 0, 1])]), unit: "m", meaning: "u")
        let points = GridField([1, 2], on: .points(names: ["t", "x"], coordinates: [0, 0.5, 1, -0.5]), meaning: "u − u*")
        try run.write(points, named: "solution")
        try run.write(grid, named: "solution")
        try run.write(points, named: "error")
        try run.close()
        let back = try RunFile.open(scratch("run.h5"))
        #expect(try back.fields() == ["solution", "error"])
        #expect(try back.field("solution") == grid)
        #expect(try back.field("error") == points)
        #expect(throws: StorageError.self) { try back.field("absent") }
    }

    @Test func whatIsNoRunFileIsRefused() throws {
        let scratch = try Scratch()
        try write(Array("not a file of ours".utf8), to: scratch("text.h5"))
        let text = #expect(throws: StorageError.self) { try RunFile.open(scratch("text.h5")) }
        #expect(text?.kind == .damaged)
        try HDF5File.create(scratch("other.h5")).close()
        let other = #expect(throws: StorageError.self) { try RunFile.open(scratch("other.h5")) }
        #expect(other?.kind == .mismatch)
        let missing = #expect(throws: StorageError.self) { try RunFile.open(scratch("absent.h5")) }
        #expect(missing?.kind == .missing)
        try Self.filled(scratch("run.h5"), rows: 5).close()
        let exists = #expect(throws: StorageError.self) { try RunFile.create(scratch("run.h5")) }
        #expect(exists?.kind == .exists)
        let newer = try HDF5File.open(scratch("run.h5"), writing: true)
        try newer.setAttribute("formatVersion", 99, at: "/")
        try newer.close()
        let version = #expect(throws: StorageError.self) { try RunFile.open(scratch("run.h5")) }
        #expect(version?.description.contains("version 99") == true)
    }

    @Test func aTruncatedRunFileIsAnErrorNotACrash() throws {
        let scratch = try Scratch()
        try Self.filled(scratch("run.h5"), rows: 500).close()
        let sound = try bytes(of: scratch("run.h5"))
        for part in 0..<40 {
            try write(Array(sound.prefix(sound.count * part / 40)), to: scratch("cut.h5"))
            #expect(throws: StorageError.self) { try RunFile.open(scratch("cut.h5")) }
        }
    }

    @Test func aReaderSeesARunThatIsStillWriting() throws {
        let scratch = try Scratch()
        let run = try Self.filled(scratch("run.h5"), rows: 20)
        try run.flush()
        let reader = try RunFile.open(scratch("run.h5"))
        #expect(try reader.integers("iteration", in: .trajectory) == Array(0..<20))
        withExtendedLifetime(run) {}
    }
}
