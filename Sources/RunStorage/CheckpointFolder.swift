import OptimizationCore

/// A folder of checkpoints, `00012000.h5` and the like: each file whole or absent, the last few kept.
///
/// A checkpoint is built in memory, written aside, brought to disk and renamed, so a killed process or a full disk never harms the ones
/// that are there. Writing one costs a copy of the archive, a sum over it, and what the disk takes to sync it.
public struct CheckpointFolder: Sendable, Hashable {
    public let path: String

    public init(_ path: String) { self.path = path }

    /// Rises whenever the layout of the file around the archive changes.
    public static let formatVersion = 1

    /// A checkpoint's place: its iteration and file.
    public struct Entry: Sendable, Hashable {
        public var iteration: Int
        public var file: String
        /// The file's last path component.
        public var name: String { CheckpointFolder.name(iteration) }
    }

    /// A checkpoint read back.
    public struct Content: Sendable {
        public var entry: Entry
        /// What `Pipeline.resume(from:)` takes.
        public var archive: Archive
        /// The parameters at the checkpoint, where the file holds them beside the archive.
        public var parameters: [Double]?
        /// Newer files that were passed over, and why.
        public var damaged: [StorageError]
    }

    // MARK: Writing

    /// Writes a checkpoint and removes all but the `keep` newest up to it.
    ///
    /// - Parameters:
    ///   - parameters: θ, stored beside the archive for readers that know nothing of the optimizer's state.
    ///   - notes: attributes of the file, in this order.
    @discardableResult
    public func write(
        _ archive: Archive, iteration: Int, keep: Int = 3, parameters: [Double] = [], notes: [(name: String, text: String)] = []
    ) throws -> Entry {
        precondition(iteration >= 0, "iteration \(iteration)")
        precondition(keep > 0, "at least one checkpoint is kept, not \(keep)")
        try Files.makeFolder(path)
        try removeLeftovers()
        let entry = Entry(iteration: iteration, file: "\(path)/\(CheckpointFolder.name(iteration))")
        let image = try CheckpointFolder.image(archive, entry: entry, parameters: parameters, notes: notes)
        try Files.writeAtomically([image, Seal.bytes(for: image)], to: entry.file)
        for old in try list().filter({ $0.iteration <= iteration }).dropLast(keep) { try Files.remove(old.file) }
        return entry
    }

    private static func image(
        _ archive: Archive, entry: Entry, parameters: [Double], notes: [(name: String, text: String)]
    ) throws -> [UInt8] {
        // The file grows in one piece where the estimate holds: growing copies what is there.
        let file = try HDF5File.inMemory(name: entry.file, increment: archive.approximateBytes + 8 * parameters.count + (1 << 16))
        try file.setAttribute("format", format, at: "/")
        try file.setAttribute("formatVersion", formatVersion, at: "/")
        try file.setAttribute("iteration", entry.iteration, at: "/")
        for note in notes { try file.setAttribute(note.name, note.text, at: "/") }
        if !parameters.isEmpty { try file.write(parameters, shape: [parameters.count], at: "/parameters") }
        try file.write(archive, at: "/run")
        let image = try file.image()
        try file.close()
        return image
    }

    static let format = "curvature checkpoint"

    // MARK: Reading

    /// The checkpoints in the folder, oldest first, by their names only; none where there is no folder.
    public func list() throws -> [Entry] {
        guard FileStatus(of: path) != nil else { return [] }
        return try Files.names(in: path).compactMap { name in
            CheckpointFolder.iteration(of: name).map { Entry(iteration: $0, file: "\(path)/\(name)") }
        }.sorted { $0.iteration < $1.iteration }
    }

    /// The newest checkpoint.
    ///
    /// Throws where there is none, and where the newest cannot be used: the error lists what is wrong with it and names the newest sound
    /// one. With `acceptingOlder` that one is returned instead, with the list of those passed over.
    public func latest(acceptingOlder: Bool = false) throws -> Content {
        var damaged: [StorageError] = []
        for entry in try list().reversed() {
            do {
                var content = try read(entry)
                content.damaged = damaged
                if damaged.isEmpty || acceptingOlder { return content }
                throw refusal(damaged, sound: entry)
            } catch let error as StorageError where error.file == entry.file {
                damaged.append(error)
            }
        }
        guard damaged.isEmpty else { throw refusal(damaged, sound: nil) }
        throw StorageError(
            .missing, "there is no checkpoint in this folder", file: path, advice: "Start the run anew, or give the folder of another run.")
    }

    private func refusal(_ damaged: [StorageError], sound: Entry?) -> StorageError {
        let advice =
            if let sound {
                "\(sound.name), the one before, is sound: accept an older checkpoint to go on from it, or restore the file."
            } else {
                "No checkpoint in this folder is sound: restore one from a backup, or start the run anew."
            }
        let count = damaged.count == 1 ? "the newest checkpoint" : "the \(damaged.count) newest checkpoints"
        return StorageError(.damaged, "\(count) cannot be used", file: path, advice: advice, causes: damaged.map(\.description))
    }

    /// The checkpoint of an iteration.
    public func read(iteration: Int) throws -> Content {
        guard let entry = try list().first(where: { $0.iteration == iteration }) else {
            throw StorageError(
                .missing, "there is no checkpoint of iteration \(iteration)", file: path,
                advice: "There are: \(try list().map(\.name).joined(separator: ", ")).")
        }
        return try read(entry)
    }

    private func read(_ entry: Entry) throws -> Content { try CheckpointFolder.read(file: entry.file) }

    /// Reads one checkpoint file, wherever it lies.
    public static func read(file: String) throws -> Content {
        let bytes = try Files.read(file)
        func bad(_ kind: StorageError.Kind, _ what: String) -> StorageError {
            StorageError(kind, what, file: file, advice: "Restore it from a backup, or go on from another checkpoint.")
        }
        let finding = bytes.withUnsafeBytes { Seal.check($0) }
        if let complaint = Seal.complaint(finding, bytes: bytes.count) { throw bad(.damaged, complaint) }
        if finding == .unsealed {
            let isHDF5 = bytes.starts(with: [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a])
            throw bad(
                .damaged,
                bytes.isEmpty
                    ? "the file is empty"
                    : isHDF5
                        ? "this is an HDF5 file without a checkpoint's seal: it is truncated, was rewritten, or is no checkpoint"
                        : "this is not a checkpoint: it is no HDF5 file")
        }
        let image = Array(bytes.dropLast(Seal.count))
        let opened = try HDF5File.image(image, name: file)
        guard try opened.text("format", at: "/") == format else { throw bad(.mismatch, "this is not a checkpoint: its format is another") }
        let version = try opened.integer("formatVersion", at: "/") ?? 0
        guard version == formatVersion else {
            throw StorageError(
                .mismatch, "the checkpoint has format version \(version); this program reads version \(formatVersion)", file: file,
                advice: "Use the version of Curvature that wrote it.")
        }
        let iteration = try opened.integer("iteration", at: "/") ?? 0
        let parameters = opened.exists("/parameters") ? try opened.read(Double.self, at: "/parameters").values : nil
        let archive = try opened.archive(at: "/run")
        try opened.close()
        return Content(entry: Entry(iteration: iteration, file: file), archive: archive, parameters: parameters, damaged: [])
    }

    // MARK: Order in the folder

    /// Removes what writes that were killed left behind.
    public func removeLeftovers() throws {
        guard FileStatus(of: path) != nil else { return }
        for name in try Files.names(in: path) where name.hasSuffix(".h5" + Files.temporarySuffix) { try Files.remove("\(path)/\(name)") }
    }

    /// Renames the checkpoints after an iteration to `….h5.aside`: they belong to a course that the run does not take again.
    public func setAside(after iteration: Int) throws {
        for entry in try list() where entry.iteration > iteration { try Files.rename(entry.file, to: entry.file + ".aside") }
    }

    static func name(_ iteration: Int) -> String {
        let digits = String(iteration)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".h5"
    }

    private static func iteration(of name: String) -> Int? {
        guard name.hasSuffix(".h5") else { return nil }
        let digits = name.dropLast(3)
        guard digits.count >= 8, digits.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
        return Int(digits)
    }
}
