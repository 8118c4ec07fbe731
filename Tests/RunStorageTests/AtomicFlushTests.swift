import CJournal
import Foundation
import RunStorage
import Testing

/// A flush reaches `run.h5` wholly or not at all, wherever a process is killed in it. The child is this test program itself (an exit test).
@Suite(.serialized) struct AtomicFlushTests {
    // MARK: A flush of everything that a run writes

    /// A run file of a few rows, closed.
    static func makeBase(_ path: String) throws {
        let run = try RunFile.create(path)
        try run.declare(RunFileTests.columns, in: .trajectory)
        for row in 0..<20 { try run.append(RunFileTests.row(row), to: .trajectory) }
        try run.file.setAttribute("seed", 7, at: "/")
        try run.close()
    }

    /// Rows, a column, a table, a field, groups, attributes that are new and attributes that change, the result: all of it not yet flushed.
    static func change(_ run: RunFile) throws {
        try run.declare([Column("damping", unit: "1", meaning: "λ")], in: .trajectory)
        for row in 20..<30 { try run.append(RunFileTests.row(row) + [("damping", .real(0.5))], to: .trajectory) }
        try run.declare([Column("iteration", .integer, meaning: "steps")], in: TableName("spectra"))
        try run.append([("iteration", .integer(3))], to: TableName("spectra"))
        try run.file.setAttribute("seed", 8, at: "/")
        try run.file.setAttribute("outcome", "converged", at: "/")
        try run.file.makeGroup("/sessions/0")
        try run.file.setAttribute("processor", "unknown", at: "/sessions/0")
        try run.file.makeGroup("/result")
        for name in ["loss", "seconds", "evaluations"] { try run.file.setAttribute(name, 0.25, at: "/result") }
        try run.file.write((0..<2000).map(Double.init), shape: [2000], at: "/result/parameters")
        try run.file.write(["a", "text"], shape: [2], at: "/result/texts")
    }

    /// Everything in a file, as text.
    static func content(of file: HDF5File, at path: String = "/") throws -> [String] {
        var lines = [path]
        for name in try file.attributes(of: path) {
            let value: any Sendable =
                if let text = try? file.texts(name, at: path) { text } else if let number = try? file.double(name, at: path) { number } else
                {
                    try file.integer(name, at: path)
                }
            lines.append("\(path)@\(name) = \(value)")
        }
        guard try file.kind(of: path) == .dataset else {
            for name in try file.members(of: path).sorted() {
                lines += try content(of: file, at: path == "/" ? "/\(name)" : "\(path)/\(name)")
            }
            return lines
        }
        let layout = try file.layout(of: path)
        switch layout.element {
        case .double: lines.append("\(layout) \(try file.read(Double.self, at: path).values.map(\.bitPattern))")
        case .text: lines.append("\(layout) \(try file.readTexts(at: path).values)")
        default: lines.append("\(layout) \(try file.read(Int64.self, at: path).values)")
        }
        return lines
    }

    static func content(of path: String) throws -> [String] {
        let run = try RunFile.open(path)
        defer { try? run.close() }
        return try content(of: run.file)
    }

    /// Opens for writing, which applies a journal, and closes.
    static func contentAfterWriting(_ path: String) throws -> [String] {
        let run = try RunFile.open(path, writing: true)
        defer { try? run.close() }
        return try content(of: run.file)
    }

    // MARK: Killed writers

    static func meeting(_ parent: Int32) -> String {
        FileManager.default.temporaryDirectory.appendingPathComponent("curvature-flush-\(parent)").path
    }

    /// The files of one flush: before it, what it is to become, and how many system calls it takes.
    struct Flush {
        let folder: String
        let (before, after): ([String], [String])
        /// As a child makes them: a process that has flushed before may have other pages to write, where memory that nobody wrote to
        /// differs.
        private(set) var calls: Int64 = 0
        var path: String { "\(folder)/run.h5" }
        var journal: String { path + ".journal" }
        var hasJournal: Bool { FileManager.default.fileExists(atPath: journal) }

        init() async throws {
            folder = AtomicFlushTests.meeting(getpid())
            try? FileManager.default.removeItem(atPath: folder)
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let (base, changed) = ("\(folder)/base.h5", "\(folder)/changed.h5")
            try makeBase(base)
            before = try content(of: base)
            try FileManager.default.copyItem(atPath: base, toPath: changed)
            let run = try RunFile.open(changed, writing: true)
            try change(run)
            try run.flush()
            try run.close()
            after = try content(of: changed)
            try restore()
            await #expect(processExitsWith: .success) {
                let folder = AtomicFlushTests.meeting(getppid())
                let run = try RunFile.open("\(folder)/run.h5", writing: true)
                try AtomicFlushTests.change(run)
                let many: Int64 = 1_000_000
                _ = cj_kill_at(many, false)
                try run.flush()
                try "\(many - cj_kill_at(-1, false))".write(toFile: "\(folder)/calls", atomically: true, encoding: .utf8)
                try run.close()
            }
            calls = try #require(Int64(String(contentsOfFile: "\(folder)/calls", encoding: .utf8)))
        }

        func remove() { try? FileManager.default.removeItem(atPath: folder) }

        /// Puts the file of before the flush there, and no journal.
        func restore() throws {
            try? FileManager.default.removeItem(atPath: journal)
            try write(bytes(of: "\(folder)/base.h5"), to: path)
        }

        /// Kills a child at a system call of the flush; with `recovering`, of the opening for writing.
        func kill(at call: Int64, halfway: Bool, recovering: Bool = false) async throws {
            if !recovering { try restore() }
            try "\(call) \(halfway) \(recovering)".write(toFile: "\(folder)/orders", atomically: true, encoding: .utf8)
            await #expect(processExitsWith: .signal(SIGKILL), "call \(call), \(halfway ? "halfway" : "before")") {
                let folder = AtomicFlushTests.meeting(getppid())
                let orders = try String(contentsOfFile: "\(folder)/orders", encoding: .utf8).split(separator: " ")
                let (call, halfway) = (Int64(orders[0]) ?? 0, orders[1] == "true")
                if orders[2] == "true" { _ = cj_kill_at(call, halfway) }
                let run = try RunFile.open("\(folder)/run.h5", writing: true)
                guard orders[2] == "false" else { return }
                try AtomicFlushTests.change(run)
                _ = cj_kill_at(call, halfway)
                try run.flush()
            }
        }

        /// A journal that is whole beside a file that was not touched since.
        func leaveJournal() async throws {
            var (low, high) = (Int64(0), calls - 1)
            while low < high {
                let middle = (low + high) / 2
                try await kill(at: middle, halfway: false)
                if try content(of: path) == after { high = middle } else { low = middle + 1 }
            }
            try await kill(at: low, halfway: false)
            let content = try content(of: path)
            try #require(hasJournal && content == after)
        }
    }

    @Test func aKillAtAnySystemCallLeavesTheStateBeforeOrAfter() async throws {
        let flush = try await Flush()
        defer { flush.remove() }
        #expect(flush.before != flush.after && flush.calls > 20)
        var (isDone, journals) = (false, 0)
        for call in 0..<flush.calls {
            var isTorn = false
            for halfway in [false, true] {
                // Only the writing of a journal can stop halfway.
                if halfway, !isTorn { break }
                try await flush.kill(at: call, halfway: halfway)
                let name = "call \(call)\(halfway ? " halfway" : "") of \(flush.calls)"
                let files = try [flush.path, flush.journal].filter(FileManager.default.fileExists).map(bytes)
                let content = try Self.content(of: flush.path)
                #expect(content == flush.before && !isDone || content == flush.after, "\(name)")
                isDone = content == flush.after
                if isDone { journals += 1 }
                let same = try [flush.path, flush.journal].filter(FileManager.default.fileExists).map(bytes)
                #expect(same == files, "\(name): a reader changed a file")
                isTorn = flush.hasJournal && !isDone
                #expect(try Self.contentAfterWriting(flush.path) == content, "\(name)")
                #expect(!flush.hasJournal, "\(name)")
                #expect(try Self.content(of: flush.path) == content, "\(name)")
            }
        }
        #expect(journals > 0, "the last calls apply the journal")
        print("killed at each of \(flush.calls) calls, \(journals) times when the journal was whole")
    }

    @Test func aKillWhileTheJournalIsAppliedCostsNothing() async throws {
        let flush = try await Flush()
        defer { flush.remove() }
        try await flush.leaveJournal()
        let left = try (bytes(of: flush.path), bytes(of: flush.journal))
        let many: Int64 = 1_000_000
        _ = cj_kill_at(many, false)
        let run = try RunFile.open(flush.path, writing: true)
        let calls = many - cj_kill_at(-1, false)
        try run.close()
        #expect(calls > 1 && !flush.hasJournal)
        for call in 0..<calls {
            try write(left.0, to: flush.path)
            try write(left.1, to: flush.journal)
            try await flush.kill(at: call, halfway: false, recovering: true)
            #expect(try Self.content(of: flush.path) == flush.after, "call \(call) of \(calls)")
            #expect(try Self.contentAfterWriting(flush.path) == flush.after)
        }
    }

    // MARK: Journals that are not to be applied

    @Test func tornAndForeignJournalsAreIgnored() async throws {
        let flush = try await Flush()
        defer { flush.remove() }
        try await flush.leaveJournal()
        let (file, journal) = try (bytes(of: flush.path), bytes(of: flush.journal))

        // Torn or garbled anywhere: the state before.
        var random = Random(state: 3)
        let cuts = Array(stride(from: 0, to: 300, by: 7)) + stride(from: 300, to: journal.count, by: 1021) + [journal.count - 1]
        for cut in cuts {
            try write(Array(journal.prefix(cut)), to: flush.journal)
            #expect(try Self.content(of: flush.path) == flush.before, "cut at \(cut)")
            #expect(flush.hasJournal)
        }
        for place in stride(from: 0, to: journal.count, by: 997) {
            var garbled = journal
            garbled[place] ^= UInt8.random(in: 1...255, using: &random)
            try write(garbled, to: flush.journal)
            #expect(try Self.content(of: flush.path) == flush.before, "garbled at \(place)")
        }
        #expect(try Self.contentAfterWriting(flush.path) == flush.before)
        #expect(!flush.hasJournal, "a writer removes what it ignores")

        // A whole journal beside another run's file, an older one, a later one, and none.
        let other = "\(flush.folder)/other.h5"
        let run = try RunFile.create(other)
        try run.declare(RunFileTests.columns, in: .trajectory)
        for row in 0..<21 { try run.append(RunFileTests.row(row), to: .trajectory) }
        try run.close()
        let content = try Self.content(of: other)
        try write(journal, to: other + ".journal")
        #expect(try Self.content(of: other) == content)
        #expect(try Self.contentAfterWriting(other) == content)
        #expect(!FileManager.default.fileExists(atPath: other + ".journal"))

        try flush.restore()
        try write(journal, to: flush.journal)
        #expect(try Self.content(of: flush.path) == flush.before, "sealed: without what the flush wrote behind its end")

        try write(file, to: flush.path)
        try write(journal, to: flush.journal)
        let later = try RunFile.open(flush.path, writing: true)
        try later.append(RunFileTests.row(30), to: .trajectory)
        try later.close()
        let last = try Self.content(of: flush.path)
        #expect(last != flush.after)
        try write(journal, to: flush.journal)
        #expect(try Self.content(of: flush.path) == last)
        #expect(try Self.contentAfterWriting(flush.path) == last)

        try FileManager.default.removeItem(atPath: flush.path)
        try write(journal, to: flush.journal)
        try RunFile.create(flush.path).close()
        #expect(!flush.hasJournal)
    }

    @Test func theJournalGoesWithItsFile() async throws {
        let flush = try await Flush()
        defer { flush.remove() }
        try await flush.leaveJournal()
        let left = try (bytes(of: flush.path), bytes(of: flush.journal))
        try RunFolder.open(flush.folder + "/").setTrajectoryAside()
        #expect(!flush.hasJournal)
        #expect(try Self.content(of: flush.path + ".aside") == flush.after, "with its journal, which it needs")
        try FileManager.default.moveItem(atPath: flush.path + ".aside", toPath: flush.path)
        try FileManager.default.moveItem(atPath: flush.path + ".aside.journal", toPath: flush.journal)
        #expect(try Self.content(of: flush.path) == flush.after)

        // A damaged file that is replaced takes its journal with it.
        try write(Array(left.0.prefix(3000)), to: flush.path)
        try write(left.1, to: flush.journal)
        try RunFolder.create(flush.folder, replacing: true).close()
        #expect(!flush.hasJournal)
        #expect(try RunFile.open(flush.path).rows(in: .trajectory) == 0)
    }

    // MARK: Where a flush fails

    @Test func aFlushWithoutRoomLeavesTheFileAsItWas() async {
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            let scratch = try Scratch()
            for grows in [false, true] {
                let path = scratch("run \(grows).h5")
                let wide = Column("wide", .vector(1 << 10), meaning: "most of the file")
                let run = try RunFile.create(path)
                try run.declare([wide], in: .snapshots)
                for _ in 0..<1024 { try run.append([("wide", .vector(Array(repeating: 1, count: 1 << 10)))], to: .snapshots) }
                try run.close()
                let again = try RunFile.open(path, writing: true)
                try again.flush()
                let before = try bytes(of: path)
                // Either all old pages change, and the journal is larger than the file; or the file is to grow.
                let new = Array(repeating: 2.0, count: 1 << 20)
                try again.file.write(rows: new, from: grows ? 1024 : 0, at: "/snapshots/wide")
                #expect(try bytes(of: path) == before, "nothing is written before a flush")
                var limit = rlimit()
                #expect(getrlimit(fileSizeLimit, &limit) == 0)
                let all = limit.rlim_cur
                limit.rlim_cur = rlim_t(before.count + 5000)
                #expect(setrlimit(fileSizeLimit, &limit) == 0)
                let error = #expect(throws: StorageError.self) { try again.flush() }
                #expect(error?.kind == .full, "\(error?.description ?? "")")
                try? again.close()
                #expect(try bytes(of: path) == before)
                #expect(try scratch.names().filter { $0.hasSuffix(".journal") } == [])
                limit.rlim_cur = all
                #expect(setrlimit(fileSizeLimit, &limit) == 0)
                let back = try RunFile.open(path, writing: true)
                #expect(try back.vector("wide", row: 5, in: .snapshots)[7] == 1)
                try back.close()
            }
        }
    }

    // MARK: The same bytes with and without

    @Test func aJournaledFileHasTheBytesOfAPlainOne() throws {
        let scratch = try Scratch()
        var random = Random(state: 9)
        for number in 0..<5 {
            let paths = [scratch("plain \(number).h5"), scratch("journaled \(number).h5")]
            for path in paths { try HDF5File.create(path).close() }
            let files = try paths.map { try HDF5File.open($0, writing: true, journaled: $0 == paths[1]) }
            for step in 0..<60 {
                let (name, rows) = ("/column \(Int.random(in: 0..<6, using: &random))", Int.random(in: 1...900, using: &random))
                let action = Int.random(in: 0..<10, using: &random)
                for file in files {
                    if !file.exists(name) { try file.makeExtensible(Double.self, rowShape: [3], chunkRows: 100, at: name) }
                    switch action {
                    case 0: try file.remove(name)
                    case 1: try file.setAttribute("step", step, at: name)
                    case 2: try file.setRows(rows, at: name)
                    case 3, 4: try file.flush()
                    default: try file.write(rows: [Double](repeating: Double(step), count: 3 * rows), from: 50 * action, at: name)
                    }
                }
                if action == 3 { #expect(try bytes(of: paths[0]) == bytes(of: paths[1]), "step \(step) of \(number)") }
            }
            for file in files { try file.close() }
            #expect(try bytes(of: paths[0]) == bytes(of: paths[1]), "\(number)")
        }
    }

    @Test func anotherWriterIsRefusedAndAReaderSeesTheLastFlush() throws {
        let scratch = try Scratch()
        try Self.makeBase(scratch("run.h5"))
        let before = try Self.content(of: scratch("run.h5"))
        let run = try RunFile.open(scratch("run.h5"), writing: true)
        try Self.change(run)
        try write(bytes(of: scratch("run.h5")), to: scratch("copy.h5"))
        #expect(try Self.content(of: scratch("copy.h5")) == before)
        try run.file.synchronize()
        try write(bytes(of: scratch("run.h5")), to: scratch("copy.h5"))
        #expect(try Self.content(of: scratch("copy.h5")) != before)
        let descriptor = open(scratch("run.h5"), O_RDWR)
        #expect(flock(descriptor, LOCK_EX | LOCK_NB) != 0, "the writer holds the lock")
        try run.close()
        #expect(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        #expect(throws: StorageError.self) { try RunFile.open(scratch("run.h5"), writing: true) }
        close(descriptor)
        try RunFile.open(scratch("run.h5"), writing: true).close()
    }
}

#if canImport(Glibc)
    private let fileSizeLimit = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
#else
    private let fileSizeLimit = RLIMIT_FSIZE
#endif
