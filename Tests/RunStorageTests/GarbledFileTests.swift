import CHDF5
import Foundation
import RunStorage
import Testing

/// Run files with damaged bytes: an error, never a crash or a hang. In a child process, which a crash would end.
@Suite struct GarbledFileTests {
    static func readEverything(_ path: String) throws {
        let run = try RunFile.open(path)
        for table in [TableName.trajectory, .events, .snapshots] {
            for column in run.columns(in: table) {
                switch column.kind {
                case .real: _ = try run.reals(column.name, in: table)
                case .integer: _ = try run.integers(column.name, in: table)
                case .text: _ = try run.texts(column.name, in: table)
                case .vector: if run.rows(in: table) > 0 { _ = try run.vector(column.name, row: 0, in: table) }
                }
            }
        }
        for name in try run.fields() { _ = try run.field(name) }
        for path in ["/", "/layout", "/result", "/stages/0", "/sessions/0"] where run.file.exists(path) {
            for name in try run.file.attributes(of: path) { _ = try? run.file.text(name, at: path) }
        }
    }

    /// HDF5 would take years to cut 2⁵⁰ rows that were never written: such a column is refused, and the others are still there to read.
    @Test(.timeLimit(.minutes(1)), arguments: ["loss", "iteration"]) func absurdlyLongColumnsAreRefused(name: String) throws {
        let scratch = try Scratch()
        let path = scratch("run.h5")
        let run = try RunFile.create(path)
        try run.declare(RunFileTests.columns, in: .trajectory)
        for row in 0..<5 { try run.append(RunFileTests.row(row), to: .trajectory) }
        try run.close()
        try write(Array(try bytes(of: path).dropLast(64)), to: path)
        let file = try HDF5File.open(path, writing: true)
        try file.setRows(1 << 50, at: "/trajectory/\(name)")
        try file.close()
        #expect(try RunFile.open(path).integers("iteration", in: .trajectory) == Array(0..<5))
        let error = #expect(throws: StorageError.self) { try RunFile.open(path, writing: true) }
        #expect(error?.kind == .damaged && error?.object == "/trajectory/\(name)", "\(String(describing: error))")
    }

    /// A column of numbers in more dimensions than rows have: its values would not be one a row.
    @Test func columnsOfAnotherShapeAreRefused() throws {
        let scratch = try Scratch()
        let path = scratch("run.h5")
        let run = try RunFile.create(path)
        try run.declare(RunFileTests.columns, in: .trajectory)
        for row in 0..<5 { try run.append(RunFileTests.row(row), to: .trajectory) }
        try run.close()
        let file = try HDF5File.open(path, writing: true)
        try file.makeExtensible(Int64.self, rowShape: [1, 3], chunkRows: 4, rows: 2, at: "/trajectory/strange")
        try file.close()
        let error = #expect(throws: StorageError.self) { try RunFile.open(path) }
        #expect(error?.kind == .damaged && error?.object == "/trajectory/strange", "\(String(describing: error))")
    }

    /// Adds links to a file with HDF5 alone, as a stranger's program would.
    static func link(_ links: [(name: String, target: String, soft: Bool)], in path: String) throws {
        let file = H5Fopen(path, ch5_read_write(), ch5_default())
        for (name, target, soft) in links {
            let status =
                soft
                ? H5Lcreate_soft(target, file, name, ch5_default(), ch5_default())
                : H5Lcreate_hard(file, target, file, name, ch5_default(), ch5_default())
            try #require(status >= 0)
        }
        try #require(H5Fclose(file) >= 0)
    }

    /// Twelve links from a group to itself give more paths than a reader could walk.
    @Test(.timeLimit(.minutes(1)), arguments: [true, false]) func linksThatLeadBackAreWalkedOnce(soft: Bool) async {
        await #expect(processExitsWith: .success) { [soft] in
            let scratch = try Scratch()
            let path = scratch("run.h5")
            let run = try RunFile.create(path)
            try run.declare(RunFileTests.columns, in: .trajectory)
            for row in 0..<5 { try run.append(RunFileTests.row(row), to: .trajectory) }
            try run.close()
            // Without its seal, the file is read as a whole before it is opened.
            try write(Array(try bytes(of: path).dropLast(64)), to: path)
            let file = try HDF5File.open(path, writing: true)
            try file.makeGroup("/other")
            try file.close()
            try GarbledFileTests.link((0..<12).map { ("/other/back\($0)", $0 % 2 == 0 ? "/other" : "/", soft) }, in: path)
            #expect(try RunFile.open(path).integers("iteration", in: .trajectory) == Array(0..<5))
        }
    }

    @Test(.timeLimit(.minutes(1)), arguments: [true, false]) func anArchiveWhoseGroupsAreSharedIsRefused(soft: Bool) async {
        await #expect(processExitsWith: .success) { [soft] in
            let scratch = try Scratch()
            let path = scratch("archive.h5")
            let file = try HDF5File.create(path)
            // Each of 40 groups holds two links to the next one: 2⁴⁰ paths to the last.
            for level in 0..<40 { try file.makeGroup("/\(level)") }
            try file.close()
            try GarbledFileTests.link(
                (0..<39).flatMap { level in ["a", "b"].map { ("/\(level)/\($0)", "/\(level + 1)", soft) } }, in: path)
            let error = #expect(throws: StorageError.self) { try HDF5File.open(path).archive(at: "/0") }
            // HDF5 itself follows no more than 16 soft links in a row.
            let expected = soft ? "there is no such object in the file" : "two links lead to one group"
            #expect(error?.what == expected, "\(String(describing: error))")
        }
    }

    @Test func garbledRunFilesAreErrorsNotCrashes() async {
        await #expect(processExitsWith: .success) {
            let cases = ProcessInfo.processInfo.environment["CURVATURE_GARBLED"].flatMap(Int.init) ?? 300
            let scratch = try Scratch()
            let folder = try InteroperabilityTests.run(scratch)
            let sound = try bytes(of: folder.runFilePath)
            var random = Random(state: 11)
            for number in 0..<cases {
                var bytes = sound
                // Most of a file is numbers and free space: half of the damage goes to the first, structural, part.
                let end = number % 2 == 0 ? min(4096, bytes.count) : bytes.count
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    bytes[Int.random(in: 0..<end, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                if number % 10 == 9 { bytes.removeSubrange(Int.random(in: 0..<bytes.count, using: &random)...) }
                let path = scratch("garbled.h5")
                try write(bytes, to: path)
                // What only touched the seal itself leaves a sound file without one.
                let isSound = bytes.count == sound.count && bytes.dropLast(64) == sound.dropLast(64)
                do {
                    try GarbledFileTests.readEverything(path)
                    #expect(isSound, "case \(number)")
                } catch let error as StorageError {
                    #expect(!isSound && error.kind == .damaged, "case \(number): \(error)")
                }
            }
        }
    }
}
