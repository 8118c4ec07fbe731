import OptimizationCore
import RunStorage
import Testing

@Suite struct ArchiveFormatTests {
    /// Archives of random shape, with the doubles that a careless writer changes.
    static func archive(_ random: inout Random, depth: Int = 0) -> Archive {
        var archive = Archive()
        let special: [Double] = [
            0, -0.0, .infinity, -.infinity, .nan, .signalingNaN, .leastNonzeroMagnitude, -.greatestFiniteMagnitude,
            Double(nan: 0x1234, signaling: false), Double(bitPattern: 0xfff8_0000_dead_beef),
        ]
        let texts = ["", "loss", "‖∇L‖ ≤ 1e−8 ✓", "two\nlines", "naïve 日本語 🙂", String(repeating: "long ", count: 3000)]
        for index in 0..<Int.random(in: 0...6, using: &random) {
            let shape = (0..<Int.random(in: 0...3, using: &random)).map { _ in Int.random(in: 0...4, using: &random) }
            let count = shape.reduce(1, *)
            let unit = Bool.random(using: &random) ? "m/s²" : nil
            let content: Archive.Content
            switch Int.random(in: 0...3, using: &random) {
            case 0:
                content = .doubles(
                    (0..<count).map { _ in
                        Bool.random(using: &random) ? Double(bitPattern: random.next()) : special.randomElement(using: &random) ?? 0
                    })
            case 1: content = .integers((0..<count).map { _ in Int64(bitPattern: random.next()) })
            case 2: content = .strings((0..<count).map { _ in texts.randomElement(using: &random) ?? "" })
            default:
                guard depth < 3 else { continue }
                content = .group(Self.archive(&random, depth: depth + 1))
            }
            // Names whose sorted order is not the order in which they are set.
            let name = "\(["z", "α entry", "A.b", "00"][index % 4])\(9 - index)"
            if case .group = content {
                archive.set(Archive.Entry(name: name, content: content, shape: [], unit: unit))
            } else {
                archive.set(Archive.Entry(name: name, content: content, shape: shape, unit: unit))
            }
        }
        return archive
    }

    @Test func everyBitAndTheOrderOfEntriesSurvive() throws {
        let scratch = try Scratch()
        let folder = CheckpointFolder(scratch("checkpoints"))
        for seed in 0..<200 {
            var random = Random(state: UInt64(seed))
            let archive = Self.archive(&random)
            try folder.write(archive, iteration: seed)
            let back = try folder.latest().archive
            #expect(back == archive, "seed \(seed): \(archive.differences(from: back))")
        }
    }

    @Test func aDifferenceWouldBeSeen() throws {
        // The property above rests on the archive's equality: it must tell apart what differs in one bit only.
        var (a, b) = (Archive(), Archive())
        a.set("x", Double(bitPattern: 0x7ff8_0000_0000_0001))
        b.set("x", Double(bitPattern: 0x7ff8_0000_0000_0002))
        let scratch = try Scratch()
        let folder = CheckpointFolder(scratch("c"))
        try folder.write(a, iteration: 1)
        #expect(try folder.latest().archive == a)
        #expect(try folder.latest().archive != b)
    }

    @Test func textWithNULIsRefused() throws {
        let scratch = try Scratch()
        var archive = Archive()
        archive.set("note", "before\0after")
        let error = #expect(throws: StorageError.self) { try CheckpointFolder(scratch("c")).write(archive, iteration: 0) }
        #expect(error?.object == "/run/note")
        #expect(try scratch.names(in: "c").isEmpty)
    }

    @Test func attributesOfEveryTypeRoundTrip() throws {
        let scratch = try Scratch()
        let file = try HDF5File.create(scratch("a.h5"))
        try file.makeGroup("/g/h")
        try file.setAttribute("real", -0.0, at: "/g/h")
        try file.setAttribute("count", -7, at: "/g/h")
        try file.setAttribute("seed", UInt64.max, at: "/g/h")
        try file.setAttribute("yes", true, at: "/g/h")
        try file.setAttribute("text", "ν = 0.01/π", at: "/g/h")
        try file.setAttribute("empty", "", at: "/g/h")
        try file.setAttribute("list", ["a", "", "ü"], at: "/g/h")
        try file.setAttribute("none", [String](), at: "/g/h")
        try file.setAttribute("text", "replaced", at: "/g/h")
        try file.close()
        let back = try HDF5File.open(scratch("a.h5"))
        #expect(try back.double("real", at: "/g/h")?.sign == .minus)
        #expect(try back.integer("count", at: "/g/h") == -7)
        #expect(try back.unsigned("seed", at: "/g/h") == .max)
        #expect(try back.truth("yes", at: "/g/h") == true)
        #expect(try back.text("text", at: "/g/h") == "replaced")
        #expect(try back.text("empty", at: "/g/h") == "")
        #expect(try back.texts("list", at: "/g/h") == ["a", "", "ü"])
        #expect(try back.texts("none", at: "/g/h") == [])
        #expect(try back.text("absent", at: "/g/h") == nil)
        #expect(try back.attributes(of: "/g/h") == ["count", "empty", "list", "none", "real", "seed", "text", "yes"])
        #expect(throws: StorageError.self) { try back.double("text", at: "/g/h") }
    }

    @Test func errorsSayWhatWhereAndWhatToDo() throws {
        let scratch = try Scratch()
        let file = try HDF5File.create(scratch("e.h5"))
        try file.write([1.0, 2.0], shape: [2], at: "/x")
        let type = #expect(throws: StorageError.self) { _ = try file.read(Int64.self, at: "/x") }
        #expect(type?.kind == .mismatch)
        #expect(type?.object == "/x")
        let missing = #expect(throws: StorageError.self) { _ = try file.read(Double.self, at: "/y") }
        #expect(missing?.description.contains("/y") == true)
        let twice = #expect(throws: StorageError.self) { try file.write([1.0], shape: [], at: "/x") }
        #expect(twice?.kind == .exists)
        let nowhere = #expect(throws: StorageError.self) { _ = try HDF5File.create(scratch("no/such/folder/e.h5")) }
        #expect(nowhere?.causes.isEmpty == false)
        #expect(throws: StorageError.self) { _ = try HDF5File.open(scratch("absent.h5")) }
        #expect(throws: StorageError.self) { _ = try HDF5File.open(scratch.path) }
    }

    @Test func manyThreadsAtOnce() async throws {
        let scratch = try Scratch()
        let path = scratch.path
        let sums = try await withThrowingTaskGroup(of: Double.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    var sum = 0.0
                    for round in 0..<20 {
                        var archive = Archive()
                        archive.set("x", (0..<100).map { Double($0 + worker * round) })
                        let folder = CheckpointFolder("\(path)/\(worker)")
                        try folder.write(archive, iteration: round, keep: 1)
                        sum += try folder.latest().archive.doubles("x").reduce(0, +)
                    }
                    return sum
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        // Σ over workers w and rounds r of Σ_{i<100} (i + w r) = 8·20·4950 + 100·(Σw)(Σr) = 792 000 + 100·28·190.
        #expect(sums.reduce(0, +) == 792_000 + 532_000)
    }
}
