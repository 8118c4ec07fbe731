import OptimizationCore
import RunStorage
import Testing

@Suite struct RunFolderTests {
    static func callbacks(_ folder: RunFolder, every: Int = 7) -> [any Callback] {
        [
            RecordTrajectory(in: folder, referenceErrorEvery: 10, snapshotEvery: 15), Measure(),
            WriteCheckpoints(in: folder, every: .iterations(every)),
        ]
    }

    /// Everything in the tables of a run but the seconds, as text.
    static func tables(_ path: String) throws -> [String] {
        let run = try RunFile.open("\(path)/run.h5")
        var lines: [String] = []
        for table in [TableName.trajectory, .events, .snapshots, TableName("entries")] {
            for column in run.columns(in: table) where column.name != "seconds" {
                let cells: [String] =
                    switch column.kind {
                    case .real: try run.reals(column.name, in: table).map { String($0.bitPattern, radix: 16) }
                    case .integer: try run.integers(column.name, in: table).map { $0.map(String.init) ?? "missing" }
                    case .text: try run.texts(column.name, in: table)
                    case .vector:
                        try (0..<run.rows(in: table)).map { "\(try run.vector(column.name, row: $0, in: table).map(\.bitPattern))" }
                    }
                lines.append("\(table.rawValue)/\(column.name) \(cells)")
            }
        }
        return lines
    }

    /// What a method gives up within a step is an event, at the step's iteration, whatever the cadence of rows; the last report keeps it.
    @Test func recoveriesWithinStepsAreEvents() throws {
        let scratch = try Scratch()
        let folder = try RunFolder.create(scratch("run"))
        let pipeline = Pipeline(minimizing: Bowl()) { Stage("only", HeavyBall(tellsRecoveries: true), until: .iterations(60)) }
        let run = try pipeline.begin(seed: 7, callbacks: [RecordTrajectory(in: folder, every: 10)])
        var (told, wasKept) = ([Int](), true)
        while run.outcome == nil {
            let before = run.result.iterations
            try run.advance()
            guard run.result.iterations > before, run.lastReport?.recoveries.isEmpty == false else { continue }
            told.append(run.result.iterations)
            let resumed = try pipeline.restore(from: run.snapshot())
            wasKept = wasKept && resumed.lastReport?.recoveries == run.lastReport?.recoveries
        }
        #expect(told.count > 3 && told.count < 57 && wasKept)
        try folder.close()
        let file = try RunFile.open(folder.runFilePath)
        let events = zip(try file.texts("event", in: .events), try file.texts("detail", in: .events))
        #expect(events.filter { $0.0 == "recovered in step" }.map(\.1) == told.map { _ in "x₀ went below zero: told" })
        let places = zip(try file.texts("event", in: .events), try file.integers("iteration", in: .events))
        #expect(places.filter { $0.0 == "recovered in step" }.map(\.1) == told)
    }

    @Test func aWholeRunIsThereToRead() throws {
        let scratch = try Scratch()
        let folder = try RunFolder.create(scratch("run"))
        let result = try pipeline().start(seed: 7, callbacks: Self.callbacks(folder))
        try folder.close()
        #expect(try scratch.names(in: "run") == ["checkpoints", "run.h5"])
        #expect(try scratch.names(in: "run/checkpoints") == ["00000049.h5", "00000056.h5", "00000060.h5"])
        let run = try RunFile.open(folder.runFilePath)
        #expect(try run.integers("iteration", in: .trajectory) == Array(1...60))
        #expect(try run.integers("stage", in: .trajectory) == Array(repeating: 0, count: 20) + Array(repeating: 1, count: 40))
        #expect(try run.reals("loss", in: .trajectory).last == result.stages.last?.loss)
        let parts = zip(try run.reals("loss: even", in: .trajectory), try run.reals("loss: odd", in: .trajectory))
        #expect(try zip(run.reals("loss", in: .trajectory), parts).allSatisfy { $0 == $1.0 + $1.1 })
        let twice = try run.reals("twice", in: .trajectory)
        #expect(twice[1] == 4 && twice[59] == 120 && twice[0].isNaN && twice[58].isNaN)
        #expect(try run.reals("referenceError", in: .trajectory).filter { !$0.isNaN }.count == 6)
        #expect(try run.reals("momentum∕β", in: .trajectory) == Array(repeating: 0.9, count: 60))
        #expect(try run.integers("iteration", in: .snapshots) == [15, 30, 45, 60])
        let entries = TableName("entries")
        #expect(run.tableNames == [.trajectory, .events, .snapshots, entries])
        #expect(try run.integers("iteration", in: entries) == (1...7).flatMap { [8 * $0, 8 * $0] })
        #expect(try run.integers("place", in: entries) == (1...7).flatMap { _ in [0, 1] })
        #expect(try run.texts("name", in: entries).suffix(2) == ["first", "second"])
        #expect(run.columns(in: entries).map(\.meaning)[3] == "θ there")
        #expect(try run.vector("parameters", row: 3, in: .snapshots) == result.parameters.values.elements)
        #expect(try run.texts("event", in: .events) == ["stage began", "stage ended", "stage began", "stage ended"])
        #expect(try run.file.unsigned("seed", at: "/") == 7)
        #expect(try run.file.text("problem", at: "/")?.contains("bowl") == true)
        #expect(try run.file.texts("stages", at: "/")?.count == 2)
        #expect(try run.file.texts("terms", at: "/") == ["even", "odd"])
        #expect(try run.file.readTexts(at: "/layout/name").values == ["weights", "bias"])
        #expect(try run.file.readTexts(at: "/layout/shape").values == ["2×2", "1"])
        #expect(try run.file.text("outcome", at: "/result") == result.outcome.name)
        #expect(try run.file.text("outcome", at: "/stages/0") == "budget spent")
        #expect(try run.file.read(Double.self, at: "/result/parameters").values == result.parameters.values.elements)
        #expect(try run.file.text("hdf5", at: "/sessions/0") == HDF5.version)
        var there = try #require(try RunEnvironment(lastSessionOf: run))
        #expect(there == RunEnvironment.current())
        #expect(RunEnvironment.current().differences(from: there).isEmpty)
        there.instructionSet = "another"
        #expect(RunEnvironment.current().differences(from: there).count == 1)
        let newest = try folder.checkpoints.latest()
        #expect(newest.parameters == result.parameters.values.elements)
    }

    @Test(arguments: [1, 8, 19, 20, 21, 37, 59]) func interruptedAndResumedEqualsUninterrupted(at iteration: Int) throws {
        let scratch = try Scratch()
        let whole = try RunFolder.create(scratch("whole"))
        let expected = try pipeline().start(seed: 3, callbacks: Self.callbacks(whole))
        try whole.close()

        let parts = try RunFolder.create(scratch("parts"))
        let first = try pipeline().start(seed: 3, callbacks: Self.callbacks(parts) + [InterruptAfter(iteration: iteration)])
        #expect(first.outcome.name == "interrupted")
        try parts.close()
        let again = try RunFolder.open(scratch("parts"))
        let second = try pipeline().resume(from: again, callbacks: Self.callbacks(again))
        try again.close()

        #expect(second.parameters.values.elements.map(\.bitPattern) == expected.parameters.values.elements.map(\.bitPattern))
        #expect(try Self.tables(scratch("parts")) == Self.tables(scratch("whole")))
        let run = try RunFile.open(again.runFilePath)
        #expect(try run.file.members(of: "/sessions") == ["0", "1"])
        #expect(try run.file.members(of: "/stages") == ["0", "1"])
        #expect(try run.file.text("outcome", at: "/result") == "budget spent")
    }

    @Test(arguments: [9, 25, 41]) func rowsPastTheCheckpointAreCut(at iteration: Int) throws {
        // The run dies without a word: nothing is asked of the callbacks, and the rows recorded since the checkpoint are flushed.
        let scratch = try Scratch()
        let whole = try RunFolder.create(scratch("whole"))
        _ = try pipeline().start(seed: 3, callbacks: Self.callbacks(whole))
        try whole.close()

        let parts = try RunFolder.create(scratch("parts"))
        let run = try pipeline().begin(seed: 3, callbacks: Self.callbacks(parts))
        while run.result.iterations < iteration { try run.advance() }
        try parts.close()
        #expect(try RunFile.open(parts.runFilePath).rows(in: .trajectory) == iteration)
        let again = try RunFolder.open(scratch("parts"))
        let resumed = try pipeline().restore(from: again, callbacks: Self.callbacks(again))
        #expect(try again.writableFile().rows(in: .trajectory) == iteration / 7 * 7)
        // Of a table that was first written after the checkpoint nothing is left.
        #expect(try again.writableFile().rows(in: TableName("entries")) == 2 * (iteration / 7 * 7 / 8))
        _ = try resumed.finish()
        try again.close()
        #expect(try Self.tables(scratch("parts")) == Self.tables(scratch("whole")))
    }

    @Test func aDamagedNewestCheckpointCostsItsIterationsOnly() throws {
        let scratch = try Scratch()
        let folder = try RunFolder.create(scratch("run"))
        let expected = try pipeline().start(seed: 3, callbacks: Self.callbacks(folder))
        try folder.close()
        try write(Array(try bytes(of: scratch("run/checkpoints/00000060.h5")).dropLast(100)), to: scratch("run/checkpoints/00000060.h5"))
        let again = try RunFolder.open(scratch("run"))
        #expect(throws: StorageError.self) { try pipeline().resume(from: again, callbacks: Self.callbacks(again)) }
        let result = try pipeline().resume(from: again, acceptingOlder: true, callbacks: Self.callbacks(again))
        #expect(result.parameters.values == expected.parameters.values)
        #expect(try scratch.names(in: "run/checkpoints").contains("00000060.h5.aside"))
        #expect(try again.checkpoints.latest().entry.iteration == 60)
    }

    @Test func aRunThatGoesFurtherContinuesItsStage() throws {
        let scratch = try Scratch()
        let folder = try RunFolder.create(scratch("run"))
        _ = try pipeline(40).start(seed: 3, callbacks: Self.callbacks(folder))
        try folder.close()
        let again = try RunFolder.open(scratch("run"))
        let result = try pipeline(60).resume(from: again, callbacks: Self.callbacks(again))
        #expect(result.iterations == 60)
        let whole = try pipeline(60).start(seed: 3)
        #expect(result.parameters.values == whole.parameters.values)
        #expect(try again.readableFile().integers("iteration", in: .trajectory) == Array(1...60))
        #expect(try again.readableFile().file.members(of: "/stages") == ["0", "1"])
    }

    @Test func anotherPipelinesCheckpointIsRefusedAndNothingIsCut() throws {
        let scratch = try Scratch()
        let folder = try RunFolder.create(scratch("run"))
        _ = try pipeline().start(seed: 3, callbacks: Self.callbacks(folder))
        try folder.close()
        let before = try Self.tables(scratch("run"))
        let again = try RunFolder.open(scratch("run"))
        let other = Pipeline(minimizing: Bowl(count: 6)) { Stage("first", HeavyBall(), until: .iterations(20)) }
        #expect(throws: ResumeError.self) { try other.resume(from: again, callbacks: Self.callbacks(again)) }
        #expect(try Self.tables(scratch("run")) == before)
    }

    @Test func aRunIsNotOverwrittenUnlessAllowed() throws {
        let scratch = try Scratch()
        _ = try pipeline().start(seed: 3, callbacks: Self.callbacks(try RunFolder.create(scratch("run"))))
        try write([1], to: scratch("run/notes.txt"))
        let error = #expect(throws: StorageError.self) { try RunFolder.create(scratch("run")) }
        #expect(error?.kind == .exists)
        let folder = try RunFolder.create(scratch("run"), replacing: true)
        #expect(try folder.checkpoints.list().isEmpty)
        #expect(try folder.writableFile().rows(in: .trajectory) == 0)
        #expect(try scratch.names(in: "run").contains("notes.txt"))
    }

    @Test func foldersThatHoldNoRunAreRefused() throws {
        let scratch = try Scratch()
        #expect(throws: StorageError.self) { try RunFolder.open(scratch("absent")) }
        #expect(throws: StorageError.self) { try RunFolder.open(scratch.path) }
        try write([1], to: scratch("file"))
        #expect(throws: StorageError.self) { try RunFolder.open(scratch("file")) }
        #expect(throws: StorageError.self) { try RunFolder.create(scratch("file")) }
        #expect(throws: StorageError.self) { try RunFolder.create(scratch("file/run")) }
        #expect(throws: StorageError.self) { try RunFolder.create("") }
    }

    @Test func roomOnTheDiskIsCheckedBeforeTheFirstStep() throws {
        let scratch = try Scratch()
        let folder = try RunFolder.create(scratch("run"))
        let error = #expect(throws: StorageError.self) { try folder.requireFree(.max / 2, for: "a test") }
        #expect(error?.kind == .full)
        try folder.requireFree(1, for: "a test")
    }

    @Test func aDamagedRunFileCanBePutAside() throws {
        let scratch = try Scratch()
        let folder = try RunFolder.create(scratch("run"))
        _ = try pipeline().start(seed: 3, callbacks: Self.callbacks(folder) + [InterruptAfter(iteration: 30)])
        try folder.close()
        try write(Array(try bytes(of: folder.runFilePath).prefix(3000)), to: folder.runFilePath)
        let again = try RunFolder.open(scratch("run"))
        let error = #expect(throws: StorageError.self) { try pipeline().resume(from: again, callbacks: Self.callbacks(again)) }
        #expect(error?.file == folder.runFilePath)
        try again.setTrajectoryAside()
        let result = try pipeline().resume(from: again, callbacks: Self.callbacks(again))
        #expect(result.iterations == 60)
        #expect(try again.readableFile().integers("iteration", in: .trajectory).last == 60)
        #expect(try again.readableFile().rows(in: .trajectory) == 60)
    }
}
