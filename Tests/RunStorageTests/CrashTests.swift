import Foundation
import OptimizationCore
import RunStorage
import Testing

/// What a process that is killed without warning leaves behind. The child is this test program itself (an exit test).
@Suite(.serialized) struct CrashTests {
    /// The child appends until it is killed: rows of every kind, new columns, now and then a cut, checkpoints. After each flush it notes
    /// how many rows are safe.
    static func appendUntilKilled(in folder: String, microseconds: UInt32) {
        Thread.detachNewThread {
            usleep(microseconds)
            kill(getpid(), SIGKILL)
        }
        do {
            let path = "\(folder)/run.h5"
            let run = FileManager.default.fileExists(atPath: path) ? try RunFile.open(path, writing: true) : try RunFile.create(path)
            try run.declare(RunFileTests.columns, in: .trajectory)
            let checkpoints = CheckpointFolder("\(folder)/checkpoints")
            let cuts = CrashTests.cuts(microseconds)
            while true {
                for _ in 0..<5 { try run.append(RunFileTests.row(run.rows(in: .trajectory)), to: .trajectory) }
                let rows = run.rows(in: .trajectory)
                if rows % 400 == 0 { try run.declare([Column("late \(rows)", meaning: "a column that came later")], in: .trajectory) }
                if cuts, rows % 1500 == 0 { try run.truncate(.trajectory, toRow: rows - 700) }
                try run.flush()
                // Every other child does nothing but append, so that most kills fall into HDF5's writing.
                if microseconds % 2 == 1 { continue }
                let safe = run.rows(in: .trajectory)
                try "\(safe)".write(toFile: "\(folder)/safe", atomically: true, encoding: .utf8)
                if rows % 50 == 0 { try checkpoints.write(CheckpointFolderTests.archive(safe), iteration: safe, keep: 2) }
            }
        } catch {
            try? "\(error)".write(toFile: "\(folder)/error", atomically: true, encoding: .utf8)
            exit(1)
        }
    }

    /// Whether the child of this delay cuts rows now and then.
    static func cuts(_ microseconds: UInt32) -> Bool { microseconds % 4 == 0 }

    /// Where parent and child meet: the child knows its parent's number.
    static func meeting(_ parent: Int32) -> String {
        FileManager.default.temporaryDirectory.appendingPathComponent("curvature-crash-\(parent)").path
    }

    @Test func filesOpenAfterEveryKill() async throws {
        let folder = Self.meeting(getpid())
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let kills = ProcessInfo.processInfo.environment["CURVATURE_KILLS"].flatMap(Int.init) ?? 25
        var random = Random(state: 20)
        for number in 0..<kills {
            let delay = UInt32.random(in: 500...60_000, using: &random)
            try "\(delay)".write(toFile: "\(folder)/delay", atomically: true, encoding: .utf8)
            let before = Self.safeRows(folder)
            await #expect(processExitsWith: .signal(SIGKILL)) {
                let folder = CrashTests.meeting(getppid())
                let delay = try String(contentsOfFile: "\(folder)/delay", encoding: .utf8)
                CrashTests.appendUntilKilled(in: folder, microseconds: UInt32(delay) ?? 1000)
            }
            try Self.verify(folder, number, atLeast: Self.cuts(delay) ? min(before, 800) : Self.safeRows(folder))
        }
        let rows = try RunFile.open("\(folder)/run.h5").rows(in: .trajectory)
        #expect(rows > 0)
        print("\(kills) kills; \(rows) rows, every file opened")
    }

    static func safeRows(_ folder: String) -> Int {
        (try? String(contentsOfFile: "\(folder)/safe", encoding: .utf8)).flatMap(Int.init) ?? 0
    }

    static func verify(_ folder: String, _ number: Int, atLeast safe: Int) throws {
        if let error = try? String(contentsOfFile: "\(folder)/error", encoding: .utf8) { Issue.record("kill \(number): \(error)") }
        let path = "\(folder)/run.h5"
        guard FileManager.default.fileExists(atPath: path) else {
            #expect(safe == 0, "kill \(number): the run file is gone")
            return
        }
        let reader = try RunFile.open(path)
        if !reader.columns(in: .trajectory).isEmpty { _ = try reader.integers("iteration", in: .trajectory) }
        try reader.close()
        let run = try RunFile.open(path, writing: true)
        let rows = run.rows(in: .trajectory)
        if rows > 0 {
            #expect(try run.integers("iteration", in: .trajectory) == Array(0..<rows), "kill \(number)")
            // Only the last flush, of five rows, may have reached some columns and not others.
            let whole = max(0, rows - 5)
            #expect(try run.reals("loss", in: .trajectory).prefix(whole).elementsEqual((0..<whole).map { 1 / Double($0 + 1) }))
            #expect(try run.texts("note", in: .trajectory).prefix(whole).elementsEqual((0..<whole).map { "row \($0)" }))
        }
        #expect(rows >= safe, "kill \(number): \(rows) rows, \(safe) were safe")
        try "\(rows)".write(toFile: "\(folder)/safe", atomically: true, encoding: .utf8)
        try run.close()
        let checkpoints = CheckpointFolder("\(folder)/checkpoints")
        for entry in try checkpoints.list() {
            #expect(try checkpoints.read(iteration: entry.iteration).archive == CheckpointFolderTests.archive(entry.iteration))
        }
    }
}
