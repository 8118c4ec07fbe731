import OptimizationCore
import Synchronization

/// The folder of a run: `run.h5`, what happened, and `checkpoints/`, what is needed to go on.
///
///     let folder = try RunFolder.create("runs/burgers")
///     try pipeline.start(seed: 7, callbacks: [RecordTrajectory(in: folder), WriteCheckpoints(in: folder, every: .iterations(500))])
///     …
///     try pipeline.resume(from: try RunFolder.open("runs/burgers"), callbacks: …)
public final class RunFolder: Sendable {
    public let path: String
    public let checkpoints: CheckpointFolder
    private let opened: Mutex<RunFile?> = Mutex(nil)

    private init(_ path: String) { (self.path, checkpoints) = (path, CheckpointFolder("\(path)/checkpoints")) }

    /// The path of the trajectory's file.
    public var runFilePath: String { "\(path)/run.h5" }

    /// Makes the folder of a new run. One that holds a run already is refused, unless that run may be replaced.
    public static func create(_ path: String, replacing: Bool = false) throws -> RunFolder {
        let folder = RunFolder(path)
        try Files.makeFolder(path)
        let old = try folder.checkpoints.list()
        if FileStatus(of: folder.runFilePath) != nil || !old.isEmpty {
            guard replacing else {
                throw StorageError(
                    .exists, "the folder holds a run already", file: path,
                    advice: "Resume it, choose another folder, or allow replacing it.")
            }
            // Opened first: another process that still writes the run holds the lock, and then nothing is removed.
            if FileStatus(of: folder.runFilePath) != nil {
                do { try RunFile.open(folder.runFilePath, writing: true).close() } catch let error as StorageError {
                    // A damaged or foreign file is no obstacle to replacing it.
                    guard error.kind == .damaged || error.kind == .mismatch else { throw error }
                }
            }
            for entry in old { try Files.remove(entry.file) }
            try Files.remove(folder.runFilePath)
            try Files.remove(folder.runFilePath + RunFile.journalSuffix)
        }
        try Files.makeFolder(folder.checkpoints.path)
        let file = try RunFile.create(folder.runFilePath)
        folder.opened.withLock { $0 = file }
        return folder
    }

    /// Opens the folder of an existing run.
    public static func open(_ path: String) throws -> RunFolder {
        guard let status = FileStatus(of: path) else {
            throw StorageError(.missing, "there is no such folder", file: path, advice: "Give the folder of a run.")
        }
        guard status.isFolder else {
            throw StorageError(.mismatch, "this is not a folder", file: path, advice: "Give the folder of a run, not a file in it.")
        }
        let folder = RunFolder(path)
        guard FileStatus(of: folder.runFilePath) != nil || FileStatus(of: folder.checkpoints.path) != nil else {
            throw StorageError(
                .missing, "the folder holds no run: neither run.h5 nor checkpoints", file: path, advice: "Give the folder of a run.")
        }
        return folder
    }

    // MARK: The run file

    /// The run file, opened for writing when first asked for, and held open until `close`. It is made where it is missing.
    public func writableFile() throws -> RunFile {
        try opened.withLock { opened in
            if let opened { return opened }
            let file = FileStatus(of: runFilePath) == nil ? try RunFile.create(runFilePath) : try RunFile.open(runFilePath, writing: true)
            opened = file
            return file
        }
    }

    /// The run file for reading: the one held open, flushed, or else the file as it is on disk, which a run may still be writing.
    public func readableFile() throws -> RunFile {
        let held = opened.withLock { $0 }
        guard let held else { return try RunFile.open(runFilePath) }
        try held.flush()
        return held
    }

    /// Closes the run file; it is opened again when asked for.
    public func close() throws {
        let held = opened.withLock { opened in
            defer { opened = nil }
            return opened
        }
        try held?.close()
    }

    /// Renames a damaged `run.h5` to `run.h5.aside` so that a resumed run begins a new one: the trajectory so far is then only there.
    public func setTrajectoryAside() throws {
        opened.withLock { $0 = nil }
        let (aside, journal) = (runFilePath + ".aside", RunFile.journalSuffix)
        // The journal of a flush that was cut short belongs to its file, and goes first: left alone, it would be removed by the next run.
        if FileStatus(of: runFilePath + journal) != nil { try Files.rename(runFilePath + journal, to: aside + journal) }
        try Files.rename(runFilePath, to: aside)
    }

    // MARK: The disk

    /// Throws where the disk of the folder has fewer free bytes than `bytes`.
    public func requireFree(_ bytes: Int, for purpose: String) throws {
        let free = try Files.freeBytes(at: path)
        guard free >= bytes else {
            throw StorageError(
                .full, "\(purpose) needs about \(bytes >> 20) MiB and the disk has \(free >> 20) MiB left", file: path,
                advice: "Free space on that disk, keep fewer checkpoints, or choose another folder.")
        }
    }
}

extension Pipeline {
    /// Goes on from the newest checkpoint of a run's folder to the end.
    ///
    /// Throws where the newest checkpoint is damaged, naming the newest sound one, unless an older one is accepted.
    public func resume(
        from folder: RunFolder, acceptingOlder: Bool = false, callbacks: [any Callback] = []
    ) throws -> RunResult {
        try restore(from: folder, acceptingOlder: acceptingOlder, callbacks: callbacks).finish()
    }

    /// A run at the newest checkpoint of a run's folder, for the caller to drive.
    public func restore(
        from folder: RunFolder, acceptingOlder: Bool = false, callbacks: [any Callback] = []
    ) throws -> Run<P> {
        try restore(from: try folder.checkpoints.latest(acceptingOlder: acceptingOlder).archive, callbacks: callbacks)
    }
}
