import OptimizationCore
import RunStorage
import Testing

@Suite struct CheckpointFolderTests {
    static func archive(_ number: Int) -> Archive {
        var archive = Archive()
        archive.set("number", number)
        archive.set("θ", (0..<50).map { Double(number) / Double($0 + 1) })
        return archive
    }

    /// A folder with checkpoints of iterations 100, 200, …
    static func filled(_ scratch: Scratch, count: Int, keep: Int = 10) throws -> CheckpointFolder {
        let folder = CheckpointFolder(scratch("checkpoints"))
        for number in 1...count { try folder.write(archive(number), iteration: 100 * number, keep: keep) }
        return folder
    }

    @Test func theLastFewAreKept() throws {
        let scratch = try Scratch()
        let folder = try Self.filled(scratch, count: 5, keep: 3)
        #expect(try scratch.names(in: "checkpoints") == ["00000300.h5", "00000400.h5", "00000500.h5"])
        let latest = try folder.latest()
        #expect(latest.entry.iteration == 500)
        #expect(latest.archive == Self.archive(5))
        #expect(try folder.read(iteration: 300).archive == Self.archive(3))
        #expect(throws: StorageError.self) { try folder.read(iteration: 100) }
    }

    @Test func parametersAndNotesLieBesideTheArchive() throws {
        let scratch = try Scratch()
        let folder = CheckpointFolder(scratch("c"))
        try folder.write(Self.archive(1), iteration: 7, parameters: [1, -0.0, .pi], notes: [("problem", "burgers")])
        #expect(try folder.latest().parameters?.map(\.bitPattern) == [1, -0.0, .pi].map(\.bitPattern))
        let file = try HDF5File.open(scratch("c/00000007.h5"))
        #expect(try file.text("problem", at: "/") == "burgers")
        #expect(try file.integer("iteration", at: "/") == 7)
    }

    /// Ways to harm a file, each with what the report must say.
    static let harms: [(name: String, says: String, harm: @Sendable ([UInt8]) -> [UInt8])] = [
        ("empty", "empty", { _ in [] }),
        ("one byte", "no HDF5 file", { Array($0.prefix(1)) }),
        ("half", "truncated", { Array($0.prefix($0.count / 2)) }),
        ("without the seal", "truncated", { Array($0.dropLast(64)) }),
        ("one byte short", "truncated", { Array($0.dropLast()) }),
        ("a byte missing inside", "should have", { Array($0.prefix(1000) + $0.dropFirst(1001)) }),
        (
            "a bit flipped", "sum differs",
            { bytes in
                var bytes = bytes
                bytes[bytes.count / 2] ^= 1
                return bytes
            }
        ),
        ("zeros", "no HDF5 file", { [UInt8](repeating: 0, count: $0.count) }),
        ("a text file", "no HDF5 file", { _ in Array("dear diary".utf8) }),
    ]

    @Test(arguments: harms.indices) func aHarmedNewestIsReportedAndTheOneBeforeOffered(harm: Int) throws {
        let scratch = try Scratch()
        let folder = try Self.filled(scratch, count: 3)
        let newest = scratch("checkpoints/00000300.h5")
        try write(Self.harms[harm].harm(try bytes(of: newest)), to: newest)
        let error = #expect(throws: StorageError.self) { try folder.latest() }
        let text = error?.description ?? ""
        #expect(error?.kind == .damaged)
        #expect(text.contains("00000300.h5") && text.contains("00000200.h5, the one before, is sound"), "\(text)")
        #expect(text.contains(Self.harms[harm].says), "\(text)")
        let older = try folder.latest(acceptingOlder: true)
        #expect(older.entry.iteration == 200)
        #expect(older.archive == Self.archive(2))
        #expect(older.damaged.map(\.file) == [newest])
    }

    @Test func everyByteThatChangesIsNoticed() throws {
        let scratch = try Scratch()
        try Self.filled(scratch, count: 1).removeLeftovers()
        let path = scratch("checkpoints/00000100.h5")
        let sound = try bytes(of: path)
        var random = Random(state: 3)
        for _ in 0..<400 {
            var bytes = sound
            bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8(1) << UInt8.random(in: 0..<8, using: &random)
            try write(bytes, to: path)
            #expect(throws: StorageError.self) { try CheckpointFolder.read(file: path) }
        }
    }

    @Test func whenNoneIsSoundAllAreListed() throws {
        let scratch = try Scratch()
        let folder = try Self.filled(scratch, count: 2)
        try write([1, 2, 3], to: scratch("checkpoints/00000100.h5"))
        try write([], to: scratch("checkpoints/00000200.h5"))
        let error = #expect(throws: StorageError.self) { try folder.latest(acceptingOlder: true) }
        #expect(error?.causes.count == 2)
        #expect(error?.description.contains("No checkpoint in this folder is sound") == true)
    }

    @Test func aForeignHDF5FileIsNoCheckpoint() throws {
        let scratch = try Scratch()
        let folder = try Self.filled(scratch, count: 1)
        let foreign = try HDF5File.create(scratch("checkpoints/00000200.h5"))
        try foreign.write([1.0], shape: [1], at: "/data")
        try foreign.close()
        let error = #expect(throws: StorageError.self) { try folder.latest() }
        #expect(error?.description.contains("is no checkpoint") == true)
        #expect(try folder.latest(acceptingOlder: true).entry.iteration == 100)
    }

    @Test func aFolderWithoutCheckpointsSaysSo() throws {
        let scratch = try Scratch()
        #expect(throws: StorageError.self) { try CheckpointFolder(scratch("absent")).latest() }
        #expect(throws: StorageError.self) { try CheckpointFolder(scratch.path).latest() }
    }

    @Test func leftoversAreIgnoredAndCleaned() throws {
        let scratch = try Scratch()
        let folder = try Self.filled(scratch, count: 1)
        try write([1, 2, 3], to: scratch("checkpoints/00000200.h5.part"))
        try write([1, 2, 3], to: scratch("checkpoints/notes.txt"))
        try write([1, 2, 3], to: scratch("checkpoints/99.h5"))
        #expect(try folder.latest().entry.iteration == 100)
        try folder.write(Self.archive(3), iteration: 300)
        #expect(try scratch.names(in: "checkpoints") == ["00000100.h5", "00000300.h5", "99.h5", "notes.txt"])
    }

    @Test func afterGoingOnFromAnOlderOneTheNewerAreAside() throws {
        let scratch = try Scratch()
        let folder = try Self.filled(scratch, count: 3)
        try folder.setAside(after: 100)
        #expect(try scratch.names(in: "checkpoints") == ["00000100.h5", "00000200.h5.aside", "00000300.h5.aside"])
        #expect(try folder.latest().entry.iteration == 100)
    }

    @Test func aFileWhereTheFolderShouldBeIsRefused() throws {
        // Tests may run as root, whom permissions do not stop; a file in the way stops everyone.
        let scratch = try Scratch()
        try write([1], to: scratch("file"))
        let error = #expect(throws: StorageError.self) { try CheckpointFolder(scratch("file")).write(Self.archive(1), iteration: 1) }
        #expect(error?.kind == .refused)
        #expect(throws: StorageError.self) { try CheckpointFolder(scratch("file/below")).write(Self.archive(1), iteration: 1) }
        #expect(try bytes(of: scratch("file")) == [1])
    }
}
